//! The application's life: start, run, end.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tauri::{AppHandle, Manager, RunEvent};
use wakeflash_core::error::Problem;
use wakeflash_core::settings::Language;
use wakeflash_core::tray::TrayView;
use wakeflash_engine::runtime::{self, Engine, EngineOptions};

use crate::cli::Cli;
use crate::notify::Notifier;
use crate::paths::Paths;
use crate::state::AppState;
use crate::tasks::Tasks;
use crate::window::{Early, Keeper, Window};
use crate::{context, language, logging, notify, signals, tray, tray_host};

/// How long the engine has to end builds and transfers.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

/// What has to be ended before the process does.
#[derive(Clone, Default)]
struct Running {
    engine: Arc<Mutex<Option<Engine>>>,
    window: Arc<OnceLock<Window>>,
    tasks: Tasks,
}

/// Runs the application until it is ended.
#[must_use]
pub(crate) fn run(cli: Cli) -> ExitCode {
    let (paths, problem) = match Paths::of(&cli) {
        Ok(paths) => (paths.clone(), paths.create().err()),
        Err(problem) => (Paths::nowhere(), Some(problem)),
    };
    if let Err(error) = logging::start(&paths) {
        complain(&format!("there is no log: {error}"));
    }
    match build(cli, paths, problem) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("Wakeflash can't start: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The last resort, before there is a log.
#[allow(clippy::print_stderr)]
fn complain(text: &str) {
    eprintln!("wakeflash: {text}");
}

fn build(cli: Cli, paths: Paths, problem: Option<Problem>) -> anyhow::Result<ExitCode> {
    // Tauri panics when there is no display.
    gtk::init().map_err(|_| {
        anyhow::anyhow!("there is no display for a window; wakeflash-headless works without one")
    })?;
    let running = Running::default();
    let at_exit = running.clone();
    let app = tauri::Builder::default()
        .plugin(single_instance(&paths))
        .setup(move |app| {
            set_up(app.handle(), &cli, paths, problem, &running);
            Ok(())
        })
        .build(context())?;
    let code = app.run_return(move |app, event| handle(app, event, &at_exit));
    tracing::info!("ended with {code}");
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Hands a second start to the first one, which shows its window. It comes before everything else.
fn single_instance(paths: &Paths) -> tauri::plugin::TauriPlugin<tauri::Wry> {
    tauri_plugin_single_instance::Builder::new()
        .dbus_id(paths.bus_name())
        .callback(|app, arguments, _directory| {
            if !arguments.iter().any(|argument| argument == "--hidden") {
                show(app);
            }
        })
        .build()
}

/// Shows the window. Over the main thread: a second start may come before everything is set up there.
fn show(app: &AppHandle) {
    let on_main = app.clone();
    if let Err(error) = app.run_on_main_thread(move || on_main.state::<AppState>().window.show()) {
        tracing::error!("the window can't be shown: {error}");
    }
}

fn set_up(app: &AppHandle, cli: &Cli, paths: Paths, problem: Option<Problem>, running: &Running) {
    let tasks = &running.tasks;
    tracing::info!("Wakeflash {} at {}", app.package_info().version, paths.state_dir().display());
    let (notifier, notifications) = Notifier::new();
    let (window, wishes) = Window::new();
    let early = if cli.hidden { None } else { Early::start(&paths) };
    let started = match problem {
        Some(problem) => Err(problem),
        None => start_engine(cli, &paths, notifier),
    };
    let handle = started.as_ref().map(|engine| engine.handle.clone()).map_err(Clone::clone);
    if let (Ok(engine), Ok(mut slot)) = (started, running.engine.lock()) {
        *slot = Some(engine);
    }
    app.manage(AppState::new(paths, window.clone(), handle.clone()));
    // It is ended by its own means, before the engine.
    let keeper = Keeper::run(app.clone(), tasks.clone(), wishes, early);
    tauri::async_runtime::spawn(keeper);
    if running.window.set(window.clone()).is_err() {
        tracing::error!("the application was set up twice");
    }
    tasks.spawn(signals::follow(app.clone()));
    match handle {
        Ok(handle) => {
            tasks.spawn(notify::deliver(app.clone(), handle.clone(), notifications));
            if let Some(icon) = tray::build(app, TrayView::starting(language::of(Language::System)))
            {
                app.state::<AppState>().set_tray(icon);
                tasks.spawn(tray_host::watch(app.clone()));
                tasks.spawn(tray::follow(app.clone(), handle));
            }
        }
        // The window says why, whether it was wanted or not.
        Err(_) => window.show(),
    }
}

fn start_engine(cli: &Cli, paths: &Paths, notifier: Notifier) -> Result<Engine, Problem> {
    let options = EngineOptions {
        state_dir: paths.state_dir().to_owned(),
        config_dir: cli.config.clone(),
        esphome: cli.esphome.clone(),
    };
    tauri::async_runtime::block_on(runtime::start(options, Arc::new(notifier))).map_err(|error| {
        let problem = error.problem();
        tracing::error!("the engine can't start: {:#}", anyhow::Error::from(error));
        problem
    })
}

fn handle(app: &AppHandle, event: RunEvent, running: &Running) {
    // Tauri's own enum, open for growth: what isn't named here needs nothing.
    #[allow(clippy::wildcard_enum_match_arm)]
    match event {
        // Only what was asked for with a code ends the application, unless it has nothing to go on with.
        RunEvent::ExitRequested { code: None, api, .. }
            if app.state::<AppState>().engine().is_ok() =>
        {
            api.prevent_exit();
        }
        RunEvent::Exit => tauri::async_runtime::block_on(end(running)),
        _ => {}
    }
}

/// Ends everything that runs, in good order.
async fn end(running: &Running) {
    if let Some(window) = running.window.get() {
        window.end().await;
    }
    let engine = match running.engine.lock() {
        Ok(mut engine) => engine.take(),
        Err(poisoned) => poisoned.into_inner().take(),
    };
    if let Some(engine) = engine
        && tokio::time::timeout(SHUTDOWN_LIMIT, engine.shutdown()).await.is_err()
    {
        tracing::error!("the engine didn't end in time; its work goes on at the next start");
    }
    running.tasks.end().await;
}
