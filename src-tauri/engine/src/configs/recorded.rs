//! The sources of a build: what ESPHome read, and what of it is different by now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256 as Hasher};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::update::{Counts, Sha256, SourceChange, SourceChangeKind, SourceFile};
use wakeflash_esphome::secrets;
use wakeflash_esphome::witness::{Reads, UNREADABLE};

use super::sources::{Stamp, read_whole};
use super::{config_path, present};
use crate::artifacts::digest;

/// What can be a source in a directory that was looked into, by its extension: as in `engine/src/esphome/witness`.
const CODE: [&str; 20] = [
    "c", "cc", "cpp", "cxx", "csv", "h", "hh", "hpp", "hxx", "inc", "ino", "ipp", "json", "py",
    "s", "tcc", "tpp", "txt", "yaml", "yml",
];

/// Stands for whatever comes into a directory or goes: a system reports the changes beside files that are followed.
pub(super) const NAMES: &str = ".names";

/// What a build read, as its sources.
pub(crate) fn sources_of(config_dir: &Path, reads: Reads) -> Vec<SourceFile> {
    let Reads { files, secrets, secret_names, directories, commits, .. } = reads;
    let names: Vec<String> = secret_names.into_iter().collect();
    let of_secrets = secrets.into_iter().filter(|(path, _)| !files.contains_key(path));
    let of_secrets: Vec<_> =
        of_secrets.map(|(path, then)| secrets_source(config_dir, path, then, &names)).collect();
    let of_files = files.into_iter().map(|(path, content)| SourceFile::file(path, content));
    let of_directories = directories.into_iter().map(|(path, names)| SourceFile {
        path: format!("{path}/"),
        sha256: Some(digest(names.join("\0").as_bytes())),
        counts: Counts::Names(names),
    });
    let of_commits = commits.into_iter().map(|(path, commit)| SourceFile {
        path,
        sha256: commit.map(|commit| digest(commit.as_bytes())),
        counts: Counts::Commit,
    });
    let mut sources: Vec<_> =
        of_files.chain(of_secrets).chain(of_directories).chain(of_commits).collect();
    sources.sort();
    sources
}

/// A file of secrets counts by those that are used, when it is still what was read.
fn secrets_source(
    config_dir: &Path,
    path: String,
    then: Option<Sha256>,
    names: &[String],
) -> SourceFile {
    let file = config_dir.join(&path);
    let values = values_of(&file, names);
    let still = then.is_some() && digest_of(&file).ok().flatten() == then;
    let counts = values.filter(|_| still).map(|values| {
        let names = names.to_vec();
        Counts::Secrets { names, values }
    });
    SourceFile { path, sha256: then, counts: counts.unwrap_or_default() }
}

/// `None`: they can't be told apart from the rest of the file.
fn values_of(path: &Path, names: &[String]) -> Option<Sha256> {
    secrets::digest(&read_whole(path)?, names)
}

/// What is no longer as it was when `sources` were taken.
///
/// # Errors
/// The identifier is no file name, or the config directory can't be read or is an empty mount point: then
/// nothing is known, rather than everything removed.
pub fn changed_sources(
    config_dir: &Path,
    device: &DeviceId,
    sources: &[SourceFile],
) -> Result<Vec<SourceChange>, Problem> {
    config_path(config_dir, device)?;
    present(config_dir, device)?;
    Ok(changes(config_dir, sources, &mut digest_of))
}

type DigestOf<'f> = &'f mut dyn FnMut(&Path) -> io::Result<Option<Sha256>>;

fn changes(
    config_dir: &Path,
    sources: &[SourceFile],
    digest_of: DigestOf<'_>,
) -> Vec<SourceChange> {
    let mut changes = BTreeMap::new();
    for source in sources {
        compare(config_dir, source, sources, digest_of, &mut changes);
    }
    changes.into_iter().map(|(path, kind)| SourceChange { path, kind }).collect()
}

/// Whether each secret that is used is found in a file of secrets. One that isn't is no name, but what was taken for one:
/// nobody knows then which values count.
fn secrets_are_known(config_dir: &Path, sources: &[SourceFile]) -> bool {
    let mut missing: BTreeSet<&str> = BTreeSet::new();
    let mut found = BTreeSet::new();
    for source in sources {
        let Counts::Secrets { names, .. } = &source.counts else { continue };
        missing.extend(names.iter().map(String::as_str));
        let text = read_whole(&config_dir.join(&source.path));
        found.extend(secrets::found(&text.unwrap_or_default(), names));
    }
    missing.is_subset(&found)
}

/// What files contain, as long as they look the same.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    known: BTreeMap<PathBuf, (Option<Stamp>, Option<Sha256>)>,
}

impl Contents {
    /// Whether any of these sources is another one by now.
    pub(crate) fn differ(&mut self, config_dir: &Path, sources: &[SourceFile]) -> bool {
        !changes(config_dir, sources, &mut |path| self.digest_of(path)).is_empty()
    }

    fn digest_of(&mut self, path: &Path) -> io::Result<Option<Sha256>> {
        let stamp = Stamp::of(path);
        match self.known.get(path) {
            Some((then, digest)) if *then == stamp => return Ok(digest.clone()),
            Some(_) | None => {}
        }
        let digest = digest_of(path)?;
        self.known.insert(path.to_owned(), (stamp, digest.clone()));
        Ok(digest)
    }
}

fn compare(
    config_dir: &Path,
    source: &SourceFile,
    all: &[SourceFile],
    digest_of: DigestOf<'_>,
    changes: &mut BTreeMap<String, SourceChangeKind>,
) {
    let path = config_dir.join(&source.path);
    let then = source.sha256.as_ref();
    let kind = match &source.counts {
        Counts::Content => compare_content(&path, then, digest_of(&path), |_| false),
        Counts::Secrets { names, values } => {
            compare_content(&path, then, digest_of(&path), |path| {
                values_of(path, names).as_ref() == Some(values)
                    && secrets_are_known(config_dir, all)
            })
        }
        Counts::Names(then) => {
            compare_names(&path, source, then, changes);
            None
        }
        Counts::Commit => {
            let now = commit(&path).map(|commit| digest(commit.as_bytes()));
            (now != source.sha256).then_some(match now {
                Some(_) => SourceChangeKind::Edited,
                None => SourceChangeKind::Removed,
            })
        }
    };
    if let Some(kind) = kind {
        // What a directory says about a file is less than what the file says.
        changes.insert(source.path.clone(), kind);
    }
}

/// `same`: whether another content comes to the same.
fn compare_content(
    path: &Path,
    then: Option<&Sha256>,
    now: io::Result<Option<Sha256>>,
    same: impl Fn(&Path) -> bool,
) -> Option<SourceChangeKind> {
    match (then, now) {
        (Some(then), Ok(Some(now))) => {
            (now != *then && !same(path)).then_some(SourceChangeKind::Edited)
        }
        (None, Ok(Some(_))) => Some(SourceChangeKind::Added),
        (Some(_), Ok(None)) => Some(SourceChangeKind::Removed),
        (Some(then), Err(error)) => {
            tracing::debug!(path = %path.display(), %error, "a source is not as it was");
            (then.0 != UNREADABLE).then_some(SourceChangeKind::Unreadable)
        }
        (None, Ok(None) | Err(_)) => None,
    }
}

/// The digest of a file of any size; `None`: there is none.
pub(super) fn digest_of(path: &Path) -> io::Result<Option<Sha256>> {
    let file = fs::metadata(path).and_then(|metadata| {
        // Opening a pipe or a device would block.
        let other = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        if metadata.is_file() { fs::File::open(path) } else { Err(other()) }
    });
    match file {
        Ok(mut file) => {
            let mut hasher = Hasher::new();
            let mut part = vec![0; 64 << 10];
            loop {
                match file.read(&mut part)? {
                    0 => return Ok(Some(Sha256(hex::encode(hasher.finalize())))),
                    read => hasher.update(part.get(..read).unwrap_or_default()),
                }
            }
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn compare_names(
    path: &Path,
    source: &SourceFile,
    then: &[String],
    changes: &mut BTreeMap<String, SourceChangeKind>,
) {
    let now: BTreeSet<String> = names_in(path).into_iter().collect();
    let then: BTreeSet<String> = then.iter().cloned().collect();
    let mut note = |name: &String, kind| {
        changes.entry(format!("{}{name}", source.path)).or_insert(kind);
    };
    now.difference(&then).for_each(|name| note(name, SourceChangeKind::Added));
    then.difference(&now).for_each(|name| note(name, SourceChangeKind::Removed));
}

/// What lies in a directory and can be a source.
pub(super) fn names_in(dir: &Path) -> Vec<String> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::debug!(dir = %dir.display(), %error, "a directory of sources can't be read");
            return Vec::new();
        }
    };
    let mut names: Vec<String> = Vec::new();
    names.extend(entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
        let is_code = extension.is_some_and(|extension| CODE.contains(&&*extension.to_lowercase()));
        let hidden = name.starts_with('.') || name == "__pycache__";
        (!hidden && (is_code || dir.join(&name).is_dir())).then_some(name)
    }));
    names.sort();
    names
}

/// The commit that a repository stands at.
fn commit(repository: &Path) -> Option<String> {
    let git = repository.join(".git");
    let line = |path: PathBuf| {
        let text = fs::read_to_string(path).ok()?;
        Some(text.lines().next()?.trim().to_owned())
    };
    let head = line(git.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else { return Some(head) };
    line(git.join(name)).or_else(|| {
        let packed = fs::read_to_string(git.join("packed-refs")).ok()?;
        let found = packed.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' '));
        found.map(str::to_owned)
    })
}

/// The paths whose change can mean that one of these sources is another one.
pub(crate) fn telling_paths<'s>(
    config_dir: &'s Path,
    sources: &'s [SourceFile],
) -> impl Iterator<Item = PathBuf> + 's {
    sources.iter().flat_map(move |source| {
        let path = config_dir.join(&source.path);
        match source.counts {
            Counts::Content | Counts::Secrets { .. } => vec![path],
            Counts::Names(_) => vec![path.join(NAMES), path],
            Counts::Commit => {
                ["HEAD", "FETCH_HEAD", "index"].map(|name| path.join(".git").join(name)).into()
            }
        }
    })
}
