//! Whether a device serves a new client.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use wakeflash_ota::MAGIC;

/// Whether whoever is at the other end greets its client within `limit`. A device serves one client at a time: while
/// it does, the system under it takes connections, and nobody speaks on them. One that greets is not in the middle of
/// an update, whatever became of the last one.
///
/// The connection is closed.
pub(crate) async fn serves<S>(mut stream: S, limit: Duration) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeted = async {
        stream.write_all(&MAGIC).await?;
        stream.read_u8().await
    };
    matches!(timeout(limit, greeted).await, Ok(Ok(GREETING)))
}

/// What a device says first, once it has read the magic.
const GREETING: u8 = 0x00;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_greeting_counts() {
        let limit = Duration::from_secs(1);
        for (answer, expected) in [(Some(0x00), true), (Some(0x80), false), (None, false)] {
            let (near, mut far) = tokio::io::duplex(64);
            let device = async move {
                let mut magic = [0; MAGIC.len()];
                far.read_exact(&mut magic).await.unwrap();
                assert_eq!(magic, MAGIC);
                if let Some(answer) = answer {
                    far.write_all(&[answer, 0x02]).await.unwrap();
                }
                tokio::time::sleep(2 * limit).await;
            };
            let (served, ()) = tokio::join!(serves(near, limit), device);
            assert_eq!(served, expected, "{answer:?}");
        }
        let (near, far) = tokio::io::duplex(64);
        drop(far);
        assert!(!serves(near, limit).await);
    }
}
