//! In which language the tray and the notifications speak.

use wakeflash_core::settings::Language;
use wakeflash_core::words::Lang;

/// The language of the user's choice, or else the desktop's.
pub(crate) fn of(choice: Language) -> Lang {
    let named = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.is_empty()).then_some(value)
    });
    Lang::of(choice, named.into_iter().next().as_deref())
}
