//! `wakeflash-lab relay`: a way into a network namespace. Unix sockets on the disk know no namespaces.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::time::Instant;

/// How long the server behind the port may take to start.
const PATIENCE: Duration = Duration::from_secs(90);

/// What `wakeflash-lab relay` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct RelayOptions {
    /// The socket to make.
    #[arg(long)]
    pub socket: PathBuf,
    /// The port on 127.0.0.1 that it leads to.
    #[arg(long)]
    pub port: u16,
}

/// Relays until it is ended.
///
/// # Errors
/// When the socket can't be made.
pub async fn run(options: &RelayOptions) -> Result<()> {
    let listener = UnixListener::bind(&options.socket)
        .with_context(|| format!("cannot listen at {}", options.socket.display()))?;
    loop {
        let (inside, _) = listener.accept().await?;
        tokio::spawn(relay(inside, options.port));
    }
}

async fn relay(mut inside: UnixStream, port: u16) {
    let give_up = Instant::now() + PATIENCE;
    let mut outside = loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > give_up => {
                return tracing::error!("nothing listens on port {port}: {error}");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    // Its end is the connection's; whoever uses it sees that.
    let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
}
