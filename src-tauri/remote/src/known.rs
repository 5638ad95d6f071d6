//! What is known of the engine elsewhere: a copy of what it shows, which follows its events and outlives the connection.

use wakeflash_core::settings::{Settings, SettingsChange};
use wakeflash_core::view::{
    Action, Away, ConfigDirStatus, Counts, Envelope, EsphomeStatus, Event, Place, Snapshot, Status,
};

/// What became of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Applied {
    /// It is told with this revision.
    Next(Box<Envelope>),
    /// It is in the copy already.
    Old,
    /// One before it is missing: everything has to be asked for again.
    Gap,
}

/// The copy. Its revisions are our own: those of the engine begin anew whenever that is started.
#[derive(Debug)]
pub(crate) struct Known {
    /// As the engine says it.
    told: Snapshot,
    /// As those count who look at the copy.
    revision: u32,
    pub(crate) place: Place,
    /// What belongs to the screen.
    pub(crate) screen: SettingsChange,
}

impl Known {
    pub(crate) fn nothing(name: String, screen: SettingsChange) -> Self {
        let status = Status {
            config_dir: ConfigDirStatus::Reading { path: String::new() },
            esphome: EsphomeStatus::Searching,
            store: None,
            store_warnings: Vec::new(),
            network: None,
            other_tools: Vec::new(),
            paused: false,
            counts: Counts::default(),
            place: None,
        };
        let told =
            Snapshot { revision: 0, devices: Vec::new(), status, settings: Settings::default() };
        let place = Place { name, away: Some(Away::default()) };
        Self { told, revision: 0, place, screen }
    }

    /// What is shown. While there is no connection nothing can be done.
    pub(crate) fn shown(&self) -> Snapshot {
        let mut shown = self.told.clone();
        shown.revision = self.revision;
        shown.settings = self.settings(&self.told.settings);
        shown.status.place = Some(self.place.clone());
        if self.place.away.is_some() {
            for device in &mut shown.devices {
                device.primary = Action::None;
                device.secondary = Vec::new();
            }
        }
        shown
    }

    /// The engine's settings, with those of the screen in the place of its own.
    pub(crate) fn settings(&self, theirs: &Settings) -> Settings {
        self.screen.clone().applied_to(theirs).unwrap_or_else(|error| {
            tracing::error!("the settings of the screen have no meaning: {error}");
            theirs.clone()
        })
    }

    /// Everything anew.
    pub(crate) fn replace(&mut self, told: Snapshot) {
        self.told = told;
    }

    /// Something about the place, or all, is different: whoever looks finds a gap and asks for everything.
    pub(crate) fn all_changed(&mut self) -> Envelope {
        self.revision = self.revision.wrapping_add(1);
        self.status_changed()
    }

    fn status_changed(&mut self) -> Envelope {
        let status = Status { place: Some(self.place.clone()), ..self.told.status.clone() };
        self.next(Event::Status { status: Box::new(status) })
    }

    /// The settings of the screen are others.
    pub(crate) fn screen_changed(&mut self) -> Envelope {
        let settings = self.settings(&self.told.settings);
        self.next(Event::Settings { settings })
    }

    fn next(&mut self, event: Event) -> Envelope {
        self.revision = self.revision.wrapping_add(1);
        Envelope { revision: self.revision, event }
    }

    /// An event of the engine.
    pub(crate) fn apply(&mut self, envelope: Envelope) -> Applied {
        let ahead = envelope.revision.wrapping_sub(self.told.revision).cast_signed();
        if ahead <= 0 {
            return Applied::Old;
        }
        if ahead > 1 {
            return Applied::Gap;
        }
        self.told.revision = envelope.revision;
        let told = match envelope.event {
            Event::Device { device } => {
                match self.told.devices.iter_mut().find(|known| known.id == device.id) {
                    Some(known) => known.clone_from(&device),
                    None => self.told.devices.push((*device).clone()),
                }
                Event::Device { device }
            }
            Event::DeviceRemoved { id } => {
                self.told.devices.retain(|known| known.id != id);
                Event::DeviceRemoved { id }
            }
            Event::Status { status } => {
                self.told.status = *status;
                return Applied::Next(Box::new(self.status_changed()));
            }
            Event::Settings { settings } => {
                self.told.settings = settings;
                return Applied::Next(Box::new(self.screen_changed()));
            }
            Event::Progress { device, update, progress } => {
                let known = self.told.devices.iter_mut().find(|known| known.id == device);
                let known = known.and_then(|known| known.update.as_mut());
                if let Some(known) = known.filter(|known| known.id == update) {
                    known.progress = Some(progress.clone());
                }
                Event::Progress { device, update, progress }
            }
            output @ Event::BuildOutput { .. } => output,
        };
        Applied::Next(Box::new(self.next(told)))
    }
}

#[cfg(test)]
mod tests {
    use wakeflash_core::notification::Meanwhile;
    use wakeflash_core::settings::{NotifyKinds, Theme};
    use wakeflash_core::words::Lang;

    use super::*;

    fn event(revision: u32, paused: bool) -> Envelope {
        let status = Status {
            paused,
            ..Known::nothing(String::new(), SettingsChange::default()).told.status
        };
        Envelope { revision, event: Event::Status { status: Box::new(status) } }
    }

    #[test]
    fn revisions_go_on_whatever_those_of_the_engine_do() {
        let mut known = Known::nothing("box".to_owned(), SettingsChange::default());
        let first = known.all_changed().revision;
        known.replace(Snapshot { revision: 900, ..known.told.clone() });
        let second = known.all_changed().revision;
        assert!(second > first + 1, "whoever looks finds a gap");
        assert_eq!(known.apply(event(900, true)), Applied::Old);
        let Applied::Next(told) = known.apply(event(901, true)) else { panic!("it is the next") };
        assert_eq!(told.revision, second + 1);
        assert!(known.shown().status.paused);
        assert_eq!(known.shown().revision, second + 1);
        assert_eq!(known.apply(event(903, true)), Applied::Gap);
        // The engine was started anew.
        known.replace(Snapshot { revision: 2, ..known.told.clone() });
        assert!(known.all_changed().revision > second + 2);
        assert!(matches!(known.apply(event(3, false)), Applied::Next(_)));
    }

    #[test]
    fn what_belongs_to_the_screen_is_not_the_engines() {
        let here = Settings { theme: Theme::Dark, paused: true, ..Settings::default() };
        let mut known = Known::nothing("box".to_owned(), SettingsChange::of_the_screen(&here));
        let theirs = Settings { theme: Theme::Light, max_builds: 3, ..Settings::default() };
        known.replace(Snapshot { settings: theirs, ..known.told.clone() });
        let shown = known.shown().settings;
        assert_eq!((shown.theme, shown.max_builds, shown.paused), (Theme::Dark, 3, false));
    }

    fn device(name: &str, update: u64, state: serde_json::Value) -> serde_json::Value {
        serde_json::json!({
            "id": name, "name": name, "presence": "asleep", "addresses": [], "labels": [], "recordsLog": false, "trust": "unknown", "hasKey": false,
            "deepSleep": true, "modified": false, "updateAvailable": false, "primary": "none", "secondary": [],
            "update": {"id": update, "requestedAt": 0, "state": state, "attempts": 0},
        })
    }

    #[test]
    fn what_happened_meanwhile_is_counted_once_for_each_device() {
        let waiting =
            || serde_json::json!({"kind": "waiting", "since": 0, "mayHaveArrived": false});
        let installed = || serde_json::json!({"kind": "installed", "at": 0, "how": "confirmed", "watched": false});
        let problem = serde_json::json!({"code": "build.failed", "message": "No.", "help": null});
        let failed = || {
            let mut state = serde_json::json!({"kind": "failed", "at": 0, "rolledBack": false, "mayHaveArrived": false});
            state["problem"] = problem.clone();
            state
        };
        let of = |devices: Vec<serde_json::Value>| Snapshot {
            devices: serde_json::from_value(devices.into()).unwrap(),
            ..Known::nothing(String::new(), SettingsChange::default()).told
        };
        let before = of(vec![
            device("a", 1, waiting()),
            device("b", 2, waiting()),
            device("old", 3, installed()),
            device("again", 4, installed()),
            device("bad", 5, failed()),
        ]);
        let mut after = of(vec![
            device("a", 1, installed()),
            device("b", 2, failed()),
            device("old", 3, installed()),
            device("again", 9, installed()),
            device("bad", 5, failed()),
        ]);
        let what = Meanwhile::between(&before, &after);
        assert_eq!(what, Meanwhile { updated: 2, attention: 1 });
        let text = what.text(Lang::En).unwrap();
        assert_eq!(
            (text.title.as_str(), text.body.as_str()),
            ("While you were away", "2 devices updated, 1 needs you.")
        );
        after.settings.notify = NotifyKinds::all(false);
        assert_eq!(Meanwhile::between(&before, &after).text(Lang::En), None);
    }
}
