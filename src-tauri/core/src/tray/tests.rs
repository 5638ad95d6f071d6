use super::*;
use crate::device::{DeviceId, Presence};
use crate::schedule::Rhythm;
use crate::settings::Settings;
use crate::update::UpdateId;
use crate::view::{
    Action, Away, ConfigDirStatus, Counts, EsphomeStatus, Place, Progress, Status, Trust,
    UpdateView, WakeView,
};

fn snapshot(counts: Counts, devices: Vec<DeviceView>) -> Snapshot {
    Snapshot {
        revision: 1,
        devices,
        status: Status {
            config_dir: ConfigDirStatus::Unset,
            esphome: EsphomeStatus::Searching,
            store: None,
            store_warnings: Vec::new(),
            network: None,
            other_tools: Vec::new(),
            paused: false,
            counts,
            place: None,
        },
        settings: Settings::default(),
    }
}

fn device(name: &str, friendly_name: Option<&str>, state: Option<UpdateStateView>) -> DeviceView {
    DeviceView {
        id: DeviceId::of_file(format!("{name}.yaml")),
        name: name.to_owned(),
        friendly_name: friendly_name.map(str::to_owned),
        area: None,
        labels: Vec::new(),
        file: Some(format!("{name}.yaml")),
        problem: None,
        platform: None,
        crash_loop: None,
        presence: Presence::Asleep,
        last_seen: None,
        addresses: Vec::new(),
        mac: None,
        trust: Trust::Unknown,
        rival: None,
        has_key: false,
        deployed_version: None,
        deployed_hash: None,
        deep_sleep: true,
        wake: None,
        modified: false,
        update_available: false,
        user_address: None,
        previous_build: None,
        records_log: false,
        update: state.map(|state| UpdateView {
            rests_until: None,
            id: UpdateId(1),
            requested_at: Timestamp::from_millis(0),
            state,
            progress: None,
            attempts: 0,
            last_attempt: None,
            warning: None,
            encrypted: None,
            wanted_hash: None,
            wanted_version: None,
        }),
        primary: Action::Cancel,
        secondary: Vec::new(),
    }
}

fn waiting() -> Option<UpdateStateView> {
    Some(UpdateStateView::Waiting { since: Timestamp::from_millis(0), may_have_arrived: false })
}

const NOW: Timestamp = Timestamp::from_millis(0);

#[test]
fn the_next_to_wake_come_first_with_the_time_till_then() {
    let expected = |name: &str, seconds: Option<i64>, period, jitter, overdue| {
        let mut device = device(name, None, waiting());
        device.wake = Some(WakeView {
            rhythm: Rhythm::Regular,
            period_seconds: Some(period),
            jitter_seconds: Some(jitter),
            next: seconds.map(|seconds| Timestamp::from_millis(seconds * 1_000)),
            overdue,
            window_seconds: None,
        });
        device
    };
    let devices = vec![
        expected("late", Some(60), 3_600, 5, true),
        expected("days", Some(180_000), 200_000, 5, false),
        expected("hours", Some(6_000), 7_200, 5, false),
        expected("never", None, 3_600, 5, false),
        expected("soon", Some(720), 3_600, 5, false),
        expected("shortly", Some(50), 3_600, 5, false),
        expected("asleep", Some(30), 45, 7, false),
        expected("often", Some(110), 115, 7, false),
        expected("near", Some(7), 45, 7, false),
        expected("now", Some(-1), 3_600, 5, false),
    ];
    let snapshot = snapshot(Counts { waiting: 10, working: 0, attention: 0 }, devices);
    let view = tray_view(&snapshot, Lang::En, NOW);
    let wanted = [
        "now (any moment)",
        "near (any moment)",
        "asleep (in ~30\u{a0}s)",
        "shortly (in ~50\u{a0}s)",
        "often (in ~110\u{a0}s)",
        "soon (in ~12\u{a0}min)",
        "hours (in ~2\u{a0}h)",
        "days (in ~2 days)",
        "late (overdue)",
        "never",
    ];
    assert_eq!(holds_for(&snapshot, NOW), Duration::from_secs(10));
    assert_eq!(lines(&view)[1..=10], wanted);
}

#[test]
fn without_a_connection_it_says_that_and_nothing_that_may_be_over() {
    let known = vec![device("garden", None, waiting())];
    let mut snapshot = snapshot(Counts { waiting: 1, working: 0, attention: 1 }, known);
    let place = |away| Some(Place { name: "sam@box".to_owned(), away });
    snapshot.status.place = place(Some(Away::default()));
    let view = tray_view(&snapshot, Lang::En, NOW);
    assert_eq!((view.icon, &view.title), (TrayIcon::Idle, &None));
    assert_eq!(view.tooltip, "Wakeflash: No connection to sam@box");
    assert_eq!(lines(&view), ["No connection to sam@box", "-", "Open Wakeflash", "Quit"]);
    snapshot.status.place = place(None);
    assert_eq!(tray_view(&snapshot, Lang::En, NOW).icon, TrayIcon::Attention);
}

#[derive(serde::Deserialize)]
struct Case {
    left: i64,
    period: Option<u32>,
    jitter: Option<u32>,
    en: String,
    de: String,
}

#[test]
fn the_next_wake_is_told_as_in_the_window() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../words/next_wake.json")).unwrap();
    for Case { left, period, jitter, en, de } in cases {
        let mut device = device("a", None, waiting());
        device.wake = Some(WakeView {
            rhythm: Rhythm::Configured,
            period_seconds: period,
            jitter_seconds: jitter,
            next: Some(Timestamp::from_millis(left * 1_000)),
            overdue: false,
            window_seconds: None,
        });
        assert_eq!(next_wake(&device, Lang::En, NOW), Some(en), "{left} of {period:?}");
        assert_eq!(next_wake(&device, Lang::De, NOW), Some(de), "{left} of {period:?}");
    }
}

fn lines(view: &TrayView) -> Vec<&str> {
    let text = |item| match item {
        &TrayItem::Text(ref text) | &TrayItem::Line(ref text, _) => text.as_str(),
        &TrayItem::Separator => "-",
    };
    view.menu.iter().map(text).collect()
}

#[test]
fn nothing_to_do_is_idle_and_has_no_label() {
    let view =
        tray_view(&snapshot(Counts::default(), vec![device("a", None, None)]), Lang::En, NOW);
    assert_eq!((view.icon, view.title.as_deref()), (TrayIcon::Idle, None));
    assert_eq!(view.tooltip, "Wakeflash: No updates waiting");
    assert_eq!(holds_for(&snapshot(Counts::default(), Vec::new()), NOW).as_secs(), 30);
    assert_eq!(lines(&view), ["No updates waiting", "-", "Pause", "Open Wakeflash", "Quit"]);
}

#[test]
fn waiting_devices_are_counted_and_lead_to_their_details() {
    let counts = Counts { waiting: 2, working: 0, attention: 0 };
    let queued = Some(UpdateStateView::Queued { ahead: 0, again: None });
    let mut snapshot = snapshot(
        counts,
        vec![
            device("mailbox", Some("Mail box"), waiting()),
            device("cellar", Some(" "), waiting()),
            device("attic", None, queued),
        ],
    );
    let view = tray_view(&snapshot, Lang::En, NOW);
    assert_eq!(view.icon, TrayIcon::Waiting(2));
    assert_eq!(view.title.as_deref(), Some("2 waiting"));
    let opens = TrayAction::OpenDevice(DeviceId::of_file("mailbox.yaml"));
    assert_eq!(view.menu[1], TrayItem::Line("Mail box".into(), opens));
    assert_eq!(lines(&view)[2], "cellar");

    snapshot.status.paused = true;
    let view = tray_view(&snapshot, Lang::De, NOW);
    assert_eq!(view.title.as_deref(), Some("2 warten"));
    let german = ["Angehalten: 2 warten", "Mail box", "cellar", "-", "Fortsetzen"];
    assert_eq!(lines(&view)[..5], german);
    assert_eq!(lines(&view)[5..], ["Wakeflash öffnen", "Beenden"]);
    assert!(view.menu.contains(&TrayItem::Line("Fortsetzen".into(), TrayAction::Resume)));
    snapshot.status.counts.waiting = 1;
    assert_eq!(tray_view(&snapshot, Lang::De, NOW).title.as_deref(), Some("1 wartet"));
}

#[test]
fn what_needs_the_user_comes_before_what_works_before_what_waits() {
    let icon = |waiting, working, attention| {
        let counts = Counts { waiting, working, attention };
        let view = tray_view(&snapshot(counts, Vec::new()), Lang::En, NOW);
        (view.icon, view.tooltip)
    };
    let says = |text: &str| format!("Wakeflash: {text}");
    assert_eq!(icon(1, 0, 0), (TrayIcon::Waiting(1), says("1 waiting")));
    assert_eq!(icon(12, 0, 0).0, TrayIcon::Waiting(10), "more than the icon can show");
    assert_eq!(icon(1, 2, 0), (TrayIcon::Working, says("1 waiting, 2 in progress")));
    assert_eq!(icon(0, 2, 1), (TrayIcon::Attention, says("2 in progress, 1 needs attention")));
    assert_eq!(icon(0, 0, 3), (TrayIcon::Attention, says("3 need attention")));
}

#[test]
fn a_long_list_is_cut_with_a_word_about_it() {
    let devices = (0..20).map(|n| device(&format!("d{n}"), None, waiting())).collect();
    let snapshot = snapshot(Counts { waiting: 20, working: 0, attention: 0 }, devices);
    let view = tray_view(&snapshot, Lang::En, NOW);
    let last = TrayItem::Line("and 8 more".into(), TrayAction::Open);
    assert_eq!(view.menu[LISTED + 1], last);
    assert_eq!(view.menu[LISTED + 2], TrayItem::Separator);
}

#[test]
fn a_menu_is_replaced_only_when_its_lines_do_something_else() {
    let mut near = device("cellar", None, waiting());
    near.wake = Some(WakeView {
        rhythm: Rhythm::Regular,
        period_seconds: Some(45),
        jitter_seconds: Some(5),
        next: Some(Timestamp::from_millis(30_000)),
        overdue: false,
        window_seconds: None,
    });
    let counts = Counts { waiting: 2, working: 0, attention: 0 };
    let mut now = snapshot(counts, vec![near, device("attic", None, waiting())]);
    let before = tray_view(&now, Lang::En, NOW).menu;
    assert_eq!(menu_change(&before, &before), MenuChange::Texts(Vec::new()));
    // Every ten seconds while a wake is near.
    let later = tray_view(&now, Lang::En, Timestamp::from_millis(10_000)).menu;
    let nearer = vec![(1, "cellar (in ~20\u{a0}s)".to_owned())];
    assert_eq!(menu_change(&before, &later), MenuChange::Texts(nearer));
    // An update begins, and another is done.
    now.status.counts = Counts { waiting: 1, working: 1, attention: 0 };
    let busy = tray_view(&now, Lang::En, NOW).menu;
    let says = vec![(0, "1 waiting, 1 in progress".to_owned())];
    assert_eq!(menu_change(&before, &busy), MenuChange::Texts(says));
    // Another order, another action, fewer lines.
    now.devices[0].wake = None;
    now.devices.swap(0, 1);
    assert_eq!(menu_change(&before, &tray_view(&now, Lang::En, NOW).menu), MenuChange::Rebuild);
    let mut other = before.clone();
    let pause = TrayItem::Line("Pause".to_owned(), TrayAction::Pause);
    let place = other.iter().position(|item| *item == pause).unwrap();
    other[place] = TrayItem::Line("Resume".to_owned(), TrayAction::Resume);
    assert_eq!(menu_change(&before, &other), MenuChange::Rebuild);
    assert_eq!(menu_change(&before, &before[1..]), MenuChange::Rebuild);
}

#[test]
fn progress_and_output_do_not_concern_the_tray() {
    let of = DeviceId::of_file("a.yaml");
    let progress = Progress { percent: Some(1), step: "Compiling".to_owned() };
    assert!(!concerns_tray(&Event::Progress { device: of.clone(), update: UpdateId(1), progress }));
    assert!(concerns_tray(&Event::DeviceRemoved { id: of }));
    assert!(!concerns_tray(&Event::Device { device: Box::new(device("a", None, None)) }));
    assert!(concerns_tray(&Event::Device { device: Box::new(device("a", None, waiting())) }));
}
