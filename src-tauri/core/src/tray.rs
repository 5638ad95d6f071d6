//! What the tray icon shows, as data.

use core::time::Duration;

use crate::device::DeviceId;
use crate::time::Timestamp;
use crate::view::{DeviceView, Event, Snapshot, UpdateStateView};
use crate::words::Lang;

/// How many devices the menu lists; a menu with hundreds of lines can't be used.
const LISTED: usize = 12;
/// The greatest number that the icon shows; more are this many and a plus.
const SHOWN_AT_MOST: u32 = 9;

/// Which picture the icon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrayIcon {
    /// Nothing is to be done.
    Idle,
    /// Updates wait for their devices: 1 to 9, or 10 for more than that.
    Waiting(u8),
    /// Something is built or flashed.
    Working,
    /// The user has to decide or to look at a failure.
    Attention,
}

/// What a line of the menu does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrayAction {
    /// Open the window at a device.
    OpenDevice(DeviceId),
    /// Begin no new build and no new flash.
    Pause,
    /// Begin them again.
    Resume,
    /// Open the window.
    Open,
    /// End the application.
    Quit,
}

/// A part of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrayItem {
    /// A text that can't be clicked.
    Text(String),
    /// A line that can.
    Line(String, TrayAction),
    /// A line between the parts.
    Separator,
}

/// What the tray icon shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrayView {
    /// The picture.
    pub icon: TrayIcon,
    /// The label beside the icon; `None` when there is nothing to say.
    pub title: Option<String>,
    /// What it says when the pointer rests on it.
    pub tooltip: String,
    /// The menu.
    pub menu: Vec<TrayItem>,
}

impl TrayView {
    /// What is shown before anything is known.
    #[must_use]
    pub fn starting(lang: Lang) -> Self {
        let text = lang.pick("Starting", "Startet").to_owned();
        let menu = [TrayItem::Text(text.clone()), TrayItem::Separator];
        let menu = menu.into_iter().chain(ways_out(lang)).collect();
        Self { icon: TrayIcon::Idle, title: None, tooltip: format!("Wakeflash: {text}"), menu }
    }
}

/// Computes what the tray icon shows.
#[must_use]
pub fn tray_view(snapshot: &Snapshot, lang: Lang, now: Timestamp) -> TrayView {
    let counts = snapshot.status.counts;
    let icon = if counts.attention > 0 {
        TrayIcon::Attention
    } else if counts.working > 0 {
        TrayIcon::Working
    } else if counts.waiting > 0 {
        let shown = counts.waiting.min(SHOWN_AT_MOST + 1);
        TrayIcon::Waiting(u8::try_from(shown).unwrap_or(u8::MAX))
    } else {
        TrayIcon::Idle
    };
    let mut summary = summary(counts.waiting, counts.working, counts.attention, lang);
    let paused = snapshot.status.paused;
    if paused {
        summary = format!("{}: {summary}", lang.pick("Paused", "Angehalten"));
    }
    let waiting = format!("{} {}", counts.waiting, lang.pick("waiting", "warten"));
    let mut menu = vec![TrayItem::Text(summary.clone())];
    menu.extend(waiting_lines(&snapshot.devices, lang, now));
    menu.push(TrayItem::Separator);
    let pause = if paused {
        TrayItem::Line(lang.pick("Resume", "Fortsetzen").to_owned(), TrayAction::Resume)
    } else {
        TrayItem::Line(lang.pick("Pause", "Anhalten").to_owned(), TrayAction::Pause)
    };
    menu.push(pause);
    menu.extend(ways_out(lang));
    TrayView {
        icon,
        title: (counts.waiting > 0).then_some(waiting),
        tooltip: format!("Wakeflash: {summary}"),
        menu,
    }
}

fn ways_out(lang: Lang) -> [TrayItem; 2] {
    [
        TrayItem::Line(
            lang.pick("Open Wakeflash", "Wakeflash öffnen").to_owned(),
            TrayAction::Open,
        ),
        TrayItem::Line(lang.pick("Quit", "Beenden").to_owned(), TrayAction::Quit),
    ]
}

/// Whether an event can change what [`tray_view`] says.
#[must_use]
pub fn concerns_tray(event: &Event) -> bool {
    match event {
        Event::Device { device } => device.update.is_some(),
        Event::DeviceRemoved { .. } | Event::Status { .. } | Event::Settings { .. } => true,
        Event::Progress { .. } | Event::BuildOutput { .. } => false,
    }
}

fn summary(waiting: u32, working: u32, attention: u32, lang: Lang) -> String {
    let needs = |count| match count {
        1 => lang.pick("needs attention", "braucht Aufmerksamkeit"),
        _ => lang.pick("need attention", "brauchen Aufmerksamkeit"),
    };
    let waits = |count| match count {
        1 => lang.pick("waiting", "wartet"),
        _ => lang.pick("waiting", "warten"),
    };
    let parts: Vec<String> = [
        (waiting, waits(waiting)),
        (working, lang.pick("in progress", "in Arbeit")),
        (attention, needs(attention)),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    if parts.is_empty() {
        lang.pick("No updates waiting", "Keine Updates warten").to_owned()
    } else {
        parts.join(", ")
    }
}

fn waiting_lines(devices: &[DeviceView], lang: Lang, now: Timestamp) -> Vec<TrayItem> {
    let mut waiting: Vec<&DeviceView> = devices.iter().filter(|device| waits(device)).collect();
    // The next to wake come first; of the others nothing is known, or they are late.
    waiting.sort_by_key(|device| {
        let next = device.wake.and_then(|wake| wake.next.filter(|_| !wake.overdue));
        (next.is_none(), next)
    });
    let mut lines: Vec<TrayItem> = waiting
        .iter()
        .take(LISTED)
        .map(|device| {
            let line = match next_wake(device, lang, now) {
                Some(wake) => format!("{} ({wake})", shown_name(device)),
                None => shown_name(device).to_owned(),
            };
            TrayItem::Line(line, TrayAction::OpenDevice(device.id.clone()))
        })
        .collect();
    if let Some(more) = waiting.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let text = match lang {
            Lang::En => format!("and {more} more"),
            Lang::De => format!("und {more} weitere"),
        };
        lines.push(TrayItem::Line(text, TrayAction::Open));
    }
    lines
}

/// When a device is expected, in a few words; the same that the window says: both are tested with
/// `words/next_wake.json`.
fn next_wake(device: &DeviceView, lang: Lang, now: Timestamp) -> Option<String> {
    let wake = device.wake?;
    if wake.overdue {
        return Some(lang.pick("overdue", "überfällig").to_owned());
    }
    let next = wake.next?;
    let left = next.since(now);
    if left <= seconds(wake.jitter_seconds.unwrap_or(0)) {
        return Some(lang.pick("any moment", "jeden Moment").to_owned());
    }
    let often = wake.period_seconds.is_some_and(|period| seconds(period) < OFTEN);
    let (minutes, hours) = (rounded(left, 60), rounded(left, HOUR));
    // The number stays with its unit.
    let words = match (minutes, hours) {
        _ if left < if often { OFTEN } else { SHORTLY } => {
            format!("{}\u{a0}s", rounded(left, 10).max(1) * 10)
        }
        (0..60, _) => format!("{}\u{a0}min", minutes.max(1)),
        (_, 0..24) => format!("{hours}\u{a0}h"),
        _ => match rounded(left, 24 * HOUR) {
            1 => lang.pick("1 day", "1 Tag").to_owned(),
            days => format!("{days} {}", lang.pick("days", "Tagen")),
        },
    };
    Some(format!("in ~{words}"))
}

const HOUR: u64 = 3_600;

/// Of a device that wakes at least so often, seconds are told.
const OFTEN: Duration = Duration::from_secs(120);
/// Of others, only when it is nearer than that.
const SHORTLY: Duration = Duration::from_secs(55);

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// How many times so many seconds it is, to the nearest.
fn rounded(left: Duration, unit_seconds: u64) -> u64 {
    let doubled = u64::try_from(left.as_millis() * 2).unwrap_or(u64::MAX) / 1_000;
    (doubled / unit_seconds).div_ceil(2)
}

/// How long the words about the next wakes hold.
#[must_use]
pub fn holds_for(snapshot: &Snapshot, now: Timestamp) -> Duration {
    let counted = snapshot.devices.iter().filter(|device| waits(device)).any(|device| {
        let next = device.wake.filter(|wake| !wake.overdue).and_then(|wake| wake.next);
        next.is_some_and(|next| next.since(now) < OFTEN)
    });
    Duration::from_secs(if counted { 10 } else { 30 })
}

fn waits(device: &DeviceView) -> bool {
    device
        .update
        .as_ref()
        .is_some_and(|update| matches!(update.state, UpdateStateView::Waiting { .. }))
}

fn shown_name(device: &DeviceView) -> &str {
    device.friendly_name.as_deref().filter(|name| !name.trim().is_empty()).unwrap_or(&device.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{DeviceId, Presence};
    use crate::schedule::Rhythm;
    use crate::settings::Settings;
    use crate::update::UpdateId;
    use crate::view::{
        Action, ConfigDirStatus, Counts, EsphomeStatus, Progress, Status, UpdateView, WakeView,
    };

    fn snapshot(counts: Counts, devices: Vec<DeviceView>) -> Snapshot {
        Snapshot {
            revision: 1,
            devices,
            status: Status {
                config_dir: ConfigDirStatus::Unset,
                esphome: EsphomeStatus::Searching,
                store: None,
                network: None,
                other_tools: Vec::new(),
                paused: false,
                counts,
            },
            settings: Settings::default(),
        }
    }

    fn device(
        name: &str,
        friendly_name: Option<&str>,
        state: Option<UpdateStateView>,
    ) -> DeviceView {
        DeviceView {
            id: DeviceId::of_file(format!("{name}.yaml")),
            name: name.to_owned(),
            friendly_name: friendly_name.map(str::to_owned),
            file: Some(format!("{name}.yaml")),
            problem: None,
            platform: None,
            presence: Presence::Asleep,
            last_seen: None,
            addresses: Vec::new(),
            mac: None,
            deployed_version: None,
            deployed_hash: None,
            deep_sleep: true,
            wake: None,
            modified: false,
            update_available: false,
            user_address: None,
            update: state.map(|state| UpdateView {
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
        Some(UpdateStateView::Waiting { since: Timestamp::from_millis(0) })
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
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("words/next_wake.json")).unwrap();
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
        let queued = Some(UpdateStateView::Queued { ahead: 0 });
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
        let german = ["Angehalten: 2 warten", "Mail box", "cellar", "-", "Fortsetzen"];
        assert_eq!(lines(&view)[..5], german);
        assert_eq!(lines(&view)[5..], ["Wakeflash öffnen", "Beenden"]);
        assert!(view.menu.contains(&TrayItem::Line("Fortsetzen".into(), TrayAction::Resume)));
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
    fn progress_and_output_do_not_concern_the_tray() {
        let of = DeviceId::of_file("a.yaml");
        let progress = Progress { percent: Some(1), step: "Compiling".to_owned() };
        assert!(!concerns_tray(&Event::Progress {
            device: of.clone(),
            update: UpdateId(1),
            progress
        }));
        assert!(concerns_tray(&Event::DeviceRemoved { id: of }));
        assert!(!concerns_tray(&Event::Device { device: Box::new(device("a", None, None)) }));
        assert!(concerns_tray(&Event::Device { device: Box::new(device("a", None, waiting())) }));
    }
}
