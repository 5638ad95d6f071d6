//! What surrounds the window of the real application: the tray's menu, the desktop's dialogs and theme, what the page
//! may load, a start without a window.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fantoccini::key::Key;
use wakeflash_tests::desktop::app::{AppOptions, TITLE, family};
use wakeflash_tests::desktop::appearance::Appearance;
use wakeflash_tests::desktop::keyboard::RETURN;
use wakeflash_tests::desktop::page::Page;
use wakeflash_tests::desktop::scene::Scene;
use wakeflash_tests::desktop::until;
use wakeflash_tests::desktop_story as story;
use wakeflash_tests::stage::{DEVICE, SOON, new_yaml};

/// Ends the application, however slow the machine is.
const END: Duration = Duration::from_secs(90);

/// More than a signal on the session bus takes.
const ARRIVAL: Duration = Duration::from_secs(2);

/// WebKitWebProcess: the kernel keeps 15 letters of a process's name.
const PAGE: &str = "WebKitWebProces";

story!(the_trays_menu_pauses_and_resumes_the_queue, pausing);
story!(the_page_keeps_to_its_content_policy, policy);
story!(a_log_is_saved_where_the_user_wants_it, saving);
story!(what_the_toolkit_draws_has_the_chosen_theme, themes);
story!(the_page_grows_and_shrinks_by_keys, zooming);
story!(a_start_without_a_window_has_no_web_view_until_it_is_asked_for, hidden);

/// Paused in the tray's menu, an update stays queued, also after a restart.
async fn pausing(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let options = options.with("--esphome").with(scene.failing_esphome()?);
    let app = scene.desktop.open(&options).await?;
    app.page().until_there(DEVICE).await?;
    let tray = scene.desktop.tray()?;
    tray.until_there(SOON).await?;
    tray.click("Pause").await?;
    until_menu(scene, "Resume").await?;
    app.page().act(DEVICE, "install").await?;
    app.page().until_state(DEVICE, "queued", SOON).await?;
    app.kill().await?;

    let app = scene.desktop.open(&options).await?;
    app.page().until_state(DEVICE, "queued", SOON).await?;
    until_menu(scene, "Resume").await?;
    tray.click("Resume").await?;
    app.page().until_state(DEVICE, "failed", SOON).await?;
    until_menu(scene, "Pause").await
}

async fn until_menu(scene: &Scene, line: &str) -> Result<()> {
    let tray = scene.desktop.tray()?;
    until(&format!("the menu has {line:?}"), SOON, async || {
        let menu = tray.menu().await?;
        ensure!(menu.iter().any(|found| found.label == line), "menu: {menu:?}");
        Ok(())
    })
    .await
}

/// Nothing of the page is refused by its own content security policy, which is in force.
async fn policy(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let app = scene.desktop.open(&options.with("--esphome").with(scene.failing_esphome()?)).await?;
    let page = app.page();
    page.client()
        .execute(
            "window.refused = [];
             document.addEventListener('securitypolicyviolation', (event) =>
                 refused.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));",
            Vec::new(),
        )
        .await?;
    let refused = async || page.client().execute("return refused", Vec::new()).await;
    page.act(DEVICE, "install").await?;
    page.until_state(DEVICE, "failed", SOON).await?;
    page.open_drawer(DEVICE).await?;
    page.until_says("build-log", "it is not to be").await?;
    page.click("tab-device").await?;
    page.click("drawer-close").await?;
    page.click("row-menu").await?;
    page.until_shown("menu").await?;
    page.press(&Key::Escape.to_string()).await?;
    page.until_gone("menu").await?;
    page.press(&(Key::Control + "k")).await?;
    page.until_shown("palette").await?;
    page.press(&Key::Escape.to_string()).await?;
    page.click("open-settings").await?;
    page.until_shown("settings-language").await?;
    let seen = refused().await?;
    ensure!(seen.as_array().is_some_and(Vec::is_empty), "refused: {seen:#}");

    let markup = r#"document.body.insertAdjacentHTML('beforeend', '<p style="color: red">'
        + '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="></p>')"#;
    page.client().execute(markup, Vec::new()).await?;
    until("both are refused", SOON, async || {
        let seen = refused().await?;
        ensure!(seen.as_array().is_some_and(|all| all.len() >= 2), "refused: {seen:#}");
        Ok(())
    })
    .await
}

/// Who sees badly makes it larger, as in every browser.
async fn zooming(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let app = scene.desktop.open(&options.with("--esphome").with(scene.failing_esphome()?)).await?;
    let page = app.page();
    page.until_there(DEVICE).await?;
    let width = async || {
        let width = page.client().execute("return innerWidth", Vec::new()).await?;
        width.as_u64().context("it is a number")
    };
    let before = width().await?;
    let until_width = async |what: &str, wanted: &dyn Fn(u64) -> bool| {
        until(what, SOON, async || {
            let now = width().await?;
            ensure!(wanted(now), "{now} of {before}");
            Ok(())
        })
        .await
    };
    page.press(&(Key::Control + "+")).await?;
    until_width("fewer pixels of its own", &|now| now < before).await?;
    page.press(&(Key::Control + "0")).await?;
    until_width("as it was", &|now| now == before).await
}

/// The desktop's own dialog asks where; what can't be written is told in words.
async fn saving(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let options = options.with("--esphome").with(scene.failing_esphome()?);
    let app = scene.desktop.open(&options).await?;
    let page = app.page();
    page.act(DEVICE, "install").await?;
    page.until_state(DEVICE, "failed", SOON).await?;
    page.open_drawer(DEVICE).await?;
    page.until_says("build-log", "it is not to be").await?;

    let file = scene.dir.path().join("My log.txt");
    save_at(scene, page, &file).await?;
    page.until_says("notice", &format!("Saved as {}", file.display())).await?;
    let saved = std::fs::read_to_string(&file)?;
    ensure!(saved.contains("ERROR it is not to be\n"), "{saved:?}");
    ensure!(!saved.contains('\x1b'), "it has colours: {saved:?}");

    // No user may make files there.
    save_at(scene, page, Path::new("/proc/wakeflash.log")).await?;
    page.until_says("problem", "The log can't be saved").await?;
    page.until_says("problem", "Choose another place").await
}

/// Answers the dialog that the button for saving opens.
async fn save_at(scene: &Scene, page: &Page, file: &Path) -> Result<()> {
    page.click("log-save").await?;
    let display = scene.desktop.display();
    let dialog = async || {
        let windows = display.windows()?;
        let found = windows.iter().find(|window| window.title != TITLE);
        found.cloned().with_context(|| format!("windows: {windows:?}"))
    };
    let dialog = until("a dialog", SOON, dialog).await?;
    let keyboard = display.keyboard_of(&dialog)?;
    keyboard.fill(&file.to_string_lossy())?;
    keyboard.press(RETURN)?;
    until("the dialog closes", SOON, async || {
        let windows = display.windows()?;
        ensure!(!windows.contains(&dialog), "windows: {windows:?}");
        Ok(())
    })
    .await
}

/// The desktop's theme counts when the user chose none, whatever it was changed to meanwhile.
async fn themes(scene: &mut Scene) -> Result<()> {
    let portal = Appearance::start(scene.desktop.bus()).await?;
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let app = scene.desktop.open(&options.with("--esphome").with(scene.failing_esphome()?)).await?;
    let page = app.page();
    page.until_there(DEVICE).await?;
    until_dark(page, false).await?;
    page.click("open-settings").await?;
    page.click("settings-theme-dark").await?;
    until_dark(page, true).await?;
    page.click("settings-theme-light").await?;
    until_dark(page, false).await?;
    page.click("settings-theme-system").await?;
    portal.change(true).await?;
    until_dark(page, true).await?;

    page.click("settings-theme-light").await?;
    until_dark(page, false).await?;
    portal.change(true).await?;
    // Nothing tells that this has arrived, and nothing may come of it.
    tokio::time::sleep(ARRIVAL).await;
    until_dark(page, false).await?;
    page.click("settings-theme-system").await?;
    until_dark(page, true).await
}

/// The page is told the toolkit's theme; its own follows the setting.
async fn until_dark(page: &Page, dark: bool) -> Result<()> {
    let what = if dark { "dark" } else { "light" };
    until(&format!("the toolkit draws {what}"), SOON, async || {
        let look = "return matchMedia('(prefers-color-scheme: dark)').matches";
        let now = page.client().execute(look, Vec::new()).await?;
        ensure!(now == dark, "dark: {now}");
        Ok(())
    })
    .await
}

/// Started hidden, nothing of the web view runs; a second start shows the window; closed, nothing of it is left.
async fn hidden(scene: &mut Scene) -> Result<()> {
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let options = AppOptions::default().with("--config").with(scene.config());
    let mut app = scene.desktop.start_alone(&options.clone().with("--hidden"))?;
    let tray = scene.desktop.tray()?;
    tray.until_there(SOON).await?;
    let pid = app.id().unwrap_or_default();
    until("only the application runs", SOON, async || {
        // It has looked for ESPHome.
        let others = family(pid)?;
        ensure!(others.is_empty(), "{others:?}");
        Ok(())
    })
    .await?;
    ensure!(scene.desktop.display().windows()?.is_empty(), "there is a window");

    tray.click("Open Wakeflash").await?;
    scene.desktop.until_window(true).await?;
    // Between fork and exec it doesn't have its name yet.
    until("the page's process", SOON, async || {
        let found = family(pid)?;
        ensure!(found.iter().any(|(_, name)| name == PAGE), "{found:?}");
        Ok(())
    })
    .await?;
    scene.desktop.close_window()?;
    scene.desktop.until_window(false).await?;
    until("only the application is left", SOON, async || {
        let left = family(pid)?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    scene.desktop.open_again(&options).await?;
    scene.desktop.until_window(true).await?;
    tray.click("Quit").await?;
    let status = tokio::time::timeout(END, app.wait()).await??;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}
