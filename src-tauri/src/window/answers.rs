//! What the window's process asks for, and what it gets.

use std::sync::Arc;

use tauri::{AppHandle, Manager};
use tokio::io::BufReader;
use tokio::process::ChildStdout;
use tokio::sync::{Semaphore, mpsc, oneshot};
use wakeflash_engine::command::{execute, json};

use super::process::Said;
use crate::state::AppState;
use crate::tasks::Tasks;
use crate::wire::{self, Answer, Closing, Request, Surroundings, ToApplication, ToWindow};
use crate::{notify, preferences, tray_host};

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

async fn answer(asker: &Asker, request: Request) -> Answer {
    let state = asker.app.state::<AppState>();
    match request {
        Request::Engine(command) => execute(state.engine()?, command).await,
        Request::Look => {
            asker.say(Said::Listens).await;
            let engine = state.engine()?;
            preferences::reconcile(engine).await;
            json(&engine.snapshot().await?)
        }
        Request::ConfigDir => json(&state.engine()?.snapshot().await?.settings.config_dir),
        Request::LogFile(update) => json(&state.engine()?.build_log(update).await?.path),
        Request::ChangeSettings(change) => json(&preferences::set(state.engine()?, change).await?),
        Request::Surroundings => json(&Surroundings {
            notifications: notify::server().await,
            tray: state.tray_visible(),
            reopens: tray_host::told_of_other_starts().await,
            demo: state.demo,
            start_problem: state.engine().err(),
            damage: state.damage(),
        }),
        Request::Close => {
            let unseen = !state.tray_visible() && state.engine().is_ok();
            json(&closing(unseen, asker.page_listens().await))
        }
        Request::Quit => {
            asker.app.exit(0);
            json(&())
        }
        Request::MendStore(choice) => {
            state.mend_store(choice).await?;
            asker.app.exit(0);
            json(&())
        }
        Request::Stay => {
            asker.say(Said::Stays).await;
            json(&())
        }
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

    #[test]
    fn who_could_not_open_the_window_again_is_asked_by_a_page_that_listens() {
        assert_eq!(closing(true, true), Closing::Ask);
        assert_eq!(closing(true, false), Closing::Close);
        assert_eq!(closing(false, true), Closing::Close);
    }
}
