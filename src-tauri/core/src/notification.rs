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
        | NotificationKind::BuildDelayed
        | NotificationKind::TransfersCut => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const DETAIL: &str = "The device could not write the firmware to its flash.";

    pub(crate) fn told(name: &str, kind: NotificationKind) -> Notification {
        Notification {
            device: DeviceId::of_file(format!("{name}.yaml")),
            name: name.to_owned(),
            kind,
            installed: (kind == NotificationKind::Installed).then_some(Installation::Announced),
            detail: DETAIL.to_owned(),
            code: (kind != NotificationKind::Held).then(|| "ota.writing_flash".to_owned()),
            title: String::new(),
            body: String::new(),
        }
    }

    #[test]
    fn that_there_is_no_window_is_said_with_where_to_look() {
        for lang in [Lang::En, Lang::De] {
            let mut all = Vec::new();
            for why in [NoWindow::NotStarted, NoWindow::Crashed] {
                for tray in [true, false] {
                    let text = no_window(why, tray, lang, "/var/log/{}");
                    assert!(text.body.ends_with(" /var/log/{}."), "{text:?}");
                    assert!(text.buttons.is_empty() && text.device.is_none());
                    all.push(text.body);
                }
            }
            all.sort();
            all.dedup();
            assert_eq!(all.len(), 4, "each says something else");
        }
        let crashed = no_window(NoWindow::Crashed, true, Lang::En, "x");
        assert!(!crashed.title.contains("can't") && crashed.body.contains("twice within a short"));
    }

    #[test]
    fn each_kind_has_its_words_and_buttons_in_both_languages() {
        use NotificationKind::{
            BuildDelayed, Failed, Held, Installed, Overdue, RolledBack, TransfersCut,
        };
        for (kind, english, german, buttons) in [
            (Installed, "{} is updated", "{} ist aktualisiert", vec![Button::Open]),
            (
                Failed,
                "The update of {} failed",
                "Das Update von {} ist fehlgeschlagen",
                vec![Button::ShowLog, Button::Retry],
            ),
            (
                RolledBack,
                "{} rolled back",
                "{} ist zur alten Firmware zurückgekehrt",
                vec![Button::ShowLog, Button::Retry],
            ),
            (
                BuildDelayed,
                "{} can't be built yet",
                "{} kann noch nicht gebaut werden",
                vec![Button::ShowLog, Button::Retry],
            ),
            (
                TransfersCut,
                "Transfers to {} break off",
                "Übertragungen an {} brechen ab",
                vec![Button::Open],
            ),
            (Overdue, "{} is overdue", "{} ist überfällig", vec![Button::Open]),
            (
                Held,
                "The update of {} is held",
                "Das Update von {} ist zurückgehalten",
                vec![Button::Rebuild, Button::Open],
            ),
        ] {
            // A name that looks like a place to fill in stays as it is.
            let shown = Shown::One(told("A {} b", kind));
            for (lang, title) in [(Lang::En, english), (Lang::De, german)] {
                let with = shown.text(lang, true);
                assert_eq!(with.title, title.replacen("{}", "A {} b", 1));
                assert_eq!(with.buttons, buttons);
                let without = shown.text(lang, false);
                let says_more = !matches!(kind, Installed | Overdue);
                assert_eq!(without.body.len() > with.body.len(), says_more, "{kind:?}");
                assert!(!with.body.is_empty());
                let says_why = matches!(kind, Failed | RolledBack | BuildDelayed | TransfersCut);
                let why = lang
                    .pick(DETAIL, "Das Gerät konnte die Firmware nicht in seinen Flash schreiben.");
                assert_eq!(with.body == why, says_why, "{}", with.body);
            }
        }
    }

    #[test]
    fn an_installation_is_told_as_it_is_known_and_no_more() {
        use Installation::{Acknowledged, Again, AlreadyRunning, Announced};
        let text = |known, lang| {
            let installed = Some(known);
            let told = Notification { installed, ..told("Attic", NotificationKind::Installed) };
            let text = Shown::One(told).text(lang, true);
            (text.title, text.body)
        };
        for (known, title, german) in [
            (Announced, "Attic is updated", "Attic ist aktualisiert"),
            (
                Acknowledged,
                "The update of Attic is installed",
                "Das Update von Attic ist installiert",
            ),
            (
                Again,
                "The same firmware was installed on Attic again",
                "Auf Attic wurde dieselbe Firmware erneut installiert",
            ),
            (AlreadyRunning, "Attic already runs this build", "Auf Attic läuft dieser Build schon"),
        ] {
            assert_eq!(text(known, Lang::En).0, title);
            assert_eq!(text(known, Lang::De).0, german);
            for (lang, claim) in [(Lang::En, "new firmware"), (Lang::De, "neue Firmware")] {
                let body = text(known, lang).1;
                assert_eq!(body.contains(claim), known == Announced, "{body}");
            }
        }
    }

    #[test]
    fn a_group_is_updated_when_all_of_it_runs_something_new() {
        let mut all: Vec<_> =
            (1..=7).map(|n| told(&format!("d{n}"), NotificationKind::Installed)).collect();
        all[3].installed = Some(Installation::Again);
        let text = Shown::Many(all.clone()).text(Lang::En, true);
        assert_eq!(text.title, "7 updates installed");
        assert!(text.body.starts_with("Installed: d1, "), "{}", text.body);
        let mut none_sent = all.clone();
        none_sent[2].installed = Some(Installation::AlreadyRunning);
        let text = Shown::Many(none_sent.clone()).text(Lang::En, true);
        assert_eq!(text.title, "7 updates complete", "what was acknowledged wasn't seen to run");
        none_sent[3].installed = Some(Installation::Announced);
        let text = Shown::Many(none_sent).text(Lang::En, true);
        assert_eq!(text.title, "7 devices up to date");
        assert!(text.body.starts_with("Up to date: d1, "), "{}", text.body);
        all.push(told("cellar", NotificationKind::Failed));
        let text = Shown::Many(all).text(Lang::De, true);
        assert_eq!(text.title, "7 Updates installiert, 1 braucht Aufmerksamkeit");
    }

    #[test]
    fn many_are_counted_and_the_only_one_in_need_is_what_a_click_opens() {
        use NotificationKind::{Failed, Held, Installed};
        let mut all: Vec<_> = (1..=7).map(|n| told(&format!("d{n}"), Installed)).collect();
        all.push(told("cellar", Failed));
        let text = Shown::Many(all.clone()).text(Lang::En, true);
        assert_eq!(text.title, "7 devices updated, 1 needs attention");
        assert_eq!(text.body, "Needs attention: cellar.\nUpdated: d1, d2, d3, d4, d5 and 2 more.");
        assert_eq!(text.device, Some(DeviceId::of_file("cellar.yaml")));
        all.push(told("attic", Held));
        let text = Shown::Many(all).text(Lang::De, true);
        assert_eq!(text.title, "7 Geräte aktualisiert, 2 brauchen Aufmerksamkeit");
        assert_eq!(text.device, None);
    }

    #[test]
    fn every_button_is_found_by_its_key() {
        for button in [Button::Open, Button::ShowLog, Button::Retry, Button::Rebuild] {
            assert_eq!(Button::of_key(button.key()), Some(button));
        }
        assert_eq!(Button::of_key("default"), Some(Button::Open));
        assert_eq!(Button::of_key("something"), None);
    }
}
