//! The TCP connection of an OTA session, as it is asked of the system.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

/// What the system may keep unsent. What it has taken beyond that is on its way, so that a session knows what a
/// device can have that acknowledges nothing.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 16 * 1024;

/// Connects to the OTA port of a device.
pub(crate) async fn connect(peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The handshake is a ping-pong of short messages.
    socket.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
    socket.connect(peer).await
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn little_waits_unsent_in_the_system() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Its buffer is full soon, and it reads nothing.
        socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let stream = connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(stream.nodelay().unwrap());
        let mut taken = 0;
        while stream.writable().await.is_ok() {
            match stream.try_write(&[0; 4096]) {
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!((8 * 1024..128 * 1024).contains(&taken), "{taken}");
    }
}
