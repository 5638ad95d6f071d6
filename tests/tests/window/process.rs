//! The window is a process of its own: what its end, and the application's, mean for the other one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use wakeflash_engine::kill;
use wakeflash_tests::desktop::app::{App, AppOptions, family};
use wakeflash_tests::desktop::notifications::Told;
use wakeflash_tests::desktop::scene::Scene;
use wakeflash_tests::desktop::{Furniture, until};
use wakeflash_tests::desktop_story as story;
use wakeflash_tests::esphome::{firmware, recorded_hash};
use wakeflash_tests::kept;
use wakeflash_tests::peer::{Fault, Script, Stage as At};
use wakeflash_tests::scripted::ScriptedDevice;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, new_yaml, old_yaml};

/// Long enough for a window to be killed and to come back.
const LATE: Duration = Duration::from_secs(8);

story!(a_window_that_dies_takes_no_flash_along_and_comes_back_once, dying);
story!(an_application_that_nothing_shows_any_more_ends, Furniture::NONE, unseen);
story!(a_page_that_dies_comes_back, page_dies);
story!(a_window_that_hangs_is_replaced_when_it_is_asked_for, hanging);
story!(no_window_outlives_the_application, orphan);
story!(a_defect_of_the_engine_starts_the_application_again_once, defect);

/// Killed while an image is being sent, and once more.
async fn dying(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let old = firmware(&old_yaml()).await?;
    let esphome = kept::program(&scene.dir.path().join("kept"))?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let options = options.with("--esphome").with(esphome);
    let app = scene.desktop.open(&options).await?;
    let host = scene.lan.host("peer").await?;
    let device = ScriptedDevice::start(&host, "sleepy", new_yaml().ota_port, &old).await?;
    device.play(Script::default().fault(At::Block(0), Fault::Late(LATE))).await?;
    device.announce(Some(old.config_hash)).await?;
    app.page().act(DEVICE, "install").await?;
    app.page().until_state(DEVICE, "flashing", BUILD).await?;

    let first = window_of(&app)?;
    kill(first)?;
    until_gone(first).await?;
    until_another_window(&app, first).await?;
    app.page().follow_window().await?;
    app.page().until_there(DEVICE).await?;
    let sessions = device
        .until("the image arrived", SOON, |sessions| {
            sessions.iter().any(|one| one.image_md5.is_some())
        })
        .await?;
    // Another connection that opened at the same time is let go before a byte of the image.
    let flashes = sessions.iter().filter(|one| one.prepared || one.wire_bytes > 0).count();
    ensure!(flashes == 1, "it was flashed more than once: {sessions:?}");
    device.announce(Some(recorded_hash(&scene.config(), "sleepy")?)).await?;
    app.page().until_state(DEVICE, "installed", SOON).await?;

    // One that was open for a minute, on a busy machine, comes back once more.
    let gave_up = || Ok::<_, anyhow::Error>(scene.log()?.contains("ended badly twice"));
    for _ in 0..4 {
        let window = window_of(&app)?;
        kill(window)?;
        until_gone(window).await?;
        until("it gives up or comes back", SOON, async || {
            let another = window_of(&app).is_ok_and(|another| another != window);
            ensure!(another || gave_up()?, "{}", scene.log()?);
            Ok(())
        })
        .await?;
        if gave_up()? {
            break;
        }
    }
    ensure!(gave_up()?, "{}", scene.log()?);
    ensure!(window_of(&app).is_err(), "a window came back by itself");
    let notifications = scene.desktop.notifications()?;
    let said = |told: &Told| told.summary.contains("window of Wakeflash crashed twice");
    notifications.wait("that there is no window", SOON, said).await?;
    ensure!(app.is_alive(), "the application has ended with its window");
    scene.desktop.open_again(&options).await?;
    scene.desktop.until_window(true).await?;
    app.page().follow_window().await?;
    app.page().until_state(DEVICE, "installed", SOON).await
}

/// No window, no tray, no notifications: nobody would know that it runs.
async fn unseen(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let app = scene.desktop.open(&options(scene)?).await?;
    app.page().until_there(DEVICE).await?;
    let first = window_of(&app)?;
    kill(first)?;
    until_another_window(&app, first).await?;
    kill(window_of(&app)?)?;
    app.until_ended(SOON).await?;
    ensure!(scene.log()?.contains("ended with 1"), "{}", scene.log()?);
    Ok(())
}

/// The web view's own process dies.
async fn page_dies(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let app = scene.desktop.open(&options(scene)?).await?;
    app.page().until_there(DEVICE).await?;
    let window = window_of(&app)?;
    kill(child(&app, "WebKitWebProces")?)?;
    until_gone(window).await?;
    until_another_window(&app, window).await?;
    app.page().follow_window().await?;
    app.page().until_there(DEVICE).await
}

/// Stopped, it doesn't come to the front.
async fn hanging(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = options(scene)?;
    let app = scene.desktop.open(&options).await?;
    app.page().until_there(DEVICE).await?;
    let window = window_of(&app)?;
    signal(window, Signal::STOP)?;
    // Nothing waits for it: the engine answers.
    scene.desktop.tray()?.click("Pause").await?;
    until("the engine has paused", SOON, async || {
        let menu = scene.desktop.tray()?.menu().await?;
        ensure!(menu.iter().any(|line| line.label == "Resume"), "menu: {menu:?}");
        Ok(())
    })
    .await?;
    scene.desktop.open_again(&options).await?;
    until_gone(window).await?;
    until_another_window(&app, window).await?;
    app.page().follow_window().await?;
    app.page().until_shown("banner-paused").await
}

/// However the application ends.
async fn orphan(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = options(scene)?;
    for ending in [Signal::KILL, Signal::TERM] {
        let app = scene.desktop.open(&options).await?;
        app.page().until_there(DEVICE).await?;
        let all = family(app.pid())?;
        ensure!(all.iter().any(|(_, name)| name.starts_with("WebKit")), "{all:?}");
        app.signal(ending)?;
        app.until_ended(SOON).await?;
        for (pid, _) in all {
            until_gone(pid).await?;
        }
    }
    Ok(())
}

/// Its loop breaks when a build begins, and breaks again as the next start takes the update up.
async fn defect(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = options(scene)?.with_variable(kill::BREAKS, "stored.building");
    let app = scene.desktop.open(&options).await?;
    app.page().act(DEVICE, "install").await?;
    app.until_ended(SOON).await?;
    let notifications = scene.desktop.notifications()?;
    let again = |told: &Told| told.summary.contains("was started again after a fault");
    notifications.wait("that it was started again", SOON, again).await?;
    let stopped = |told: &Told| told.summary.contains("has stopped because of a fault");
    notifications.wait("that it has stopped", SOON, stopped).await?;
    until("both have ended", SOON, async || {
        let log = scene.log()?;
        ensure!(log.matches("ended with 1").count() == 2, "{log}");
        Ok(())
    })
    .await?;
    // Nothing is lost: without the defect the update goes on by itself.
    let app = scene.desktop.open(&self::options(scene)?).await?;
    app.page().until_state(DEVICE, "failed", BUILD).await
}

fn options(scene: &Scene) -> Result<AppOptions> {
    let options = AppOptions::default().with("--config").with(scene.config());
    Ok(options.with("--esphome").with(scene.failing_esphome()?))
}

/// The window's process.
fn window_of(app: &App) -> Result<u32> {
    child(app, "wakeflash")
}

fn child(app: &App, name: &str) -> Result<u32> {
    let all = family(app.pid())?;
    let found = all.iter().find(|(_, found)| found == name);
    found.map(|(pid, _)| *pid).with_context(|| format!("there is no {name} among {all:?}"))
}

async fn until_another_window(app: &App, old: u32) -> Result<()> {
    until("another window's process", SOON, async || {
        let new = window_of(app)?;
        ensure!(new != old, "it is the old one");
        Ok(())
    })
    .await
}

async fn until_gone(pid: u32) -> Result<()> {
    until(&format!("process {pid} ends"), SOON, async || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let runs = !status.is_empty() && !status.contains("State:\tZ");
        ensure!(!runs, "it runs: {}", status.lines().next().unwrap_or_default());
        Ok(())
    })
    .await
}

fn kill(pid: u32) -> Result<()> {
    signal(pid, Signal::KILL)
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid.cast_signed()).context("no process")?;
    kill_process(pid, signal).context("cannot signal it")
}
