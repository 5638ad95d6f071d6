//! The application's life: start, run, end.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tauri::{AppHandle, Manager, RunEvent};
use tokio::sync::Notify;
use wakeflash_core::error::Problem;
use wakeflash_core::notification::Defect;
use wakeflash_core::settings::Language;
use wakeflash_core::tray::TrayView;
use wakeflash_engine::handle::{Asked, Handle};
use wakeflash_engine::runtime::{self, Engine, EngineOptions};
use wakeflash_remote::{Places, Remote, Ssh};

use crate::means::cli::Cli;
use crate::means::logging::complain;
use crate::means::paths::Paths;
use crate::means::program::context;
use crate::means::tasks::Tasks;
use crate::means::{display, language, logging, program, signals};
use crate::messages::notifier::Notifier;
use crate::messages::state::{AppState, NoEngine};
use crate::messages::window::Window;
use crate::parts::window::{Early, Keeper};
use crate::parts::{notify, tray};

/// How long the engine has to end builds and transfers.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

/// A defect that comes again in less time comes again with each start.
const COMES_AGAIN: Duration = Duration::from_secs(60);

/// How long a notification has to be shown before the application ends.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What has to be ended before the process does.
#[derive(Clone, Default)]
struct Running {
    engine: Arc<Mutex<Option<Works>>>,
    window: Arc<OnceLock<Window>>,
    tasks: Tasks,
    /// It is being ended.
    ending: Arc<AtomicBool>,
    /// It is started once more when it has ended: that was wanted meanwhile, or is the way to go on.
    anew: Arc<AtomicBool>,
    /// A defect of the engine is why.
    defect: Arc<AtomicBool>,
}

/// What works: here, or on another computer.
enum Works {
    Here(Engine),
    Elsewhere(Remote),
}

impl Works {
    fn handle(&self) -> Handle {
        match self {
            Self::Here(engine) => engine.handle.clone(),
            Self::Elsewhere(remote) => remote.handle.clone(),
        }
    }

    fn hurry(&self) -> Option<Arc<Notify>> {
        match self {
            Self::Here(_) => None,
            Self::Elsewhere(remote) => Some(Arc::clone(&remote.hurry)),
        }
    }

    async fn shutdown(self) {
        match self {
            Self::Here(engine) => engine.shutdown().await,
            Self::Elsewhere(remote) => remote.shutdown().await,
        }
    }
}

/// Runs the application until it is ended.
#[must_use]
pub(crate) fn run(cli: Cli) -> ExitCode {
    let (paths, problem) = match Paths::of(&cli) {
        Ok(paths) => (paths.clone(), paths.create().err()),
        Err(problem) => (Paths::nowhere(), Some(problem)),
    };
    let log = logging::start(&paths);
    if let Err(error) = &log {
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

fn build(cli: Cli, paths: Paths, problem: Option<Problem>) -> anyhow::Result<ExitCode> {
    display::check()?;
    let running = Running::default();
    let (at_exit, ended) = (running.clone(), running.clone());
    let app = tauri::Builder::default()
        .plugin(single_instance(&paths, running.clone()))
        .setup(move |app| {
            set_up(app.handle(), &cli, paths, problem, &running);
            Ok(())
        })
        .build(context())?;
    let code = app.run_return(move |_app, event| handle(&event, &at_exit));
    tracing::info!("ended with {code}");
    let after_defect = ended.defect.load(Ordering::Acquire);
    if after_defect || ended.anew.load(Ordering::Acquire) {
        start_anew(after_defect);
    }
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Starts the program once more. Whoever wanted that wants to see it; a defect changes nothing there.
fn start_anew(after_defect: bool) {
    let stays = |argument: &OsString| {
        argument != "--after-defect" && (after_defect || argument != "--hidden")
    };
    let arguments = std::env::args_os().skip(1).filter(stays);
    let arguments = arguments.chain(after_defect.then(|| "--after-defect".into()));
    let started = program::installed()
        .and_then(|program| std::process::Command::new(program).args(arguments).spawn());
    match started {
        Ok(_child) => tracing::info!("it is started again"),
        Err(error) => tracing::error!("it can't be started again: {error}"),
    }
}

/// The engine ends by itself only by a defect. The application is started again then, unless that was done just before.
async fn outlive_defects(
    app: AppHandle,
    engine: Handle,
    notifier: Notifier,
    running: Running,
    after_one: bool,
) {
    let began = Instant::now();
    if after_one {
        notifier.defect(Defect::StartedAgain).await;
    }
    engine.ended().await;
    if running.ending.load(Ordering::Acquire) {
        return;
    }
    tracing::error!("the engine has ended by a defect");
    if after_one && began.elapsed() < COMES_AGAIN {
        let said = tokio::time::timeout(LAST_WORD, notifier.defect(Defect::Stopped)).await;
        if said != Ok(true) {
            complain("Wakeflash has stopped because of a fault; the log has more");
        }
    } else {
        running.defect.store(true, Ordering::Release);
    }
    app.exit(1);
}

/// Hands a second start to the first one, which shows its window. It comes before everything else.
fn single_instance(paths: &Paths, running: Running) -> tauri::plugin::TauriPlugin<tauri::Wry> {
    tauri_plugin_single_instance::Builder::new()
        .dbus_id(paths.bus_name())
        .callback(move |app, arguments, _directory| {
            if arguments.iter().any(|argument| argument == "--hidden") {
                return;
            }
            if running.ending.load(Ordering::Acquire) {
                running.anew.store(true, Ordering::Release);
            } else {
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
    let early = (!cli.hidden).then(|| Early::start(&paths));
    let started = match problem {
        Some(problem) => Err(NoEngine::from(problem)),
        None => start_engine(cli, &paths, notifier.clone()),
    };
    let handle = started.as_ref().map(Works::handle).map_err(Clone::clone);
    let hurry = started.as_ref().ok().and_then(Works::hurry);
    if let (Ok(engine), Ok(mut slot)) = (started, running.engine.lock()) {
        *slot = Some(engine);
    }
    let anew = Arc::clone(&running.anew);
    let (shown, known) = (window.clone(), handle.clone());
    app.manage(AppState::new(paths, cli.demo, shown, notifier.clone(), known, hurry, anew));
    // It is ended by its own means, before the other tasks.
    let keeper = Keeper::run(app.clone(), tasks.clone(), wishes, early);
    tauri::async_runtime::spawn(keeper);
    if running.window.set(window.clone()).is_err() {
        tracing::error!("the application was set up twice");
    }
    tasks.spawn(signals::follow(app.clone()));
    match handle {
        Ok(handle) => {
            tasks.spawn(notify::deliver(app.clone(), handle.clone(), notifications));
            let (engine, whole) = (handle.clone(), running.clone());
            let lives = outlive_defects(app.clone(), engine, notifier, whole, cli.after_defect);
            tasks.spawn(lives);
            let first = TrayView::starting(language::of(Language::System));
            if tray::build(app, first) {
                tasks.spawn(tray::watch(app.clone()));
                tasks.spawn(tray::follow(app.clone(), handle));
            }
        }
        // The window says why, whether it was wanted or not.
        Err(_) => window.show(),
    }
}

fn start_engine(cli: &Cli, paths: &Paths, notifier: Notifier) -> Result<Works, NoEngine> {
    let dir = paths.state_dir().to_owned();
    let places = Places::read(&dir)?;
    if let Some(place) = places.at.clone() {
        let start = async { Remote::start(Ssh::default(), place, places, dir, Arc::new(notifier)) };
        return Ok(Works::Elsewhere(tauri::async_runtime::block_on(start)));
    }
    let options = EngineOptions {
        state_dir: dir.clone(),
        config_dir: cli.config.clone(),
        esphome: cli.esphome.clone(),
    };
    let started = tauri::async_runtime::block_on(runtime::start(options, Arc::new(notifier)));
    let engine = started.map_err(|error| {
        let none = NoEngine::from(&error);
        tracing::error!("the engine can't start: {:#}", anyhow::Error::from(error));
        none
    })?;
    tauri::async_runtime::block_on(take_back(&engine.handle, places, &dir));
    Ok(Works::Here(engine))
}

/// What was chosen for this screen while another computer worked is so here, too.
async fn take_back(engine: &Handle, mut places: Places, dir: &Path) {
    let change = std::mem::take(&mut places.screen);
    if change.is_empty() {
        return;
    }
    let taken = engine.ask(|reply| Asked::ChangeSettings { change, reply }).await;
    if let Err(problem) = taken.and_then(|_| places.write(dir)) {
        tracing::warn!("the settings of the screen aren't taken over yet: {problem}");
    }
}

fn handle(event: &RunEvent, running: &Running) {
    if let RunEvent::Exit = event {
        running.ending.store(true, Ordering::Release);
        tauri::async_runtime::block_on(end(running));
    }
}

/// Ends everything that runs, in good order: the window and the engine at once, since both may take their time.
async fn end(running: &Running) {
    let engine = match running.engine.lock() {
        Ok(mut engine) => engine.take(),
        Err(poisoned) => poisoned.into_inner().take(),
    };
    let window = async {
        if let Some(window) = running.window.get() {
            window.end().await;
        }
    };
    let engine = async {
        if let Some(engine) = engine
            && tokio::time::timeout(SHUTDOWN_LIMIT, engine.shutdown()).await.is_err()
        {
            tracing::error!("the engine didn't end in time; its work goes on at the next start");
        }
    };
    tokio::join!(window, engine);
    running.tasks.end().await;
}
