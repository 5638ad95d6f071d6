//! What happened in a life, in words.

use crate::plan::Ms;

/// The lines of a story; nobody's words are composed when nobody reads them.
#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: Option<Vec<String>>,
    detailed: bool,
}

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Telling {
    #[default]
    Nothing,
    /// What happened to whom.
    Words,
    /// And everything that passed between the application and its world.
    Everything,
}

impl Story {
    pub(crate) fn new(telling: Telling) -> Self {
        Self {
            lines: (telling != Telling::Nothing).then(Vec::new),
            detailed: telling == Telling::Everything,
        }
    }

    /// What only those want to know who look for a fault.
    pub(crate) fn detail(&mut self, at: Ms, words: impl FnOnce() -> String) {
        if self.detailed {
            self.line(at, words);
        }
    }

    pub(crate) fn line(&mut self, at: Ms, words: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {}", clock(at), words()));
        }
    }

    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

/// A time since the life began.
pub(crate) fn clock(at: Ms) -> String {
    let (hours, rest) = (at / 3_600_000, at % 3_600_000);
    format!(
        "{hours}:{:02}:{:06.3}",
        rest / 60_000,
        f64::from(u32::try_from(rest % 60_000).unwrap_or(0)) / 1_000.0
    )
}
