//! What is different in the sources of a build since then.

use serde::{Deserialize, Serialize};

use crate::update::SourceChangeKind;

/// The files that are different from what a build was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct SourceDiff {
    /// The files.
    pub files: Vec<FileDiff>,
    /// How many more there are.
    pub more: u32,
}

/// A file that is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct FileDiff {
    /// Its path relative to the config directory, or absolute when it lies outside of it.
    pub path: String,
    /// What has become of it.
    pub kind: SourceChangeKind,
    /// Why its lines can't be shown; null: they can, or there is nothing to compare.
    pub unshown: Option<Unshown>,
    /// The lines that are different, with some around them.
    pub hunks: Vec<Hunk>,
    /// There are more than are shown.
    pub cut: bool,
    /// Some of what is shown stands for secrets.
    pub masked: bool,
}

/// Why lines can't be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum Unshown {
    /// The file is no text.
    Binary,
    /// It is too large.
    Large,
    /// What it was when it was built was not kept.
    NotKept,
}

/// Lines that follow one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Hunk {
    /// The number of its first line in the file as it was built, counted from 1.
    pub old_line: u32,
    /// The number of its first line in the file as it is.
    pub new_line: u32,
    /// The lines.
    pub lines: Vec<DiffLine>,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct DiffLine {
    /// Where it is.
    pub kind: DiffLineKind,
    /// What it says, without its end.
    pub text: String,
}

/// Where a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum DiffLineKind {
    /// In both.
    Same,
    /// Only in the file as it was built.
    Old,
    /// Only in the file as it is.
    New,
}
