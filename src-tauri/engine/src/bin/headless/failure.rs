//! Why a command was not carried out, in words, with its exit code.

use std::fmt;

use wakeflash_core::error::Problem;

/// Why a command was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was refused, or failed.
    Refused(String),
    /// The command line makes no sense.
    Usage(String),
    /// No service runs.
    NoService(String),
}

impl Failure {
    /// The program's exit code.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::NoService(_) => 3,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(words) | Self::Usage(words) | Self::NoService(words) => {
                f.write_str(words)
            }
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(words(&problem))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Refused(format!("{error:#}."))
    }
}

/// What is wrong, and what to do about it.
pub(crate) fn words(problem: &Problem) -> String {
    match &problem.help {
        Some(help) => format!("{} {help}", problem.message),
        None => problem.message.clone(),
    }
}
