//! The shared compiler cache that the user has named: ccache's `CCACHE_REMOTE_STORAGE`.

use core::net::Ipv6Addr;

use crate::error::Problem;

/// Refuses what ccache could make nothing of: it would only say so in its own log, and build without it.
///
/// # Errors
/// It is no address of an HTTP or Redis server.
pub fn check(address: &str) -> Result<(), Problem> {
    if is_address(address) {
        return Ok(());
    }
    // It may contain a password.
    Err(Problem::new("settings.compiler_cache", "That is no address of a shared compiler cache.")
        .with_help("Enter one such as http://server:8080/cache or redis://server:6379."))
}

fn is_address(address: &str) -> bool {
    if address.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return false;
    }
    // What follows are ccache's own attributes, such as `|read-only=true`.
    let url = address.split('|').next().unwrap_or_default();
    let Some(rest) = ["http://", "redis://"].iter().find_map(|scheme| url.strip_prefix(scheme))
    else {
        return false;
    };
    let server = rest.split('/').next().unwrap_or_default();
    let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
    if let Some(rest) = server.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else { return false };
        let port = port.strip_prefix(':').map_or(port.is_empty(), is_port);
        return host.parse::<Ipv6Addr>().is_ok() && port;
    }
    let (host, port) =
        server.split_once(':').map_or((server, true), |(host, port)| (host, is_port(port)));
    let is_name = |c: char| c.is_alphanumeric() || c == '-' || c == '.' || c == '_';
    port && !host.is_empty() && host.chars().all(is_name)
}

fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_http_and_redis_servers_are_taken() {
        for address in [
            "http://server",
            "http://server:8080/cache",
            "http://user:pass@server.example.org:8080/a/b",
            "redis://192.168.1.2:6379",
            "redis://:secret@[fd00::2]:6379",
            "http://[::1]/cache|read-only=true",
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
        for wrong in [
            "",
            "server",
            "https://server",
            "ftp://server",
            "http://",
            "http:///cache",
            "http://user@",
            "http://server:0",
            "http://server:port",
            "http://server:70000",
            "http://ser ver",
            "http://server/\u{7}",
            "redis://[fd00::2",
            "redis://[no]",
            "redis://[::1]x",
        ] {
            assert_eq!(check(wrong).unwrap_err().code, "settings.compiler_cache", "{wrong}");
        }
    }
}
