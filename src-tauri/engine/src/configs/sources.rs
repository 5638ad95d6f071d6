//! What a configuration seems to consist of: the YAML, what it includes, its secrets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use wakeflash_core::configuration::SourcesState;
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::Sha256;
use wakeflash_esphome::config::{self, Document, Reference};
use wakeflash_esphome::secrets;
use wakeflash_esphome::witness::{Reads, UNREADABLE};

use super::recorded::{digest_of, names_in};
use super::{SECRETS, config_path, present};

/// A larger file of secrets, or of YAML that may use some, isn't read.
const MAX_YAML: u64 = 8 << 20;
/// A configuration of more files than this isn't followed to its end, nor one of more bytes.
const MAX_FILES: usize = 1_000;
const MAX_BYTES: usize = 4 << 20;
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

/// Where a file is included: what it is asked for depends on it.
type Place = (PathBuf, Vec<String>);

/// Reads configurations with what they include; a file that many of them share is read once.
pub(crate) struct SourceTree {
    config_dir: PathBuf,
    read: BTreeMap<Place, Result<Arc<Document>, Problem>>,
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
    /// How much was read for the configuration that is followed.
    bytes: usize,
}

impl SourceTree {
    pub(crate) fn new(config_dir: &Path) -> Self {
        Self {
            config_dir: config_dir.to_owned(),
            read: BTreeMap::new(),
            stamps: BTreeMap::new(),
            bytes: 0,
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
        self.bytes = 0;
        let first = self.document(&root, None)?;
        let mut substitutions = first.substitutions.clone();
        let mut seen = BTreeSet::from([(root.clone(), Vec::new())]);
        let mut open = VecDeque::new();
        self.references(&root, &first, &substitutions, &mut open);
        let mut documents = vec![first];
        while let Some((path, place)) = open.pop_front() {
            let enough = seen.len() >= MAX_FILES || self.bytes >= MAX_BYTES;
            if enough || !seen.insert((path.clone(), place.clone())) {
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
        let paths = paths.filter(|path| self.stamps.contains_key(path)).collect();
        Ok((documents, paths))
    }

    /// What these sources, which were read, are like together.
    pub(crate) fn state_of(&self, paths: &BTreeSet<PathBuf>) -> SourcesState {
        let times = paths.iter().filter_map(|path| self.stamps.get(path)?.as_ref()?.modified);
        SourcesState {
            modified: None,
            code_modified: None,
            newest: times.max().and_then(|newest| {
                let since = newest.duration_since(SystemTime::UNIX_EPOCH).ok()?;
                Some(Timestamp::from_millis(since.as_millis().try_into().ok()?))
            }),
            last_build: None,
        }
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
        let document = self.content(path).map(|bytes| {
            self.bytes += bytes.len();
            let text = config::decode(&bytes);
            Arc::new(config::parse_included(&text, place.unwrap_or_default()))
        });
        self.read.insert(key, document.clone());
        document
    }

    fn content(&mut self, path: &Path) -> Result<Vec<u8>, Problem> {
        // The stamp is taken before the content, so that a change in between is found by the next look.
        self.stamps.insert(path.to_owned(), Stamp::of(path));
        match read(path) {
            Content::Read(bytes) => Ok(bytes),
            Content::Missing => Err(missing()),
            Content::Unreadable(problem) => Err(problem),
        }
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
                    let known = || {
                        let mut known = substitutions.clone();
                        known.extend(vars.clone());
                        known
                    };
                    // A path that only ESPHome can work out can't be followed.
                    let path = match path.contains('$') {
                        true => config::substitute(path, &known()),
                        false => Some(path.clone()),
                    };
                    if let Some(path) = path.filter(|_| open.len() < MAX_FILES) {
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

/// The files that a configuration seems to consist of with what they contain; and those that ESPHome lists, which
/// tells of it where nobody can see what it reads.
pub(crate) fn listed_reads(
    config_dir: &Path,
    device: &DeviceId,
    listed: &[String],
) -> Result<Reads, Problem> {
    config_path(config_dir, device)?;
    present(config_dir, device)?;
    let mut tree = SourceTree::new(config_dir);
    if let Err(problem) = tree.documents(Path::new(device.as_str())) {
        tracing::debug!(%device, %problem, "the configuration can't be followed to what it includes");
    }
    let mut paths: BTreeSet<PathBuf> = tree.stamps.keys().cloned().collect();
    paths.extend(listed.iter().map(|path| config_dir.join(path)));
    let mut reads = Reads::default();
    let mut secrets_are_included = false;
    for path in paths {
        if path.is_dir() {
            reads.directories.insert(tree.source_name(&path), names_in(&path));
            continue;
        }
        let is_secrets = path.file_name().is_some_and(|name| name == SECRETS);
        if !is_secrets && may_be_yaml(&path) {
            let text = read_whole(&path);
            // One that isn't read may use any, in any way.
            secrets_are_included |= text.as_ref().is_none_or(|text| text.contains(SECRETS));
            reads.secret_names.extend(secrets::used_names(&text.unwrap_or_default()));
        }
        let content = digest_of(&path);
        let content = content.unwrap_or_else(|_| Some(Sha256(UNREADABLE.to_owned())));
        let files = if is_secrets { &mut reads.secrets } else { &mut reads.files };
        files.insert(tree.source_name(&path), content);
    }
    if secrets_are_included {
        // All of it may be of use.
        reads.files.append(&mut reads.secrets);
    }
    Ok(reads)
}

fn may_be_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
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

/// The text of a file that isn't too large, or `None`.
pub(super) fn read_whole(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_YAML {
        return None;
    }
    String::from_utf8(fs::read(path).ok()?).ok()
}

/// The beginning of a file.
fn read(path: &Path) -> Content {
    // Opening a pipe or a device would block.
    let regular = fs::metadata(path).and_then(|metadata| {
        let kind = io::ErrorKind::InvalidInput;
        if metadata.is_file() { Ok(()) } else { Err(io::Error::new(kind, "it is no regular file")) }
    });
    let bytes = regular.and_then(|()| {
        let mut bytes = Vec::new();
        File::open(path)?.take(config::MAX_TEXT as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match bytes {
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
