//! What ESPHome read while it built, as the program writes it down that runs ESPHome for us (`engine/src/esphome/witness`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use wakeflash_core::error::Problem;
use wakeflash_core::update::Sha256;

/// Stands for the content of a file that was there and couldn't be read.
pub const UNREADABLE: &str = "unreadable";

/// Stands for the content of a file that was another one each time it was read: nothing is ever equal to it.
pub const CHANGED: &str = "changed while it was read";

/// Everything that was read. A path below the working directory is relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// The working directory.
    pub root: String,
    /// Files whose content counts; `None`: it was looked for in vain.
    pub files: BTreeMap<String, Option<Sha256>>,
    /// Files that were read for the sake of secrets only.
    pub secrets: BTreeMap<String, Option<Sha256>>,
    /// The names of the secrets that the configuration may use.
    pub secret_names: BTreeSet<String>,
    /// What could be a source in directories that were looked into.
    pub directories: BTreeMap<String, Vec<String>>,
    /// Repositories that ESPHome fetched, and their commits; `None`: nobody can tell.
    pub commits: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Begin(String),
    File(String, Option<Sha256>),
    Secret(String, Option<Sha256>),
    SecretNames(BTreeSet<String>),
    Names(String, Vec<String>),
    Commit(String, Option<String>),
}

/// Reads what was written down.
///
/// # Errors
/// It isn't whole, or can't be understood.
pub fn reads(text: &str) -> Result<Reads, Problem> {
    let mut reads = Reads::default();
    let mut begun = false;
    for line in text.lines() {
        match serde_json::from_str(line).map_err(|error| unreadable(&error.to_string()))? {
            Line::Begin(root) => {
                begun = true;
                reads.root = root;
            }
            Line::File(path, content) => note(&mut reads.files, path, content),
            Line::Secret(path, content) => note(&mut reads.secrets, path, content),
            Line::SecretNames(names) => reads.secret_names.extend(names),
            Line::Names(path, names) => {
                // Where something came or went meanwhile, what was there first is what differs from now.
                reads.directories.entry(path).or_insert(names);
            }
            Line::Commit(path, commit) => {
                reads.commits.insert(path, commit);
            }
        }
    }
    if begun { Ok(reads) } else { Err(unreadable("it has no beginning")) }
}

fn note(files: &mut BTreeMap<String, Option<Sha256>>, path: String, content: Option<Sha256>) {
    match files.get_mut(&path) {
        Some(known) if *known != content => *known = Some(Sha256(CHANGED.to_owned())),
        Some(_) => {}
        None => {
            files.insert(path, content);
        }
    }
}

fn unreadable(why: &str) -> Problem {
    Problem::new("build.reads", format!("What ESPHome read can't be told: {why}."))
        .with_help("Retry. If it stays so, please report it, with the log of the application.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = r#"{"begin": "/c"}
{"file": ["a.yaml", "11"]}
{"file": ["gone.yaml", null]}
{"secret": ["secrets.yaml", "22"]}
{"secret_names": ["wifi"]}
{"file": ["b.h", "33"]}
{"file": ["b.h", "44"]}
{"file": ["a.yaml", "11"]}
{"names": ["parts", ["x"]]}
{"names": ["parts", ["x", "y"]]}
{"commit": [".esphome/packages/12345678", "abc"]}
"#;

    #[test]
    fn what_was_written_down_is_read() {
        let reads = reads(WRITTEN).unwrap();
        let sha = |text: &str| Some(Sha256(text.to_owned()));
        assert_eq!(reads.root, "/c");
        assert_eq!(
            reads.files,
            [
                ("a.yaml".to_owned(), sha("11")),
                ("b.h".to_owned(), sha(CHANGED)),
                ("gone.yaml".to_owned(), None)
            ]
            .into()
        );
        assert_eq!(reads.secrets, [("secrets.yaml".to_owned(), sha("22"))].into());
        assert_eq!(reads.secret_names, ["wifi".to_owned()].into());
        assert_eq!(reads.directories, [("parts".to_owned(), vec!["x".to_owned()])].into());
        assert_eq!(reads.commits.len(), 1);
    }

    #[test]
    fn half_of_it_is_nothing() {
        let cut = &WRITTEN[..WRITTEN.len() - 20];
        for text in ["", "{}", cut, r#"{"file": ["a.yaml", "11"]}"#, r#"{"other": 1}"#] {
            assert_eq!(reads(text).unwrap_err().code, "build.reads", "{text}");
        }
    }
}
