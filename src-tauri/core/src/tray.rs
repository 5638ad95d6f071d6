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

/// What makes a menu say something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MenuChange {
    /// The lines at these places get these texts; none: it says it already. A menu that is open stays open.
    Texts(Vec<(usize, String)>),
    /// It has other lines: another menu takes its place.
    Rebuild,
}

/// How one menu becomes another. A line that does something else is another line: whoever sees it in an open menu
/// gets what it says.
#[must_use]
pub fn menu_change(before: &[TrayItem], after: &[TrayItem]) -> MenuChange {
    if before.len() != after.len() {
        return MenuChange::Rebuild;
    }
    let mut texts = Vec::new();
    for (place, (old, new)) in before.iter().zip(after).enumerate() {
        match (old, new) {
            (TrayItem::Separator, TrayItem::Separator) => {}
            (TrayItem::Text(old), TrayItem::Text(new)) => {
                texts.extend((old != new).then(|| (place, new.clone())));
            }
            (TrayItem::Line(old, does), TrayItem::Line(new, will)) if does == will => {
                texts.extend((old != new).then(|| (place, new.clone())));
            }
            (TrayItem::Separator | TrayItem::Text(_) | TrayItem::Line(..), _) => {
                return MenuChange::Rebuild;
            }
        }
    }
    MenuChange::Texts(texts)
}

/// What the tray icon shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrayView {
    pub icon: TrayIcon,
    /// The label beside the icon; `None` when there is nothing to say.
    pub title: Option<String>,
    /// What it says when the pointer rests on it.
    pub tooltip: String,
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
    // What was known by then is no reason to look at the icon.
    let away = snapshot.status.place.as_ref().filter(|place| place.away.is_some());
    let icon = if away.is_some() {
        TrayIcon::Idle
    } else if counts.attention > 0 {
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
    if let Some(place) = away {
        summary =
            format!("{} {}", lang.pick("No connection to", "Keine Verbindung zu"), place.name);
    }
    let mut menu = vec![TrayItem::Text(summary.clone())];
    if away.is_none() {
        menu.extend(waiting_lines(&snapshot.devices, lang, now));
    }
    menu.push(TrayItem::Separator);
    let pause = if paused {
        TrayItem::Line(lang.pick("Resume", "Fortsetzen").to_owned(), TrayAction::Resume)
    } else {
        TrayItem::Line(lang.pick("Pause", "Anhalten").to_owned(), TrayAction::Pause)
    };
    menu.extend(away.is_none().then_some(pause));
    menu.extend(ways_out(lang));
    TrayView {
        icon,
        title: (counts.waiting > 0 && away.is_none())
            .then(|| format!("{} {}", counts.waiting, are_waiting(counts.waiting, lang))),
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
    let parts: Vec<String> = [
        (waiting, are_waiting(waiting, lang)),
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

fn are_waiting(count: u32, lang: Lang) -> &'static str {
    match count {
        1 => lang.pick("waiting", "wartet"),
        _ => lang.pick("waiting", "warten"),
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
#[must_use]
pub fn next_wake(device: &DeviceView, lang: Lang, now: Timestamp) -> Option<String> {
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

/// What people call a device.
#[must_use]
pub fn shown_name(device: &DeviceView) -> &str {
    device.friendly_name.as_deref().filter(|name| !name.trim().is_empty()).unwrap_or(&device.name)
}

#[cfg(test)]
mod tests;
