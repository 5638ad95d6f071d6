//! What is shown as a desktop notification: in which words, with which buttons, and when many are one.

mod gather;
mod meanwhile;

pub use gather::{GATHER, GATHER_LONGEST, GROUP_MEMORY, Gatherer, SINGLE_AT_MOST, Showing, Shown};
pub use meanwhile::Meanwhile;

use crate::device::DeviceId;
use crate::view::{Installation, Notification, NotificationKind};
use crate::words::Lang;

/// What a button of a notification does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// Open the window at the device.
    Open,
    /// Open the window at the log of the device's build.
    ShowLog,
    /// Start its update once more.
    Retry,
    /// Build its held update again.
    Rebuild,
}

impl Button {
    /// How the notification daemon names it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::ShowLog => "log",
            Self::Retry => "retry",
            Self::Rebuild => "rebuild",
        }
    }

    /// The button that a daemon names. A click on the notification itself is `default`.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        match key {
            "default" => Some(Self::Open),
            key => {
                let all = [Self::Open, Self::ShowLog, Self::Retry, Self::Rebuild];
                all.into_iter().find(|button| button.key() == key)
            }
        }
    }

    /// What stands on it.
    #[must_use]
    pub const fn label(self, lang: Lang) -> &'static str {
        match self {
            Self::Open => lang.pick("Open", "Öffnen"),
            Self::ShowLog => lang.pick("Show log", "Log anzeigen"),
            Self::Retry => lang.pick("Retry", "Erneut versuchen"),
            Self::Rebuild => lang.pick("Rebuild", "Neu bauen"),
        }
    }
}

/// A notification in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// One line.
    pub title: String,
    /// One or a few sentences.
    pub body: String,
    /// What can be done.
    pub buttons: Vec<Button>,
    /// Which device it is about; `None`: many.
    pub device: Option<DeviceId>,
}

impl Shown {
    /// Its words. Without buttons, the text says what else to do.
    #[must_use]
    pub fn text(&self, lang: Lang, has_buttons: bool) -> Text {
        match self {
            Self::One(notification) => one(notification, lang, has_buttons),
            Self::Many(all) => many(all, lang),
        }
    }
}

/// Why there is no window, though one was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWindow {
    /// Its process can't be started.
    NotStarted,
    /// It crashed or hung, came back, and soon did so again.
    Crashed,
}

/// That there is no window, that the queue goes on, and what to do. `tray`: there is a menu to open it from.
#[must_use]
pub fn no_window(why: NoWindow, tray: bool, lang: Lang, log_dir: &str) -> Text {
    let title = match why {
        NoWindow::NotStarted => {
            lang.pick("Wakeflash can't open its window", "Wakeflash kann sein Fenster nicht öffnen")
        }
        NoWindow::Crashed => lang.pick(
            "The window of Wakeflash crashed twice",
            "Das Fenster von Wakeflash ist zweimal abgestürzt",
        ),
    };
    let means = match why {
        NoWindow::NotStarted => lang.pick("Updates go on.", "Updates laufen weiter."),
        NoWindow::Crashed => lang.pick(
            "It crashed or hung twice within a short time, and isn't opened again by itself. Updates go on without it.",
            "Es ist in kurzer Zeit zweimal abgestürzt oder hängen geblieben und wird nicht von selbst wieder geöffnet. \
             Updates laufen ohne das Fenster weiter.",
        ),
    };
    let help = if tray {
        lang.pick(
            "To open it, choose Open Wakeflash in the tray icon's menu. The log is in {}.",
            "„Wakeflash öffnen“ im Menü des Symbols im Infobereich zeigt es wieder. Das Log liegt in {}.",
        )
    } else {
        lang.pick(
            "To open it, start Wakeflash once more. The log is in {}.",
            "Starte Wakeflash noch einmal, um es zu öffnen. Das Log liegt in {}.",
        )
    };
    let body = format!("{means} {}", help.replacen("{}", log_dir, 1));
    Text { title: title.to_owned(), body, buttons: Vec::new(), device: None }
}

/// What a defect of the engine has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The application was started again.
    StartedAgain,
    /// There was one just before; the application has ended.
    Stopped,
}

impl Defect {
    /// What the user is told.
    #[must_use]
    pub fn text(self, lang: Lang, log_dir: &str) -> Text {
        let (title, body) = match self {
            Self::StartedAgain => (
                lang.pick(
                    "Wakeflash was started again after a fault",
                    "Wakeflash wurde nach einem Fehler neu gestartet",
                ),
                lang.pick(
                    "Updates go on. Please report it, with the log in {}.",
                    "Updates laufen weiter. Bitte melde das, mit dem Log in {}.",
                ),
            ),
            Self::Stopped => (
                lang.pick(
                    "Wakeflash has stopped because of a fault",
                    "Wakeflash hat wegen eines Fehlers angehalten",
                ),
                lang.pick(
                    "It came again after a new start. The queue is kept, and nothing is flashed until Wakeflash is started \
                     again. Please report it, with the log in {}.",
                    "Er kam nach einem neuen Start wieder. Die Warteschlange bleibt erhalten; es wird nichts geflasht, bis \
                     Wakeflash wieder gestartet wird. Bitte melde das, mit dem Log in {}.",
                ),
            ),
        };
        let body = body.replacen("{}", log_dir, 1);
        Text { title: title.to_owned(), body, buttons: Vec::new(), device: None }
    }
}

fn one(told: &Notification, lang: Lang, has_buttons: bool) -> Text {
    let name = &told.name;
    let detail = match &told.code {
        Some(code) => lang.message(code, &told.detail),
        None => told.detail.clone(),
    };
    let (title, mut body, hint, buttons) = match told.kind {
        NotificationKind::Installed => {
            let (title, body) = installed_words(told.installed, lang);
            (title, body.to_owned(), "", vec![Button::Open])
        }
        NotificationKind::Failed => (
            lang.pick("The update of {} failed", "Das Update von {} ist fehlgeschlagen"),
            detail,
            lang.pick(
                "Open Wakeflash for the log and to retry.",
                "Wakeflash zeigt das Log und versucht es erneut.",
            ),
            vec![Button::ShowLog, Button::Retry],
        ),
        NotificationKind::RolledBack => (
            lang.pick("{} rolled back", "{} ist zur alten Firmware zurückgekehrt"),
            detail,
            lang.pick("Open Wakeflash to retry.", "Wakeflash versucht es auf Wunsch erneut."),
            vec![Button::ShowLog, Button::Retry],
        ),
        NotificationKind::BuildDelayed => (
            lang.pick("{} can't be built yet", "{} kann noch nicht gebaut werden"),
            detail,
            lang.pick("It is tried again by itself.", "Es wird von selbst erneut versucht."),
            vec![Button::ShowLog, Button::Retry],
        ),
        NotificationKind::TransfersCut => (
            lang.pick("Transfers to {} break off", "Übertragungen an {} brechen ab"),
            detail,
            lang.pick("It is tried again by itself.", "Es wird von selbst erneut versucht."),
            vec![Button::Open],
        ),
        NotificationKind::NotReturned => (
            lang.pick("{} did not come back", "{} ist nicht zurückgekommen"),
            detail,
            "",
            vec![Button::Open],
        ),
        NotificationKind::Held => (
            lang.pick("The update of {} is held", "Das Update von {} ist zurückgehalten"),
            match told.code {
                Some(_) => detail,
                None => lang
                    .pick("Changed since it was built: {}.", "Seit dem Bauen geändert: {}.")
                    .replacen("{}", &detail, 1),
            },
            lang.pick(
                "Open Wakeflash to rebuild it, flash it anyway, or cancel it.",
                "In Wakeflash neu bauen, trotzdem flashen oder abbrechen.",
            ),
            vec![Button::Rebuild, Button::Open],
        ),
        NotificationKind::Overdue => (
            lang.pick("{} is overdue", "{} ist überfällig"),
            lang.pick(
                "Its update waits, and it has not woken when it was expected.",
                "Sein Update wartet, und es ist nicht wie erwartet aufgewacht.",
            )
            .to_owned(),
            "",
            vec![Button::Open],
        ),
    };
    if !has_buttons && !hint.is_empty() {
        // What others say doesn't always end like a sentence.
        if !body.ends_with(['.', '!', '?', '…']) {
            body.push('.');
        }
        body.push(' ');
        body.push_str(hint);
    }
    let device = Some(told.device.clone());
    Text { title: title.replacen("{}", name, 1), body, buttons, device }
}

/// What is known about an installation, and no more: a title with a place for the name, and a sentence or two.
/// `None` is of no installation, and claims the least.
pub(crate) const fn installed_words(
    known: Option<Installation>,
    lang: Lang,
) -> (&'static str, &'static str) {
    match known {
        Some(Installation::Announced) => (
            lang.pick("{} is updated", "{} ist aktualisiert"),
            lang.pick("It runs the new firmware.", "Die neue Firmware läuft."),
        ),
        Some(Installation::Acknowledged) | None => (
            lang.pick("The update of {} is installed", "Das Update von {} ist installiert"),
            lang.pick(
                "The device acknowledged it and came back.",
                "Das Gerät hat es bestätigt und ist zurückgekommen.",
            ),
        ),
        Some(Installation::Again) => (
            lang.pick(
                "The same firmware was installed on {} again",
                "Auf {} wurde dieselbe Firmware erneut installiert",
            ),
            lang.pick(
                "It was built from the same files as the one before. The device acknowledged it and came back.",
                "Sie wurde aus denselben Dateien gebaut wie die vorige. Das Gerät hat sie bestätigt und ist \
                 zurückgekommen.",
            ),
        ),
        Some(Installation::AlreadyRunning) => (
            lang.pick("{} already runs this build", "Auf {} läuft dieser Build schon"),
            lang.pick("Nothing more is sent.", "Es wird nichts weiter gesendet."),
        ),
    }
}

fn many(all: &[Notification], lang: Lang) -> Text {
    let of = |good: bool| -> Vec<&str> {
        let matching = all.iter().filter(|told| is_good(told.kind) == good);
        matching.map(|told| told.name.as_str()).collect()
    };
    let (good, bad) = (of(true), of(false));
    let (one_is, several_are, listed) = claim_for_all(all, lang);
    let updated = match good.len() {
        0 => None,
        1 => Some(format!("1 {one_is}")),
        n => Some(format!("{n} {several_are}")),
    };
    let attention = match bad.len() {
        0 => None,
        1 => Some(lang.pick("1 needs attention", "1 braucht Aufmerksamkeit").to_owned()),
        n => Some(format!("{n} {}", lang.pick("need attention", "brauchen Aufmerksamkeit"))),
    };
    let title = updated.into_iter().chain(attention).collect::<Vec<_>>().join(", ");
    // A click leads to the only device that needs the user.
    let only = match bad.as_slice() {
        [_] => all.iter().find(|told| !is_good(told.kind)).map(|told| told.device.clone()),
        _ => None,
    };
    let mut lines = Vec::new();
    if !bad.is_empty() {
        let begin = lang.pick("Needs attention", "Braucht Aufmerksamkeit");
        lines.push(format!("{begin}: {}.", names(&bad, lang)));
    }
    if !good.is_empty() {
        lines.push(format!("{listed}: {}.", names(&good, lang)));
    }
    Text { title, body: lines.join("\n"), buttons: vec![Button::Open], device: only }
}

/// What is true of each that came out well: of one and of several after their number, and before their names.
fn claim_for_all(all: &[Notification], lang: Lang) -> (&'static str, &'static str, &'static str) {
    let known = || all.iter().filter_map(|told| told.installed);
    if known().all(|one| one == Installation::Announced) {
        (
            lang.pick("device updated", "Gerät aktualisiert"),
            lang.pick("devices updated", "Geräte aktualisiert"),
            lang.pick("Updated", "Aktualisiert"),
        )
    } else if known()
        .all(|one| matches!(one, Installation::Announced | Installation::AlreadyRunning))
    {
        (
            lang.pick("device up to date", "Gerät aktuell"),
            lang.pick("devices up to date", "Geräte aktuell"),
            lang.pick("Up to date", "Aktuell"),
        )
    } else if known().all(|one| one != Installation::AlreadyRunning) {
        (
            lang.pick("update installed", "Update installiert"),
            lang.pick("updates installed", "Updates installiert"),
            lang.pick("Installed", "Installiert"),
        )
    } else {
        (
            lang.pick("update complete", "Update abgeschlossen"),
            lang.pick("updates complete", "Updates abgeschlossen"),
            lang.pick("Complete", "Abgeschlossen"),
        )
    }
}

/// The first names of a list.
fn names(all: &[&str], lang: Lang) -> String {
    const NAMED: usize = 5;
    let named: Vec<&str> = all.iter().take(NAMED).copied().collect();
    match all.len().checked_sub(named.len()) {
        Some(left) if left > 0 => {
            let more = lang.pick("more", "weitere");
            format!("{} {} {left} {more}", named.join(", "), lang.pick("and", "und"))
        }
        Some(_) | None => named.join(", "),
    }
}

const fn is_good(kind: NotificationKind) -> bool {
    match kind {
        NotificationKind::Installed => true,
        NotificationKind::Failed
        | NotificationKind::RolledBack
        | NotificationKind::Held
        | NotificationKind::Overdue
        | NotificationKind::NotReturned
        | NotificationKind::BuildDelayed
        | NotificationKind::TransfersCut => false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
