//! The notifications of the real application: their buttons, and texts where there are none.

use anyhow::{Context, Result, ensure};
use wakeflash_tests::desktop::app::{App, AppOptions};
use wakeflash_tests::desktop::notifications::{Notifications, Told};
use wakeflash_tests::desktop::scene::Scene;
use wakeflash_tests::desktop::until;
use wakeflash_tests::desktop_story as story;
use wakeflash_tests::kept;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, new_yaml};

story!(a_failure_is_retried_and_shown_by_its_buttons, retrying);
story!(a_held_update_is_rebuilt_and_opened_by_its_buttons, held);
story!(without_buttons_the_text_says_where_to_go_on, without_buttons);

/// Retry builds again, and its outcome takes the place of the one before; Show log opens the window.
async fn retrying(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let options = options.with("--esphome").with(scene.failing_esphome()?);
    let app = scene.desktop.open(&options).await?;
    app.page().act(DEVICE, "install").await?;
    app.page().until_state(DEVICE, "failed", SOON).await?;
    scene.desktop.close_window()?;
    scene.desktop.until_window(false).await?;

    let notifications = scene.desktop.notifications()?;
    let first = notifications.wait("of the failure", SOON, is_failure).await?;
    let keys: Vec<&str> = first.actions.iter().map(|(key, _)| key.as_str()).collect();
    ensure!(keys == ["default", "log", "retry"], "{first:?}");
    notifications.click(first.id, "retry").await?;
    until_told(notifications, 2).await?;
    let second = notifications.all().pop().unwrap_or_else(|| first.clone());
    ensure!(second.replaces_id == first.id, "it stacks: {:?}", notifications.all());

    notifications.click(second.id, "log").await?;
    scene.desktop.until_window(true).await?;
    app.page().follow_window().await?;
    app.page().until_shown("drawer").await?;
    app.page().until_says("build-log", "it is not to be").await
}

fn is_failure(told: &Told) -> bool {
    told.summary.contains("failed")
}

async fn until_told(notifications: &Notifications, count: usize) -> Result<()> {
    until(&format!("{count} notifications"), SOON, async || {
        ensure!(notifications.all().len() == count, "{:?}", notifications.all());
        Ok(())
    })
    .await
}

/// Open shows the device; Rebuild builds what the files say now, without the window.
async fn held(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let esphome = kept::program(&scene.dir.path().join("esphome"))?;
    let app = scene.desktop.open(&options.with("--esphome").with(esphome)).await?;
    let notifications = hold(scene, &app).await?;
    let told = notifications.wait("of the held update", SOON, is_held).await?;
    let keys: Vec<&str> = told.actions.iter().map(|(key, _)| key.as_str()).collect();
    ensure!(keys == ["default", "rebuild", "open"], "{told:?}");
    ensure!(told.body.contains(DEVICE), "it says what changed: {told:?}");
    scene.desktop.close_window()?;
    scene.desktop.until_window(false).await?;

    notifications.click(told.id, "open").await?;
    scene.desktop.until_window(true).await?;
    app.page().follow_window().await?;
    app.page().until_shown("drawer").await?;
    app.page().until_state(DEVICE, "held", SOON).await?;

    notifications.click(told.id, "rebuild").await?;
    app.page().until_state(DEVICE, "waiting", BUILD).await
}

/// A built update waits, and its YAML is changed.
async fn hold<'a>(scene: &'a Scene, app: &App) -> Result<&'a Notifications> {
    app.page().act(DEVICE, "install").await?;
    app.page().until_state(DEVICE, "waiting", BUILD).await?;
    new_yaml().with_friendly_name("Sleepy Sensor 3").write_to(&scene.config(), DEVICE)?;
    app.page().until_state(DEVICE, "held", SOON).await?;
    scene.desktop.notifications()
}

fn is_held(told: &Told) -> bool {
    told.summary.contains("is held")
}

/// Some daemons show no buttons: nothing is lost but the way.
async fn without_buttons(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let notifications = scene.desktop.notifications()?;
    notifications.take_buttons_away();
    let options = AppOptions::default().with("--config").with(scene.config());
    let app = scene.desktop.open(&options.with("--esphome").with(scene.failing_esphome()?)).await?;
    app.page().act(DEVICE, "install").await?;
    let told = notifications.wait("of the failure", SOON, is_failure).await?;
    ensure!(told.actions.is_empty(), "{told:?}");
    let last = told.body.rsplit(". ").next().context("it has a text")?;
    ensure!(last == "Open Wakeflash for the log and to retry.", "{told:?}");
    Ok(())
}
