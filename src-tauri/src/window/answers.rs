//! What the window's process asks for, and what it gets.

use std::sync::Arc;

use tauri::{AppHandle, Manager};
use tokio::io::BufReader;
use tokio::process::ChildStdout;
use tokio::sync::{Semaphore, mpsc};
use wakeflash_engine::command::{execute, json};

use super::process::Said;
use crate::state::AppState;
use crate::tasks::Tasks;
use crate::wire::{self, Answer, Closing, Request, Surroundings, ToApplication, ToWindow};
use crate::{notify, preferences};

/// How many requests are dealt with at once. Beyond that the window's pipe isn't read.
const AT_ONCE: usize = 32;

/// Takes requests until the window's process closes its pipe. What it asked for is done, also when it has ended
/// meanwhile.
pub(super) async fn take(
    stdout: ChildStdout,
    app: &AppHandle,
    tasks: &Tasks,
    messages: &mpsc::Sender<ToWindow>,
    said: &mpsc::Sender<Said>,
) {
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
                if said.send(Said::Shown).await.is_err() {
                    return;
                }
                continue;
            }
        };
        // Never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (app, messages, said) = (app.clone(), messages.clone(), said.clone());
        tasks.spawn(async move {
            let answer = answer(&app, request, &said).await;
            if messages.send(ToWindow::Answer { id, answer }).await.is_err() {
                tracing::debug!("nobody waits for the answer to request {id} any more");
            }
            drop(permit);
        });
    }
}

async fn answer(app: &AppHandle, request: Request, said: &mpsc::Sender<Said>) -> Answer {
    let state = app.state::<AppState>();
    match request {
        Request::Engine(command) => execute(state.engine()?, command).await,
        Request::Look => {
            let engine = state.engine()?;
            preferences::reconcile(engine).await;
            if said.send(Said::Listens).await.is_err() {
                tracing::debug!("the page listens, and its window is gone");
            }
            json(&engine.snapshot().await?)
        }
        Request::SetSettings(settings) => json(&preferences::set(state.engine()?, settings).await?),
        Request::Surroundings => json(&Surroundings {
            notifications: notify::server().await,
            tray: state.tray_visible(),
            start_problem: state.engine().err(),
        }),
        Request::Close => json(&closing(&state)),
        Request::Quit => {
            app.exit(0);
            json(&())
        }
        Request::Stay => {
            state.quit.settled();
            json(&())
        }
    }
}

/// With a tray icon the window comes back by a click there; without one the user is asked, because a program that
/// goes on unseen is a surprise. Without an engine nothing goes on.
fn closing(state: &AppState) -> Closing {
    if state.tray_visible() || state.engine().is_err() { Closing::Close } else { Closing::Ask }
}
