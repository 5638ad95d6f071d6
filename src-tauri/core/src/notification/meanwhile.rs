//! What happened while the computer that shows it had no connection to the one that works: told once.

use std::collections::BTreeMap;

use super::Text;
use crate::view::{Group, Snapshot, UpdateStateView};
use crate::words::Lang;

/// How many devices something happened to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meanwhile {
    /// Were updated.
    pub updated: usize,
    /// Need somebody who didn't before.
    pub attention: usize,
}

impl Meanwhile {
    /// What happened between the two, as far as the user wants to hear about it.
    #[must_use]
    pub fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let known: BTreeMap<_, _> =
            before.devices.iter().map(|device| (&device.id, device)).collect();
        let wanted = after.settings.notify;
        let mut found = Self::default();
        for device in &after.devices {
            let old = known.get(&device.id);
            let was = old.and_then(|old| old.update.as_ref());
            let is = device.update.as_ref();
            if let Some(is) = is
                && matches!(is.state, UpdateStateView::Installed { .. })
                && was.is_none_or(|was| was.id != is.id || was.state != is.state)
            {
                found.updated += usize::from(wanted.installed);
            }
            let needs = device.group() == Some(Group::Attention);
            let needed = old.is_some_and(|old| old.group() == Some(Group::Attention))
                && was.map(|was| was.id) == is.map(|is| is.id);
            if needs && !needed {
                found.attention += usize::from(wanted.failed || wanted.held);
            }
        }
        found
    }

    /// In words; `None`: there is nothing to tell.
    #[must_use]
    pub fn text(self, lang: Lang) -> Option<Text> {
        let updated = match self.updated {
            0 => None,
            1 => Some(lang.pick("1 device updated", "1 Gerät aktualisiert").to_owned()),
            n => Some(format!("{n} {}", lang.pick("devices updated", "Geräte aktualisiert"))),
        };
        let attention = match self.attention {
            0 => None,
            1 => Some(lang.pick("1 needs you", "1 braucht dich").to_owned()),
            n => Some(format!("{n} {}", lang.pick("need you", "brauchen dich"))),
        };
        let parts: Vec<String> = updated.into_iter().chain(attention).collect();
        (!parts.is_empty()).then(|| Text {
            title: lang.pick("While you were away", "Während du weg warst").to_owned(),
            body: format!("{}.", parts.join(", ")),
            buttons: Vec::new(),
            device: None,
        })
    }
}
