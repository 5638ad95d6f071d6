//! What systemd is told (`sd_notify`).

use std::os::unix::net::UnixDatagram;

/// Says that clients are served now, to whoever has asked for that in the environment.
pub(crate) fn ready() {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let told = UnixDatagram::unbound().and_then(|socket| send(&socket, &path));
    if let Err(error) = told {
        tracing::warn!("systemd was not told that the service runs: {error}");
    }
}

fn send(socket: &UnixDatagram, path: &std::ffi::OsStr) -> std::io::Result<()> {
    const READY: &[u8] = b"READY=1";
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::ffi::OsStrExt as _;
        if let Some(name) = path.as_bytes().strip_prefix(b"@") {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            return socket.send_to_addr(READY, &address).map(drop);
        }
    }
    socket.send_to(READY, path).map(drop)
}
