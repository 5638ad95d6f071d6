//! An engine on a box that is always on, shown elsewhere: a real `sshd`, the real service, a real device that sleeps.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::Child;
use wakeflash_core::device::DeviceId;
use wakeflash_core::notification::Meanwhile;
use wakeflash_core::settings::{Settings, SettingsChange, Theme};
use wakeflash_core::view::{Action, DeviceView, Notification, Snapshot};
use wakeflash_engine::handle::{Asked, Shell};
use wakeflash_remote::{Destination, Places, Remote, Ssh, Trial, Watcher, trust, try_out};
use wakeflash_tests::desktop::until;
use wakeflash_tests::lan::Host;
use wakeflash_tests::paths::binary;
use wakeflash_tests::sshd::Sshd;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Stage, state_of};

/// What the user is told.
#[derive(Default)]
struct Told {
    notifications: Mutex<Vec<Notification>>,
    meanwhile: Mutex<Vec<Meanwhile>>,
}

impl Shell for Told {
    fn notify(&self, notification: Notification) {
        locked(&self.notifications).push(notification);
    }
}

impl Watcher for Told {
    fn meanwhile(&self, what: Meanwhile) {
        locked(&self.meanwhile).push(what);
    }
}

fn locked<T>(told: &Mutex<T>) -> MutexGuard<'_, T> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The box with its service and its `sshd`, and a laptop.
struct Scene {
    stage: Stage,
    laptop: Host,
    sshd: Sshd,
    service: Child,
    ssh: Ssh,
    place: Destination,
    scratch: PathBuf,
}

impl Scene {
    async fn set() -> Result<Option<Self>> {
        let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(None) };
        stage.let_it_be_seen().await?;
        stage.app.process().close_stdin().await;
        stage.app.process().wait(SOON).await?;
        let laptop = stage.lan.host("laptop").await?;
        let sshd = Sshd::start(&stage.home, &stage.dir.path().join("box")).await?;
        // What the scene's application has learned is the service's.
        std::fs::rename(&stage.state, sshd.state())?;
        let scratch = stage.dir.path().join("laptop");
        let ssh = Ssh(sshd.client(&laptop, &scratch)?.into());
        let service = serve(&stage, &sshd)?;
        let place = Destination::try_from("box".to_owned())?;
        Ok(Some(Self { stage, laptop, sshd, service, ssh, place, scratch }))
    }

    async fn try_out(&self) -> Trial {
        try_out(&self.ssh, &self.place, &self.scratch).await
    }

    /// Accepts the host's key, as the user does who has compared it.
    async fn trust(&self) -> Result<()> {
        let key = self.try_out().await.host_key.context("no key is shown")?;
        trust(&self.ssh, &self.place, &key.fingerprint, &self.scratch).await?;
        until("the service runs", SOON, async || {
            let trial = self.try_out().await;
            ensure!(trial.problem.is_none(), "{trial:?}");
            Ok(())
        })
        .await
    }

    fn connect(&self, told: &Arc<Told>) -> Remote {
        let here = Settings { theme: Theme::Dark, ..Settings::default() };
        let places = Places { screen: SettingsChange::of_the_screen(&here), ..Places::default() };
        let watcher: Arc<dyn Watcher> = Arc::clone(told) as Arc<dyn Watcher>;
        Remote::start(self.ssh.clone(), self.place.clone(), places, self.scratch.clone(), watcher)
    }
}

fn serve(stage: &Stage, sshd: &Sshd) -> Result<Child> {
    let mut command = stage.home.command(binary("wakeflash-headless")?);
    command.arg("--state").arg(sshd.state()).arg("serve").arg("--config").arg(&stage.config);
    command.arg("--esphome").arg(stage.dir.path().join("esphome/esphome")).kill_on_drop(true);
    command.spawn().context("starting the service")
}

async fn until_shown(
    remote: &Remote,
    what: &str,
    wanted: impl Fn(&Snapshot) -> bool,
) -> Result<Snapshot> {
    until(what, BUILD, async || {
        let shown = remote.handle.snapshot().await?;
        ensure!(wanted(&shown), "{:?} {:?}", shown.status, row(&shown));
        Ok(shown)
    })
    .await
}

fn row(shown: &Snapshot) -> Option<&DeviceView> {
    shown.devices.iter().find(|row| row.id.as_str() == DEVICE)
}

fn is_away(shown: &Snapshot) -> bool {
    shown.status.place.as_ref().is_some_and(|place| place.away.is_some())
}

fn is_ready(shown: &Snapshot) -> bool {
    let status = serde_json::to_value(&shown.status).unwrap_or_default();
    !is_away(shown)
        && status["configDir"]["kind"] == "ready"
        && status["esphome"]["kind"] == "ready"
}

fn is(shown: &Snapshot, state: &str) -> bool {
    row(shown).is_some_and(|row| state_of(row) == state)
}

async fn install(remote: &Remote) -> Result<(), wakeflash_core::error::Problem> {
    let device = DeviceId::of_file(DEVICE);
    remote.handle.ask(|reply| Asked::Install { device, reply }).await.map(drop)
}

#[tokio::test]
async fn a_device_is_flashed_while_the_laptop_is_away_and_that_is_told_once() -> Result<()> {
    let Some(scene) = Scene::set().await? else { return Ok(()) };
    scene.trust().await?;
    let told = Arc::new(Told::default());
    let remote = scene.connect(&told);
    let shown = until_shown(&remote, "the box is shown", is_ready).await?;
    ensure!(shown.settings.theme == Theme::Dark, "it looks as it does here");
    install(&remote).await?;
    until_shown(&remote, "it waits", |shown| is(shown, "waiting")).await?;
    let device = DeviceId::of_file(DEVICE);
    let image = remote.handle.ask(|reply| Asked::BuiltImage { device, reply }).await;
    ensure!(
        image.is_err_and(|refused| refused.code == "remote.files"),
        "a path there is none here"
    );

    scene.laptop.link(false).await?;
    let away = until_shown(&remote, "it is said that it is away", is_away).await?;
    let since = away.status.place.and_then(|place| place.away).and_then(|away| away.since);
    ensure!(since.is_some(), "since when isn't said");
    let known = away.devices.iter().find(|row| row.id.as_str() == DEVICE).context("no row")?;
    ensure!(state_of(known) == "waiting", "what was known isn't shown");
    ensure!((known.primary, known.secondary.is_empty()) == (Action::None, true), "{known:?}");
    ensure!(install(&remote).await.is_err_and(|refused| refused.code == "remote.away"));

    scene.stage.wake().await?;
    until("it is flashed", SOON, async || {
        let device = scene.stage.device.state().await?;
        ensure!(device.ota_done == 1, "{device:?}");
        Ok(())
    })
    .await?;
    let state = scene.sshd.state();
    until("the box knows", SOON, async || {
        let mut asking = scene.stage.home.command(binary("wakeflash-headless")?);
        let asked = asking.arg("--state").arg(&state).args(["status", "--json"]).output().await?;
        let shown: Snapshot = serde_json::from_slice(&asked.stdout)?;
        ensure!(is(&shown, "installed"), "{:?}", row(&shown));
        Ok(())
    })
    .await?;
    scene.laptop.link(true).await?;
    until_shown(&remote, "it is installed", |shown| !is_away(shown) && is(shown, "installed"))
        .await?;
    let meanwhile = locked(&told.meanwhile).clone();
    ensure!(meanwhile == [Meanwhile { updated: 1, attention: 0 }], "{meanwhile:?}");
    ensure!(locked(&told.notifications).is_empty(), "it is told twice");
    remote.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_said_and_nothing_is_accepted_silently() -> Result<()> {
    let Some(mut scene) = Scene::set().await? else { return Ok(()) };
    let code = async |scene: &Scene| scene.try_out().await.problem.map(|problem| problem.code);
    let said = |wanted: &str| Some(wanted.to_owned());
    let known_hosts = scene.scratch.join("known_hosts");

    let shown = scene.try_out().await;
    ensure!(shown.problem.is_some_and(|problem| problem.code == "remote.host_key_unknown"));
    let key = shown.host_key.context("no fingerprint is shown")?;
    let own = tokio::process::Command::new("ssh-keygen")
        .args(["-l", "-f"])
        .arg(scene.stage.dir.path().join("box/host_key.pub"))
        .output()
        .await?;
    let own = String::from_utf8(own.stdout)?;
    ensure!(
        own.contains(&key.fingerprint) && key.fingerprint.starts_with("SHA256:"),
        "{key:?} {own}"
    );
    let other = trust(&scene.ssh, &scene.place, "SHA256:other", &scene.scratch).await;
    ensure!(other.is_err_and(|problem| problem.code == "remote.host_key_other"));
    ensure!(!known_hosts.exists(), "a key was kept that nobody has accepted");
    scene.trust().await?;

    scene.sshd.refuse_keys(true)?;
    ensure!(code(&scene).await == said("remote.key_refused"));
    scene.sshd.refuse_keys(false)?;

    let place = Destination::try_from("nobody.invalid".to_owned())?;
    let nobody = try_out(&scene.ssh, &place, &scene.scratch).await.problem;
    ensure!(nobody.as_ref().is_some_and(|nobody| nobody.code == "remote.no_host"), "{nobody:?}");

    scene.service.kill().await?;
    ensure!(code(&scene).await == said("remote.no_service"));
    for (script, wanted) in [
        (
            "echo '{\"hello\":\"wakeflash\",\"protocol\":99,\"version\":\"9.0.0\"}'; cat",
            "remote.version",
        ),
        ("echo Welcome; cat", "remote.garbage"),
    ] {
        scene.sshd.install(&format!("#!/bin/sh\n{script}\n"))?;
        ensure!(code(&scene).await == said(wanted), "{wanted}");
    }
    scene.sshd.uninstall()?;
    ensure!(code(&scene).await == said("remote.not_installed"));

    scene.sshd.change_host_key().await?;
    let changed = scene.try_out().await;
    ensure!(changed.problem.is_some_and(|problem| problem.code == "remote.host_key_changed"));
    ensure!(changed.host_key.is_none(), "a changed key can't be accepted here");
    Ok(())
}

#[tokio::test]
async fn a_service_or_an_ssh_that_is_killed_comes_back_and_nothing_hangs() -> Result<()> {
    let Some(mut scene) = Scene::set().await? else { return Ok(()) };
    scene.trust().await?;
    let remote = scene.connect(&Arc::new(Told::default()));
    until_shown(&remote, "the box is shown", is_ready).await?;

    scene.service.kill().await?;
    until_shown(&remote, "the service is missed", |shown| {
        let away = shown.status.place.clone().and_then(|place| place.away);
        away.and_then(|away| away.problem).is_some_and(|why| why.code == "remote.no_service")
    })
    .await?;
    scene.service = serve(&scene.stage, &scene.sshd)?;
    until_shown(&remote, "it is back", is_ready).await?;

    // Whatever is asked while SSH is killed gets an answer.
    for _ in 0..3 {
        let (handle, pid) = (remote.handle.clone(), ssh_of(&scene).await?);
        let asked =
            tokio::spawn(
                async move { handle.ask(|reply| Asked::Report { reply }).await.map(drop) },
            );
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
        match tokio::time::timeout(SOON, asked).await?? {
            Ok(()) => {}
            Err(problem) => {
                let codes = ["remote.unanswered", "remote.away"];
                ensure!(codes.contains(&problem.code.as_str()), "{problem:?}");
            }
        }
        until_shown(&remote, "it is connected again", is_ready).await?;
    }
    let listed = remote.handle.answer(serde_json::from_value(json!({"cmd": "list"}))?).await?;
    ensure!(listed.get().contains(DEVICE), "{listed}");
    remote.shutdown().await;
    Ok(())
}

/// The `ssh` of the connection.
async fn ssh_of(scene: &Scene) -> Result<rustix::process::Pid> {
    let config = scene.scratch.join("config").display().to_string();
    until("ssh runs", SOON, async || {
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let line = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            let words: Vec<&str> = line.split('\0').collect();
            if words.first().is_some_and(|word| word.ends_with("ssh"))
                && words.contains(&config.as_str())
            {
                return rustix::process::Pid::from_raw(pid).context("no process");
            }
        }
        anyhow::bail!("there is none")
    })
    .await
}
