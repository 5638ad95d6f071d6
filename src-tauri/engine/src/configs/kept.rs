//! The sources of a build as they were when it was built, kept beside its image, without secrets: so it can be shown
//! later what has changed in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use similar::{ChangeTag, TextDiff};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::update::{Counts, Sha256, SourceChange, SourceChangeKind, SourceFile};
use wakeflash_core::view::{DiffLine, DiffLineKind, FileDiff, Hunk, SourceDiff, Unshown};
use wakeflash_esphome::mask::{self, Mask};

use super::changed_sources;
use crate::artifacts::digest;

/// Larger texts aren't kept, nor more of them, nor more bytes together.
const MAX_FILE: u64 = 256 << 10;
const MAX_FILES: usize = 1_000;
const MAX_BYTES: usize = 4 << 20;

/// No more than this is shown.
const FILES_SHOWN: usize = 50;
const LINES_SHOWN: usize = 400;
const LETTERS_SHOWN: usize = 300;

/// Lines around each change.
const AROUND: usize = 3;

/// How long lines of a file may be compared; after that larger pieces are said to be different.
const COMPARING: Duration = Duration::from_millis(200);

/// What was kept of the sources of a build.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct KeptSources {
    salt: String,
    files: BTreeMap<String, KeptFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptFile {
    /// Of all that it was.
    sha256: Sha256,
    content: Content,
}

/// What a file is, or was.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    /// Without its secrets.
    Text(String),
    Binary,
    Large,
}

impl KeptSources {
    /// What these sources are now, as far as it is still what the build has read.
    ///
    /// # Errors
    /// There is no randomness to hide secrets with.
    pub(crate) fn take(config_dir: &Path, sources: &[SourceFile]) -> io::Result<Self> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| io::Error::other(error.to_string()))?;
        let read = read_all(config_dir, sources, |source, now| source.sha256 == *now);
        Ok(Self::of(hex::encode(salt), read))
    }

    fn of(salt: String, read: Vec<(String, Sha256, Content)>) -> Self {
        let mask = Mask::new(&salt, texts(&read));
        let kept = read.into_iter().map(|(path, sha256, content)| {
            let content = match content {
                Content::Text(text) => Content::Text(mask.of(&path, &text)),
                other @ (Content::Binary | Content::Large) => other,
            };
            (path, KeptFile { sha256, content })
        });
        let files = kept.collect();
        Self { salt, files }
    }

    /// What is different by now in the sources of a build.
    ///
    /// # Errors
    /// As [`changed_sources`].
    pub(crate) fn diff(
        &self,
        config_dir: &Path,
        device: &DeviceId,
        sources: &[SourceFile],
    ) -> Result<SourceDiff, Problem> {
        let mut changes = changed_sources(config_dir, device, sources)?;
        let more = changes.len().saturating_sub(FILES_SHOWN);
        changes.truncate(FILES_SHOWN);
        // Secrets of any of them may stand in any of them.
        let now = Self::of(self.salt.clone(), read_all(config_dir, sources, |_, _| true));
        let mut left = LINES_SHOWN;
        let files = changes.into_iter().map(|change| {
            let source = sources.iter().find(|source| source.path == change.path);
            self.diff_of(change, source, &now, &mut left)
        });
        Ok(SourceDiff { files: files.collect(), more: u32::try_from(more).unwrap_or(u32::MAX) })
    }

    fn diff_of(
        &self,
        change: SourceChange,
        source: Option<&SourceFile>,
        now: &Self,
        left: &mut usize,
    ) -> FileDiff {
        let SourceChange { path, kind } = change;
        let mut diff =
            FileDiff { path, kind, unshown: None, hunks: Vec::new(), cut: false, masked: false };
        match kind {
            SourceChangeKind::Edited => {}
            SourceChangeKind::Added | SourceChangeKind::Removed | SourceChangeKind::Unreadable => {
                return diff;
            }
        }
        let then = self.files.get(&diff.path);
        let then =
            then.filter(|then| source.is_some_and(|is| is.sha256.as_ref() == Some(&then.sha256)));
        let now = now.files.get(&diff.path).map(|file| &file.content);
        match (then.map(|file| &file.content), now) {
            (Some(Content::Text(then)), Some(Content::Text(now))) => {
                compare(then, now, &mut diff, left)
            }
            (Some(Content::Large), _) | (Some(_), Some(Content::Large)) => {
                diff.unshown = Some(Unshown::Large);
            }
            (Some(Content::Binary), _) | (Some(_), Some(Content::Binary)) => {
                diff.unshown = Some(Unshown::Binary);
            }
            (None, _) | (Some(Content::Text(_)), None) => diff.unshown = Some(Unshown::NotKept),
        }
        diff
    }
}

/// The texts among what was read, with their paths.
fn texts(read: &[(String, Sha256, Content)]) -> impl Iterator<Item = (&str, &str)> {
    read.iter().filter_map(|(path, _, content)| match content {
        Content::Text(text) => Some((path.as_str(), text.as_str())),
        Content::Binary | Content::Large => None,
    })
}

/// Reads the files among these sources: those of which `wanted` says so when it knows what they are now.
fn read_all(
    config_dir: &Path,
    sources: &[SourceFile],
    wanted: impl Fn(&SourceFile, &Option<Sha256>) -> bool,
) -> Vec<(String, Sha256, Content)> {
    let files = sources.iter().filter(|source| match source.counts {
        Counts::Content | Counts::Secrets { .. } => source.sha256.is_some(),
        Counts::Names(_) | Counts::Commit => false,
    });
    let mut bytes = 0;
    let mut read = Vec::new();
    for source in files.take(MAX_FILES) {
        let (now, content) = match read_bounded(&config_dir.join(&source.path)) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(path = source.path, %error, "a source can't be read");
                continue;
            }
        };
        // Of a large one nothing is known but that it is.
        let now = now.or_else(|| source.sha256.clone());
        let Some(sha256) = now.clone().filter(|_| wanted(source, &now)) else { continue };
        bytes += if let Content::Text(text) = &content { text.len() } else { 0 };
        let content = if bytes > MAX_BYTES { Content::Large } else { content };
        read.push((source.path.clone(), sha256, content));
    }
    read
}

/// The digest of a file that isn't too large, and what it is.
fn read_bounded(path: &Path) -> io::Result<(Option<Sha256>, Content)> {
    // Opening a pipe or a device would block.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Ok((None, Content::Large));
    }
    let sha256 = Some(digest(&bytes));
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    Ok((sha256, text.map_or(Content::Binary, Content::Text)))
}

/// Compares lines. What is shown of them stays below what is left.
fn compare(then: &str, now: &str, diff: &mut FileDiff, left: &mut usize) {
    let compared = TextDiff::configure().timeout(COMPARING).diff_lines(then, now);
    for group in compared.grouped_ops(AROUND) {
        let Some(first) = group.first() else { continue };
        let line =
            |range: std::ops::Range<usize>| u32::try_from(range.start + 1).unwrap_or(u32::MAX);
        let (old_line, new_line) = (line(first.old_range()), line(first.new_range()));
        let mut lines = Vec::new();
        for change in group.iter().flat_map(|op| compared.iter_changes(op)) {
            if *left == 0 {
                diff.cut = true;
                break;
            }
            *left -= 1;
            let kind = match change.tag() {
                ChangeTag::Equal => DiffLineKind::Same,
                ChangeTag::Delete => DiffLineKind::Old,
                ChangeTag::Insert => DiffLineKind::New,
            };
            let (text, masked) = mask::shown(change.value().trim_end_matches(['\r', '\n']));
            diff.masked |= masked;
            lines.push(DiffLine { kind, text: shortened(text) });
        }
        if lines.is_empty() {
            return;
        }
        diff.hunks.push(Hunk { old_line, new_line, lines });
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(LETTERS_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Lab {
        dir: tempfile::TempDir,
        sources: Vec<SourceFile>,
        kept: KeptSources,
    }

    impl Lab {
        fn built_of(files: &[(&str, &[u8])]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let mut sources = Vec::new();
            for (path, bytes) in files {
                let file = dir.path().join(path);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, bytes).unwrap();
                sources.push(SourceFile::file(*path, Some(digest(bytes))));
            }
            let kept = KeptSources::take(dir.path(), &sources).unwrap();
            // As it is stored.
            let stored = serde_json::to_vec(&kept).unwrap();
            let text = String::from_utf8(stored.clone()).unwrap();
            assert!(!text.contains("hunter"), "{text}");
            Self { dir, sources, kept: serde_json::from_slice(&stored).unwrap() }
        }

        fn write(&self, path: &str, bytes: &[u8]) {
            fs::write(self.dir.path().join(path), bytes).unwrap();
        }

        fn diff(&self) -> SourceDiff {
            let device = DeviceId::of_file("a.yaml");
            self.kept.diff(self.dir.path(), &device, &self.sources).unwrap()
        }

        fn only(&self) -> FileDiff {
            let mut diff = self.diff();
            assert_eq!((diff.files.len(), diff.more), (1, 0), "{diff:?}");
            diff.files.remove(0)
        }
    }

    fn lines(file: &FileDiff) -> Vec<String> {
        let sign = |kind| match kind {
            DiffLineKind::Same => ' ',
            DiffLineKind::Old => '-',
            DiffLineKind::New => '+',
        };
        let all = file.hunks.iter().flat_map(|hunk| &hunk.lines);
        all.map(|line| format!("{}{}", sign(line.kind), line.text)).collect()
    }

    const YAML: &[u8] = b"esphome:\n  name: a\nhost:\nlogger:\n  level: INFO\nx: 1\ny: 2\nz: 3\n";

    #[test]
    fn the_lines_that_changed_are_shown_with_their_numbers() {
        let lab = Lab::built_of(&[("a.yaml", YAML), ("common/b.yaml", b"q: 1\n")]);
        assert_eq!(lab.diff(), SourceDiff::default());
        let text = String::from_utf8(YAML.to_vec()).unwrap();
        lab.write("a.yaml", text.replace("y: 2", "y: 3\nnew: 4").as_bytes());
        let file = lab.only();
        assert_eq!((file.path.as_str(), file.kind), ("a.yaml", SourceChangeKind::Edited));
        assert_eq!(
            lines(&file),
            [" logger:", "   level: INFO", " x: 1", "-y: 2", "+y: 3", "+new: 4", " z: 3"]
        );
        assert_eq!((file.hunks[0].old_line, file.hunks[0].new_line), (4, 4));
        assert!(!file.masked && !file.cut && file.unshown.is_none());
    }

    #[test]
    fn a_changed_secret_is_told_and_never_shown() {
        let yaml = b"wifi:\n  password: hunter11\n";
        let lab =
            Lab::built_of(&[("a.yaml", yaml), ("secrets.yaml", b"one: hunter22\ntwo: hunter33\n")]);
        lab.write("secrets.yaml", b"one: hunter22\ntwo: hunter44\n");
        let file = lab.only();
        assert_eq!(
            lines(&file),
            [
                " one: \u{2022}\u{2022}\u{2022}",
                "-two: \u{2022}\u{2022}\u{2022}",
                "+two: \u{2022}\u{2022}\u{2022}"
            ]
        );
        assert!(file.masked);
        lab.write("a.yaml", b"wifi:\n  password: hunter55\n");
        let shown = format!("{:?}", lab.diff());
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn what_has_no_lines_to_show_is_said() {
        let large = vec![b'x'; MAX_FILE as usize + 1];
        let lab = Lab::built_of(&[
            ("a.yaml", YAML),
            ("font.ttf", b"\0\x01"),
            ("gone.h", b"int x;"),
            ("large.h", &large),
            ("late.h", b"1"),
        ]);
        let mut lab = lab;
        // It was another one when it was built than by the time it would have been kept.
        lab.kept.files.remove("late.h");
        lab.sources.push(SourceFile::file("new.h", None));
        lab.write("font.ttf", b"\0\x02");
        fs::remove_file(lab.dir.path().join("gone.h")).unwrap();
        lab.write("large.h", &large[1..]);
        lab.write("late.h", b"2");
        lab.write("new.h", b"");
        let told: Vec<_> =
            lab.diff().files.into_iter().map(|file| (file.path, file.kind, file.unshown)).collect();
        let edited = SourceChangeKind::Edited;
        let wanted = [
            ("font.ttf", edited, Some(Unshown::Binary)),
            ("gone.h", SourceChangeKind::Removed, None),
            ("large.h", edited, Some(Unshown::Large)),
            ("late.h", edited, Some(Unshown::NotKept)),
            ("new.h", SourceChangeKind::Added, None),
        ];
        assert_eq!(told, wanted.map(|(path, kind, why)| (path.to_owned(), kind, why)));
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let many: String = (0..5_000).map(|n| format!("line: {n}\n")).collect();
        let files: Vec<_> = (0..60).map(|n| format!("f{n}.h")).collect();
        let mut all: Vec<(&str, &[u8])> = vec![("a.yaml", many.as_bytes())];
        all.extend(files.iter().map(|path| (path.as_str(), b"1".as_slice())));
        let lab = Lab::built_of(&all);
        let long = "y".repeat(10_000);
        lab.write("a.yaml", many.replace("line", &long).as_bytes());
        files.iter().for_each(|path| lab.write(path, b"2"));
        let small: String = (0..5_000).map(|n| format!("other: {n}\n")).collect();
        lab.write("a.yaml", small.as_bytes());
        let diff = lab.diff();
        assert_eq!((diff.files.len(), diff.more), (FILES_SHOWN, 11));
        let shown: usize = diff.files.iter().map(|file| lines(file).len()).sum();
        assert_eq!(shown, LINES_SHOWN);
        assert!(diff.files[0].cut);
        assert_eq!(shortened(long).chars().count(), LETTERS_SHOWN + 1);
    }
}
