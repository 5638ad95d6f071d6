//! Lines of a stream that may not be trusted to be short.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// What became of a line of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// It is in the buffer, with its end.
    Whole,
    /// Only its beginning is in the buffer.
    TooLong,
}

/// Reads a line of at most `limit` bytes with its end. One that is too long is read to its end and its rest
/// forgotten, so that no part of it is taken for another line; `None` at the end of the input. When it is
/// cancelled, what was read of the line is lost.
///
/// # Errors
/// The input can't be read.
pub async fn read_line(
    input: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    limit: usize,
) -> std::io::Result<Option<Line>> {
    line.clear();
    let mut length = 0;
    let read_to = |length| if length > limit { Line::TooLong } else { Line::Whole };
    loop {
        let available = input.fill_buf().await?;
        if available.is_empty() {
            // The last line may lack its end.
            let at_end = length == 0;
            return Ok((!at_end).then(|| read_to(length)));
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(available.len(), |end| end + 1);
        let room = limit.saturating_sub(line.len());
        line.extend(available.iter().take(count.min(room)));
        length += count;
        input.consume(count);
        if end.is_some() {
            return Ok(Some(read_to(length)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    proptest! {
        /// Whatever the sizes of the pieces that arrive: each line comes once, whole or as too long.
        #[test]
        fn every_line_comes_once(
            lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10),
            limit in 1_usize..40,
            piece in 1_usize..50,
        ) {
            let lines: Vec<Vec<u8>> = lines
                .into_iter()
                .map(|line| line.into_iter().filter(|byte| *byte != b'\n').chain([b'\n']).collect())
                .collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            runtime.block_on(async {
                let all = lines.concat();
                let mut input = BufReader::with_capacity(piece, all.as_slice());
                let mut found = Vec::new();
                for line in &lines {
                    let read = read_line(&mut input, &mut found, limit).await?;
                    if line.len() <= limit {
                        prop_assert_eq!(read, Some(Line::Whole));
                        prop_assert_eq!(&found, line);
                    } else {
                        prop_assert_eq!(read, Some(Line::TooLong));
                        prop_assert_eq!(found.as_slice(), &line[..limit]);
                    }
                }
                prop_assert_eq!(read_line(&mut input, &mut found, limit).await?, None);
                Ok(())
            })?;
        }
    }

    #[tokio::test]
    async fn the_last_line_may_lack_its_end() {
        let mut input = b"one\ntwo".as_slice();
        let mut line = Vec::new();
        for wanted in ["one\n", "two"] {
            assert_eq!(read_line(&mut input, &mut line, 10).await.unwrap(), Some(Line::Whole));
            assert_eq!(line, wanted.as_bytes());
        }
        assert_eq!(read_line(&mut input, &mut line, 10).await.unwrap(), None);
    }
}
