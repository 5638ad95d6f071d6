//! Where Wakeflash works, as this computer keeps it: a file beside its own queue, which is the engine's.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wakeflash_core::error::Problem;
use wakeflash_core::settings::SettingsChange;

/// How many places are remembered.
const REMEMBERED: usize = 20;

/// What SSH is told to connect to: `user@host`, or a name from its own configuration. Nothing that it could take for
/// anything else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Destination(String);

impl Destination {
    /// As SSH reads it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Destination {
    type Error = Problem;

    fn try_from(text: String) -> Result<Self, Problem> {
        let (user, host) =
            text.split_once('@').map_or((None, text.as_str()), |(user, host)| (Some(user), host));
        let sound = |part: &str, more: &str| {
            let mut letters = part.chars();
            let first = letters
                .next()
                .is_some_and(|first| first.is_ascii_alphanumeric() || "_:".contains(first));
            first && letters.all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
        };
        if text.len() <= 255 && user.is_none_or(|user| sound(user, "._-")) && sound(host, "._-:") {
            return Ok(Self(text));
        }
        Err(Problem::new("remote.destination", "That is not the name of a computer as SSH takes it.")
            .with_help("For example sam@box.local, or a name from ~/.ssh/config, where a port can be given, too."))
    }
}

/// Where Wakeflash works, and what of the settings belongs to this computer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Places {
    /// `None`: on this computer.
    pub at: Option<Destination>,
    /// Those that have been chosen, the last one first.
    pub known: Vec<Destination>,
    /// The settings of the screen, while another computer works.
    pub screen: SettingsChange,
}

impl Places {
    /// What is kept in a directory; nothing yet: on this computer.
    ///
    /// # Errors
    /// It can't be read: what works isn't guessed then.
    pub fn read(dir: &Path) -> Result<Self, Problem> {
        let path = file(dir);
        let unreadable = |error: &dyn std::fmt::Display| {
            Problem::new(
                "place.unreadable",
                format!("Where Wakeflash works can't be read from {}: {error}.", path.display()),
            )
            .with_help("Delete that file: then Wakeflash works on this computer, and can be told otherwise.")
        };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unreadable(&error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(unreadable(&error)),
        }
    }

    /// Keeps it; whole or not at all.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, dir: &Path) -> Result<(), Problem> {
        let path = file(dir);
        let unwritten = |error: &dyn std::fmt::Display| {
            Problem::new(
                "place.unwritable",
                format!("Where Wakeflash works can't be kept in {}: {error}.", path.display()),
            )
        };
        let text = serde_json::to_vec_pretty(self).map_err(|error| unwritten(&error))?;
        let next = path.with_extension("tmp");
        let written = (|| {
            let mut file = std::fs::File::create(&next)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&next, &path)
        })();
        written.map_err(|error: std::io::Error| unwritten(&error))
    }

    /// Chooses where it works from the next start on.
    pub fn choose(&mut self, place: Option<Destination>) {
        if let Some(place) = &place {
            self.forget(place);
            self.known.insert(0, place.clone());
            self.known.truncate(REMEMBERED);
        }
        self.at = place;
    }

    /// Remembers a place no more.
    pub fn forget(&mut self, place: &Destination) {
        self.known.retain(|known| known != place);
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("place.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Destination, Problem> {
        Destination::try_from(text.to_owned())
    }

    #[test]
    fn no_name_of_a_host_becomes_an_option_or_a_command() {
        for good in ["box", "sam@box.local", "sam_2@192.168.1.20", "pi@fd77::2", "my-box", "_vpn"] {
            assert!(place(good).is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in [
            "",
            "-oProxyCommand=sh",
            "sam@-oProxyCommand=sh",
            "-sam@box",
            "sam@",
            "@box",
            "a b",
            "a\nb",
            "box;reboot",
            "$(reboot)",
            "sam@box@else",
            "ssh://box",
            "%h",
            "box\0",
            "'box'",
            &long,
        ] {
            assert_eq!(place(bad).unwrap_err().code, "remote.destination", "{bad}");
        }
        assert!(serde_json::from_str::<Places>(r#"{"at":"-v"}"#).is_err());
    }

    #[test]
    fn what_was_chosen_is_remembered_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Places::read(dir.path()), Ok(Places::default()));
        let mut places = Places::default();
        for name in ["one", "two", "one"] {
            places.choose(Some(place(name).unwrap()));
        }
        places.choose(None);
        assert_eq!(places.known, [place("one").unwrap(), place("two").unwrap()]);
        places.forget(&place("one").unwrap());
        places.write(dir.path()).unwrap();
        let read = Places::read(dir.path()).unwrap();
        assert_eq!((read.at, read.known), (None, vec![place("two").unwrap()]));
        std::fs::write(dir.path().join("place.json"), "{").unwrap();
        assert_eq!(Places::read(dir.path()).unwrap_err().code, "place.unreadable");
    }
}
