//! What the tray icon shows, as data.

use crate::view::{DeviceView, Event, Snapshot, UpdateStateView};

/// How many devices the menu lists; a menu with hundreds of lines can't be used.
const LISTED: usize = 12;

/// Which picture the icon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrayIcon {
    /// Nothing is to be done.
    Idle,
    /// Updates wait for their devices.
    Waiting,
    /// Something is built or flashed.
    Working,
    /// The user has to decide or to look at a failure.
    Attention,
}

/// What the tray icon shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrayView {
    /// The picture.
    pub icon: TrayIcon,
    /// The label beside the icon; `None` when there is nothing to say.
    pub title: Option<String>,
    /// The first line of the menu.
    pub summary: String,
    /// The lines after it: the waiting devices.
    pub waiting: Vec<String>,
}

impl TrayView {
    /// What is shown before anything is known, and when the engine didn't start.
    #[must_use]
    pub fn empty(icon: TrayIcon, summary: &str) -> Self {
        Self { icon, title: None, summary: summary.to_owned(), waiting: Vec::new() }
    }
}

/// Computes what the tray icon shows.
#[must_use]
pub fn tray_view(snapshot: &Snapshot) -> TrayView {
    let counts = snapshot.status.counts;
    let icon = if counts.attention > 0 {
        TrayIcon::Attention
    } else if counts.working > 0 {
        TrayIcon::Working
    } else if counts.waiting > 0 {
        TrayIcon::Waiting
    } else {
        TrayIcon::Idle
    };
    TrayView {
        icon,
        title: (counts.waiting > 0).then(|| format!("{} waiting", counts.waiting)),
        summary: summary(counts.waiting, counts.working, counts.attention),
        waiting: waiting_lines(&snapshot.devices),
    }
}

/// Whether an event can change what [`tray_view`] says.
#[must_use]
pub fn concerns_tray(event: &Event) -> bool {
    match event {
        Event::Device { device } => device.update.is_some(),
        Event::DeviceRemoved { .. } | Event::Status { .. } => true,
        Event::Settings { .. } | Event::Progress { .. } | Event::BuildOutput { .. } => false,
    }
}

fn summary(waiting: u32, working: u32, attention: u32) -> String {
    let parts: Vec<String> =
        [(waiting, "waiting"), (working, "in progress"), (attention, "need attention")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| match (count, what) {
                (1, "need attention") => "1 needs attention".to_owned(),
                (count, what) => format!("{count} {what}"),
            })
            .collect();
    if parts.is_empty() { "No updates waiting".to_owned() } else { parts.join(", ") }
}

fn waiting_lines(devices: &[DeviceView]) -> Vec<String> {
    let names: Vec<&str> = devices.iter().filter(|device| waits(device)).map(shown_name).collect();
    let mut lines: Vec<String> = names.iter().take(LISTED).map(|name| (*name).to_owned()).collect();
    if names.len() > LISTED {
        lines.push(format!("and {} more", names.len() - LISTED));
    }
    lines
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
    use crate::settings::Settings;
    use crate::time::Timestamp;
    use crate::update::UpdateId;
    use crate::view::{
        Action, ConfigDirStatus, Counts, EsphomeStatus, Progress, Status, UpdateView,
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

    #[test]
    fn nothing_to_do_is_idle_and_has_no_label() {
        let view = tray_view(&snapshot(Counts::default(), vec![device("a", None, None)]));
        assert_eq!(view, TrayView::empty(TrayIcon::Idle, "No updates waiting"));
    }

    #[test]
    fn waiting_devices_are_counted_and_named() {
        let counts = Counts { waiting: 2, working: 0, attention: 0 };
        let queued = Some(UpdateStateView::Queued { ahead: 0 });
        let view = tray_view(&snapshot(
            counts,
            vec![
                device("mailbox", Some("Mail box"), waiting()),
                device("cellar", Some(" "), waiting()),
                device("attic", None, queued),
            ],
        ));
        assert_eq!(view.icon, TrayIcon::Waiting);
        assert_eq!(view.title.as_deref(), Some("2 waiting"));
        assert_eq!(view.waiting, ["Mail box", "cellar"]);
    }

    #[test]
    fn what_needs_the_user_comes_before_what_works_before_what_waits() {
        let icon = |waiting, working, attention| {
            let counts = Counts { waiting, working, attention };
            let view = tray_view(&snapshot(counts, Vec::new()));
            (view.icon, view.summary)
        };
        assert_eq!(icon(1, 0, 0), (TrayIcon::Waiting, "1 waiting".to_owned()));
        assert_eq!(icon(1, 2, 0), (TrayIcon::Working, "1 waiting, 2 in progress".to_owned()));
        assert_eq!(
            icon(0, 2, 1),
            (TrayIcon::Attention, "2 in progress, 1 needs attention".to_owned())
        );
        assert_eq!(icon(0, 0, 3), (TrayIcon::Attention, "3 need attention".to_owned()));
    }

    #[test]
    fn a_long_list_is_cut_with_a_word_about_it() {
        let devices = (0..20).map(|n| device(&format!("d{n}"), None, waiting())).collect();
        let view = tray_view(&snapshot(Counts { waiting: 20, working: 0, attention: 0 }, devices));
        assert_eq!(view.waiting.len(), LISTED + 1);
        assert_eq!(view.waiting.last().map(String::as_str), Some("and 8 more"));
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
