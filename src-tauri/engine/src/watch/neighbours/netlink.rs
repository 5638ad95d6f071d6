//! Linux's neighbour table over a route netlink socket (rtnetlink(7)): a dump of it, and its changes. Any user
//! may read both.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with,
};
use tokio::net::UnixDatagram;
use wakeflash_core::device::MacAddress;

use super::Entry;

// linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_DELADDR: u16 = 21;
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
/// `NUD_REACHABLE`, `NUD_STALE`, `NUD_DELAY`, `NUD_PROBE` and `NUD_PERMANENT`: packets go to the entry's address.
const NUD_VALID: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;
/// `RTMGRP_LINK`, `RTMGRP_NEIGH`, `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 0x1 | 0x4 | 0x10 | 0x100;

const HEADER: usize = 16;
/// The header, and an empty `struct ndmsg`.
const REQUEST: u16 = 28;
const BUFFER: usize = 64 * 1024;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Neighbour(Entry),
    /// An interface or an address of this computer has changed.
    Interface,
    /// The dump is complete.
    Done,
}

/// A socket that hears of changes. To receive from, it is a datagram socket like those that tokio knows.
pub(super) struct Changes {
    socket: UnixDatagram,
    buffer: Vec<u8>,
}

impl Changes {
    pub(super) fn open() -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::from(open(GROUPS, SocketFlags::NONBLOCK)?);
        Ok(Self { socket: UnixDatagram::from_std(socket)?, buffer: vec![0; BUFFER] })
    }

    /// Asks for the whole table; it comes as messages.
    pub(super) fn request_dump(&self) -> io::Result<()> {
        request_dump(self.socket.as_fd())
    }

    /// The next messages. An error `ENOBUFS` means that some were lost.
    pub(super) async fn next(&mut self) -> io::Result<Vec<Message>> {
        let length = self.socket.recv(&mut self.buffer).await?;
        Ok(parse(self.buffer.get(..length).unwrap_or_default()))
    }
}

/// The whole table. The kernel makes it while it is read: nothing is waited for.
pub(super) fn dump() -> io::Result<Vec<Entry>> {
    let socket = open(0, SocketFlags::empty())?;
    request_dump(socket.as_fd())?;
    let mut buffer = vec![0; BUFFER];
    let mut entries = Vec::new();
    loop {
        let (length, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let messages = parse(buffer.get(..length).unwrap_or_default());
        if messages.is_empty() {
            return Err(io::Error::other("the kernel doesn't tell its neighbours"));
        }
        for message in messages {
            match message {
                Message::Neighbour(entry) => entries.push(entry),
                Message::Interface => {}
                Message::Done => return Ok(entries),
            }
        }
    }
}

fn open(groups: u32, flags: SocketFlags) -> io::Result<OwnedFd> {
    // Without a protocol it is NETLINK_ROUTE.
    let flags = flags | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn request_dump(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut request = Vec::with_capacity(usize::from(REQUEST));
    request.extend(u32::from(REQUEST).to_ne_bytes());
    request.extend(RTM_GETNEIGH.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request.resize(usize::from(REQUEST), 0);
    sendto(socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    Ok(())
}

fn parse(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let (Some(length), Some(kind)) = (u32_at(bytes, 0), u16_at(bytes, 4)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(body) = bytes.get(HEADER..length) else { break };
        match kind {
            NLMSG_DONE | NLMSG_ERROR => messages.push(Message::Done),
            RTM_NEWLINK..=RTM_DELADDR => messages.push(Message::Interface),
            RTM_NEWNEIGH | RTM_DELNEIGH => {
                let entry = neighbour(body, kind == RTM_NEWNEIGH);
                messages.extend(entry.map(Message::Neighbour));
            }
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

/// `struct ndmsg` (family, 3 bytes of padding, interface, state, flags, type), then attributes.
fn neighbour(body: &[u8], exists: bool) -> Option<Entry> {
    let state = u16_at(body, 8)?;
    let mut attributes = body.get(12..)?;
    let (mut address, mut link) = (None, None);
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let length = usize::from(length);
        let Some(value) = attributes.get(4..length) else { break };
        match kind {
            NDA_DST => address = ip(value),
            NDA_LLADDR => link = <[u8; 6]>::try_from(value).ok().map(MacAddress),
            _ => {}
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let valid = exists && state & NUD_VALID != 0;
    let link = link.filter(|link| valid && *link != MacAddress([0; 6]));
    Some(Entry { address: address?, link })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel makes it for `ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07`.
    fn message(kind: u16, state: u16) -> Vec<u8> {
        let mut body = vec![2, 0, 0, 0, 3, 0, 0, 0];
        body.extend(state.to_ne_bytes());
        body.extend([0, 1]);
        body.extend([8_u16.to_ne_bytes(), NDA_DST.to_ne_bytes()].concat());
        body.extend([10, 0, 0, 7]);
        body.extend([10_u16.to_ne_bytes(), NDA_LLADDR.to_ne_bytes()].concat());
        body.extend([2, 0, 0, 0, 0, 7, 0, 0]);
        let length = u32::try_from(HEADER + body.len()).unwrap();
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.resize(HEADER, 0);
        message.extend(body);
        message
    }

    fn entry(link: Option<MacAddress>) -> Message {
        Message::Neighbour(Entry { address: IpAddr::from([10, 0, 0, 7]), link })
    }

    #[test]
    fn messages_are_read() {
        let link = Some(MacAddress([2, 0, 0, 0, 0, 7]));
        let bytes = [
            message(RTM_NEWNEIGH, 0x04),
            message(RTM_NEWNEIGH, 0x20),
            message(RTM_DELNEIGH, 0x02),
            message(RTM_NEWLINK, 0),
            message(NLMSG_DONE, 0),
        ]
        .concat();
        let expected = [entry(link), entry(None), entry(None), Message::Interface, Message::Done];
        assert_eq!(parse(&bytes), expected);
    }

    #[test]
    fn what_is_cut_off_or_damaged_does_no_harm() {
        let whole = [message(RTM_NEWNEIGH, 0x02), message(RTM_NEWNEIGH, 0x02)].concat();
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).len() <= 1);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                assert!(parse(&bytes).len() <= 2);
            }
        }
    }

    #[test]
    fn the_kernel_answers() {
        dump().unwrap();
    }
}
