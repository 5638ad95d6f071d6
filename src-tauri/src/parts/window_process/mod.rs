//! The process of the window: the web view and its page, and a pipe each way to the application, which has all the
//! rest. It ends with its window, and with the application.

pub(crate) mod commands;
mod desktop;
mod dialog;
mod pipes;
mod remote;
mod theme;

use std::process::ExitCode;
use std::time::Duration;

use tauri::{AppHandle, CloseRequestApi, Manager, RunEvent, WebviewWindowBuilder, WindowEvent};
use tauri_specta::Event as _;
use tokio::io::BufReader;
use wakeflash_core::error::Problem;
use wakeflash_core::view::Event;

use crate::means::cli::Cli;
use crate::means::display;
use crate::means::logging::{self, complain};
use crate::means::paths::Paths;
use crate::means::program::context;
use crate::messages::events::{CloseRequested, EngineEvent};
use crate::messages::wire::{Closing, ShellRequest, ToWindow};
use pipes::Pipes;
use remote::Remote;

const MAIN: &str = "main";

/// How long the application has to say what closing means.
const CLOSING: Duration = Duration::from_secs(5);

/// How long it may take to end in good order when the application is gone.
const END: Duration = Duration::from_secs(2);

/// What it ends with when it was started by hand, as with any wrong use of the command line.
const MISUSED: u8 = 2;

/// What it ends with when the web view's own process is gone, or hangs.
const PAGE_GONE: i32 = 3;

/// How long the web view's own process may hang, from when WebKit has noticed.
#[cfg(target_os = "linux")]
const HANGING: Duration = Duration::from_secs(10);

/// Shows the window until it is closed or the application is gone.
#[must_use]
pub(crate) fn run(cli: &Cli) -> ExitCode {
    let pipes = match Pipes::take() {
        Ok(pipes) => pipes,
        Err(error) => {
            complain(&format!("{error}. Start wakeflash without it."));
            return ExitCode::from(MISUSED);
        }
    };
    logging::start_in_window();
    match build(cli, pipes) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            tracing::error!("the window can't be opened: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build(cli: &Cli, pipes: Pipes) -> anyhow::Result<i32> {
    name_process();
    let paths = Paths::of(cli).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    display::check()?;
    let api = commands::api();
    let app = tauri::Builder::default()
        .invoke_handler(tauri::generate_handler![commands::request])
        .setup(move |app| {
            api.mount_events(app);
            app.manage(paths);
            // Tauri would panic with the error.
            if let Err(error) = set_up(app.handle(), pipes) {
                tracing::error!("the window can't be opened: {error:#}");
                std::process::exit(1);
            }
            Ok(())
        })
        .build(context())?;
    Ok(app.run_return(handle))
}

fn set_up(app: &AppHandle, pipes: Pipes) -> anyhow::Result<()> {
    let (remote, lines) = Remote::new();
    app.manage(remote.clone());
    tauri::async_runtime::block_on(async {
        let (input, output) = pipes.open()?;
        tokio::spawn(remote::speak(lines, output));
        tokio::spawn(follow(app.clone(), remote, BufReader::new(input)));
        Ok::<(), std::io::Error>(())
    })?;
    open(app)?;
    say_shown(app);
    Ok(())
}

/// In lists of processes: it was started as `/proc/self/exe`, which would call it `exe`.
fn name_process() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::set_name(c"wakeflash") {
        tracing::debug!("the process has no name: {error}");
    }
}

/// It ends with its last window; that needs nothing here.
fn handle(app: &AppHandle, event: RunEvent) {
    if let RunEvent::WindowEvent { event: WindowEvent::CloseRequested { api, .. }, .. } = event {
        close_requested(app, &api);
    }
}

fn open(app: &AppHandle) -> tauri::Result<()> {
    let config = app.config().app.windows.iter().find(|window| window.label == MAIN);
    let config = config.ok_or(tauri::Error::WindowNotFound)?;
    let mut window = WebviewWindowBuilder::from_config(app, config)?
        .data_directory(app.state::<Paths>().webview_dir());
    if let Some(ground) = theme::ground() {
        window = window.background_color(ground);
    }
    let window = window.build()?;
    end_without_page(&window)?;
    window.set_focus()
}

/// A page whose process has died would stay white, and one whose process hangs would stay as it is: the application
/// opens the window anew. WebKit notices that it hangs when the user does something there.
#[cfg(target_os = "linux")]
fn end_without_page(window: &tauri::WebviewWindow) -> tauri::Result<()> {
    use gtk::glib::{self, prelude::ObjectExt};
    const RESPONSIVE: &str = "is-web-process-responsive";
    window.with_webview(|view| {
        let view = view.inner();
        view.connect("web-process-terminated", false, |_| {
            tracing::error!("the web view's process is gone");
            std::process::exit(PAGE_GONE)
        });
        view.connect_notify_local(Some(RESPONSIVE), |view, _| {
            let view = view.downgrade();
            glib::timeout_add_local_once(HANGING, move || {
                if view.upgrade().is_some_and(|view| !view.property::<bool>(RESPONSIVE)) {
                    tracing::error!("the web view's process hangs");
                    std::process::exit(PAGE_GONE)
                }
            });
        });
    })
}

#[cfg(not(target_os = "linux"))]
fn end_without_page(_window: &tauri::WebviewWindow) -> tauri::Result<()> {
    Ok(())
}

/// Does what the application says, until it is gone; then this process ends, too.
async fn follow(app: AppHandle, remote: Remote, input: impl tokio::io::AsyncBufRead + Unpin) {
    remote.listen(input, |message| told(&app, message)).await;
    tracing::debug!("the application is gone");
    app.exit(0);
    tokio::time::sleep(END).await;
    tracing::error!("the window doesn't end in good order");
    end_at_once();
}

/// Without the handlers that an orderly end runs, one of which may be what it hangs in.
fn end_at_once() {
    #[cfg(unix)]
    if let Err(error) =
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
    {
        tracing::error!("the window's process can't be killed: {error}");
    }
    std::process::exit(1);
}

fn told(app: &AppHandle, message: ToWindow) {
    let emitted = match message {
        ToWindow::Event(envelope) => {
            if let Event::Settings { settings } = &envelope.event {
                theme::follow(app, settings.theme, envelope.revision);
            }
            EngineEvent(*envelope).emit(app)
        }
        ToWindow::Open(device) => device.emit(app),
        ToWindow::Quit(question) => question.emit(app),
        ToWindow::Show => to_front(app),
        // Taken before it comes here.
        ToWindow::Answer { .. } => Ok(()),
    };
    if let Err(error) = emitted {
        tracing::error!("the page wasn't told: {error}");
    }
}

fn to_front(app: &AppHandle) -> tauri::Result<()> {
    let on_main = app.clone();
    app.run_on_main_thread(move || {
        let Some(window) = on_main.get_webview_window(MAIN) else { return };
        let shown = window.show().and_then(|()| window.unminimize());
        match shown.and_then(|()| window.set_focus()) {
            Ok(()) => say_shown(&on_main),
            Err(error) => tracing::error!("the window can't be shown: {error}"),
        }
    })
}

fn say_shown(app: &AppHandle) {
    let remote = app.state::<Remote>().inner().clone();
    tauri::async_runtime::spawn(async move { remote.shown().await });
}

/// The user wants to close the window: the application knows whether it could be opened again with a click.
fn close_requested(app: &AppHandle, api: &CloseRequestApi) {
    api.prevent_close();
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let remote = app.state::<Remote>().inner().clone();
        let asked = tokio::time::timeout(CLOSING, remote.ask(ShellRequest::Closing {})).await;
        if let Ok(Ok(Closing::Ask)) = asked {
            // A window can be closed from a task bar while it is hidden, and nobody would see the question.
            match CloseRequested.emit(&app).and_then(|()| to_front(&app)) {
                Ok(()) => return,
                Err(error) => tracing::error!("the page can't be asked whether to quit: {error}"),
            }
        }
        if let Err(problem) = close(&app).await {
            tracing::error!("{problem}");
            app.exit(1);
        }
    });
}

/// Closes the window; the application goes on. It knows before: however this process ends then, the window was closed.
///
/// # Errors
/// The window system refuses.
async fn close(app: &AppHandle) -> Result<(), Problem> {
    let Some(window) = app.get_webview_window(MAIN) else { return Ok(()) };
    let remote = app.state::<Remote>().inner().clone();
    remote.closing().await;
    window.destroy().map_err(|error| {
        tracing::error!("the window can't be closed: {error}");
        Problem::new("window.close", "The window can't be closed.")
    })
}
