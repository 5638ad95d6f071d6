//! The words of the tray and the notifications, in the user's language. The window has a catalogue of its own, but
//! for problems: their German sentences are here, and the window has them from here.

mod german;
use crate::settings::Language;

/// A language that there are words in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    /// English.
    En,
    /// German.
    De,
}

impl Lang {
    /// The language of the user's choice. `desktop` is that of the desktop, as in `LANG`: `de_DE.UTF-8`.
    #[must_use]
    pub fn of(choice: Language, desktop: Option<&str>) -> Self {
        let german = || {
            desktop.is_some_and(|name| {
                let language = name.split(['_', '.', '@', ':', '-']).next().unwrap_or_default();
                language.eq_ignore_ascii_case("de")
            })
        };
        match choice {
            Language::En => Self::En,
            Language::De => Self::De,
            Language::System if german() => Self::De,
            Language::System => Self::En,
        }
    }

    /// One of two texts.
    #[must_use]
    pub const fn pick<'a>(self, english: &'a str, german: &'a str) -> &'a str {
        match self {
            Self::En => english,
            Self::De => german,
        }
    }

    /// The message of a problem with this code.
    #[must_use]
    pub fn message(self, code: &str, message: &str) -> String {
        match self {
            Self::En => message.to_owned(),
            Self::De => german::message(code, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_choice_comes_before_the_desktops() {
        assert_eq!(Lang::of(Language::En, Some("de_DE.UTF-8")), Lang::En);
        assert_eq!(Lang::of(Language::De, None), Lang::De);
        for german in ["de", "de_AT.UTF-8", "de:en", "DE-CH"] {
            assert_eq!(Lang::of(Language::System, Some(german)), Lang::De, "{german}");
        }
        for other in ["", "C.UTF-8", "en_US", "den"] {
            assert_eq!(Lang::of(Language::System, Some(other)), Lang::En, "{other}");
        }
    }
}
