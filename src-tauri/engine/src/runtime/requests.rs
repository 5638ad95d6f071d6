//! Requests of the window, the tray and the headless host.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use wakeflash_core::device::DeviceId;
use wakeflash_core::dispatch::Input;
use wakeflash_core::error::Problem;
use wakeflash_core::settings::Settings;
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::{BuildLog, UpdateDetails};

use super::Runtime;
use crate::handle::{ReplyTo, Request};
use crate::{builder, configs};

/// How many lines of a build log are given at once: the end of it; the file has all.
const LOG_LINES: usize = 5_000;
/// How long a directory that is chosen may take to show that it is there.
const CHOICE_PATIENCE: Duration = Duration::from_secs(2);

impl Runtime {
    pub(super) async fn take_request(&mut self, request: Request) {
        match request {
            Request::Install(device, reply) => {
                answer(reply, self.start(Input::Install(device)).await)
            }
            Request::Cancel(device, reply) => answer(reply, self.done(Input::Cancel(device)).await),
            Request::Retry(device, reply) => answer(reply, self.start(Input::Retry(device)).await),
            Request::Rebuild(device, reply) => {
                answer(reply, self.done(Input::Rebuild(device)).await)
            }
            Request::FlashAnyway(device, reply) => {
                answer(reply, self.done(Input::FlashAnyway(device)).await);
            }
            Request::Snapshot(reply) => answer(reply, Ok(self.publisher.snapshot())),
            Request::Details(device, reply) => self.details(&device, reply),
            Request::SetSettings(settings, reply) => {
                answer(reply, self.set_settings(*settings).await)
            }
            Request::ConfigDirCandidates(reply) => {
                self.spawn(async move {
                    let candidates = tokio::task::spawn_blocking(configs::candidates).await;
                    answer(
                        reply,
                        candidates.map_err(|error| {
                            Problem::new(
                                "engine.defect",
                                format!("Looking for configurations: {error}."),
                            )
                        }),
                    );
                    None
                });
            }
            Request::FindEsphome(reply) => {
                self.find_esphome();
                answer(reply, Ok(()));
            }
            Request::InstallEsphome(reply) => answer(reply, self.install_esphome()),
            Request::SetWatching(on, reply) => {
                self.watching.send_replace(on);
                answer(reply, Ok(()));
            }
        }
    }

    async fn done(&mut self, input: Input) -> Result<(), Problem> {
        self.ask_for(input).await.map(|_| ())
    }

    /// What happened before and waits to be stored comes first; until then nothing new can be stored either.
    async fn ask_for(&mut self, input: Input) -> Result<Option<UpdateId>, Problem> {
        self.take_pending().await?;
        self.decide(input).await
    }

    async fn start(&mut self, input: Input) -> Result<UpdateId, Problem> {
        self.ask_for(input)
            .await?
            .ok_or_else(|| Problem::new("engine.defect", "No update was started."))
    }

    async fn set_settings(&mut self, settings: Settings) -> Result<(), Problem> {
        let old = self.dispatch.settings().clone();
        let changed =
            settings.config_dir.as_deref().filter(|dir| old.config_dir.as_deref() != Some(*dir));
        if let Some(dir) = changed {
            can_be_chosen(Path::new(dir)).await?;
        }
        let moved = settings.config_dir != old.config_dir;
        let other_esphome = settings.esphome_path != old.esphome_path;
        self.done(Input::Settings(settings)).await?;
        self.overrides.chosen(self.dispatch.settings());
        if moved {
            self.follow_config_dir();
        }
        if other_esphome {
            self.find_esphome();
        }
        Ok(())
    }

    fn details(&mut self, device: &DeviceId, reply: ReplyTo<UpdateDetails>) {
        let Some(update) = self.dispatch.shown_update(device) else {
            let problem = Problem::new("update.none", format!("{device} never had an update."));
            answer(reply, Err(problem));
            return;
        };
        let mut view = self.dispatch.update_view(update);
        view.progress = self.publisher.progress_of(update.id).cloned();
        let timeline = update.timeline.clone();
        let path = builder::log_path(&self.options.state_dir, update.id);
        self.spawn(async move {
            let log =
                tokio::task::spawn_blocking(move || read_log(&path)).await.unwrap_or_default();
            answer(reply, Ok(UpdateDetails { update: view, timeline, log }));
            None
        });
    }
}

fn answer<T>(reply: ReplyTo<T>, result: Result<T, Problem>) {
    // Whoever asked may have gone; the state has changed all the same.
    let _ = reply.send(result);
}

fn read_log(path: &Path) -> BuildLog {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return BuildLog::default(),
        Err(error) => {
            tracing::warn!("the build log {} can't be read: {error}", path.display());
            return BuildLog {
                first_line: 0,
                lines: vec![format!("The log can't be read: {error}")],
                path: Some(path.to_string_lossy().into_owned()),
            };
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_LINES);
    BuildLog {
        first_line: u32::try_from(first).unwrap_or(u32::MAX),
        lines: lines.into_iter().skip(first).map(str::to_owned).collect(),
        path: Some(path.to_string_lossy().into_owned()),
    }
}

/// Whether a directory can become the config directory. A drive that doesn't answer is let through: it may be
/// slow, and the window tells when it can't be read.
async fn can_be_chosen(dir: &Path) -> Result<(), Problem> {
    if !dir.is_absolute() {
        return Err(Problem::new(
            "settings.relative_path",
            format!("{} is not a complete path.", dir.display()),
        )
        .with_help("Give the path from the root, such as /home/me/esphome."));
    }
    match timeout(CHOICE_PATIENCE, tokio::fs::read_dir(dir)).await {
        Ok(Err(error)) => Err(configs::dir_problem(dir, &error)),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}
