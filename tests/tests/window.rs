//! The real application, driven through its window, its tray and its notifications.

use anyhow::{Result, ensure};
use wakeflash_tests::desktop::Furniture;
use wakeflash_tests::desktop::app::AppOptions;
use wakeflash_tests::desktop::scene::Scene;
use wakeflash_tests::stage::{DEVICE, new_yaml};

#[tokio::test]
async fn the_first_start_asks_where_the_configurations_are() -> Result<()> {
    let Some(scene) = Scene::set(Furniture::ALL).await? else { return Ok(()) };
    scene.judge("first_start", first_start(&scene).await).await
}

async fn first_start(scene: &Scene) -> Result<()> {
    let usual = scene.desktop.home().join("esphome");
    new_yaml().write_to(&usual, "other.yaml")?;
    new_yaml().write_to(&scene.config(), DEVICE)?;
    let t = std::time::Instant::now();
    let app = scene.desktop.open(&AppOptions::default()).await?;
    eprintln!("open {:?} pid {}", t.elapsed(), app.pid());
    let page = app.page();
    page.until_shown("first-run").await?;
    eprintln!("first-run {:?}", t.elapsed());
    let offered = page.attributes("config-dir-candidate", "data-path").await?;
    ensure!(offered.iter().any(|path| usual.as_os_str() == path.as_str()), "offered: {offered:?}");
    page.fill("config-dir-input", &scene.config().to_string_lossy()).await?;
    page.click("config-dir-confirm").await?;
    page.until_there(DEVICE).await?;
    eprintln!("list {:?}", t.elapsed());
    let lines = scene.desktop.tray()?.until_there(std::time::Duration::from_secs(10)).await?;
    eprintln!("{lines:?}");
    app.kill().await?;
    let app = scene.desktop.open(&AppOptions::default()).await?;
    app.page().until_there(DEVICE).await?;
    ensure!(!app.page().exists("first-run").await?);
    eprintln!("again {:?}", t.elapsed());
    eprintln!("{:?}", scene.desktop.display().windows()?);
    scene.desktop.close_window()?;
    scene.desktop.until_window(false).await?;
    ensure!(app.is_alive());
    ensure!(scene.desktop.open_again(&AppOptions::default()).await?.success());
    scene.desktop.until_window(true).await?;
    app.page().follow_window().await?;
    app.page().until_there(DEVICE).await?;
    eprintln!("closed {:?}", t.elapsed());
    Ok(())
}
