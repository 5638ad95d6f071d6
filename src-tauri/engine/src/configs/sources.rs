//! What a configuration consists of: the YAML, everything it includes, its secrets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use wakeflash_core::config::{self, Document, Reference};
use wakeflash_core::device::{DeviceId, SourcesState};
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{Sha256, SourceChange, SourceChangeKind, SourceFile, sources_digest};

use super::{SECRETS, config_path, present};
use crate::artifacts::digest;

/// A larger YAML file isn't read.
pub(crate) const MAX_YAML: u64 = 8 << 20;
/// A configuration of more files than this isn't followed to its end.
const MAX_FILES: usize = 2_000;
/// Below a directory that is included, this deep.
const MAX_DEPTH: usize = 8;

/// Tells a file from a later state of it without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    inode: u64,
}

impl Stamp {
    /// Of what lies at a path now; `None`: nothing that can be asked.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::from_metadata)
    }

    /// Changes when a file or directory is replaced by another one.
    pub(crate) const fn inode(self) -> u64 {
        self.inode
    }

    fn from_metadata(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: metadata.modified().ok(), size: metadata.len(), inode }
    }
}

/// What was found at a path.
enum Content {
    Read(Vec<u8>),
    Missing,
    Unreadable(Problem),
}

/// What is known about a source without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Is(Sha256),
    Missing,
    Unreadable,
}

/// Where a file is included: what it is asked for depends on it.
type Place = (PathBuf, Vec<String>);

/// Reads configurations with what they include; a file that many of them share is read once.
pub(crate) struct SourceTree {
    config_dir: PathBuf,
    read: BTreeMap<Place, Result<Arc<Document>, Problem>>,
    states: BTreeMap<PathBuf, State>,
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
}

impl SourceTree {
    pub(crate) fn new(config_dir: &Path) -> Self {
        Self {
            config_dir: config_dir.to_owned(),
            read: BTreeMap::new(),
            states: BTreeMap::new(),
            stamps: BTreeMap::new(),
        }
    }

    /// Every path that was looked at, with what lay there when it was.
    pub(crate) fn into_stamps(self) -> BTreeMap<PathBuf, Option<Stamp>> {
        self.stamps
    }

    /// A configuration and what it includes, itself first.
    pub(crate) fn documents(&mut self, file: &Path) -> Result<Vec<Arc<Document>>, Problem> {
        self.follow(file).map(|(documents, _)| documents)
    }

    /// The same, with the paths of everything that it consists of.
    pub(crate) fn follow(
        &mut self,
        file: &Path,
    ) -> Result<(Vec<Arc<Document>>, BTreeSet<PathBuf>), Problem> {
        let root = self.config_dir.join(file);
        let first = self.document(&root, None)?;
        let mut substitutions = first.substitutions.clone();
        let mut seen = BTreeSet::from([(root.clone(), Vec::new())]);
        let mut open = VecDeque::new();
        self.references(&root, &first, &substitutions, &mut open);
        let mut documents = vec![first];
        while let Some((path, place)) = open.pop_front() {
            if seen.len() >= MAX_FILES || !seen.insert((path.clone(), place.clone())) {
                continue;
            }
            match self.document(&path, Some(&place)) {
                Ok(document) => {
                    for (name, value) in &document.substitutions {
                        substitutions.entry(name.clone()).or_insert_with(|| value.clone());
                    }
                    self.references(&path, &document, &substitutions, &mut open);
                    documents.push(document);
                }
                // ESPHome will say so when it builds; the list shows what can be read.
                Err(problem) => {
                    tracing::debug!(path = %path.display(), %problem, "an included file can't be read");
                }
            }
        }
        let paths = seen.into_iter().map(|(path, _)| path);
        let paths = paths.filter(|path| self.states.contains_key(path)).collect();
        Ok((documents, paths))
    }

    /// What these sources, which were read, are like together.
    pub(crate) fn state_of(&self, paths: &BTreeSet<PathBuf>) -> SourcesState {
        let sources: Vec<SourceFile> = paths.iter().filter_map(|path| self.source(path)).collect();
        let times = paths.iter().filter_map(|path| self.stamps.get(path)?.as_ref()?.modified);
        SourcesState {
            digest: Some(sources_digest(&sources)),
            newest: times.max().and_then(|newest| {
                let since = newest.duration_since(SystemTime::UNIX_EPOCH).ok()?;
                Some(Timestamp::from_millis(since.as_millis().try_into().ok()?))
            }),
            last_build: None,
        }
    }

    fn source(&self, path: &Path) -> Option<SourceFile> {
        let sha256 = match self.states.get(path)? {
            State::Is(sha256) => Some(sha256.clone()),
            State::Missing | State::Unreadable => None,
        };
        Some(SourceFile { path: self.source_name(path), sha256 })
    }

    /// Reads a file; with a place, as one that is included there.
    fn document(
        &mut self,
        path: &Path,
        place: Option<&[String]>,
    ) -> Result<Arc<Document>, Problem> {
        let key = (path.to_owned(), place.unwrap_or_default().to_vec());
        if place.is_some()
            && let Some(known) = self.read.get(&key)
        {
            return known.clone();
        }
        let document = self.content(path).and_then(|bytes| {
            let text = config::decode(&bytes)?;
            match place {
                None => config::parse(text),
                Some(place) => config::parse_included(text, place),
            }
        });
        let document = document.map(Arc::new);
        self.read.insert(key, document.clone());
        document
    }

    fn content(&mut self, path: &Path) -> Result<Vec<u8>, Problem> {
        // The stamp is taken before the content, so that a change in between is found by the next look.
        self.stamps.insert(path.to_owned(), Stamp::of(path));
        let (state, content) = match read(path) {
            Content::Read(bytes) => (State::Is(digest(&bytes)), Ok(bytes)),
            Content::Missing => (State::Missing, Err(missing())),
            Content::Unreadable(problem) => (State::Unreadable, Err(problem)),
        };
        self.states.insert(path.to_owned(), state);
        content
    }

    fn references(
        &mut self,
        from: &Path,
        document: &Document,
        substitutions: &BTreeMap<String, String>,
        open: &mut VecDeque<Place>,
    ) {
        let dir = from.parent().unwrap_or(&self.config_dir).to_owned();
        for reference in &document.references {
            match reference {
                Reference::File { path, place, vars } => {
                    let mut known = substitutions.clone();
                    known.extend(vars.clone());
                    // A path that only ESPHome can work out can't be followed.
                    if let Some(path) = config::substitute(path, &known) {
                        open.push_back((normal(&dir.join(path)), place.clone()));
                    }
                }
                Reference::Directory { path } => {
                    let mut files = Vec::new();
                    self.yaml_below(&normal(&dir.join(path)), 0, &mut files);
                    open.extend(files.into_iter().map(|path| (path, elsewhere())));
                }
                Reference::Secrets => {
                    let beside = dir.join(SECRETS);
                    if !beside.exists() && dir != self.config_dir {
                        open.push_back((self.config_dir.join(SECRETS), elsewhere()));
                    }
                    open.push_back((beside, elsewhere()));
                }
            }
        }
    }

    fn yaml_below(&mut self, dir: &Path, depth: usize, files: &mut Vec<PathBuf>) {
        self.stamps.insert(dir.to_owned(), Stamp::of(dir));
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::debug!(dir = %dir.display(), %error, "an included directory can't be read");
                return;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if name.to_string_lossy().starts_with('.') || files.len() >= MAX_FILES {
                continue;
            }
            // Links to directories aren't followed, as in ESPHome.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < MAX_DEPTH {
                    self.yaml_below(&path, depth + 1, files);
                }
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }

    fn source_name(&self, path: &Path) -> String {
        let name = path.strip_prefix(&self.config_dir).unwrap_or(path);
        name.to_string_lossy().into_owned()
    }
}

/// The place of what says nothing about the device itself.
fn elsewhere() -> Vec<String> {
    vec!["-".to_owned(), "-".to_owned()]
}

/// The files that a configuration consists of with what they contain, sorted by path.
///
/// # Errors
/// The identifier is no file name, or the configuration itself can't be read or understood.
pub fn hash_sources(config_dir: &Path, device: &DeviceId) -> Result<Vec<SourceFile>, Problem> {
    config_path(config_dir, device)?;
    let mut tree = SourceTree::new(config_dir);
    tree.documents(Path::new(device.as_str()))?;
    let mut sources: Vec<_> = tree.states.keys().filter_map(|path| tree.source(path)).collect();
    sources.sort();
    Ok(sources)
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
    let mut tree = SourceTree::new(config_dir);
    if let Err(problem) = tree.documents(Path::new(device.as_str())) {
        // Its own change is found below.
        tracing::debug!(%device, %problem, "the configuration can't be followed to what it includes");
    }
    let mut changes = Vec::new();
    let mut known = BTreeSet::new();
    for source in sources {
        let path = config_dir.join(&source.path);
        if !tree.states.contains_key(&path)
            && let Err(problem) = tree.content(&path)
        {
            tracing::debug!(path = %path.display(), %problem, "a source is not as it was");
        }
        let kind = match (&source.sha256, tree.states.get(&path)) {
            (Some(then), Some(State::Is(now))) if then == now => None,
            (Some(_), Some(State::Is(_))) => Some(SourceChangeKind::Edited),
            (None, Some(State::Is(_))) => Some(SourceChangeKind::Added),
            (Some(_), Some(State::Unreadable)) => Some(SourceChangeKind::Unreadable),
            (Some(_), Some(State::Missing) | None) => Some(SourceChangeKind::Removed),
            (None, Some(State::Missing | State::Unreadable) | None) => None,
        };
        changes.extend(kind.map(|kind| SourceChange { path: source.path.clone(), kind }));
        known.insert(path);
    }
    for (path, state) in &tree.states {
        if !known.contains(path) && matches!(state, State::Is(_)) {
            let path = tree.source_name(path);
            changes.push(SourceChange { path, kind: SourceChangeKind::Added });
        }
    }
    changes.sort();
    Ok(changes)
}

/// A path without `.` and `..`, so that files that include each other in circles are recognized.
fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                result.push(component);
            }
        }
    }
    result
}

fn read(path: &Path) -> Content {
    // Opening a pipe or a device would block.
    let regular = fs::metadata(path).and_then(|metadata| {
        let kind = io::ErrorKind::InvalidInput;
        if metadata.is_file() { Ok(()) } else { Err(io::Error::new(kind, "it is no regular file")) }
    });
    let bytes = regular.and_then(|()| {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_YAML + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match bytes {
        Ok(bytes) if bytes.len() as u64 > MAX_YAML => {
            let limit = MAX_YAML >> 20;
            Content::Unreadable(
                Problem::new("config.too_large", format!("The file is larger than {limit} MB."))
                    .with_help("Split it with `packages:` and `!include`."),
            )
        }
        Ok(bytes) => Content::Read(bytes),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Content::Missing
        }
        Err(error) => Content::Unreadable(unreadable(path, &error)),
    }
}

fn missing() -> Problem {
    Problem::new("config.missing", "The file is not there, or is a link to one that isn't.")
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    tracing::debug!(path = %path.display(), %error, "a configuration can't be read");
    #[cfg(unix)]
    let is_loop = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    #[cfg(not(unix))]
    let is_loop = false;
    if is_loop {
        return Problem::new("config.link_loop", "The file is a link that leads back to itself.")
            .with_help("Delete the link, or let it lead to a file.");
    }
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Problem::new("config.denied", "Wakeflash may not read the file.")
            .with_help("Give yourself the right to read it.");
    }
    Problem::new("config.unreadable", format!("The file can't be read: {error}."))
}
