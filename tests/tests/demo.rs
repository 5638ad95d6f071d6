//! The demo: what it leaves behind, and what another start does.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use wakeflash_tests::desktop::until;
use wakeflash_tests::lan::Lan;
use wakeflash_tests::paths;

/// The firmware of its device is compiled the first time.
const SOON: Duration = Duration::from_secs(120);

/// Plays the application: the first one runs until it is asked to end, which takes it a moment and leaves a trace;
/// the others hand over to it.
const APPLICATION: &str = r#"#!/bin/sh
cd "$1"
if ! mkdir first 2>/dev/null; then echo >>../../shown; exit 0; fi
trap 'sleep 0.3; touch late; exit 0' TERM
echo $$ >pid.new; mv pid.new pid
while :; do sleep 0.05; done
"#;

struct Scene {
    /// Ended before its directory goes.
    demo: Child,
    dir: TempDir,
}

impl Scene {
    /// `None`: there can't be a network.
    async fn new() -> Result<Option<Self>> {
        if Lan::or_skip().await?.is_none() {
            return Ok(None);
        }
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join("tmp"))?;
        let demo = start(dir.path())?;
        Ok(Some(Self { dir, demo }))
    }

    /// What is left in the directory for temporary files.
    fn left(&self) -> Result<Vec<String>> {
        let all = std::fs::read_dir(self.dir.path().join("tmp"))?;
        all.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    async fn until_runs(&self) -> Result<()> {
        until("the demo runs", SOON, async || {
            let left = self.left()?;
            let [name] = left.as_slice() else { anyhow::bail!("not one directory: {left:?}") };
            let pid = self.dir.path().join("tmp").join(name).join("state/pid");
            ensure!(pid.is_file(), "no application yet");
            Ok(())
        })
        .await
    }

    fn has(&self, file: &str) -> bool {
        self.dir.path().join("tmp").join(file).exists()
    }
}

fn start(dir: &Path) -> Result<Child> {
    use std::os::unix::fs::PermissionsExt as _;
    let app = dir.join("application");
    if !app.exists() {
        std::fs::write(&app, APPLICATION)?;
        std::fs::set_permissions(&app, std::fs::Permissions::from_mode(0o755))?;
    }
    let mut demo = Command::new(paths::binary("wakeflash-lab")?);
    demo.args(["demo", "--app"]).arg(app).args(["--", "{state}"]);
    demo.env("TMPDIR", dir.join("tmp")).env("XDG_RUNTIME_DIR", dir);
    Ok(demo.kill_on_drop(true).spawn()?)
}

#[tokio::test]
async fn a_demo_that_is_ended_by_a_signal_ends_what_it_started_and_leaves_nothing() -> Result<()> {
    for asks in [Signal::TERM, Signal::INT] {
        let Some(mut scene) = Scene::new().await? else { return Ok(()) };
        scene.until_runs().await?;
        let devices = mentions(scene.dir.path())?;
        ensure!(devices.len() > 2, "application and device: {devices:?}");
        let pid = scene.demo.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        kill_process(pid.context("it has ended")?, asks)?;
        let status = tokio::time::timeout(SOON, scene.demo.wait()).await??;
        ensure!(status.success(), "{asks:?}: {status}");
        until("all its processes end", SOON, async || {
            let devices = mentions(scene.dir.path())?;
            ensure!(devices.is_empty(), "{devices:?}");
            Ok(())
        })
        .await?;
        let left = scene.left()?;
        ensure!(left.is_empty(), "{asks:?} left {left:?}");
    }
    Ok(())
}

#[tokio::test]
async fn another_demo_shows_the_window_of_the_one_that_runs() -> Result<()> {
    let Some(mut scene) = Scene::new().await? else { return Ok(()) };
    scene.until_runs().await?;
    let status = tokio::time::timeout(SOON, start(scene.dir.path())?.wait()).await??;
    ensure!(status.success() && scene.has("shown"), "{status}: {:?}", scene.left()?);
    ensure!(scene.demo.try_wait()?.is_none(), "the first one has ended");
    // One that was killed is no obstacle for the next.
    scene.demo.kill().await?;
    let place = scene.dir.path().join("wakeflash-demo");
    ensure!(place.exists(), "there is no socket to be found by the next");
    std::fs::remove_dir_all(scene.dir.path().join("tmp"))?;
    std::fs::create_dir(scene.dir.path().join("tmp"))?;
    scene.demo = start(scene.dir.path())?;
    scene.until_runs().await
}

/// The processes whose command line or environment names a directory, but for this one.
fn mentions(dir: &Path) -> Result<Vec<String>> {
    let wanted = dir.join("tmp").to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<u32>() else { continue };
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let said = [read("cmdline"), read("environ")].concat();
        if pid != std::process::id() && String::from_utf8_lossy(&said).contains(&wanted) {
            found.push(format!("{pid} {}", String::from_utf8_lossy(&read("comm")).trim()));
        }
    }
    Ok(found)
}
