use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use wakeflash_core::build_failure::BuildFailureClass;
use wakeflash_core::update::{Encryption, Secret};

use super::*;
use crate::script::write_program;

/// A fake `esphome`, with what a successful compile of `a.yaml` leaves.
struct Lab {
    dir: tempfile::TempDir,
}

const COMPILED: &str = r#"
mkdir -p .esphome/storage .esphome/build/a
echo '{"name":"a","core_platform":"host","firmware_bin_path":"'$PWD'/fw","build_path":"'$PWD'/.esphome/build/a"}' > .esphome/storage/a.yaml.json
echo '{"esphome":"2026.10.0","config":{"esphome":{"name":"a"},"mdns":{},"ota":[{"platform":"esphome","port":1234}]}}' > .esphome/storage/a.yaml.validated.json
echo '{"config_hash":291}' > .esphome/build/a/build_info.json
echo 'INFO Build Info: config_hash=0x00000123 x'
"#;
const IMAGE: &str = "printf '\\177ELFimage' > fw\n";

impl Lab {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("c")).unwrap();
        fs::write(dir.path().join("c/a.yaml"), "esphome:\n  name: a\n").unwrap();
        let program = dir.path().join("esphome");
        write_program(&program, &format!("[ $1 = bundle ] && exit 2\n{script}"));
        Self { dir }
    }

    fn request(&self) -> BuildRequest {
        BuildRequest {
            esphome: self.dir.path().join("esphome"),
            config_dir: self.dir.path().join("c"),
            device: DeviceId::of_file("a.yaml"),
            update: UpdateId(7),
            state_dir: self.dir.path().join("state"),
            marker: self.dir.path().display().to_string(),
            compiler_cache: None,
            cleaning: Cleaning::No,
            limits: LIMITS,
        }
    }

    async fn build(&self) -> Result<BuildOutcome, BuildEnd> {
        let (output, mut events) = mpsc::channel(8);
        let building = build(self.request(), output, CancellationToken::new());
        let drain = async { while events.recv().await.is_some() {} };
        tokio::join!(building, drain).0
    }

    async fn code(&self) -> String {
        match self.build().await.unwrap_err() {
            BuildEnd::Failed(failure) => failure.problem.code,
            BuildEnd::Cancelled => "cancelled".to_owned(),
        }
    }
}

#[tokio::test]
async fn a_build_is_put_together() {
    let lab = Lab::new(&format!("{IMAGE}{COMPILED}echo '\\033[32mdone\\033[0m'\nenv\nexit 0"));
    let outcome = lab.build().await.unwrap();
    assert_eq!(outcome.changes, []);
    assert_eq!(outcome.build.config_hash.map(|hash| hash.0), Some(0x123));
    assert_eq!(outcome.build.ota.port, 1234);
    assert_eq!(outcome.build.size, 9);
    assert_eq!(outcome.build.sources.len(), 1);
    let log = fs::read_to_string(log_path(&lab.request().state_dir, UpdateId(7))).unwrap();
    assert!(log.contains(&format!("{MARKER}={}", lab.request().marker)));
    assert!(log.contains("\x1b[32mdone"), "{log}");
}

#[tokio::test]
async fn what_was_built_in_a_container_is_found_below_the_data_directory() {
    let left = r#"
mkdir -p .esphome/storage .esphome/build/a/.pioenvs/a
printf '\177ELFimage' > .esphome/build/a/.pioenvs/a/program
build=/in-the-container/.esphome/build/a
echo '{"name":"a","core_platform":"host","firmware_bin_path":"'$build'/.pioenvs/a/program","build_path":"'$build'"}' > .esphome/storage/a.yaml.json
echo '{"esphome":"2026.10.0","config":{"esphome":{"name":"a"},"ota":[{"platform":"esphome","port":1}]}}' > .esphome/storage/a.yaml.validated.json
echo '{"config_hash":291}' > .esphome/build/a/build_info.json
echo 'INFO Build Info: config_hash=0x00000123 x'
"#;
    let lab = Lab::new(left);
    for build in ["/in-the-container/.esphome/build/a", "/data/build/a", "/config/other/out/a"] {
        let moved = left.replace("/in-the-container/.esphome/build/a", build);
        let moved =
            if build.contains("out") { moved.replace(".esphome/build/a", "out/a") } else { moved };
        let program = lab.dir.path().join("esphome");
        write_program(&program, &format!("[ $1 = bundle ] && exit 2\n{moved}"));
        for _ in 0..2 {
            let outcome = lab.build().await.unwrap();
            assert_eq!(
                (outcome.build.size, outcome.build.config_hash.map(|h| h.0)),
                (9, Some(0x123))
            );
        }
    }
}

#[tokio::test]
async fn a_change_during_the_build_is_told() {
    let lab = Lab::new(&format!("{IMAGE}{COMPILED}echo '# x' >> a.yaml"));
    assert_eq!(lab.build().await.unwrap().changes.len(), 1);
}

#[tokio::test]
async fn what_does_not_belong_together_is_refused() {
    let old = "touch -d '1 hour ago' fw\n";
    assert_eq!(Lab::new(COMPILED).code().await, "build.incomplete");
    assert_eq!(Lab::new(&format!("{IMAGE}{COMPILED}{old}")).code().await, "build.incomplete");
    let nothing_to_do = "touch -d '2 hours ago' .esphome/build/a/build_info.json\n";
    assert!(Lab::new(&format!("{IMAGE}{COMPILED}{old}{nothing_to_do}")).build().await.is_ok());
    let other = "echo 'config_hash=0x00000124'\n";
    assert_eq!(Lab::new(&format!("{IMAGE}{COMPILED}{other}")).code().await, "build.incomplete");
    let stale = "touch -d @1700000000 .esphome/storage/a.yaml.validated.json\n";
    let lab = Lab::new(&format!("{IMAGE}{COMPILED}{stale}"));
    assert!(lab.build().await.is_ok());
    assert_eq!(lab.code().await, "build.incomplete", "it was not written again");
    let wrong = "printf 'no elf' > fw\n";
    assert_eq!(Lab::new(&format!("{COMPILED}{wrong}")).code().await, "image.magic");
    let empty = ": > fw\n";
    assert_eq!(Lab::new(&format!("{COMPILED}{empty}")).code().await, "image.empty");
}

#[tokio::test]
async fn every_build_has_a_stamp_of_its_own() {
    // As ESPHome does it: a stamp that is there stays, when the configuration hasn't changed.
    let stamped = r#"
info=.esphome/build/a/build_info.json
echo x >> .esphome/count
[ -e $info ] || echo '{"config_hash":291,"build_time_str":"stamp '$(wc -l < .esphome/count)'"}' > $info
"#;
    let stored = COMPILED.lines().filter(|line| !line.contains("build_info.json"));
    let compiled = stored.collect::<Vec<_>>().join("\n");
    let lab = Lab::new(&format!("{IMAGE}{compiled}{stamped}"));
    let mut stamps = Vec::new();
    for _ in 0..2 {
        stamps.push(lab.build().await.unwrap().build.stamp.map(|stamp| stamp.0));
    }
    assert_eq!(stamps, [Some("stamp 1".to_owned()), Some("stamp 2".to_owned())]);

    // One that is that of another build tells nothing.
    let same = r#"echo '{"config_hash":291,"build_time_str":"the same"}' > .esphome/build/a/build_info.json"#;
    let lab = Lab::new(&format!("{IMAGE}{compiled}\n{same}\n"));
    assert!(lab.build().await.unwrap().build.stamp.is_some());
    assert_eq!(lab.build().await.unwrap().build.stamp, None);
}

#[tokio::test]
async fn the_clock_of_a_share_does_not_matter() {
    let touch = |when: &str| {
        let files = "fw .esphome/storage/a.yaml.validated.json .esphome/build/a/build_info.json";
        format!("touch -d '{when}' {files}\n")
    };
    let lab = Lab::new(&format!("{IMAGE}{COMPILED}{}", touch("3 hours ago")));
    assert!(lab.build().await.is_ok());
    let script = |rest: &str| {
        let program = lab.dir.path().join("esphome");
        write_program(&program, &format!("[ $1 = bundle ] && exit 2\n{IMAGE}{COMPILED}{rest}"));
    };
    script(&touch("2 hours ago"));
    assert!(lab.build().await.is_ok(), "written again by a clock that is behind");
    // The image stays as it was, though everything else is newer.
    script("touch -d '30 minutes ago' fw\n");
    assert!(lab.build().await.is_ok());
    script("touch -r .esphome/kept fw\n");
    fs::File::create(lab.dir.path().join("c/.esphome/kept"))
        .unwrap()
        .set_modified(fs::metadata(lab.dir.path().join("c/fw")).unwrap().modified().unwrap())
        .unwrap();
    assert_eq!(lab.code().await, "build.incomplete");
}

#[tokio::test]
async fn a_key_is_taken_over_when_it_is_one() {
    let with = |key: &str| {
        let ota = format!(r#""port":1234,"encryption":{{"key":"{key}"}}"#);
        Lab::new(&format!("{IMAGE}{}", COMPILED.replace(r#""port":1234"#, &ota)))
    };
    let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let built = with(key).build().await.unwrap().build;
    let required = Encryption::Required { key: Secret(key.to_owned()), allow_plaintext: false };
    assert_eq!(built.ota.encryption, required);
    assert_eq!(with("too short").code().await, "ota.key");
}

#[tokio::test]
async fn a_build_knows_that_its_password_is_another_one_than_before() {
    let script = |password: &str| {
        let ota = format!(r#""port":1234,"password":"{password}""#);
        format!("{IMAGE}{}", COMPILED.replace(r#""port":1234"#, &ota))
    };
    let lab = Lab::new(&script("first"));
    let changed = async |password: &str| {
        let program = lab.dir.path().join("esphome");
        write_program(&program, &format!("[ $1 = bundle ] && exit 2\n{}", script(password)));
        lab.build().await.unwrap().build.credentials_changed
    };
    assert!(!changed("first").await, "there is nothing to compare with");
    assert!(!changed("first").await);
    assert!(changed("second").await);
    assert!(!changed("second").await);
}

#[tokio::test]
async fn failures_have_their_words() {
    assert_eq!(Lab::new("exit 3").code().await, "build.failed");
    assert_eq!(Lab::new("kill -9 $$").code().await, "build.killed");
    assert_eq!(Lab::new("kill -SEGV $$").code().await, "build.failed");
    assert_eq!(Lab::new("echo 'Failed config'; exit 2").code().await, "build.config_invalid");
    let lab = Lab::new("");
    fs::remove_file(lab.dir.path().join("esphome")).unwrap();
    assert_eq!(lab.code().await, "build.not_started");
}

#[tokio::test]
async fn what_is_wrong_with_a_configuration_is_for_esphome_to_say() {
    let lab = Lab::new(&format!("{IMAGE}{COMPILED}"));
    for text in ["esphome: [", "", "- a list\n---\nesphome:\n"] {
        fs::write(lab.dir.path().join("c/a.yaml"), text).unwrap();
        assert_eq!(lab.build().await.unwrap().changes, []);
    }
}

#[tokio::test]
async fn what_esphome_lists_is_a_source() {
    let lab = Lab::new(&format!("{IMAGE}{COMPILED}"));
    let program = lab.dir.path().join("esphome");
    let list = "[ $1 = bundle ] && { echo INFO x; echo '  a.yaml'; echo '  b/c.h'; exit 0; }";
    write_program(&program, &format!("{list}\n{IMAGE}{COMPILED}"));
    fs::create_dir(lab.dir.path().join("c/b")).unwrap();
    fs::write(lab.dir.path().join("c/b/c.h"), "1").unwrap();
    let build = lab.build().await.unwrap().build;
    let paths: Vec<_> = build.sources.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(paths, ["a.yaml", "b/c.h"]);
}

#[tokio::test]
async fn without_its_directory_a_build_is_to_be_made_again() {
    let lacks = async |lab: &Lab| {
        let end = lab.build().await.unwrap_err();
        let BuildEnd::Failed(BuildFailure { class, problem }) = end else { panic!("{end:?}") };
        assert_eq!(class, BuildFailureClass::Again(Lack::Directory));
        problem.code
    };
    let aside = |script: &str| Lab::new(&format!("mv ../c ../aside\n{script}"));
    // It goes while ESPHome runs, which fails or doesn't.
    assert_eq!(lacks(&aside("echo 'Failed config'; exit 2")).await, "config_dir.missing");
    let lab = aside(&format!("{IMAGE}{COMPILED}"));
    assert_eq!(lacks(&lab).await, "config_dir.missing");
    // It was gone before.
    assert_eq!(lacks(&lab).await, "config_dir.missing");
    // What is left is the point where it was mounted.
    fs::create_dir(lab.dir.path().join("c")).unwrap();
    assert_eq!(lacks(&lab).await, "config_dir.missing");
    // Another one is there by the end.
    let lab = aside("mkdir ../c; cp ../aside/a.yaml ../c; exit 2");
    assert_eq!(lacks(&lab).await, "config_dir.went");
}

#[tokio::test]
async fn what_may_pass_is_to_be_tried_again() {
    let lacks = async |lab: &Lab| match lab.build().await.unwrap_err() {
        BuildEnd::Failed(failure) => failure.class,
        end @ BuildEnd::Cancelled => panic!("{end:?}"),
    };
    let again = BuildFailureClass::Again;
    let offline = Lab::new("echo 'ERROR Failed to download from all mirrors:'; exit 1");
    assert_eq!(lacks(&offline).await, again(Lack::Network));
    assert_eq!(lacks(&Lab::new("kill $$")).await, again(Lack::Memory));
    assert_eq!(lacks(&Lab::new("exit 2")).await, BuildFailureClass::Final);
    // The program is gone, is none, is just being written.
    let lab = Lab::new("");
    let program = lab.dir.path().join("esphome");
    let writes = fs::OpenOptions::new().append(true).open(&program).unwrap();
    assert_eq!(lacks(&lab).await, again(Lack::Esphome));
    drop(writes);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(lacks(&lab).await, again(Lack::Esphome));
    fs::remove_file(&program).unwrap();
    assert_eq!(lacks(&lab).await, again(Lack::Esphome));
}

#[tokio::test]
async fn limits_end_a_build() {
    let lab = Lab::new("sleep 60");
    let mut request = lab.request();
    request.limits.silence = Duration::from_millis(200);
    let (output, _events) = mpsc::channel(8);
    let failure = build(request, output, CancellationToken::new()).await.unwrap_err();
    let BuildEnd::Failed(BuildFailure { problem, .. }) = failure else { panic!("{failure:?}") };
    assert_eq!(problem.code, "build.timeout");
}

#[tokio::test]
async fn a_receiver_that_never_reads_holds_nothing_up() {
    let noise = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done\n\
                 head -c 3000000 /dev/zero | tr '\\0' x; echo; head -c 100 /dev/urandom\n";
    let lab = Lab::new(&format!("{noise}{IMAGE}{COMPILED}"));
    let (output, mut events) = mpsc::channel(1);
    build(lab.request(), output, CancellationToken::new()).await.unwrap();
    // Which lines were left out for it depends on who was faster.
    assert!(events.recv().await.is_some());
    let log = fs::read_to_string(log_path(&lab.request().state_dir, UpdateId(7))).unwrap();
    assert!(log.contains("\nline 19999\n") && log.contains("more bytes)"));
}

#[tokio::test]
async fn a_cancel_ends_what_ignores_it_soon() {
    let lab = Lab::new("trap '' TERM; (trap '' TERM; sleep 60) & echo up; sleep 60; sleep 60");
    let (output, mut events) = mpsc::channel(8);
    let cancel = CancellationToken::new();
    let building = tokio::spawn(build(lab.request(), output, cancel.clone()));
    events.recv().await.unwrap();
    let start = Instant::now();
    cancel.cancel();
    assert_eq!(building.await.unwrap(), Err(BuildEnd::Cancelled));
    // What was killed takes a moment to be gone.
    #[cfg(target_os = "linux")]
    while !leftovers::marked(&lab.request().marker).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20), "something is left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_killed_run_left_is_ended() {
    let lab = Lab::new("");
    let mut left = std::process::Command::new("setsid")
        .args(["sh", "-c", "trap '' TERM; sleep 61 & wait; sleep 61"])
        .env(MARKER, lab.request().marker)
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(end_leftovers("another run"), 0);
    let marker = lab.request().marker;
    assert!(spawn_blocking(move || end_leftovers(&marker)).await.unwrap() >= 1);
    assert!(!left.wait().unwrap().success());
    assert_eq!(end_leftovers(&lab.request().marker), 0);
}

/// Notes what it is told to clean, and does so where it is asked to.
fn cleaning(lab: &Lab, how: &str) -> (PathBuf, PathBuf) {
    let script = format!(
        "#!/bin/sh\n[ $1 = bundle ] && exit 2\n[ $2 = clean ] && {{ echo cleaning $3; {how}; }}\n{IMAGE}{COMPILED}"
    );
    fs::write(lab.dir.path().join("esphome"), script).unwrap();
    let folder = lab.dir.path().join("c/.esphome/build/a");
    let old = folder.join("old.o");
    fs::create_dir_all(&folder).unwrap();
    fs::write(&old, "").unwrap();
    (folder, old)
}

#[tokio::test]
async fn build_files_are_cleaned_before_a_build_by_esphome_or_else_deleted() {
    let lab = Lab::new(&format!("{IMAGE}{COMPILED}"));
    lab.build().await.unwrap();
    let log = || fs::read_to_string(log_path(&lab.request().state_dir, UpdateId(7))).unwrap();
    for (cleaning_of, how, asked, gone) in [
        (Cleaning::No, "exit 0", false, false),
        (Cleaning::Clean, "rm .esphome/build/a/old.o; exit 0", true, true),
        (Cleaning::Clean, "exit 1", true, true),
        (Cleaning::Reset, "exit 0", false, true),
    ] {
        let (_, old) = cleaning(&lab, how);
        let request = BuildRequest { cleaning: cleaning_of, ..lab.request() };
        let (output, mut events) = mpsc::channel(8);
        let building = build(request, output, CancellationToken::new());
        let drain = async { while events.recv().await.is_some() {} };
        tokio::join!(building, drain).0.unwrap();
        assert_eq!(log().contains("cleaning a.yaml"), asked, "{cleaning_of:?} {how}: {}", log());
        assert_eq!(old.exists(), !gone, "{cleaning_of:?} {how}");
        let deleted = log().contains("Wakeflash deleted");
        assert_eq!(deleted, gone && !how.starts_with("rm"), "{}", log());
        assert!(log().contains("Build Info"), "the log of the build follows");
    }
}

#[tokio::test]
async fn build_files_can_be_cleaned_without_a_build() {
    let lab = Lab::new(&format!("{IMAGE}{COMPILED}"));
    lab.build().await.unwrap();
    let request = |lab: &Lab| {
        let BuildRequest { esphome, config_dir, device, marker, .. } = lab.request();
        CleanRequest { esphome: Some(esphome), config_dir, device, marker }
    };
    for how in ["exit 0", "exit 1", "rm -r .esphome/build/a; exit 0"] {
        let (folder, _) = cleaning(&lab, how);
        clean(request(&lab), CancellationToken::new()).await.unwrap();
        assert!(!folder.exists(), "{how}");
        let (folder, _) = cleaning(&lab, how);
        let without = CleanRequest { esphome: None, ..request(&lab) };
        clean(without, CancellationToken::new()).await.unwrap();
        assert!(!folder.exists(), "without an ESPHome");
    }
    let (folder, _) = cleaning(&lab, "sleep 60");
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert_eq!(clean(request(&lab), cancel).await.unwrap_err().code, "engine.ended");
    assert!(folder.exists());
    let other = CleanRequest { device: DeviceId::of_file("../a.yaml"), ..request(&lab) };
    assert!(clean(other, CancellationToken::new()).await.is_err());
}

#[tokio::test]
async fn the_compiler_cache_of_the_settings_is_in_the_environment_of_a_build() {
    let lab = Lab::new(&format!("echo cache is $CCACHE_REMOTE_STORAGE\n{IMAGE}{COMPILED}"));
    for cache in [None, Some("http://server/cache".to_owned())] {
        let said = format!("cache is {}", cache.as_deref().unwrap_or_default());
        let request = BuildRequest { compiler_cache: cache, ..lab.request() };
        let (output, mut events) = mpsc::channel(8);
        let building = build(request, output, CancellationToken::new());
        let drain = async { while events.recv().await.is_some() {} };
        tokio::join!(building, drain).0.unwrap();
        let log = fs::read_to_string(log_path(&lab.request().state_dir, UpdateId(7))).unwrap();
        assert!(log.lines().any(|line| line.trim() == said.trim()), "{log}");
    }
}
