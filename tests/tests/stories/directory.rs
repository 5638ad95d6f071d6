//! The config directory goes, comes back, and is exchanged for another one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use wakeflash_core::view::{DeviceView, Snapshot};
use wakeflash_tests::headless::{Headless, HeadlessOptions};
use wakeflash_tests::paths::write_program;
use wakeflash_tests::stage::{SOON, state_of};

/// An ESPHome whose builds wait as long as there is a file `hold` beside it, and then fail as `fail` says.
struct Desk {
    dir: TempDir,
    app: Headless,
}

const ESPHOME: &str = r#"#!/bin/sh
here=$(dirname "$0")
if [ "$1" = version ]; then echo "Version: 2026.10.0"; exit 0; fi
case " $* " in *" compile "*) ;; *) exit 2 ;; esac
echo "$PWD $3" >>"$here/begun"
while [ -e "$here/hold" ]; do sleep 0.05; done
if [ -e "$here/fail" ]; then cat "$here/fail"; exit 1; fi
mkdir -p .esphome/storage .esphome/build/x
name=${3%.yaml}
printf '\177ELFimage of %s' "$name" >.esphome/build/x/"$name"
echo '{"name":"'$name'","core_platform":"host","firmware_bin_path":"'$PWD/.esphome/build/x/$name'","build_path":"'$PWD'/.esphome/build/x"}' >.esphome/storage/$3.json
echo '{"esphome":"2026.10.0","config":{"esphome":{"name":"'$name'"},"mdns":{},"ota":[{"platform":"esphome","port":3232}]}}' >.esphome/storage/$3.validated.json
echo '{"config_hash":291}' >.esphome/build/x/build_info.json
echo 'INFO Build Info: config_hash=0x00000123 x'
"#;

impl Desk {
    fn set(files: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fill(&dir.path().join("config"), files)?;
        fs::create_dir(dir.path().join("tools"))?;
        let esphome = dir.path().join("tools/esphome");
        write_program(&esphome, ESPHOME)?;
        let mut options =
            HeadlessOptions::new(&dir.path().join("config"), &dir.path().join("state"));
        options.esphome = Some(esphome);
        let app = Headless::start(options, None)?;
        Ok(Self { dir, app })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn say(&self, what: &str, text: &str) -> Result<()> {
        fs::write(self.path("tools").join(what), text).with_context(|| what.to_owned())
    }

    fn unsay(&self, what: &str) -> Result<()> {
        fs::remove_file(self.path("tools").join(what)).with_context(|| what.to_owned())
    }

    /// The builds that were begun so far.
    fn begun(&self) -> usize {
        fs::read_to_string(self.path("tools/begun")).unwrap_or_default().lines().count()
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        Ok(serde_json::from_value(self.app.request(json!({"cmd": "snapshot"})).await?)?)
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Result<Snapshot> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let snapshot = self.snapshot().await?;
            if wanted(&snapshot) {
                return Ok(snapshot);
            }
            ensure!(tokio::time::Instant::now() < deadline, "not in time: {what}; {snapshot:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    async fn until_states(&self, what: &str, wanted: &[(&str, &str)]) -> Result<Snapshot> {
        self.until(what, |snapshot| {
            wanted
                .iter()
                .all(|(file, state)| row(snapshot, file).is_some_and(|row| state_of(row) == *state))
        })
        .await
    }

    async fn until_directory(&self, kind: &str) -> Result<Snapshot> {
        self.until(kind, |snapshot| status(snapshot)["configDir"]["kind"] == kind).await
    }

    async fn install(&self, files: &[&str]) -> Result<()> {
        for file in files {
            self.app.device_command("install", file).await?;
        }
        Ok(())
    }

    fn told(&self) -> Vec<Value> {
        let lines = self.app.process().lines().into_iter();
        lines.map(|line| line["notification"].clone()).filter(|told| !told.is_null()).collect()
    }
}

fn fill(dir: &Path, files: &[&str]) -> Result<()> {
    fs::create_dir_all(dir)?;
    for file in files {
        let name = file.trim_end_matches(".yaml");
        fs::write(dir.join(file), format!("esphome:\n  name: {name}\nhost:\n"))?;
    }
    Ok(())
}

fn row<'a>(snapshot: &'a Snapshot, file: &str) -> Option<&'a DeviceView> {
    snapshot.devices.iter().find(|row| row.id.as_str() == file)
}

fn status(snapshot: &Snapshot) -> Value {
    serde_json::to_value(&snapshot.status).unwrap_or_default()
}

fn warning(snapshot: &Snapshot, file: &str) -> Option<String> {
    row(snapshot, file)?.update.as_ref()?.warning.as_ref().map(|problem| problem.code.clone())
}

const THREE: [&str; 3] = ["one.yaml", "two.yaml", "three.yaml"];

#[tokio::test]
async fn a_restart_without_the_directory_fails_nothing_and_goes_on_when_it_is_back() -> Result<()> {
    let mut desk = Desk::set(&THREE)?;
    desk.until_directory("ready").await?;
    desk.say("hold", "")?;
    desk.install(&THREE).await?;
    let [one, two, three] = THREE;
    desk.until_states("one is built", &[(one, "building"), (two, "queued"), (three, "queued")])
        .await?;
    desk.until("ESPHome runs", |_| desk.begun() == 1).await?;

    desk.app.kill().await?;
    desk.unsay("hold")?;
    let begun = desk.begun();
    fs::rename(desk.path("config"), desk.path("aside"))?;
    desk.app.start_again()?;
    let queued: Vec<_> = THREE.iter().map(|file| (*file, "queued")).collect();
    desk.until_directory("unreadable").await?;
    let snapshot = desk
        .until("ESPHome is there", |snapshot| status(snapshot)["esphome"]["kind"] == "ready")
        .await?;
    ensure!(snapshot.devices.len() == 3, "all are listed: {snapshot:#?}");
    // As long as all of them took to fail once.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    desk.until_states("they wait", &queued).await?;
    desk.until("it says for what", |snapshot| {
        warning(snapshot, one).as_deref() == Some("build.waits_for_directory")
    })
    .await?;
    ensure!(desk.begun() == begun && desk.told().is_empty(), "{:?}", desk.told());

    // A mount point comes before what is mounted on it.
    fs::create_dir(desk.path("config"))?;
    desk.until_directory("ready").await?;
    desk.until_states("they wait on", &queued).await?;
    fs::remove_dir(desk.path("config"))?;
    fs::rename(desk.path("aside"), desk.path("config"))?;
    let waiting: Vec<_> = THREE.iter().map(|file| (*file, "waiting")).collect();
    desk.until_states("they are built", &waiting).await?;
    ensure!(desk.told().is_empty(), "{:?}", desk.told());
    Ok(())
}

#[tokio::test]
async fn a_directory_that_goes_while_it_is_built_from_fails_nothing() -> Result<()> {
    let desk = Desk::set(&["one.yaml"])?;
    desk.until_directory("ready").await?;
    desk.say("hold", "")?;
    desk.install(&["one.yaml"]).await?;
    desk.until("ESPHome runs", |_| desk.begun() == 1).await?;
    fs::rename(desk.path("config"), desk.path("aside"))?;
    desk.say(
        "fail",
        "ERROR Error while reading config: [Errno 2] No such file or directory: 'one.yaml'\n",
    )?;
    desk.unsay("hold")?;
    desk.until_states("it waits", &[("one.yaml", "queued")]).await?;
    desk.until_directory("unreadable").await?;
    desk.unsay("fail")?;
    ensure!(desk.begun() == 1 && desk.told().is_empty());
    fs::rename(desk.path("aside"), desk.path("config"))?;
    desk.until_states("it is built", &[("one.yaml", "waiting")]).await?;
    Ok(())
}

#[tokio::test]
async fn an_update_is_built_from_its_own_directory_only() -> Result<()> {
    let mut desk = Desk::set(&["one.yaml", "two.yaml"])?;
    fill(&desk.path("other"), &["two.yaml"])?;
    desk.until_directory("ready").await?;
    desk.say("hold", "")?;
    desk.install(&["one.yaml", "two.yaml"]).await?;
    desk.until_states("one is built", &[("one.yaml", "building"), ("two.yaml", "queued")]).await?;
    let settings = serde_json::to_value(desk.snapshot().await?.settings)?;
    let choose = |name: &str| {
        let mut settings = settings.clone();
        settings["configDir"] = desk.path(name).to_string_lossy().into();
        json!({"cmd": "set_settings", "settings": settings})
    };
    let (other, own) = (choose("other"), choose("config"));
    desk.app.request(other.clone()).await?;
    desk.until_directory("ready").await?;
    desk.unsay("hold")?;
    let snapshot = desk
        .until_states("one is built there", &[("one.yaml", "waiting"), ("two.yaml", "queued")])
        .await?;
    ensure!(warning(&snapshot, "one.yaml").as_deref() == Some("update.built_elsewhere"));
    ensure!(warning(&snapshot, "two.yaml").as_deref() == Some("update.other_directory"));
    let refused =
        desk.app.process().refusal(json!({"cmd": "install", "device": "two.yaml"})).await?;
    ensure!(refused["code"] == "update.elsewhere", "{refused}");

    // It is remembered over a restart, and the command line says the directory again.
    desk.app.restart().await?;
    desk.until_directory("ready").await?;
    desk.until_states("two is built", &[("one.yaml", "waiting"), ("two.yaml", "waiting")]).await?;
    let begun = fs::read_to_string(desk.path("tools/begun"))?;
    let elsewhere = desk.path("other").to_string_lossy().into_owned();
    ensure!(!begun.contains(&elsewhere), "{begun}");

    // A change in the other directory is none of its business, one in its own is.
    desk.app.request(other).await?;
    desk.until_directory("ready").await?;
    let text = "esphome:\n  name: two\n  friendly_name: Another\nhost:\n";
    fs::write(desk.path("other/two.yaml"), text)?;
    desk.until("it was read", |snapshot| {
        let name = row(snapshot, "two.yaml").and_then(|row| row.friendly_name.as_deref());
        name == Some("Another")
    })
    .await?;
    desk.until_states("nothing is held", &[("one.yaml", "waiting"), ("two.yaml", "waiting")])
        .await?;
    fs::write(desk.path("config/two.yaml"), "esphome:\n  name: two\nhost:\n# changed\n")?;
    desk.app.request(own).await?;
    desk.until_states("it is held", &[("one.yaml", "waiting"), ("two.yaml", "held")]).await?;
    Ok(())
}
