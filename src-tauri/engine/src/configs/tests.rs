use std::fs;
use std::time::{Duration, Instant};

use wakeflash_core::update::{SourceChange, SourceChangeKind};

use super::*;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What is recorded of a configuration where nobody sees what ESPHome reads.
fn built(dir: &Path, id: &str) -> Vec<wakeflash_core::update::SourceFile> {
    sources_of(dir, listed_reads(dir, &DeviceId::of_file(id), &[]).unwrap())
}

fn code(configs: &[ConfigFile], id: &str) -> String {
    let config = configs.iter().find(|config| config.id.as_str() == id);
    match &config.unwrap_or_else(|| panic!("{id} is not listed")).content {
        Ok(summary) => summary.name.clone(),
        Err(problem) => problem.code.clone(),
    }
}

#[test]
fn every_configuration_is_listed_and_nothing_else() {
    let dir = dir();
    let dir = dir.path();
    write(dir, "a.yaml", "esphome:\n  name: alpha\n");
    write(dir, "Küche oben.yml", "esphome:\n  name: kueche\n");
    write(dir, "broken.yaml", "esphome: [\n");
    write(dir, "latin1.yaml", b"esphome:\n  name: kche\n  friendly_name: k\xFCche\n");
    write(dir, "empty.yaml", "");
    write(dir, "secrets.yaml", "a: b\n");
    write(dir, ".hidden.yaml", "a: b\n");
    write(dir, "notes.txt", "a: b\n");
    write(dir, "below/b.yaml", "a: b\n");
    fs::create_dir(dir.join("folder.yaml")).unwrap();
    let mut big = String::from("esphome:\n  name: big\nsensor:\n");
    while big.len() < 5 << 20 {
        big.push_str("  - platform: template\n    name: \"A sensor\"\n");
    }
    write(dir, "big.yaml", &big);
    write(dir, "huge.yaml", big.repeat(2));
    let mut expected = vec![
        ("Küche oben.yml", "kueche"),
        ("a.yaml", "alpha"),
        ("big.yaml", "big"),
        ("broken.yaml", "broken"),
        ("empty.yaml", "empty"),
        ("huge.yaml", "big"),
        ("latin1.yaml", "kche"),
    ];
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        std::os::unix::fs::symlink("loop.yaml", dir.join("loop.yaml")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.join("dangling.yaml")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.join("pipe.yaml"), rustix::fs::Mode::RUSR)
            .unwrap();
        fs::write(dir.join(std::ffi::OsStr::from_bytes(b"l\xFC.yaml")), "").unwrap();
        expected.extend([
            ("dangling.yaml", "config.missing"),
            ("loop.yaml", "config.link_loop"),
            ("l\u{FFFD}.yaml", "config.file_name"),
            ("pipe.yaml", "config.unreadable"),
        ]);
    }
    let configs = scan(dir).unwrap();
    for (id, name) in &expected {
        assert_eq!(code(&configs, id), *name, "{id}");
    }
    assert_eq!(configs.len(), expected.len(), "{configs:?}");
}

#[test]
fn packages_and_the_last_compile_fill_the_gaps() {
    let dir = dir();
    let dir = dir.path();
    write(dir, "a.yaml", "packages:\n  base: !include common/base.yaml\n");
    write(
        dir,
        "common/base.yaml",
        "esphome:\n  name: ${n}\nsubstitutions:\n  n: x\n<<: !include deep.yaml\n",
    );
    write(dir, "common/deep.yaml", "deep_sleep:\n<<: !include base.yaml\n");
    write(dir, "b.yaml", "esphome: !include ${computed}.yaml\n");
    write(
        dir,
        ".esphome/storage/b.yaml.json",
        r#"{"name":"recorded","core_platform":"esp32","loaded_integrations":["deep_sleep"]}"#,
    );
    let configs = scan(dir).unwrap();
    let a = configs[0].content.as_ref().unwrap();
    assert!(a.deep_sleep);
    assert_eq!(a.name, "x");
    let b = configs[1].content.as_ref().unwrap();
    assert_eq!(
        (b.name.as_str(), b.platform.as_deref(), b.deep_sleep),
        ("recorded", Some("esp32"), true)
    );
}

#[test]
fn a_missing_directory_is_a_problem() {
    let dir = dir();
    let gone = dir.path().join("gone");
    assert_eq!(scan(&gone).unwrap_err().code, "config_dir.missing");
    let device = DeviceId::of_file("a.yaml");
    assert_eq!(changed_sources(&gone, &device, &[]).unwrap_err().code, "config_dir.missing");
    write(dir.path(), "file", "");
    assert_eq!(scan(&dir.path().join("file")).unwrap_err().code, "config_dir.no_directory");
}

#[test]
fn every_change_of_a_source_is_found() {
    let outside = dir();
    write(outside.path(), "o.yaml", "a: 1\n");
    let dir = dir();
    let dir = dir.path();
    let shared = outside.path().join("o.yaml");
    write(
        dir,
        "a.yaml",
        format!(
            "esphome:\n  name: a\nwifi: !include common/wifi.yaml\nx: !include {}\ny: !include gone.yaml\n\
             sensor: !include_dir_list sensors\n",
            shared.display()
        ),
    );
    write(dir, "common/wifi.yaml", "ssid: !secret ssid\n");
    write(dir, "sensors/one.yaml", "a: 1\n");
    write(dir, "secrets.yaml", "ssid: x\n");
    let device = DeviceId::of_file("a.yaml");
    let sources = built(dir, "a.yaml");
    let names: Vec<_> = sources.iter().map(|s| (s.path.as_str(), s.sha256.is_some())).collect();
    let shared_name = shared.to_str().unwrap();
    assert_eq!(
        names,
        [
            (shared_name, true),
            ("a.yaml", true),
            ("common/secrets.yaml", false),
            ("common/wifi.yaml", true),
            ("gone.yaml", false),
            ("secrets.yaml", true),
            ("sensors/", true),
            ("sensors/one.yaml", true),
        ]
    );
    assert_eq!(changed_sources(dir, &device, &sources), Ok(vec![]));
    write(dir, "gone.yaml", "a: 1\n");
    write(dir, "secrets.yaml", "ssid: y\n");
    write(dir, "sensors/two.yaml", "a: 1\n");
    fs::remove_file(dir.join("sensors/one.yaml")).unwrap();
    fs::remove_file(&shared).unwrap();
    fs::create_dir(&shared).unwrap();
    let change = |path: &str, kind| SourceChange { path: path.to_owned(), kind };
    assert_eq!(
        changed_sources(dir, &device, &sources).unwrap(),
        [
            change(shared_name, SourceChangeKind::Unreadable),
            change("gone.yaml", SourceChangeKind::Added),
            change("secrets.yaml", SourceChangeKind::Edited),
            change("sensors/one.yaml", SourceChangeKind::Removed),
            change("sensors/two.yaml", SourceChangeKind::Added),
        ]
    );
    write(dir, "a.yaml", "esphome: [\n");
    let changes = changed_sources(dir, &device, &sources).unwrap();
    assert!(changes.contains(&change("a.yaml", SourceChangeKind::Edited)));
}

#[test]
fn an_empty_mount_point_says_nothing_about_the_sources() {
    let dir = dir();
    let dir = dir.path();
    write(dir, "a.yaml", "esphome:\n  name: a\n");
    write(dir, "b.yaml", "esphome:\n  name: b\n");
    let device = DeviceId::of_file("a.yaml");
    let sources = built(dir, "a.yaml");
    fs::remove_file(dir.join("a.yaml")).unwrap();
    let removed = SourceChange { path: "a.yaml".to_owned(), kind: SourceChangeKind::Removed };
    assert_eq!(changed_sources(dir, &device, &sources), Ok(vec![removed]), "the others are there");
    fs::remove_file(dir.join("b.yaml")).unwrap();
    let problem = changed_sources(dir, &device, &sources).unwrap_err();
    assert_eq!(problem.code, "config_dir.missing");
}

/// A thousand configurations that share a package, as a check against accidental slowness.
#[test]
fn a_thousand_configurations_are_read_quickly() {
    let dir = dir();
    write(dir.path(), "common.yaml", "wifi:\n  ssid: !secret s\n".repeat(20));
    for n in 0..1_000 {
        let text =
            format!("esphome:\n  name: device-{n}\npackages:\n  c: !include common.yaml\nesp32:\n");
        write(dir.path(), &format!("d{n}.yaml"), text);
    }
    let start = Instant::now();
    assert_eq!(scan(dir.path()).unwrap().len(), 1_001);
    let took = start.elapsed();
    println!("1,000 configurations: {took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

/// What a watch is told that nobody feeds.
fn alone() -> Feed {
    Feed {
        followed: tokio::sync::watch::channel(Followed::new()).1,
        esphome: tokio::sync::watch::channel(None).1,
        kept: Vec::new(),
    }
}

async fn next(watch: &mut Watch) -> ConfigsEvent {
    let event = tokio::time::timeout(Duration::from_secs(60), watch.events.recv()).await;
    event.expect("an event").expect("a living watch")
}

/// The names in the events until they are the wanted ones.
async fn until(watch: &mut Watch, wanted: &[&str]) {
    loop {
        if let ConfigsEvent::Scanned(configs) = next(watch).await {
            let names: Vec<_> = configs
                .iter()
                .map(|c| c.content.as_ref().map_or("problem", |s| s.name.as_str()))
                .collect();
            if names == wanted {
                return;
            }
        }
    }
}

async fn follow(timing: Timing) {
    let parent = dir();
    let dir = parent.path().join("c");
    let mut watch = watch(dir.clone(), alone(), timing);
    assert!(matches!(next(&mut watch).await, ConfigsEvent::Unreadable(_)));
    write(&dir, "a.yaml", "esphome:\n  name: a\nx: !include below/x.yaml\n");
    until(&mut watch, &["a"]).await;
    write(&dir, "b.yaml", "esphome: [");
    until(&mut watch, &["a", "b"]).await;
    write(&dir, "b.yaml", "esphome:\n  name: bb\n");
    until(&mut watch, &["a", "bb"]).await;
    write(&dir, "below/x.yaml", "y: 1\n");
    until(&mut watch, &["a", "bb"]).await;
    write(&dir, "below/x.yaml", "y: 22\n");
    until(&mut watch, &["a", "bb"]).await;
    fs::rename(&dir, parent.path().join("away")).unwrap();
    while !matches!(next(&mut watch).await, ConfigsEvent::Unreadable(_)) {}
    fs::rename(parent.path().join("away"), &dir).unwrap();
    until(&mut watch, &["a", "bb"]).await;
    fs::remove_file(dir.join("a.yaml")).unwrap();
    until(&mut watch, &["bb"]).await;
    let quiet = tokio::time::timeout(Duration::from_millis(700), watch.events.recv()).await;
    assert!(quiet.is_err(), "reading is no change: {quiet:?}");
}

#[tokio::test]
async fn the_directory_is_followed_by_looking() {
    let timing = Timing { poll: Duration::from_millis(50), ..Timing::default() };
    follow(timing).await;
}

#[tokio::test]
async fn the_directory_is_followed_by_events() {
    // The directory's coming and going is only seen by looking; everything else is told.
    let timing = Timing {
        poll: Duration::from_millis(2_500),
        debounce: Duration::from_millis(50),
        ..Timing::default()
    };
    follow(timing).await;
}

/// Nothing here is found by looking: that comes too late.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn events_are_enough_for_a_directory_that_stays() {
    let dir = dir();
    let dir = dir.path();
    write(dir, "a.yaml", "esphome: !include below/x.yaml\n");
    write(dir, "below/x.yaml", "name: one\n");
    let timing = Timing { poll: Duration::from_secs(600), ..Timing::default() };
    let mut watch = watch(dir.to_owned(), alone(), timing);
    until(&mut watch, &["one"]).await;
    let start = Instant::now();
    write(dir, "below/x.yaml", "name: two!\n");
    until(&mut watch, &["two!"]).await;
    println!("seen after {:?}", start.elapsed());
    write(dir, "b.yaml", "esphome:\n  name: ${x}\n");
    until(&mut watch, &["two!", "b"]).await;
    write(dir, "log.txt", "busy");
    let quiet = tokio::time::timeout(Duration::from_millis(500), watch.events.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[test]
fn the_last_build_of_a_configuration_is_read() {
    let dir = dir();
    let dir = dir.path();
    write(dir, "a.yaml", "esphome:\n  name: a\n");
    write(dir, "b.yaml", "esphome:\n  name: b\npackages:\n  base: !include base.yaml\n");
    write(dir, "base.yaml", "esp32:\n  board: x\n");
    write(dir, ".esphome/storage/a.yaml.json", r#"{"build_path":"build/a"}"#);
    let info = r#"{"config_hash":255,"build_time":1700000000,"esphome_version":"2026.10.0"}"#;
    write(dir, ".esphome/build/a/build_info.json", info);
    let of = |configs: &[ConfigFile], id: &str| {
        configs.iter().find(|config| config.id.as_str() == id).unwrap().sources.clone()
    };
    let before = scan(dir).unwrap();
    let build = of(&before, "a.yaml").last_build.unwrap();
    assert_eq!((build.config_hash.0, build.at.as_millis()), (255, 1_700_000_000_000));
    assert_eq!(of(&before, "b.yaml").last_build, None);
    write(dir, "base.yaml", "esp32:\n  board: y\n");
    let after = scan(dir).unwrap();
    assert!(of(&after, "b.yaml").newest >= of(&before, "b.yaml").newest);
    assert_eq!(of(&before, "a.yaml"), of(&after, "a.yaml"), "it includes nothing");
}

/// What `engine/src/esphome/witness` would write down.
fn reads(dir: &Path, files: &[&str], secrets: &[&str]) -> wakeflash_esphome::witness::Reads {
    let of = |names: &[&str]| {
        let content = |name: &str| {
            fs::read(dir.join(name)).ok().map(|bytes| crate::artifacts::digest(&bytes))
        };
        names.iter().map(|name| ((*name).to_owned(), content(name))).collect()
    };
    wakeflash_esphome::witness::Reads {
        files: of(files),
        secrets: of(secrets),
        secret_names: ["wifi".to_owned()].into(),
        ..wakeflash_esphome::witness::Reads::default()
    }
}

#[test]
fn of_a_file_of_secrets_only_those_count_that_are_used() {
    let dir = dir();
    let dir = dir.path();
    write(dir, "a.yaml", "x: !secret wifi\n");
    write(dir, "secrets.yaml", "wifi: one\nother: two\n");
    let device = DeviceId::of_file("a.yaml");
    let sources = sources_of(dir, reads(dir, &["a.yaml"], &["secrets.yaml", "below/secrets.yaml"]));
    let included = sources_of(dir, reads(dir, &["a.yaml", "secrets.yaml"], &["secrets.yaml"]));
    let changed = |sources| {
        let changes = changed_sources(dir, &device, sources).unwrap();
        changes.into_iter().map(|change| (change.path, change.kind)).collect::<Vec<_>>()
    };
    let edited = |path: &str| (path.to_owned(), SourceChangeKind::Edited);
    assert_eq!(changed(&sources), []);
    write(dir, "secrets.yaml", "# for the neighbours\nother: three\nwifi: one # ours\n");
    assert_eq!(changed(&sources), []);
    assert_eq!(changed(&included), [edited("secrets.yaml")], "it is included as a whole");
    for text in ["wifi: two\nother: two\n", "other: two\n", "- list\n", "wifi: [\n"] {
        write(dir, "secrets.yaml", text);
        assert_eq!(changed(&sources), [edited("secrets.yaml")], "{text}");
    }
    write(dir, "secrets.yaml", "wifi: one\n");
    assert_eq!(changed(&sources), [], "it is again what was built");
    fs::remove_file(dir.join("secrets.yaml")).unwrap();
    assert_eq!(changed(&sources)[0].1, SourceChangeKind::Removed);
    write(dir, "below/secrets.yaml", "wifi: one\n");
    assert_eq!(changed(&sources)[0], ("below/secrets.yaml".to_owned(), SourceChangeKind::Added));
}

#[test]
fn all_of_a_file_of_secrets_counts_where_one_of_them_is_not_found() {
    let dir = dir();
    let dir = dir.path();
    write(dir, "a.yaml", "packages: {b: !include below/b.yaml}\nx: {y: !secret wifi}\n");
    write(dir, "secrets.yaml", "wifi: one\nother: two\n");
    write(dir, "below/secrets.yaml", "more: three\n");
    let device = DeviceId::of_file("a.yaml");
    let of_names = |names: [&str; 2]| wakeflash_esphome::witness::Reads {
        secret_names: names.map(str::to_owned).into(),
        ..reads(dir, &["a.yaml"], &["secrets.yaml", "below/secrets.yaml"])
    };
    // What was once taken for a name.
    let stored = sources_of(dir, of_names(["wifi}", "more"]));
    let known = sources_of(dir, of_names(["wifi", "more"]));
    let changed = |sources| {
        let changes = changed_sources(dir, &device, sources).unwrap();
        changes.into_iter().map(|change| change.path).collect::<Vec<_>>()
    };
    assert_eq!((changed(&stored), changed(&known)), (vec![], vec![]));
    write(dir, "secrets.yaml", "wifi: one\nother: three\n");
    assert_eq!(changed(&known), Vec::<String>::new(), "each is in one of the files");
    assert_eq!(changed(&stored), ["secrets.yaml"]);
    write(dir, "secrets.yaml", "wifi: two\nother: two\n");
    assert_eq!(changed(&stored), ["secrets.yaml"]);
    assert_eq!(changed(&known), ["secrets.yaml"]);
}

#[test]
fn what_comes_into_a_directory_and_what_is_fetched_are_changes() {
    let dir = dir();
    let dir = dir.path();
    write(dir, "a.yaml", "");
    write(dir, "parts/x/__init__.py", "");
    write(dir, ".esphome/packages/12/.git/HEAD", "ref: refs/heads/main\n");
    write(dir, ".esphome/packages/12/.git/packed-refs", "# pack-refs\nabc refs/heads/main\n");
    let sources = sources_of(
        dir,
        wakeflash_esphome::witness::Reads {
            directories: [("parts".to_owned(), vec!["x".to_owned()])].into(),
            commits: [(".esphome/packages/12".to_owned(), Some("abc".to_owned()))].into(),
            ..reads(dir, &["a.yaml"], &[])
        },
    );
    let device = DeviceId::of_file("a.yaml");
    let changed = || {
        let changes = changed_sources(dir, &device, &sources).unwrap();
        changes.into_iter().map(|change| change.path).collect::<Vec<_>>()
    };
    write(dir, "parts/.x.swp", "");
    write(dir, "parts/notes.md", "");
    write(dir, "parts/__pycache__/x.pyc", "");
    assert_eq!(changed(), Vec::<String>::new());
    write(dir, "parts/y/__init__.py", "");
    assert_eq!(changed(), ["parts/y"]);
    write(dir, ".esphome/packages/12/.git/refs/heads/main", "def\n");
    assert_eq!(changed(), [".esphome/packages/12", "parts/y"]);
    write(dir, ".esphome/packages/12/.git/refs/heads/main", "abc\n");
    fs::remove_dir_all(dir.join("parts/y")).unwrap();
    assert_eq!(changed(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_installed_is_compared_with_what_is_there() {
    let dir = dir();
    let dir = dir.path();
    write(dir, "a.yaml", "esphome:\n  name: a\n");
    write(dir, "lib/dial.h", "1");
    let sources = sources_of(dir, reads(dir, &["a.yaml", "lib/dial.h"], &[]));
    let (follow, followed) = tokio::sync::watch::channel(Followed::new());
    let timing = Timing { poll: Duration::from_secs(600), ..Timing::default() };
    let mut watch = watch(dir.to_owned(), Feed { followed, ..alone() }, timing);
    let modified = async |watch: &mut Watch| {
        let ConfigsEvent::Scanned(configs) = next(watch).await else { panic!("it is there") };
        configs[0].sources.modified
    };
    assert_eq!(modified(&mut watch).await, None);
    let installed = Some(std::sync::Arc::new(sources));
    let device = DeviceId::of_file("a.yaml");
    let one = FollowedSources { delivered: None, installed };
    follow.send_modify(|all| drop(all.insert(device, one)));
    assert_eq!(modified(&mut watch).await, Some(false));
    write(dir, "lib/dial.h", "2");
    assert_eq!(modified(&mut watch).await, Some(true));
    write(dir, "lib/dial.h", "1");
    assert_eq!(modified(&mut watch).await, Some(false));
}
