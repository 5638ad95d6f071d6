//! The demo: what it leaves behind, and what another start does.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};
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
trap 'touch ../../../ending; sleep 0.3; touch late; exit 0' TERM
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
        let demo = start(dir.path(), "tmp")?;
        Ok(Some(Self { dir, demo }))
    }

    /// What is left in the directory for temporary files.
    fn left(&self) -> Result<Vec<String>> {
        self.left_in("tmp")
    }

    fn left_in(&self, temporary: &str) -> Result<Vec<String>> {
        let all = std::fs::read_dir(self.dir.path().join(temporary))?;
        all.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    async fn until_runs(&self) -> Result<()> {
        self.until_runs_in("tmp").await
    }

    async fn until_runs_in(&self, temporary: &str) -> Result<()> {
        until("the demo runs", SOON, async || {
            let left = self.left_in(temporary)?;
            let [name] = left.as_slice() else { anyhow::bail!("not one directory: {left:?}") };
            let pid = self.dir.path().join(temporary).join(name).join("state/pid");
            ensure!(pid.is_file(), "no application yet");
            Ok(())
        })
        .await
    }

    fn pid(&self) -> Result<Pid> {
        let pid = self.demo.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        pid.context("it has ended")
    }

    /// Kills the demo, and waits until nothing writes into the directory any more, which is removed then.
    async fn end(mut self) -> Result<()> {
        self.demo.kill().await?;
        self.until_all_ended().await
    }

    async fn until_all_ended(&self) -> Result<()> {
        until("all its processes end", SOON, async || {
            let running = mentions(self.dir.path())?;
            ensure!(running.is_empty(), "{running:?}");
            Ok(())
        })
        .await
    }

    fn has(&self, file: &str) -> bool {
        self.dir.path().join("tmp").join(file).exists()
    }
}

/// Starts a demo that keeps its files in a directory of the scene, in a process group of its own, as a shell does.
fn start(dir: &Path, temporary: &str) -> Result<Child> {
    let app = dir.join("application");
    if !app.exists() {
        paths::write_program(&app, APPLICATION)?;
    }
    let mut demo = Command::new(paths::binary("wakeflash-lab")?);
    demo.args(["demo", "--app"]).arg(app).args(["--", "{state}"]);
    demo.env("TMPDIR", dir.join(temporary)).env("XDG_RUNTIME_DIR", dir);
    Ok(demo.process_group(0).kill_on_drop(true).spawn()?)
}

#[tokio::test]
async fn a_demo_that_is_ended_by_a_signal_ends_what_it_started_and_leaves_nothing() -> Result<()> {
    for (what, terminal) in [("SIGTERM", false), ("Ctrl-C", true)] {
        let Some(mut scene) = Scene::new().await? else { return Ok(()) };
        scene.until_runs().await?;
        let running = mentions(scene.dir.path())?;
        ensure!(running.len() > 2, "application and device: {running:?}");
        let group: Vec<_> =
            running.iter().filter(|(_, group)| *group == scene.pid().ok()).collect();
        ensure!(group.len() == 1, "they would hear of Ctrl-C before the demo ends them: {group:?}");
        if terminal {
            kill_process_group(scene.pid()?, Signal::INT)?;
        } else {
            kill_process(scene.pid()?, Signal::TERM)?;
        }
        let status = tokio::time::timeout(SOON, scene.demo.wait()).await??;
        ensure!(status.success(), "{what}: {status}");
        scene.until_all_ended().await?;
        let left = scene.left()?;
        ensure!(left.is_empty(), "{what} left {left:?}");
        for door in ["wakeflash-demo", "wakeflash-demo.lock"] {
            ensure!(!scene.dir.path().join(door).exists(), "{what} left {door}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn another_demo_shows_the_window_of_the_one_that_runs() -> Result<()> {
    let Some(mut scene) = Scene::new().await? else { return Ok(()) };
    scene.until_runs().await?;
    let status = tokio::time::timeout(SOON, start(scene.dir.path(), "tmp")?.wait()).await??;
    ensure!(status.success() && scene.has("shown"), "{status}: {:?}", scene.left()?);
    ensure!(scene.demo.try_wait()?.is_none(), "the first one has ended");
    // One that was killed is no obstacle for the next, and what it started ends with it.
    scene.demo.kill().await?;
    let place = scene.dir.path().join("wakeflash-demo");
    ensure!(place.exists(), "there is no socket to be found by the next");
    scene.until_all_ended().await?;
    std::fs::create_dir(scene.dir.path().join("next"))?;
    scene.demo = start(scene.dir.path(), "next")?;
    scene.until_runs_in("next").await?;
    scene.end().await
}

#[tokio::test]
async fn a_demo_that_is_started_while_another_one_ends_begins_after_it() -> Result<()> {
    let Some(mut scene) = Scene::new().await? else { return Ok(()) };
    scene.until_runs().await?;
    kill_process(scene.pid()?, Signal::TERM)?;
    until("the application is ending", SOON, async || {
        ensure!(scene.dir.path().join("ending").exists(), "it isn't");
        Ok(())
    })
    .await?;
    std::fs::create_dir(scene.dir.path().join("next"))?;
    let mut next = start(scene.dir.path(), "next")?;
    let status = tokio::time::timeout(SOON, scene.demo.wait()).await??;
    ensure!(status.success(), "the first one: {status}");
    tokio::select! {
        runs = scene.until_runs_in("next") => runs?,
        status = next.wait() => anyhow::bail!("the next one has ended: {}", status?),
    }
    scene.demo = next;
    scene.end().await
}

#[tokio::test]
async fn of_demos_that_are_started_at_once_one_runs_and_the_others_show_it() -> Result<()> {
    let Some(mut scene) = Scene::new().await? else { return Ok(()) };
    let mut second = start(scene.dir.path(), "tmp")?;
    let status = async {
        Ok::<_, anyhow::Error>(tokio::select! {
            status = scene.demo.wait() => status?,
            status = second.wait() => status?,
        })
    };
    let status = tokio::time::timeout(SOON, status).await??;
    ensure!(status.success() && scene.has("shown"), "{status}: {:?}", scene.left()?);
    let ended = (scene.demo.try_wait()?.is_some(), second.try_wait()?.is_some());
    ensure!(ended.0 != ended.1, "both have ended");
    if ended.0 {
        scene.demo = second;
    }
    scene.end().await
}

/// The processes whose command line or environment names the directory of a scene, but for this one, and the process
/// group of each.
fn mentions(dir: &Path) -> Result<Vec<(String, Option<Pid>)>> {
    let wanted = dir.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<u32>() else { continue };
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let said = [read("cmdline"), read("environ")].concat();
        if pid != std::process::id() && String::from_utf8_lossy(&said).contains(&wanted) {
            let name = String::from_utf8_lossy(&read("comm")).trim().to_owned();
            let group = Pid::from_raw(pid.cast_signed()).map(|pid| getpgid(Some(pid)));
            found.push((format!("{pid} {name}"), group.and_then(Result::ok)));
        }
    }
    Ok(found)
}
