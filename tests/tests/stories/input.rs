//! Bad input: configurations that can't be read, commands that are none, builds that fail.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Scene, Stage, new_yaml, state_of};

/// A configuration whose name is a trial for everything that handles file names.
const UMLAUTS: &str = "schläft im Büro.yaml";

fn refused(error: &Value, code: &str) -> Result<()> {
    ensure!(error["code"] == code, "expected {code}: {error}");
    ensure!(error["message"].as_str().is_some_and(|text| text.ends_with('.')), "{error}");
    Ok(())
}

/// Every trap that a directory can hold, with the code of its problem.
fn traps(config: &Path) -> Result<Vec<(&'static str, &'static str)>> {
    let write = |name: &str, text: &[u8]| {
        std::fs::write(config.join(name), text).with_context(|| name.to_owned())
    };
    write("broken.yaml", b"esphome:\n  name: [\n")?;
    write("latin1.yaml", b"esphome:\n  name: b\xFCro\n")?;
    write("empty.yaml", b"")?;
    let mut huge = b"esphome:\n  name: huge\nlogger:\n".to_vec();
    huge.resize(5 * 1024 * 1024 + 1, b'#');
    write("huge.yaml", &huge)?;
    std::os::unix::fs::symlink("loop.yaml", config.join("loop.yaml"))?;
    std::os::unix::fs::symlink("nowhere", config.join("dangling.yaml"))?;
    // Root may read everything, so a file without permissions is no test; nobody can read a pipe's end.
    let status = std::process::Command::new("mkfifo").arg(config.join("pipe.yaml")).status()?;
    ensure!(status.success(), "mkfifo failed");
    std::fs::create_dir(config.join("directory.yaml"))?;
    write("deep.yaml", "[".repeat(100_000).as_bytes())?;
    write("list.yaml", b"- one\n- two\n")?;
    Ok(vec![
        ("broken.yaml", "config.refused"),
        ("latin1.yaml", "config.refused"),
        ("empty.yaml", "config.no_device"),
        ("loop.yaml", "config.link_loop"),
        ("dangling.yaml", "config.missing"),
        ("pipe.yaml", "config.unreadable"),
        ("list.yaml", "config.no_device"),
    ])
}

#[tokio::test]
async fn what_cannot_be_read_is_listed_refused_in_words_and_mendable() -> Result<()> {
    let wanted = BTreeMap::from([(UMLAUTS.to_owned(), new_yaml())]);
    let Some(stage) = Stage::play(Scene { wanted, ..Scene::default() }).await? else {
        return Ok(());
    };
    let traps = traps(&stage.config)?;
    stage.until_row("pipe.yaml", "the traps are listed", SOON, |row| row.problem.is_some()).await?;
    for (file, code) in traps {
        let row = stage
            .until_row(file, "its problem is listed", SOON, |row| row.problem.is_some())
            .await?;
        let row = serde_json::to_value(&row)?;
        refused(&row["problem"], code).with_context(|| file.to_owned())?;
        ensure!(row["primary"] == "none", "{file} can't be installed: {row}");
        let error = stage.app.process().refusal(json!({"cmd": "install", "device": file})).await?;
        refused(&error, code)?;
    }
    // The answer about this one takes longer than others are kept waiting.
    stage.until_row("deep.yaml", "it has a problem", BUILD, |row| row.problem.is_some()).await?;
    let snapshot = stage.snapshot().await?;
    let listed = |file: &str| snapshot.devices.iter().find(|row| row.id.as_str() == file);
    ensure!(listed("directory.yaml").is_none(), "a directory is no configuration");
    // Large and right: ESPHome reads it too.
    ensure!(listed("huge.yaml").is_some(), "a large file is listed");

    // Mended, it can be installed.
    new_yaml().write_to(&stage.config, "broken.yaml")?;
    stage.until_row("broken.yaml", "it is mended", SOON, |row| row.problem.is_none()).await?;
    stage.app.device_command("install", "broken.yaml").await?;
    stage.app.device_command("cancel", "broken.yaml").await?;

    // The whole job, with a file name that is no plain one.
    std::fs::remove_file(stage.config.join("broken.yaml"))?;
    stage.app.device_command("install", UMLAUTS).await?;
    let is =
        |state: &'static str| move |row: &wakeflash_core::view::DeviceView| state_of(row) == state;
    stage.until_row(UMLAUTS, "it is built", BUILD, is("waiting")).await?;
    stage.wake().await?;
    let row = stage.until_row(UMLAUTS, "it is installed", SOON, is("installed")).await?;
    let wanted = row.update.and_then(|update| update.wanted_hash).map(|hash| hash.0);
    ensure!(stage.device.running_hash().await? == wanted && wanted.is_some());
    Ok(())
}

#[tokio::test]
async fn a_build_that_fails_says_why_keeps_its_log_and_is_retried() -> Result<()> {
    let Some(stage) = Stage::set().await? else { return Ok(()) };
    let good = new_yaml();
    let cases = [
        ("sensor:\n  - platform: no_such_platform\n", "no_such_platform"),
        (
            "script:\n  - id: wrong\n    then:\n      - lambda: this_does_not_exist();\n",
            "this_does_not_exist",
        ),
    ];
    let mut command = "install";
    for (extra, trace) in cases {
        let mut bad = good.clone();
        bad.extra = extra.to_owned();
        bad.write_to(&stage.config, DEVICE)?;
        stage.command(command).await?;
        command = "retry";
        let row = serde_json::to_value(stage.until_state("failed", BUILD).await?)?;
        let problem = &row["update"]["state"]["problem"];
        ensure!(problem["code"].as_str().is_some_and(|code| !code.is_empty()), "{problem}");
        ensure!(problem["help"].as_str().is_some_and(|help| !help.is_empty()), "{problem}");
        // ESPHome may have said of the file already that it must be corrected first.
        let refused = row["problem"]["code"] == "config.refused";
        ensure!(row["primary"] == if refused { "none" } else { "retry" }, "{row}");
        let details = stage.details().await?;
        ensure!(details.log.lines.iter().any(|line| line.contains(trace)), "{:?}", details.log);
        ensure!(details.log.path.is_some_and(|path| Path::new(&path).is_file()));
        ensure!(stage.snapshot().await?.status.counts.attention == 1);
        stage.until_no_build_runs(Duration::from_secs(20)).await?;
    }
    stage.notified("failed", 2).await?;
    stage.write(&good).await?;
    stage.command("retry").await?;
    stage.until_state("waiting", BUILD).await?;
    let log = stage.details().await?.log.lines;
    ensure!(!log.iter().any(|line| line.contains("this_does_not_exist")), "a log of its own");
    Ok(())
}

#[tokio::test]
async fn commands_that_are_none_get_one_clear_error_each() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    let process = stage.app.process();
    std::fs::write(stage.dir.path().join("outside.yaml"), "esphome:\n  name: outside\n")?;
    for command in ["install", "cancel", "retry", "rebuild", "flash_anyway", "details"] {
        for device in [
            "nobody.yaml",
            "../outside.yaml",
            "/etc/passwd",
            "a/../sleepy.yaml",
            "./sleepy.yaml",
            "",
            ".",
            "..",
            "sleepy.yaml\0",
            "sleepy.yaml/",
            "-h",
            "secrets.yaml",
            "SLEEPY.YAML",
        ] {
            let error = process.refusal(json!({"cmd": command, "device": device})).await?;
            let code = error["code"].as_str().unwrap_or_default();
            let expected = if command == "details" { "update.none" } else { "device.unknown" };
            ensure!(code == expected || code == "device.unknown", "{command} {device:?}: {error}");
            ensure!(error["message"].as_str().is_some_and(|text| text.ends_with('.')), "{error}");
        }
    }
    for command in [
        json!({"cmd": "explode"}),
        json!({"cmd": "install"}),
        json!({"cmd": "install", "device": 7}),
        json!({"cmd": "install", "device": DEVICE, "force": true}),
        json!({"device": DEVICE}),
        json!({"cmd": "set_settings", "settings": {"maxBuilds": "many"}}),
    ] {
        refused(&process.refusal(command).await?, "command.unreadable")?;
    }
    let settings = json!({"cmd": "set_settings", "settings": {"configDir": "relative/path"}});
    refused(&process.refusal(settings).await?, "settings.relative_path")?;
    let settings = json!({"cmd": "set_settings", "settings": {"maxBuilds": 0}});
    refused(&process.refusal(settings).await?, "settings.zero")?;

    // Lines without a number in them are answered once each, in order.
    let long = format!("{{\"cmd\":\"install\",\"device\":\"{}\"}}", "x".repeat(10_000_000));
    process.skip_to_now().await;
    for line in
        ["no json", "[1,2]", "{\"cmd\":\"list\"", "\"list\"", "null", "\u{1}\u{fffd}", &long]
    {
        process.send_line(line).await?;
    }
    for _ in 0..7 {
        let reply = process.wait_for("an error", SOON, |line| line.get("error").is_some()).await?;
        refused(&reply["error"], "command.unreadable")?;
    }
    // Empty lines are none; and what follows on all this is understood.
    process.send_line("").await?;
    let list = stage.app.request(json!({"cmd": "list"})).await?;
    ensure!(list.as_array().is_some_and(|rows| rows.len() == 1), "{list}");
    let after = process.lines();
    let errors = after.iter().filter(|line| line["error"]["code"] == "command.unreadable");
    ensure!(errors.count() == 6 + 7, "one error for each");
    Ok(())
}
