//! What the user is told.

use crate::notification::installed_words;
use crate::update::{Note, Update, UpdateId};
use crate::view::{Installation, Notification, NotificationKind};
use crate::words::Lang;

use super::{Dispatch, Effect};

impl Dispatch {
    pub(super) fn notify(&mut self, notification: Notification) {
        if notification.kind.is_wanted(self.settings.notify) {
            self.decision.effects.push(Effect::Notify(notification));
        }
    }

    pub(super) fn notify_about(
        &mut self,
        id: UpdateId,
        kind: NotificationKind,
        reason: impl Into<Note>,
    ) {
        self.notify_of(id, kind, None, reason.into());
    }

    pub(super) fn notify_installed(&mut self, id: UpdateId, known: Installation, text: &str) {
        self.notify_of(id, NotificationKind::Installed, Some(known), text.into());
    }

    fn notify_of(
        &mut self,
        id: UpdateId,
        kind: NotificationKind,
        installed: Option<Installation>,
        Note { text: detail, code }: Note,
    ) {
        let Some(update) = self.updates.get(&id) else { return };
        let name = self.display_name(update);
        let (title, body) = match kind {
            NotificationKind::Installed => {
                (installed_words(installed, Lang::En).0.replacen("{}", &name, 1), detail.clone())
            }
            NotificationKind::Failed => (format!("The update of {name} failed"), detail.clone()),
            NotificationKind::RolledBack => (format!("{name} rolled back"), detail.clone()),
            NotificationKind::Overdue => (format!("{name} is overdue"), detail.clone()),
            NotificationKind::NotReturned => (format!("{name} did not come back"), detail.clone()),
            NotificationKind::BuildDelayed => {
                (format!("{name} can't be built yet"), detail.clone())
            }
            NotificationKind::TransfersCut => {
                (format!("Transfers to {name} break off"), detail.clone())
            }
            NotificationKind::Held => {
                let why = match &code {
                    Some(_) => detail.clone(),
                    None => format!("Changed since it was built: {detail}."),
                };
                let body = format!("{why} Rebuild it, flash it anyway, or cancel it.");
                (format!("The update of {name} is held"), body)
            }
        };
        let device = update.device.clone();
        self.notify(Notification { device, name, kind, installed, detail, code, title, body });
    }

    /// What a person calls the device of an update.
    pub(super) fn display_name(&self, update: &Update) -> String {
        self.configuration_of(update)
            .and_then(|file| file.content.as_ref().ok()?.friendly_name.clone())
            .or_else(|| self.memory(&update.name)?.friendly_name.clone())
            .unwrap_or_else(|| update.name.clone())
    }
}
