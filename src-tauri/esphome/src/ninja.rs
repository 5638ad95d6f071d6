//! What compilers read, as ninja remembers it (`.ninja_deps`, format 4): the only trace of headers that the build
//! takes from elsewhere.

use std::collections::{BTreeMap, BTreeSet};

const SIGNATURE: &[u8] = b"# ninjadeps\n";
const VERSION: u32 = 4;

/// The paths of everything that an object was made of, as ninja writes them. What can't be understood, or is cut
/// off, ends it.
#[must_use]
pub fn inputs(log: &[u8]) -> BTreeSet<String> {
    let mut reader = Reader(log);
    let mut paths: Vec<String> = Vec::new();
    let mut deps: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    if reader.take(SIGNATURE.len()) != Some(SIGNATURE) || reader.number() != Some(VERSION) {
        return BTreeSet::new();
    }
    while let Some(head) = reader.number() {
        let size = usize::try_from(head & 0x7FFF_FFFF).unwrap_or(usize::MAX);
        let Some(record) = reader.take(size) else { break };
        let mut record = Reader(record);
        if head >> 31 == 1 {
            let Some(object) = record.number() else { break };
            // When it was made.
            if record.take(8).is_none() {
                break;
            }
            let inputs = core::iter::from_fn(|| record.number()).collect();
            deps.insert(object, inputs);
        } else {
            // Padded with zeros to four bytes; a checksum follows.
            let Some(text) = size.checked_sub(4).and_then(|size| record.take(size)) else { break };
            let text = String::from_utf8_lossy(text);
            paths.push(text.trim_end_matches('\0').to_owned());
        }
    }
    let path = |id: &u32| paths.get(usize::try_from(*id).ok()?).cloned();
    deps.values().flatten().filter_map(path).collect()
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, size: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(paths: &[&str], deps: &[&[u32]]) -> Vec<u8> {
        let mut log = SIGNATURE.to_vec();
        log.extend(VERSION.to_le_bytes());
        for (id, path) in (0_u32..).zip(paths) {
            let mut text = path.as_bytes().to_vec();
            text.resize(text.len().next_multiple_of(4), 0);
            log.extend(u32::try_from(text.len() + 4).unwrap().to_le_bytes());
            log.extend(text);
            log.extend((!id).to_le_bytes());
        }
        for numbers in deps {
            let size = u32::try_from(8 + 4 * numbers.len()).unwrap();
            log.extend((size | 1 << 31).to_le_bytes());
            log.extend(numbers[0].to_le_bytes());
            log.extend([0; 8]);
            numbers[1..].iter().for_each(|number| log.extend(number.to_le_bytes()));
        }
        log
    }

    #[test]
    fn the_latest_inputs_of_each_object_are_read() {
        let paths = ["a.o", "../src/a.cpp", "/home/u/x.h", "b.o", "old.h"];
        let log = log(&paths, &[&[0, 1, 4], &[3, 2], &[0, 1, 2]]);
        let expected = ["../src/a.cpp", "/home/u/x.h"].map(str::to_owned);
        assert_eq!(inputs(&log), expected.into());
        assert_eq!(inputs(b"# ninjadeps\n\x03\0\0\0"), BTreeSet::new(), "another format");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..60_usize) {
            let _ = inputs(&bytes);
            let mut log = log(&["a.o", "b.h"], &[&[0, 1]]);
            log.truncate(cut);
            log.extend(bytes);
            let _ = inputs(&log);
        }
    }
}
