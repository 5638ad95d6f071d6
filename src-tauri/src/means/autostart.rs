//! Starting at login: an entry in the user's autostart directory, written only when the user asks for it and
//! never again when they remove it.

use std::io;
use std::path::{Path, PathBuf};

use wakeflash_core::error::Problem;

use crate::means::program;

/// The entry's file name.
const NAME: &str = "wakeflash.desktop";

/// Where the entry is, or would be.
#[derive(Clone, Debug)]
pub(crate) struct Autostart {
    entry: PathBuf,
    program: PathBuf,
}

impl Autostart {
    /// For this program and this user; `None` where there is no such directory, or no desktop that would read it.
    #[must_use]
    pub(crate) fn of_user() -> Option<Self> {
        if !is_followed(std::env::consts::OS) {
            return None;
        }
        let program = program::installed()
            .inspect_err(|error| tracing::warn!("where this program is isn't known: {error}"))
            .ok()?;
        Some(Self { entry: dirs::config_dir()?.join("autostart").join(NAME), program })
    }

    /// Whether the application starts at login. The desktop's own settings switch an entry off by a line
    /// in it.
    #[must_use]
    pub(crate) fn is_on(&self) -> bool {
        let Ok(text) = std::fs::read_to_string(&self.entry) else { return false };
        !text.lines().any(|line| {
            matches!(
                line.replace(' ', "").to_ascii_lowercase().as_str(),
                "hidden=true" | "x-gnome-autostart-enabled=false"
            )
        })
    }

    /// Writes the entry, or removes it.
    ///
    /// # Errors
    /// The directory can't be written, or the program's path can't be put into an entry.
    pub(crate) fn set(&self, on: bool) -> Result<(), Problem> {
        let result = if on { self.write() } else { remove(&self.entry) };
        result.map_err(|error| {
            tracing::error!("{}: {error}", self.entry.display());
            Problem::new(
                "autostart.failed",
                format!("Starting at login can't be changed: {error}."),
            )
            .with_help(format!("Check the file {}.", self.entry.display()))
        })
    }

    fn write(&self) -> io::Result<()> {
        let exec = exec(&self.program).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the program's path isn't text")
        })?;
        if let Some(dir) = self.entry.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(
            &self.entry,
            format!(
                "[Desktop Entry]\nType=Application\nName=Wakeflash\n\
                 Comment=Update ESPHome devices that sleep\nIcon=wakeflash\nExec={exec} --hidden\n\
                 Terminal=false\nX-GNOME-Autostart-enabled=true\n"
            ),
        )
    }
}

/// Whether this system's desktops start what lies in the autostart directory.
fn is_followed(system: &str) -> bool {
    !matches!(system, "windows" | "macos")
}

/// Why there is no way to start at login.
pub(crate) fn unavailable() -> Problem {
    Problem::new("autostart.unavailable", "Wakeflash can't set up starting at login here.")
        .with_help("Add it, with `--hidden`, to what the system starts at login.")
}

fn remove(entry: &Path) -> io::Result<()> {
    match std::fs::remove_file(entry) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// A program as the first word of `Exec=`, by the rules of the Desktop Entry Specification: quoted, what is
/// special in quotes behind a backslash, backslashes once more for the value itself, and no field codes.
fn exec(program: &Path) -> Option<String> {
    let path = program.to_str().filter(|path| !path.contains(['\n', '\r']))?;
    let mut quoted = String::from("\"");
    for letter in path.chars() {
        match letter {
            '"' | '`' | '$' => {
                quoted.push_str("\\\\");
                quoted.push(letter);
            }
            '\\' => quoted.push_str("\\\\\\\\"),
            '%' => quoted.push_str("%%"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn autostart(dir: &Path) -> Autostart {
        Autostart {
            entry: dir.join("autostart").join(NAME),
            program: PathBuf::from("/opt/My Apps/wake\"flash$1\\%f"),
        }
    }

    #[test]
    fn an_entry_is_written_only_where_it_is_followed() {
        assert!(is_followed("linux") && is_followed("freebsd"));
        assert!(!is_followed("windows") && !is_followed("macos"));
    }

    #[test]
    fn the_entry_is_there_while_it_is_on() {
        let dir = tempfile::tempdir().unwrap();
        let autostart = autostart(dir.path());
        assert!(!autostart.is_on());
        autostart.set(false).unwrap();
        autostart.set(true).unwrap();
        assert!(autostart.is_on());
        let text = std::fs::read_to_string(&autostart.entry).unwrap();
        let exec = r#"Exec="/opt/My Apps/wake\\"flash\\$1\\\\%%f" --hidden"#;
        assert!(text.lines().any(|line| line == exec), "{text}");
        autostart.set(false).unwrap();
        assert!(!autostart.is_on() && !autostart.entry.exists());
    }

    #[test]
    fn an_entry_that_the_desktop_switched_off_is_off() {
        let dir = tempfile::tempdir().unwrap();
        let autostart = autostart(dir.path());
        for line in ["Hidden=true", "X-GNOME-Autostart-enabled = false"] {
            autostart.set(true).unwrap();
            let text = std::fs::read_to_string(&autostart.entry).unwrap();
            let text = text.replace("X-GNOME-Autostart-enabled=true", line);
            std::fs::write(&autostart.entry, text).unwrap();
            assert!(!autostart.is_on(), "{line}");
        }
    }
}
