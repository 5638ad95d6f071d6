//! A scripted device that takes its firmware by HTTP, as ESPHome's `ota: platform: web_server` does.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::{LiveReport, Report};

/// The longest head of a request or of a part that is taken.
const MAX_HEAD: usize = 16 * 1024;

/// What the web server does wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebFault {
    /// Nothing.
    #[default]
    None,
    /// Takes the image and answers with this status.
    Status(u16),
    /// Takes the image and says that the update failed, with status 200, as ESPHome does.
    Refuse,
    /// Closes the connection after so many bytes of the image.
    CloseAfter(usize),
    /// Closes the connection after the whole image, without an answer.
    CloseAtEnd,
    /// Takes nothing more after so many bytes of the image.
    StallAfter(usize),
}

/// A web server's properties and what it does wrong.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WebScript {
    /// The value of the `Authorization` header that it wants.
    pub authorization: Option<String>,
    /// What it does wrong.
    pub fault: WebFault,
}

/// Serves one request and closes the connection.
pub async fn play_web<S>(mut stream: S, script: &WebScript, report: &LiveReport)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Err(error) = serve(&mut stream, script, report).await {
        report.note(|report| report.ended = Some(format!("{error:#}")));
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    script: &WebScript,
    report: &LiveReport,
) -> Result<()> {
    let head = head(stream).await?;
    ensure!(head.starts_with("POST /update HTTP/1.1\r\n"), "no upload: {head}");
    let length: usize = header(&head, "content-length").context("no length")?.parse()?;
    report.note(|report| report.wire_size = u32::try_from(length).ok());
    let kind = header(&head, "content-type").unwrap_or_default();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").context("no multipart")?;
    let part = self::head(stream).await?;
    ensure!(part.starts_with(&format!("--{boundary}\r\n")), "another boundary: {part}");
    ensure!(part.contains("name=\"update\"; filename="), "no file: {part}");
    let end = format!("\r\n--{boundary}--\r\n");
    let image_length = length.checked_sub(part.len() + end.len()).context("too short")?;
    let wanted = script.authorization.as_deref();
    let allowed = wanted.is_none() || header(&head, "authorization") == wanted;
    take_image(stream, script, image_length, report).await?;
    let mut rest = vec![0; end.len()];
    stream.read_exact(&mut rest).await?;
    ensure!(rest == end.as_bytes(), "the end is wrong");
    let fault = |report: &mut Report| report.faulted = true;
    let (status, body) = match script.fault {
        // Like a device, which asks for the login when it has read everything.
        _ if !allowed => ("401 Unauthorized".to_owned(), ""),
        WebFault::CloseAtEnd => {
            report.note(fault);
            bail!("as scripted");
        }
        WebFault::Status(status) => (format!("{status} Scripted"), "as scripted"),
        WebFault::Refuse => ("200 OK".to_owned(), "Update Failed!"),
        WebFault::None | WebFault::CloseAfter(_) | WebFault::StallAfter(_) => {
            report.note(|report| {
                report.md5 = Some(hex::encode(Md5::digest(&report.wire)));
                report.image = Some(report.wire.clone());
            });
            ("200 OK".to_owned(), "Update Successful!")
        }
    };
    if script.fault != WebFault::None {
        report.note(fault);
    }
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

async fn take_image<S: AsyncRead + Unpin>(
    stream: &mut S,
    script: &WebScript,
    length: usize,
    report: &LiveReport,
) -> Result<()> {
    let mut left = length;
    let mut buffer = [0; 4096];
    while left > 0 {
        let room = left.min(buffer.len());
        let count = stream.read(buffer.get_mut(..room).unwrap_or_default()).await?;
        ensure!(count > 0, "the client is gone");
        left -= count;
        report
            .note(|report| report.wire.extend_from_slice(buffer.get(..count).unwrap_or_default()));
        let taken = length - left;
        match script.fault {
            WebFault::CloseAfter(bytes) if taken >= bytes => {
                report.note(|report| report.faulted = true);
                bail!("as scripted");
            }
            WebFault::StallAfter(bytes) if taken >= bytes => {
                report.note(|report| report.faulted = true);
                return std::future::pending().await;
            }
            WebFault::None
            | WebFault::Status(_)
            | WebFault::Refuse
            | WebFault::CloseAfter(_)
            | WebFault::CloseAtEnd
            | WebFault::StallAfter(_) => {}
        }
    }
    Ok(())
}

/// Everything up to an empty line, with it.
async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < MAX_HEAD, "an endless head");
        head.push(stream.read_u8().await.context("the client is gone")?);
    }
    Ok(String::from_utf8(head)?)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A scripted web server on a port of this machine.
#[derive(Debug)]
pub struct WebPeer {
    address: SocketAddr,
    reports: mpsc::UnboundedReceiver<LiveReport>,
    task: JoinHandle<Result<()>>,
}

impl WebPeer {
    /// Begins to listen on a free port of the loopback interface.
    ///
    /// # Errors
    /// When the port can't be opened.
    pub async fn start(script: WebScript) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the peer")?;
        let address = listener.local_addr()?;
        let (sender, reports) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            // Ends with this task.
            let mut clients = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await?;
                let report = LiveReport::default();
                // Nobody may want to know.
                let _ = sender.send(report.clone());
                let script = script.clone();
                clients.spawn(async move { play_web(stream, &script, &report).await });
            }
        });
        Ok(Self { address, reports, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its next client, from the moment when that has connected.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn client(&mut self) -> Result<LiveReport> {
        self.reports.recv().await.context("the web server has ended")
    }
}

impl Drop for WebPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
