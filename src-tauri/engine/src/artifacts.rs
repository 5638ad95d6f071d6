//! Immutable images: each lies under the SHA-256 of its content and is checked before every use.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::Digest as _;
use wakeflash_core::error::Problem;
use wakeflash_core::update::Sha256;

/// A larger file is no firmware; it is not read into memory.
pub const MAX_IMAGE: u64 = 64 << 20;

/// What a partly written artifact is called: never a SHA-256.
const PARTIAL: &str = ".partial";

/// What is kept of the sources of an image is called as it is, and this.
const SOURCES: &str = ".sources";

/// The directory of images. Every method blocks: call it through `spawn_blocking`.
#[derive(Clone, Debug)]
pub struct Artifacts {
    dir: PathBuf,
}

/// An image that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
}

/// Why a stored image can't be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// It is gone or isn't what it was: it has to be built again.
    Lost(Problem),
    /// It can't be read now; that may pass.
    Unreadable(Problem),
}

impl LoadError {
    /// What the user reads.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Lost(problem) | Self::Unreadable(problem) => problem,
        }
    }
}

impl Artifacts {
    /// The store below the state directory; it is made when something is stored.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("artifacts") }
    }

    /// Reads an image that was built, for [`Self::put`].
    ///
    /// # Errors
    /// It can't be read, or is too large for a firmware.
    pub fn read_image(path: &Path) -> Result<Vec<u8>, Problem> {
        read_bounded(path).map_err(|error| {
            tracing::warn!(path = %path.display(), %error, "the image can't be read");
            Problem::new("image.unreadable", format!("The built firmware can't be read: {error}."))
                .with_help("Clean the build files (`esphome clean`) and build again.")
        })
    }

    /// Stores an image for good: when this returns, it survives a power loss.
    ///
    /// # Errors
    /// It can't be written; nothing is left behind then.
    pub fn put(&self, image: &[u8]) -> Result<Stored, Problem> {
        let sha256 = digest(image);
        let size = image.len() as u64;
        let path = self.path(&sha256);
        // One that is there already is trusted only when its content is right; and it may not have reached the disk.
        let present = read_bounded(&path).is_ok_and(|bytes| bytes == image);
        let kept = if present { self.sync(&path) } else { self.write(&path, image) };
        kept.map_err(|error| {
            tracing::warn!(path = %path.display(), %error, "the artifact can't be written");
            write_problem(&error)
        })?;
        Ok(Stored { sha256, size })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()?;
        sync_dir(&self.dir)
    }

    fn write(&self, path: &Path, image: &[u8]) -> io::Result<()> {
        /// Two builds may store the same image at once: each has a file of its own until it is complete.
        static WRITTEN: AtomicU64 = AtomicU64::new(0);

        create_private_dir(&self.dir)?;
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("{number}{PARTIAL}"));
        let written = write_private(&partial, image).and_then(|()| fs::rename(&partial, path));
        if let Err(error) = written {
            match fs::remove_file(&partial) {
                Err(left) if left.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %partial.display(), error = %left, "a partial artifact stays");
                }
                Ok(()) | Err(_) => {}
            }
            return Err(error);
        }
        sync_dir(&self.dir)
    }

    /// The image of this name, after its content has been checked.
    ///
    /// # Errors
    /// It is missing, can't be read, or isn't what it was.
    pub fn load(&self, sha256: &Sha256) -> Result<Arc<[u8]>, LoadError> {
        let lost = |code, message| Err(LoadError::Lost(damaged(code, message)));
        if !is_digest(&sha256.0) {
            return lost("artifact.missing", "The stored firmware has no valid name.");
        }
        let path = self.path(sha256);
        let bytes = match read_bounded(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the artifact can't be read");
                if error.kind() == io::ErrorKind::NotFound {
                    return lost("artifact.missing", "The stored firmware is gone.");
                }
                if error.kind() == io::ErrorKind::FileTooLarge {
                    return lost("artifact.damaged", "The stored firmware is damaged.");
                }
                let message = format!("The stored firmware can't be read: {error}.");
                let problem = damaged("artifact.unreadable", &message);
                return Err(LoadError::Unreadable(problem));
            }
        };
        if digest(&bytes) != *sha256 {
            tracing::warn!(path = %path.display(), "the artifact's content doesn't match its name");
            return lost("artifact.damaged", "The stored firmware is damaged.");
        }
        Ok(bytes.into())
    }

    /// The file of the image of this name, after its content has been checked.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn checked_file(&self, sha256: &Sha256) -> Result<PathBuf, LoadError> {
        self.load(sha256)?;
        Ok(self.path(sha256))
    }

    /// Keeps something about the sources of an image beside it, for as long as it is kept.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn put_sources(&self, sha256: &Sha256, sources: &[u8]) -> io::Result<()> {
        self.write(&self.sources_path(sha256), sources)
    }

    /// What was kept about the sources of an image; `None`: nothing was.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn sources(&self, sha256: &Sha256) -> io::Result<Option<Vec<u8>>> {
        if !is_digest(&sha256.0) {
            return Ok(None);
        }
        match read_bounded(&self.sources_path(sha256)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes every image that isn't named, and what an interrupted write left.
    ///
    /// # Errors
    /// The directory can't be read or a file can't be deleted; the others are deleted all the same.
    pub fn retain(&self, wanted: &BTreeSet<Sha256>) -> Result<(), Problem> {
        let problem = |error: &io::Error| {
            let message = format!("Old firmware images can't be deleted: {error}.");
            Problem::new("artifact.cleanup", message)
        };
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(problem(&error)),
        };
        let mut failed = None;
        for entry in entries {
            let entry = entry.map_err(|error| problem(&error))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let image = name.strip_suffix(SOURCES).unwrap_or(&name);
            let ours = is_digest(image) || name.ends_with(PARTIAL);
            if ours
                && !wanted.contains(&Sha256(image.to_owned()))
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(path = %entry.path().display(), %error, "an artifact can't be deleted");
                failed = Some(problem(&error));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn path(&self, sha256: &Sha256) -> PathBuf {
        self.dir.join(&sha256.0)
    }

    fn sources_path(&self, sha256: &Sha256) -> PathBuf {
        self.dir.join(format!("{sha256}{SOURCES}"))
    }
}

/// The SHA-256 of some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(hex::encode(sha2::Sha256::digest(bytes)))
}

/// Creates a directory for our eyes only, with its parents.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Opens a new or emptied file for our eyes only.
pub(crate) fn create_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_private_file(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename durable.
fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    // Elsewhere a directory can't be opened as a file, and the file system journals the rename.
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_IMAGE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_IMAGE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large for a firmware"));
    }
    Ok(bytes)
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn damaged(code: &str, message: &str) -> Problem {
    Problem::new(code, message).with_help("Build again: Retry makes a new image.")
}

fn write_problem(error: &io::Error) -> Problem {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        let message = "The disk is full: the built firmware can't be stored.";
        return Problem::new("artifact.no_space", message)
            .with_help("Free some space, then retry.");
    }
    Problem::new("artifact.write", format!("The built firmware can't be stored: {error}."))
        .with_help("Check that Wakeflash may write to its data directory, then retry.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(state: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(state.join("artifacts"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_image_comes_back_as_it_was_and_only_then() {
        let state = tempfile::tempdir().unwrap();
        let store = Artifacts::new(state.path());
        let stored = store.put(b"firmware").unwrap();
        assert_eq!(store.put(b"firmware").unwrap(), stored);
        assert_eq!(&*store.load(&stored.sha256).unwrap(), b"firmware");
        fs::write(store.path(&stored.sha256), b"Firmware").unwrap();
        let lost = |store: &Artifacts| match store.load(&stored.sha256).unwrap_err() {
            LoadError::Lost(problem) => problem.code,
            LoadError::Unreadable(problem) => panic!("{problem}"),
        };
        assert_eq!(lost(&store), "artifact.damaged");
        assert_eq!(store.put(b"firmware").unwrap(), stored, "a damaged one is replaced");
        assert!(store.load(&stored.sha256).is_ok());
        fs::remove_file(store.path(&stored.sha256)).unwrap();
        assert_eq!(lost(&store), "artifact.missing");
        fs::create_dir(store.path(&stored.sha256)).unwrap();
        let failed = store.load(&stored.sha256).unwrap_err();
        assert!(matches!(failed, LoadError::Unreadable(_)), "that may pass: {failed:?}");
        assert!(store.load(&Sha256("../../etc/passwd".into())).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn it_is_for_our_eyes_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let state = tempfile::tempdir().unwrap();
        let store = Artifacts::new(state.path());
        let stored = store.put(b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.path(&stored.sha256)), 0o600);
        assert_eq!(mode(&store.dir), 0o700);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_kept_of_its_sources_is_for_our_eyes_only_and_goes_with_the_image() {
        use std::os::unix::fs::PermissionsExt as _;
        let state = tempfile::tempdir().unwrap();
        let store = Artifacts::new(state.path());
        let [one, other] = [b"1", b"2"].map(|image| store.put(image).unwrap().sha256);
        assert_eq!(store.sources(&one).unwrap(), None);
        for image in [&one, &other] {
            store.put_sources(image, b"before").unwrap();
            store.put_sources(image, image.0.as_bytes()).unwrap();
        }
        assert_eq!(store.sources(&one).unwrap().unwrap(), one.0.as_bytes());
        let mode = fs::metadata(store.sources_path(&one)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        store.retain(&BTreeSet::from([other.clone()])).unwrap();
        assert_eq!(names(state.path()), [other.0.clone(), format!("{other}.sources")]);
        assert_eq!(store.sources(&Sha256("../x".into())).unwrap(), None);
    }

    #[test]
    fn two_builds_that_store_the_same_image_at_once_do_not_disturb_each_other() {
        let state = tempfile::tempdir().unwrap();
        let store = Artifacts::new(state.path());
        let begin = std::sync::Barrier::new(2);
        for n in 0..200_u32 {
            let image = n.to_le_bytes().repeat(20_000);
            let put = || {
                begin.wait();
                store.put(&image)
            };
            let both = std::thread::scope(|scope| {
                let other = scope.spawn(put);
                (put(), other.join().unwrap())
            });
            let stored = both.0.unwrap();
            assert_eq!(both.1.unwrap(), stored);
            assert_eq!(*store.load(&stored.sha256).unwrap(), *image);
        }
        assert!(names(state.path()).iter().all(|name| is_digest(name)), "nothing is left behind");
    }

    #[test]
    fn what_nobody_needs_is_deleted_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let store = Artifacts::new(state.path());
        store.retain(&BTreeSet::new()).unwrap();
        let keep = store.put(b"keep").unwrap().sha256;
        store.put(b"drop").unwrap();
        fs::write(store.dir.join("x.partial"), b"").unwrap();
        fs::write(store.dir.join("README"), b"").unwrap();
        store.retain(&BTreeSet::from([keep.clone()])).unwrap();
        let mut expected = vec!["README".to_owned(), keep.0];
        expected.sort();
        assert_eq!(names(state.path()), expected);
    }

    /// Says it past cargo's capture of what tests print.
    #[cfg(target_os = "linux")]
    fn skip(reason: &str) {
        use std::io::Write as _;
        writeln!(std::io::stderr(), "skipped: {reason}").unwrap();
    }

    /// Runs itself once more in a mount namespace of its own, on a tmpfs of 64 KiB.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        const TMPFS: &str = "WAKEFLASH_TEST_TMPFS";
        if let Some(dir) = std::env::var_os(TMPFS) {
            let store = Artifacts::new(Path::new(&dir));
            let problem = store.put(&vec![7; 1 << 20]).unwrap_err();
            assert_eq!(problem.code, "artifact.no_space");
            assert!(names(Path::new(&dir)).is_empty());
            assert!(store.put(b"small").is_ok());
            return;
        }
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().to_str().unwrap();
        let script =
            format!("mount -t tmpfs -o size=64k tmpfs '{dir}' || exit 77; exec \"$0\" \"$@\"");
        let run = std::process::Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "artifacts::tests::a_full_disk_leaves_nothing_behind", "--nocapture"])
            .env(TMPFS, dir)
            .output();
        match run {
            Err(error) => skip(&format!("unshare can't be run: {error}")),
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let may_not = output.status.code() == Some(77) || said.contains("unshare failed");
                assert!(may_not, "{said}{}", String::from_utf8_lossy(&output.stdout));
                skip(&format!("no tmpfs can be mounted here: {said}"));
            }
        }
    }
}
