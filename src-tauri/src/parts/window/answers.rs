//! What the window's process asks for, and what it gets.

use std::sync::Arc;

use tauri::{AppHandle, Manager};
use tokio::io::BufReader;
use tokio::process::ChildStdout;
use tokio::sync::{Semaphore, mpsc, oneshot};
use wakeflash_core::error::Problem;
use wakeflash_core::request::EngineRequest;
use wakeflash_core::view::BuildLog;
use wakeflash_engine::handle::{Asked, json};
use wakeflash_esphome::compile::plain;
use wakeflash_remote::{Destination, Places, Ssh};

use super::process::Said;
use crate::means::tasks::Tasks;
use crate::means::{notification_server, preferences, program};
use crate::messages::state::AppState;
use crate::messages::wire::{
    self, Answer, AppInfo, AppRequest, Closing, ShellRequest, ToApplication, ToWindow,
};

/// How many requests are dealt with at once. Beyond that the window's pipe isn't read.
const AT_ONCE: usize = 32;

/// Whom a request comes from.
#[derive(Clone)]
struct Asker {
    app: AppHandle,
    said: mpsc::Sender<Said>,
}

impl Asker {
    async fn say(&self, said: Said) {
        if let Err(error) = self.said.send(said).await {
            tracing::debug!("{:?}, and its window is gone", error.0);
        }
    }

    /// Whether its page listens; that of a window that is gone doesn't.
    async fn page_listens(&self) -> bool {
        let (answer, listens) = oneshot::channel();
        self.say(Said::Asks(answer)).await;
        listens.await.unwrap_or(false)
    }
}

/// Takes requests until the window's process closes its pipe. What it asked for is done, also when it has ended
/// meanwhile.
pub(super) async fn take(
    stdout: ChildStdout,
    app: &AppHandle,
    tasks: &Tasks,
    messages: &mpsc::Sender<ToWindow>,
    said: &mpsc::Sender<Said>,
) {
    let asker = Asker { app: app.clone(), said: said.clone() };
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let (mut input, mut buffer) = (BufReader::new(stdout), Vec::new());
    loop {
        let message = match wire::next(&mut input, &mut buffer, wire::TO_APPLICATION).await {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(error) => return tracing::error!("the window can't be heard: {error}"),
        };
        let (id, request) = match message {
            ToApplication::Ask { id, request } => (id, request),
            ToApplication::Shown => {
                asker.say(Said::Shown).await;
                continue;
            }
            ToApplication::Closing => {
                asker.say(Said::Closes).await;
                continue;
            }
        };
        // Never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (asker, messages) = (asker.clone(), messages.clone());
        tasks.spawn(async move {
            let answer = answer(&asker, request).await;
            if messages.send(ToWindow::Answer { id, answer }).await.is_err() {
                tracing::debug!("nobody waits for the answer to request {id} any more");
            }
            drop(permit);
        });
    }
}

async fn answer(asker: &Asker, request: AppRequest) -> Answer {
    match request {
        AppRequest::Engine(request) => engine_answer(asker, request).await,
        AppRequest::Shell(request) => shell_answer(asker, request).await,
    }
}

/// What the engine answers, and what the application has to do with it.
async fn engine_answer(asker: &Asker, request: EngineRequest) -> Answer {
    if let EngineRequest::Shutdown {} = request {
        asker.app.exit(0);
        return json(&());
    }
    let looks = matches!(request, EngineRequest::Snapshot {});
    if looks {
        // The page subscribes to its events before it asks for everything there is to see.
        asker.say(Said::Listens).await;
    }
    let state = asker.app.state::<AppState>();
    let engine = state.engine()?;
    if looks {
        preferences::reconcile(engine).await;
    }
    if let EngineRequest::ChangeSettings { change } = request {
        return json(&preferences::set(engine, change).await?);
    }
    engine.answer(request).await
}

async fn shell_answer(asker: &Asker, request: ShellRequest) -> Answer {
    let state = asker.app.state::<AppState>();
    match request {
        ShellRequest::AppInfo {} => json(&app_info(asker).await),
        ShellRequest::ConfigDir {} => {
            let shown = state.engine()?.snapshot().await?;
            match shown.status.place {
                // What it calls its files may be anything here.
                Some(place) => Err(wakeflash_remote::not_here(&place.name)),
                None => json(&shown.settings.config_dir),
            }
        }
        ShellRequest::LogText { update } => {
            let engine = state.engine()?;
            let log = engine.ask(|reply| Asked::BuildLog { update, reply }).await?;
            let here = engine.snapshot().await?.status.place.is_none();
            json(&log_text(log, here).await?)
        }
        ShellRequest::TryPlace { place } => json(
            &wakeflash_remote::try_out(
                &Ssh::default(),
                &place.try_into()?,
                state.paths.state_dir(),
            )
            .await,
        ),
        ShellRequest::TrustHost { place, fingerprint } => {
            let (place, dir) = (place.try_into()?, state.paths.state_dir());
            json(&wakeflash_remote::trust(&Ssh::default(), &place, &fingerprint, dir).await?)
        }
        ShellRequest::StartService { place } => {
            wakeflash_remote::start_service(&Ssh::default(), &place.try_into()?).await?;
            json(&reconnect(&state))
        }
        ShellRequest::WorkAt { place } => {
            state.work_at(place.map(Destination::try_from).transpose()?).await?;
            asker.app.exit(0);
            json(&())
        }
        ShellRequest::ForgetPlace { place } => {
            let mut places = Places::read(state.paths.state_dir())?;
            places.forget(&place.try_into()?);
            places.write(state.paths.state_dir())?;
            json(&names(&places))
        }
        ShellRequest::Reconnect {} => json(&reconnect(&state)),
        ShellRequest::Closing {} => {
            let unseen = !state.tray_visible() && state.engine().is_ok();
            json(&closing(unseen, asker.page_listens().await))
        }
        ShellRequest::MendStore { choice } => {
            state.mend_store(choice).await?;
            asker.app.exit(0);
            json(&())
        }
        ShellRequest::Stay {} => {
            asker.say(Said::Stays).await;
            json(&())
        }
    }
}

fn reconnect(state: &AppState) {
    if let Some(hurry) = &state.hurry {
        hurry.notify_one();
    }
}

fn names(places: &Places) -> Vec<String> {
    places.known.iter().map(Destination::to_string).collect()
}

/// A log without its colours: all of it, or of one that is elsewhere as much as is told. A path from there isn't one here.
async fn log_text(log: BuildLog, here: bool) -> Result<Option<String>, Problem> {
    let all = match (log.path, here) {
        (None, true) => return Ok(None),
        (Some(path), true) => tokio::fs::read(path).await.map_err(|error| {
            Problem::new("log.not_saved", format!("The log can't be saved: {error}."))
        })?,
        (_, false) if log.lines.is_empty() => return Ok(None),
        (_, false) => log.lines.join("\n").into_bytes(),
    };
    let lines = String::from_utf8_lossy(&all);
    Ok(Some(lines.lines().map(|line| plain(line).into_owned() + "\n").collect()))
}

async fn app_info(asker: &Asker) -> AppInfo {
    let state = asker.app.state::<AppState>();
    // Why they can't be read is why there is no engine.
    let places = Places::read(state.paths.state_dir()).unwrap_or_default();
    AppInfo {
        version: asker.app.package_info().version.to_string(),
        license: env!("CARGO_PKG_LICENSE").to_owned(),
        notifications: notification_server::server().await,
        tray: state.tray_visible(),
        reopens: program::told_of_other_starts().await,
        demo: state.demo,
        place: places.at.as_ref().map(Destination::to_string),
        places: names(&places),
        log_dir: state.paths.log_dir().display().to_string(),
        start_problem: state.engine().err(),
        damage: state.damage(),
    }
}

/// With a tray icon the window comes back by a click there; without one the user is asked, because a program that goes
/// on unseen is a surprise. `unseen`: that is so, and there is something that goes on. A page that doesn't listen can't
/// ask, and keeps no window open.
fn closing(unseen: bool, listens: bool) -> Closing {
    if unseen && listens { Closing::Ask } else { Closing::Close }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_of_the_box_is_never_one_of_this_computer() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "of this \u{1b}[31mcomputer").unwrap();
        let path = Some(file.path().display().to_string());
        let log = BuildLog { first_line: 0, lines: vec!["of the box".to_owned()], path };
        assert_eq!(log_text(log.clone(), false).await.unwrap().unwrap(), "of the box\n");
        assert_eq!(log_text(log, true).await.unwrap().unwrap(), "of this computer\n");
    }

    #[test]
    fn who_could_not_open_the_window_again_is_asked_by_a_page_that_listens() {
        assert_eq!(closing(true, true), Closing::Ask);
        assert_eq!(closing(true, false), Closing::Close);
        assert_eq!(closing(false, true), Closing::Close);
    }
}
