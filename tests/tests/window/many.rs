//! Many devices at once, what the user chose, and an end that asks: in the window of the real application.

use anyhow::{Result, ensure};
use wakeflash_tests::desktop::app::{App, AppOptions};
use wakeflash_tests::desktop::scene::Scene;
use wakeflash_tests::desktop::until;
use wakeflash_tests::desktop_story as story;
use wakeflash_tests::esphome::firmware;
use wakeflash_tests::kept::{self, Sibling};
use wakeflash_tests::lan::crowd::{Crowd, CrowdOptions};
use wakeflash_tests::peer::{Fault, Script, Stage as At};
use wakeflash_tests::scripted::ScriptedDevice;
use wakeflash_tests::stage::others::wanted_yaml;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, new_yaml, old_yaml};

story!(many_are_updated_at_once_and_told_as_one, many);
story!(what_was_chosen_is_there_after_a_restart, settings);
story!(quitting_while_a_device_is_flashed_asks_once, quitting);

/// Enough to be told as one.
const ONLINE: u8 = 5;

/// Update all says what it will do and does it; some are selected, installed and cancelled.
async fn many(scene: &mut Scene) -> Result<()> {
    let siblings: Vec<String> = (0..u16::from(ONLINE)).map(|n| Sibling(n).file()).collect();
    for (number, file) in (0..).zip(&siblings) {
        wanted_yaml(Sibling(number)).write_to(&scene.config(), file)?;
    }
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let options = options.with("--esphome").with(scene.failing_esphome()?);
    let app = scene.desktop.open(&options).await?;
    let page = app.page();
    let host = scene.lan.host("crowd").await?;
    // Older than the ESPHome that is here, so each has an update.
    let crowd = CrowdOptions { count: ONLINE, version: "2026.9.0".to_owned() };
    let _crowd = Crowd::start(&host, &crowd).await?;
    for file in &siblings {
        page.until_presence(file, "online").await?;
    }

    // It must be known what is newer: ESPHome may still be looked for.
    page.until_says("summary-available", "5").await?;
    page.click("update-all").await?;
    page.until_says("plan-sum", "5 now").await?;
    ensure!(states(&app, &siblings).await?.iter().all(|state| state == "none"), "it began unasked");
    page.click("install-go").await?;
    for file in &siblings {
        page.until_state(file, "failed", SOON).await?;
    }
    page.until_state(DEVICE, "none", SOON).await?;
    let notifications = scene.desktop.notifications()?;
    let all_of_them = |summary: &str| summary == "5 need attention";
    let one = notifications.wait("for all", SOON, |told| all_of_them(&told.summary)).await?;
    // Those that a slow machine had told before by themselves are taken back.
    ensure!(notifications.shown() == [one], "they are told apart: {:?}", notifications.all());

    let [first, ..] = siblings.as_slice() else { return Ok(()) };
    page.click("pause").await?;
    page.until_shown("banner-paused").await?;
    select(&app, &[first, DEVICE]).await?;
    page.click("bulk-install").await?;
    page.until_says("plan-sum", "1 now, 1 when it wakes").await?;
    page.click("install-go").await?;
    for file in [first, DEVICE] {
        page.until_state(file, "queued", SOON).await?;
    }
    select(&app, &[first, DEVICE]).await?;
    page.click("bulk-cancel").await?;
    page.click("confirm-yes").await?;
    for file in [first, DEVICE] {
        page.until_state(file, "cancelled", SOON).await?;
    }
    Ok(())
}

async fn states(app: &App, files: &[String]) -> Result<Vec<String>> {
    let rows = app.page().attributes("device-row", "data-device").await?;
    let states = app.page().attributes("device-row", "data-state").await?;
    let shown = rows.into_iter().zip(states);
    Ok(shown.filter(|(row, _)| files.contains(row)).map(|(_, state)| state).collect())
}

async fn select(app: &App, files: &[&str]) -> Result<()> {
    for file in files {
        let row = format!("[data-testid=device-row][data-device=\"{file}\"]");
        app.page().hover_and_click(&row, "select").await?;
    }
    app.page().until_shown("selection-bar").await
}

/// Theme, language and the kinds of notifications.
async fn settings(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    wanted_yaml(Sibling(0)).with_friendly_name("Other").write_to(&scene.config(), "other.yaml")?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let options = options.with("--esphome").with(scene.failing_esphome()?);
    let app = scene.desktop.open(&options).await?;
    let page = app.page();
    page.until_there(DEVICE).await?;
    page.click("open-settings").await?;
    page.until_says("settings", "Language").await?;
    page.click("settings-notify-failed").await?;
    page.click("settings-theme-dark").await?;
    // The last one: the window speaks German only when everything before is stored.
    page.click_at("[data-testid=settings-language] option[value=de]").await?;
    page.until_says("settings", "Sprache").await?;
    app.kill().await?;

    let app = scene.desktop.open(&options).await?;
    let page = app.page();
    page.until_there(DEVICE).await?;
    page.until_says("open-settings", "Einstellungen").await?;
    let look = "return [document.documentElement.dataset.theme, document.documentElement.lang]";
    let look = page.client().execute(look, Vec::new()).await?;
    ensure!(look == serde_json::json!(["dark", "de"]), "{look}");
    until("the tray speaks German", SOON, async || {
        let menu = scene.desktop.tray()?.menu().await?;
        ensure!(menu.iter().any(|line| line.label == "Beenden"), "menu: {menu:?}");
        Ok(())
    })
    .await?;
    page.click("open-settings").await?;
    let kinds = "return ['installed', 'failed', 'held', 'overdue'].map((kind) =>
        document.querySelector(`[data-testid=settings-notify-${kind}]`).checked)";
    page.until_says("settings", "Sprache").await?;
    let kinds = page.client().execute(kinds, Vec::new()).await?;
    ensure!(kinds == serde_json::json!([true, false, true, true]), "{kinds}");
    page.click("settings-back").await?;
    fails(&app, DEVICE).await?;
    page.click("open-settings").await?;
    page.click("settings-notify-failed").await?;
    // The way back in the page itself may have been scrolled away.
    page.click("open-devices").await?;
    fails(&app, "other.yaml").await?;
    // The first failure would have been told before this one.
    let notifications = scene.desktop.notifications()?;
    let told = notifications.wait("of the other", SOON, |_| true).await?;
    ensure!(told.summary == "Das Update von Other ist fehlgeschlagen", "{told:?}");
    ensure!(notifications.all().len() == 1, "{:?}", notifications.all());
    starts_at_login(scene, &app).await
}

/// The entry for starting at login is there only when it is chosen, and not again when the user took it away.
async fn starts_at_login(scene: &Scene, app: &App) -> Result<()> {
    let page = app.page();
    let entry = scene.desktop.home().join(".config/autostart/wakeflash.desktop");
    ensure!(!entry.exists(), "it was not chosen");
    page.click("open-settings").await?;
    page.click("settings-start-at-login").await?;
    until("an entry", SOON, async || {
        ensure!(entry.exists(), "none");
        Ok(())
    })
    .await?;
    std::fs::remove_file(&entry)?;
    // Another setting is changed by a page that still takes it for chosen; the language is spoken when that is stored.
    page.click_at("[data-testid=settings-language] option[value=en]").await?;
    page.until_says("settings", "Language").await?;
    ensure!(!entry.exists(), "the entry is there again");
    let chosen = "return document.querySelector('[data-testid=settings-start-at-login]').checked";
    until("the setting to say so", SOON, async || {
        let chosen = page.client().execute(chosen, Vec::new()).await?;
        ensure!(chosen == serde_json::json!(false), "{chosen}");
        Ok(())
    })
    .await
}

async fn fails(app: &App, device: &str) -> Result<()> {
    app.page().act(device, "install").await?;
    app.page().until_state(device, "failed", SOON).await
}

/// Quit in the tray's menu while an image is being sent: the window comes and asks, once.
async fn quitting(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let old = firmware(&old_yaml()).await?;
    let esphome = kept::program(&scene.dir.path().join("kept"))?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let app = scene.desktop.open(&options.with("--esphome").with(esphome)).await?;
    let host = scene.lan.host("peer").await?;
    let device = ScriptedDevice::start(&host, "sleepy", new_yaml().ota_port, &old).await?;
    device.play(Script::default().fault(At::Block(0), Fault::Stall)).await?;
    device.announce(Some(old.config_hash)).await?;
    let (page, tray) = (app.page(), scene.desktop.tray()?);
    page.act(DEVICE, "install").await?;
    page.until_state(DEVICE, "flashing", BUILD).await?;
    scene.desktop.close_window()?;
    scene.desktop.until_window(false).await?;

    tray.click("Quit").await?;
    scene.desktop.until_window(true).await?;
    page.follow_window().await?;
    page.until_shown("confirm").await?;
    page.click("confirm-no").await?;
    page.until_gone("confirm").await?;
    page.until_state(DEVICE, "flashing", SOON).await?;
    ensure!(app.is_alive(), "it has ended against the user's will");

    tray.click("Quit").await?;
    page.until_shown("confirm").await?;
    // Whoever chooses it again means it.
    tray.click("Quit").await?;
    app.until_ended(SOON).await?;
    ensure!(scene.log()?.contains("ended with 0"), "it didn't end in good order");
    Ok(())
}
