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
        BuildDelayed, Failed, Held, Installed, NotReturned, Overdue, RolledBack, TransfersCut,
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
        (NotReturned, "{} did not come back", "{} ist nicht zurückgekommen", vec![Button::Open]),
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
            let says_more = !matches!(kind, Installed | Overdue | NotReturned);
            assert_eq!(without.body.len() > with.body.len(), says_more, "{kind:?}");
            assert!(!with.body.is_empty());
            let says_why =
                matches!(kind, Failed | RolledBack | BuildDelayed | TransfersCut | NotReturned);
            let why =
                lang.pick(DETAIL, "Das Gerät konnte die Firmware nicht in seinen Flash schreiben.");
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
        (Acknowledged, "The update of Attic is installed", "Das Update von Attic ist installiert"),
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
