//! Putting the loop together with what it works with.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wakeflash_core::conductor::{Conductor, Ticket};
use wakeflash_core::dispatch::Dispatch;

use super::builds::build_marker;
use super::overrides::Overrides;
use super::publish::Publisher;
use super::report::Report;
use super::work::Work;
use super::{EngineOptions, Runtime, backups, logs, now, other_tools, surroundings};
use crate::artifacts::Artifacts;
use crate::handle::{Asked, Handle, Shell};
use crate::store::{Loaded, Store};
use crate::watch::{Feeds, Watch, WatchEvent};

/// How many events a client may be behind before it loses some and has to ask for a snapshot.
const EVENTS_KEPT: usize = 1_024;

/// What the loop listens to.
pub(super) struct Queues {
    pub(super) requests: mpsc::Receiver<Asked>,
    pub(super) watched: mpsc::Receiver<WatchEvent>,
    pub(super) reports: mpsc::Receiver<Report>,
}

/// The loop with what was stored, what it listens to, and how to speak to it.
pub(super) fn assemble(
    options: EngineOptions,
    shell: Arc<dyn Shell>,
    store: Store,
    loaded: Loaded,
) -> (Runtime, Queues, Handle) {
    let Loaded { updates, memories, wakes, mut settings, next_id, problems } = loaded;
    let overrides = Overrides::apply(&options, &mut settings);
    let (requests, request_queue) = mpsc::channel(64);
    let (events, _) = broadcast::channel(EVENTS_KEPT);
    let cancel = CancellationToken::new();
    let mut publisher = Publisher::new(events.clone(), settings.clone());
    publisher.change_status(|status| status.store_warnings = problems);
    let (targets, target_list) = watch::channel(Vec::new());
    let (watch_events, watched) = mpsc::channel(256);
    let (online, online_list) = watch::channel(Vec::new());
    let (watching, is_watching) = watch::channel(false);
    let (known, known_names) = watch::channel(Vec::new());
    let feeds = Feeds {
        targets: target_list,
        online: online_list,
        watching: is_watching,
        known: known_names,
    };
    let watch = Watch::start(feeds, watch_events, &cancel.child_token());
    let (reports, report_queue) = mpsc::channel(256);
    let runtime = Runtime {
        followed: settings.clone(),
        conductor: Conductor::new(Dispatch::new(
            settings,
            updates,
            memories,
            wakes,
            next_id,
            now(),
        )),
        replies: BTreeMap::new(),
        next_ticket: Ticket(0),
        publisher,
        store,
        artifacts: Artifacts::new(&options.state_dir),
        marker: build_marker(&options.state_dir),
        options,
        overrides,
        shell,
        watch,
        targets,
        online,
        watching,
        known,
        tasks: JoinSet::new(),
        reports,
        cancel,
        work: Work::default(),
        connections: BTreeMap::new(),
        surroundings: surroundings::Surroundings::default(),
        other_tools: other_tools::OtherTools::default(),
        backups: backups::Clock::default(),
        logs: logs::Logs::default(),
    };
    let queues = Queues { requests: request_queue, watched, reports: report_queue };
    (runtime, queues, Handle::new(requests, events))
}
