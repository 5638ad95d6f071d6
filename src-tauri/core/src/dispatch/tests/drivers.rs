//! How each row of the table of transitions is brought about.

use crate::build_failure::{BuildFailure, BuildFailureClass, Lack};
use crate::device::ConfigHash;
use crate::dispatch::{FlashOutcome, Input};
use crate::settings::{ChangedSources, Settings};
use crate::update::{Secret, StateKind, UpdateId};
use wakeflash_ota::FailureClass;

use super::lab::*;

/// An update just before the input of a row.
pub(super) struct Case {
    pub(super) lab: Lab,
    pub(super) id: UpdateId,
    pub(super) input: Input,
    /// Which of the conditions in the fourth column are met.
    pub(super) when: &'static [&'static str],
}

/// Of these, conditions are met.
trait When {
    fn when(self, conditions: &'static [&'static str]) -> Self;
}

impl When for Vec<Case> {
    fn when(mut self, conditions: &'static [&'static str]) -> Self {
        self.iter_mut().for_each(|case| case.when = conditions);
        self
    }
}

const LACKS_NETWORK: BuildFailureClass = BuildFailureClass::Again(Lack::Network);

/// Brings the update into the state of the first column.
pub(super) type Driver = fn(StateKind) -> Vec<Case>;

pub(super) const DRIVERS: &[(&str, Driver)] = &[
    (
        "a build slot is free, ESPHome and the config directory are there; sleepers first, then the newest wish",
        |from| at(from, |_, _| ready()),
    ),
    ("the build ended with an image", |from| {
        at(from, |_, id| Input::BuildEnded {
            update: id,
            result: Ok((build("sleepy"), Vec::new())),
        })
    }),
    ("the build failed for good", |from| {
        at(from, |_, id| build_failed(id, BuildFailureClass::Final))
    }),
    ("the build lacked something that may come back", |from| {
        let mut cases = at(from, |_, id| build_failed(id, LACKS_NETWORK));
        cases.extend(
            at(from, |_, id| build_failed(id, BuildFailureClass::Again(Lack::Esphome)))
                .when(&["it is ESPHome"]),
        );
        cases.extend(
            at(from, |lab, id| {
                for _ in 0..2 {
                    lab.give(build_failed(id, LACKS_NETWORK));
                    lab.after(7_200).give(Input::Tick);
                }
                build_failed(id, LACKS_NETWORK)
            })
            .when(&["that is the third time in a row"]),
        );
        cases
    }),
    ("the application starts again", |from| at(from, |lab, _| paused(lab, Input::Recover))),
    ("the device is seen and doesn't run the build", |_| {
        at(StateKind::Flashing, |lab, id| {
            lab.ended(id, failed(FailureClass::RetryNow));
            Input::Sighted(answer("sleepy", Some(OLD)))
        })
    }),
    ("the device is seen with the build's hash, and that hash tells, or with its stamp", |from| {
        at(from, |lab, _| {
            lab.after(5);
            Input::Sighted(answer("sleepy", Some(NEW)))
        })
    }),
    ("its image is gone from the artifact store, or damaged", |from| {
        at(from, |_, id| Input::ImageLost { update: id, problem: problem() })
    }),
    ("connected, no pause, not left alone, and a sleeper or fewer flashes than allowed", |from| {
        at(from, |_, id| Input::Connected { update: id, peer: address(7) })
    }),
    ("the device is held, and a transfer slot is free", |from| {
        at(from, |lab, id| {
            lab.passed(id);
            Input::Captured { update: id }
        })
    }),
    ("the sources changed, policy Hold", |from| at(from, |_, id| changed(id, "sleepy.yaml"))),
    (
        "built, and a source changed while it was built that had changed in an earlier build of it, too; policy Hold or Rebuild",
        |_| {
            let mut lab = Lab::with_policy(ChangedSources::Rebuild);
            let id = lab.install("sleepy");
            let result = Ok((build("sleepy"), edited("sleepy.yaml")));
            let input = Input::BuildEnded { update: id, result };
            lab.give(input.clone());
            one(lab, id, input)
        },
    ),
    ("the sources changed, policy Rebuild", |_| {
        with_policy(ChangedSources::Rebuild, |lab, id| paused(lab, changed(id, "sleepy.yaml")))
    }),
    ("the sources changed, policy Flash", |_| {
        with_policy(ChangedSources::Flash, |_, id| changed(id, "sleepy.yaml"))
    }),
    ("Rebuild", |from| at(from, |lab, _| paused(lab, Input::Rebuild(yaml("sleepy"))))),
    ("Flash anyway", |from| at(from, |_, _| Input::FlashAnyway(yaml("sleepy")))),
    ("other sources changed", |from| at(from, |_, id| changed(id, "secrets.yaml"))),
    ("the sources are again what was built", |from| {
        at(from, |_, id| Input::SourcesChecked { update: id, changes: Vec::new() })
    }),
    ("the last bytes are about to be sent", |from| {
        at(from, |lab, id| {
            lab.passed(id);
            about_to_complete(id)
        })
    }),
    ("the device acknowledged the end", |from| {
        sent(from, |id| Input::FlashEnded { update: id, outcome: FlashOutcome::Acknowledged })
    }),
    ("the connection died after the last byte", |from| {
        sent(from, |id| ended(id, FailureClass::OutcomeUnknown))
    }),
    ("the gate learned that the device runs the build", |from| {
        at(from, |_, id| Input::FlashEnded { update: id, outcome: FlashOutcome::AlreadyRunning })
    }),
    ("the gate could not tell that this is the device", |from| {
        at(from, |_, id| Input::FlashEnded { update: id, outcome: not_proven() })
    }),
    ("the gate learned that the sources changed, policy Hold", |from| {
        let outcome = FlashOutcome::SourcesChanged(edited("sleepy.yaml"));
        one_at(from, |id| Input::FlashEnded { update: id, outcome })
    }),
    ("the attempt failed, another one can help", |from| {
        const AGAIN: &str = "it isn't";
        const SENT: &str = "its image was being sent";
        let mut cases = at(from, |_, id| ended(id, FailureClass::RetryNow)).when(&[AGAIN]);
        cases.extend(cut(1).when(&[AGAIN, SENT]));
        cases.extend(cut(3).when(&[AGAIN, SENT, "that is the third time"]));
        cases.extend(
            at(from, |lab, id| {
                let memory = &mut lab.dispatch.devices.entry("sleepy").memory;
                memory.installed_password = Some(Secret("old".into()));
                ended(id, FailureClass::WrongPassword)
            })
            .when(&["it is the password"]),
        );
        cases
    }),
    ("the attempt failed for good", |from| at(from, |_, id| ended(id, FailureClass::Permanent))),
    ("the application starts again, the whole image may have been sent", |from| {
        sent(from, |_| Input::Recover)
    }),
    ("the application starts again, it can't have been", |from| at(from, |_, _| Input::Recover)),
    ("acknowledged; the device is seen with the build's hash, which doesn't tell", |_| {
        let mut lab = Lab::new();
        lab.seen("sleepy", Some(NEW));
        let id = lab.install("sleepy");
        lab.built(id);
        lab.connected(id);
        lab.acknowledged(id);
        lab.after(20);
        one(lab, id, Input::Sighted(answer("sleepy", Some(NEW))))
    }),
    ("acknowledged; the device is back and silent for 15 s", |from| at(from, silence)),
    ("acknowledged; the device is seen with another firmware", |from| {
        at(from, |lab, _| {
            lab.after(20);
            Input::Sighted(answer("sleepy", Some(OLD)))
        })
    }),
    ("outcome unknown; the device is seen with another firmware", |_| {
        at(StateKind::Flashing, |lab, id| {
            lab.cut_at_the_end(id);
            lab.after(12);
            Input::Sighted(answer("sleepy", Some(OLD)))
        })
    }),
    (
        "outcome unknown; the device is back, can't say what it runs, and is silent for 15 s; the first time",
        |_| mute(1),
    ),
    ("the same, the second time", |_| mute(2)),
    ("watched; the device says that it runs what it ran before", |_| installed(OLD)),
    ("watched; it stayed", |_| installed(NEW)),
    ("rolled back; the device says later that it runs the build", |_| {
        at(StateKind::Confirming, |lab, _| {
            lab.after(20).seen("sleepy", Some(OLD));
            lab.after(20);
            Input::Sighted(answer("sleepy", Some(NEW)))
        })
    }),
    ("the device is back", |from| {
        let mut cases = at(from, |lab, id| {
            lab.after(5);
            returned(id)
        });
        cases.extend(at(from, |lab, id| {
            lab.after(5).give(returned(id));
            lab.restart();
            returned(id)
        }));
        cases
    }),
    ("the device greets another client", |from| at(from, |_, id| serves_again(id))),
    ("Cancel", |from| at(from, |_, _| Input::Cancel(yaml("sleepy")))),
    ("Undo, within 15 s, of what was Queued or Building", |_| {
        [StateKind::Queued, StateKind::Building].into_iter().flat_map(undone).collect()
    }),
    ("Undo, within 15 s, of what was Waiting", |_| undone(StateKind::Waiting)),
    ("Undo, within 15 s, of what was Held", |_| undone(StateKind::Held)),
    ("Install", |from| at(from, |_, _| Input::Install(yaml("sleepy")))),
];

fn one(lab: Lab, id: UpdateId, input: Input) -> Vec<Case> {
    vec![Case { lab, id, input, when: &[] }]
}

fn at(from: StateKind, go_on: fn(&mut Lab, UpdateId) -> Input) -> Vec<Case> {
    let (mut lab, id) = Lab::at(from);
    let input = go_on(&mut lab, id);
    one(lab, id, input)
}

fn one_at(from: StateKind, input: impl FnOnce(UpdateId) -> Input) -> Vec<Case> {
    let (lab, id) = Lab::at(from);
    let input = input(id);
    one(lab, id, input)
}

/// The whole image may have been sent.
fn sent(from: StateKind, input: fn(UpdateId) -> Input) -> Vec<Case> {
    let (mut lab, id) = Lab::at(from);
    lab.passed(id);
    lab.give(about_to_complete(id));
    one(lab, id, input(id))
}

fn with_policy(policy: ChangedSources, go_on: fn(&mut Lab, UpdateId) -> Input) -> Vec<Case> {
    let mut lab = Lab::with_policy(policy);
    let id = lab.install("sleepy");
    lab.built(id);
    let input = go_on(&mut lab, id);
    one(lab, id, input)
}

/// What is queued isn't built in the same decision.
fn paused(lab: &mut Lab, input: Input) -> Input {
    let settings = lab.dispatch.settings().clone();
    lab.give(Input::Settings(Settings { paused: true, ..settings }));
    input
}

fn build_failed(id: UpdateId, class: BuildFailureClass) -> Input {
    Input::BuildEnded { update: id, result: Err(BuildFailure { class, problem: problem() }) }
}

fn changed(id: UpdateId, path: &str) -> Input {
    Input::SourcesChecked { update: id, changes: edited(path) }
}

fn about_to_complete(id: UpdateId) -> Input {
    Input::AboutToComplete { update: id, encrypted: false }
}

fn ended(id: UpdateId, class: FailureClass) -> Input {
    Input::FlashEnded { update: id, outcome: failed(class) }
}

fn silence(lab: &mut Lab, id: UpdateId) -> Input {
    lab.after(12).give(returned(id));
    lab.after(16);
    Input::Tick
}

fn cut(times: usize) -> Vec<Case> {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    for _ in 1..times {
        lab.after(60).connected(id);
        lab.captured(id);
        lab.ended(id, failed(FailureClass::RetryNow));
    }
    lab.after(60).connected(id);
    lab.captured(id);
    one(lab, id, ended(id, FailureClass::RetryNow))
}

/// A device that never announces a hash, and so can't say what it runs.
fn mute(times: usize) -> Vec<Case> {
    let mut lab = Lab::with(vec![config("mute")]);
    lab.seen("mute", None);
    let id = lab.install("mute");
    lab.built(id);
    let mut input = Input::Tick;
    for _ in 0..times {
        lab.give(input);
        lab.connected(id);
        lab.cut_at_the_end(id);
        input = silence(&mut lab, id);
    }
    one(lab, id, input)
}

/// Installed, and asleep since; what it runs in its next wake.
fn installed(then: ConfigHash) -> Vec<Case> {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.after(10).give(Input::Sighted(goodbye("sleepy")));
    lab.after(600);
    one(lab, id, Input::Sighted(answer("sleepy", Some(then))))
}

fn undone(was: StateKind) -> Vec<Case> {
    let (mut lab, id) = Lab::at(was);
    let undo = paused(&mut lab, Input::UndoCancel(vec![yaml("sleepy")]));
    lab.give(Input::Cancel(yaml("sleepy")));
    one(lab, id, undo)
}
