//! Where the application keeps its things.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use wakeflash_core::error::Problem;

use crate::means::cli::Cli;

/// Names the application on the bus, in the data directory and to the desktop; as in `tauri.conf.json`.
pub(crate) const IDENTIFIER: &str = "io.github.wakeflash.Wakeflash";

/// Where the application keeps its things.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    state: PathBuf,
    own_state: bool,
}

impl Paths {
    /// The directories that the command line names, else the user's.
    ///
    /// # Errors
    /// There is neither a data directory nor a home directory.
    pub(crate) fn of(cli: &Cli) -> Result<Self, Problem> {
        let (state, own_state) = match &cli.state {
            Some(dir) => (std::path::absolute(dir).map_err(|error| unusable(dir, &error))?, true),
            None => {
                let data = dirs::data_dir().ok_or_else(|| {
                    Problem::new("state.homeless", "This user has no home directory.")
                        .with_help("Start Wakeflash with --state DIR.")
                })?;
                (data.join(IDENTIFIER), false)
            }
        };
        Ok(Self { state, own_state })
    }

    /// Where nothing can be kept: for the window that says why.
    #[must_use]
    pub(crate) fn nowhere() -> Self {
        Self { state: std::env::temp_dir().join(IDENTIFIER), own_state: true }
    }

    /// Makes the directories, readable for nobody else.
    ///
    /// # Errors
    /// One of them can't be made.
    pub(crate) fn create(&self) -> Result<(), Problem> {
        for dir in [self.state.clone(), self.log_dir()] {
            make_private(&dir).map_err(|error| unusable(&dir, &error))?;
        }
        Ok(())
    }

    /// The store, the artifacts and the build logs lie in here.
    #[must_use]
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state
    }

    /// The log files lie in here.
    #[must_use]
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// What the web view keeps.
    #[must_use]
    pub(crate) fn webview_dir(&self) -> PathBuf {
        self.state.join("webview")
    }

    /// Where the pictures of the tray icon lie for the desktop.
    #[must_use]
    pub(crate) fn tray_dir(&self) -> PathBuf {
        self.state.join("tray")
    }

    /// The name on the session bus under which a second start finds the first one. Copies with state
    /// directories of their own don't find each other.
    #[must_use]
    pub(crate) fn bus_name(&self) -> String {
        if !self.own_state {
            return IDENTIFIER.to_owned();
        }
        let mut hasher = DefaultHasher::new();
        self.state.hash(&mut hasher);
        format!("{IDENTIFIER}.at{:016x}", hasher.finish())
    }
}

fn unusable(dir: &Path, error: &std::io::Error) -> Problem {
    tracing::error!("{}: {error}", dir.display());
    Problem::new(
        "state.unusable",
        format!("Wakeflash can't keep its data in {}: {error}.", dir.display()),
    )
    .with_help("Make that directory writable, or start Wakeflash with --state DIR.")
}

/// The rights of a directory that is there are somebody's choice.
fn make_private(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(dir: &Path) -> Paths {
        Paths::of(&Cli { state: Some(dir.to_owned()), ..Cli::default() }).unwrap()
    }

    #[test]
    #[cfg(unix)]
    fn the_directories_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let paths = at(&dir.path().join("new"));
        paths.create().unwrap();
        let mode = |dir: &Path| std::fs::metadata(dir).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(paths.state_dir()), mode(&paths.log_dir())), (0o700, 0o700));
    }

    #[test]
    #[cfg(unix)]
    fn the_rights_of_a_directory_that_was_there_stay() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        at(dir.path()).create().unwrap();
        assert_eq!(std::fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_state_directory_that_is_a_file_is_a_problem_in_words() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let problem = at(file.path()).create().unwrap_err();
        assert_eq!(problem.code, "state.unusable");
    }

    #[test]
    fn copies_with_states_of_their_own_have_names_of_their_own() {
        let (one, two) = (at(Path::new("/a")), at(Path::new("/b")));
        assert_ne!(one.bus_name(), two.bus_name());
        assert_eq!(one.bus_name(), at(Path::new("/a")).bus_name());
        assert_eq!(Paths::of(&Cli::default()).unwrap().bus_name(), IDENTIFIER);
    }
}
