//! The real application, driven through its window, its tray and its notifications.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wakeflash_tests::desktop::app::{App, AppOptions};
use wakeflash_tests::desktop::page::Page;
use wakeflash_tests::desktop::scene::{Scene, Sleeper};
use wakeflash_tests::desktop::{Furniture, until};
use wakeflash_tests::desktop_story as story;
use wakeflash_tests::esphome::recorded_hash;
use wakeflash_tests::paths;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, new_yaml};

story!(a_sleeping_device_is_updated_through_the_window, main_job);
story!(an_update_goes_on_without_a_window, without_a_window);
story!(the_first_start_asks_for_the_configurations, first_start);
story!(broken_yaml_and_a_missing_esphome_are_told, trouble);
story!(without_tray_and_notifications_it_works_and_asks, Furniture::NONE, bare_desktop);
story!(a_store_that_cannot_be_opened_is_told, newer_store);

/// The first point of "It is done when", and a click on the notification.
async fn main_job(scene: &mut Scene) -> Result<()> {
    let sleeper = scene.add_sleeper().await?;
    // For longer than any build takes: a device that doesn't wake when it should is overdue, and not merely waited for.
    new_yaml().with_deep_sleep(15, 3_600).write_to(&scene.config(), DEVICE)?;
    let picture = picture_wanted();
    if picture.is_some() {
        add_neighbours(&scene.config())?;
    }
    let options = scene.options()?;
    let app = scene.desktop.open(&options).await?;
    sleeper.let_it_be_seen(&app).await?;
    build_and_wait(scene, &app).await?;
    if let Some(picture) = &picture {
        take_picture(scene, app.page(), picture).await?;
    }
    app.kill().await?;

    let app = scene.desktop.open(&options).await?;
    app.page().until_state(DEVICE, "waiting", SOON).await?;
    scene.desktop.tray()?.until_says("1 waiting", SOON).await?;
    let device = sleeper.device.state().await?;
    ensure!(device.ota_started == 0, "nothing was sent to a sleeping device");
    wake_and_flash(scene, &app, &sleeper).await?;
    click_on_the_notification(scene, &app).await
}

async fn build_and_wait(scene: &Scene, app: &App) -> Result<()> {
    let page = app.page();
    page.record().await?;
    page.act(DEVICE, "install").await?;
    page.until_state(DEVICE, "building", SOON).await?;
    page.open_drawer(DEVICE).await?;
    page.until_says_within("build-log", "INFO", BUILD).await?;
    // The log grows while the build runs.
    let building = page.recorded(DEVICE).await?;
    ensure!(building.last().is_some_and(|state| state == "building"), "too late: {building:?}");
    page.until_state(DEVICE, "waiting", BUILD).await?;
    page.until_says("build-log", "Successfully compiled").await?;
    until_timeline(page, &["building", "waiting"]).await?;
    let states = page.recorded(DEVICE).await?;
    ensure!(states.ends_with(&["building".to_owned(), "waiting".to_owned()]), "{states:?}");
    scene.desktop.tray()?.until_says("1 waiting", SOON).await?;
    let menu = scene.desktop.tray()?.menu().await?;
    ensure!(menu.iter().any(|line| line.label.contains("Sleepy Sensor 2")), "menu: {menu:?}");
    Ok(())
}

async fn wake_and_flash(scene: &Scene, app: &App, sleeper: &Sleeper) -> Result<()> {
    let page = app.page();
    page.record().await?;
    sleeper.wake().await?;
    page.until_state(DEVICE, "installed", SOON).await?;
    // A busy page may draw none of those between; that they were there is in the timeline below. A device that is asked
    // who it is may be so late that it is tried once more.
    let states = page.recorded(DEVICE).await?;
    let expected = ["waiting", "flashing", "confirming", "installed"];
    ensure!(states.iter().all(|state| expected.contains(&&**state)), "unexpected: {states:?}");

    let built = recorded_hash(&scene.config(), "sleepy")?;
    ensure!(built != sleeper.old.config_hash, "the build is another one");
    let runs = sleeper.device.running_hash().await?;
    ensure!(runs == Some(built), "the device runs {runs:x?}, not {built:x}");
    let device = sleeper.device.state().await?;
    ensure!((device.ota_started, device.ota_done) == (1, 1), "flashed exactly once: {device:?}");

    page.open_drawer(DEVICE).await?;
    until_timeline(page, &["building", "waiting", "flashing", "installed"]).await?;
    let notifications = scene.desktop.notifications()?;
    let told = notifications
        .wait("about the device", SOON, |told| told.summary.contains("Sleepy Sensor 2"))
        .await?;
    ensure!(told.app_name == "Wakeflash", "{told:?}");
    ensure!(notifications.all().len() == 1, "{:?}", notifications.all());
    Ok(())
}

async fn click_on_the_notification(scene: &Scene, app: &App) -> Result<()> {
    scene.desktop.close_window()?;
    scene.desktop.until_window(false).await?;
    let notifications = scene.desktop.notifications()?;
    let told = notifications.all().pop().context("no notification")?;
    notifications.click(told.id, "default").await?;
    scene.desktop.until_window(true).await?;
    app.page().follow_window().await?;
    app.page().until_state(DEVICE, "installed", SOON).await
}

/// The drawer's timeline has these states, in this order, perhaps with others between them.
async fn until_timeline(page: &Page, wanted: &[&str]) -> Result<()> {
    until(&format!("the timeline has {wanted:?}"), SOON, async || {
        let shown = page.attributes("timeline-entry", "data-state").await?;
        let mut rest = shown.iter();
        ensure!(wanted.iter().all(|state| rest.any(|entry| entry == state)), "it has {shown:?}");
        Ok(())
    })
    .await
}

/// The window is closed during the build; the tray tells; a second start shows the window again; Cancel;
/// Quit in the tray's menu.
async fn without_a_window(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = scene.options()?;
    let app = scene.desktop.open(&options).await?;
    let tray = scene.desktop.tray()?;
    tray.until_there(SOON).await?;
    app.page().act(DEVICE, "install").await?;
    app.page().until_state(DEVICE, "building", SOON).await?;
    scene.desktop.close_window()?;
    scene.desktop.until_window(false).await?;
    tray.until_says("1 waiting", BUILD).await?;
    ensure!(app.is_alive(), "closing the window has ended the application");

    scene.desktop.open_again(&options).await?;
    scene.desktop.until_window(true).await?;
    app.page().follow_window().await?;
    app.page().until_state(DEVICE, "waiting", SOON).await?;
    app.page().act(DEVICE, "cancel").await?;
    app.page().until_state(DEVICE, "cancelled", SOON).await?;
    until("the tray says nothing", SOON, async || {
        let label = tray.property("XAyatanaLabel").await?;
        ensure!(!label.contains("waiting"), "it says {label:?}");
        Ok(())
    })
    .await?;

    // The tray's Open, after the window was closed once more.
    scene.desktop.close_window()?;
    scene.desktop.until_window(false).await?;
    tray.click("Open Wakeflash").await?;
    scene.desktop.until_window(true).await?;
    tray.click("Quit").await?;
    app.until_ended(SOON).await?;
    ensure!(scene.log()?.contains("ended with 0"), "it didn't end in good order");
    Ok(())
}

async fn first_start(scene: &mut Scene) -> Result<()> {
    let usual = scene.desktop.home().join("esphome");
    new_yaml().write_to(&usual, "other.yaml")?;
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = AppOptions::default();
    let app = scene.desktop.open(&options).await?;
    let page = app.page();
    page.until_shown("first-run").await?;
    until("the usual place is offered", SOON, async || {
        let offered = page.attributes("config-dir-candidate", "data-path").await?;
        ensure!(offered.iter().any(|path| Path::new(path) == usual), "offered: {offered:?}");
        Ok(())
    })
    .await?;
    let missing = scene.dir.path().join("nothing");
    for (wrong, said) in
        [("some/where", "complete path"), (&missing.to_string_lossy(), "is not there")]
    {
        page.fill("config-dir-input", wrong).await?;
        page.click("config-dir-confirm").await?;
        page.until_says("config-dir-problem", said).await?;
    }
    page.fill("config-dir-input", &scene.config().to_string_lossy()).await?;
    page.click("config-dir-confirm").await?;
    page.until_there(DEVICE).await?;
    app.kill().await?;

    let app = scene.desktop.open(&options).await?;
    app.page().until_there(DEVICE).await?;
    ensure!(!app.page().exists("first-run").await?, "it asks again");
    Ok(())
}

async fn trouble(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    std::fs::write(scene.config().join("broken.yaml"), "esphome:\n  name: [unfinished\n")?;
    let empty = scene.dir.path().join("empty");
    std::fs::create_dir(&empty)?;
    let options = AppOptions::default().with("--config").with(scene.config()).with_path(empty);
    let app = scene.desktop.open(&options).await?;
    let page = app.page();
    page.until_shown("banner-esphome").await?;
    page.until_there(DEVICE).await?;
    // Whether it is broken is for ESPHome to say.
    page.until_state("broken.yaml", "none", SOON).await?;
    app.kill().await?;

    let app = scene.desktop.open(&scene.options()?).await?;
    let page = app.page();
    page.until_state("broken.yaml", "broken", BUILD).await?;
    let said = page.row_text("broken.yaml").await?;
    ensure!(said.contains("Line "), "its row says {said:?}");
    page.until_there(DEVICE).await?;

    // Mended, it is a device like others.
    new_yaml().with_name("mended").write_to(&scene.config(), "broken.yaml")?;
    page.until_state("broken.yaml", "none", BUILD).await?;

    // The keys: search, and a drawer.
    page.press("/").await?;
    page.press("no such device").await?;
    page.until_shown("no-match").await?;
    Ok(())
}

/// Neither tray nor notifications: builds that fail would be told twice.
async fn bare_desktop(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let esphome = scene.failing_esphome()?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let options = options.with("--esphome").with(esphome);
    let app = scene.desktop.open(&options).await?;
    let page = app.page();
    page.act(DEVICE, "install").await?;
    page.until_state(DEVICE, "failed", SOON).await?;
    let said = |what: &str| Ok::<_, anyhow::Error>(scene.log()?.matches(what).count());
    // The newest outcome of a device takes the place of one that waits to be told.
    until("the first is to be told", SOON, async || {
        ensure!(said("notification: ")? == 1, "{}", scene.log()?);
        Ok(())
    })
    .await?;
    page.act(DEVICE, "retry").await?;
    until("both were to be told", SOON, async || {
        ensure!(said("notification: ")? == 2, "{}", scene.log()?);
        Ok(())
    })
    .await?;
    until("it says once that there is neither tray nor daemon", SOON, async || {
        let (tray, daemon) = (said("shows no tray icons")?, said("shows no notifications")?);
        ensure!((tray, daemon) == (1, 1), "{tray} and {daemon} times: {}", scene.log()?);
        Ok(())
    })
    .await?;
    closing_asks(scene, &app, &options).await
}

async fn closing_asks(scene: &Scene, app: &App, options: &AppOptions) -> Result<()> {
    let page = app.page();
    for _ in 0..2 {
        scene.desktop.close_window()?;
        page.until_shown("confirm").await?;
        // Impatient.
        scene.desktop.close_window()?;
        page.click("confirm-no").await?;
        page.until_gone("confirm").await?;
        scene.desktop.until_window(true).await?;
    }

    scene.desktop.close_window()?;
    let closed = async || Ok(scene.desktop.display().windows()?.is_empty());
    page.click_until("confirm-other", "the window closes", closed).await?;
    ensure!(app.is_alive(), "it has ended without being asked to");
    scene.desktop.open_again(options).await?;
    scene.desktop.until_window(true).await?;
    page.follow_window().await?;
    page.until_there(DEVICE).await?;

    scene.desktop.close_window()?;
    page.click_until("confirm-yes", "the application ends", async || Ok(!app.is_alive())).await?;
    ensure!(scene.log()?.contains("ended with 0"), "it didn't end in good order");
    Ok(())
}

async fn newer_store(scene: &mut Scene) -> Result<()> {
    std::fs::create_dir_all(scene.state())?;
    let store = rusqlite::Connection::open(scene.state().join("wakeflash.db"))?;
    store.pragma_update(None, "user_version", 9999)?;
    drop(store);
    let app = scene.desktop.open(&scene.options()?).await?;
    app.page().until_shown("start-problem").await?;
    app.page().until_says("start-problem", "newer").await?;
    scene.desktop.close_window()?;
    app.until_ended(SOON).await
}

/// Where the documentation's picture of the real window is; `None` unless `WAKEFLASH_SCREENSHOTS=1` wants it
/// anew.
fn picture_wanted() -> Option<PathBuf> {
    let wanted = std::env::var_os("WAKEFLASH_SCREENSHOTS").is_some_and(|value| value == "1");
    wanted.then(|| paths::workspace_root().join("docs/screenshots/window.png"))
}

async fn take_picture(scene: &Scene, page: &Page, file: &Path) -> Result<()> {
    // Animations end, and the pointer's traces fade.
    page.until_calm().await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let display = scene.desktop.display();
    let window = display.windows()?.into_iter().next().context("no window")?;
    display.picture(Some(&window), file).await
}

/// Configurations of other devices, for a list that looks like somebody's.
fn add_neighbours(config: &Path) -> Result<()> {
    let neighbours = [
        ("garden-soil", "Garden Soil", true),
        ("mailbox", "Mailbox", true),
        ("kitchen-plug", "Kitchen Plug", false),
        ("workshop-door", "Workshop Door", true),
    ];
    for (name, friendly_name, sleeps) in neighbours {
        let yaml = wakeflash_tests::yaml::DeviceYaml::new(name).with_friendly_name(friendly_name);
        let yaml = if sleeps { yaml.with_deep_sleep(15, 1800) } else { yaml };
        yaml.write_to(config, &format!("{name}.yaml"))?;
    }
    Ok(())
}
