//! Configurations whose kind has failed, asked about with the installed ESPHome: what Wakeflash takes them for is what
//! ESPHome says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use wakeflash_core::configuration::ConfigSummary;
use wakeflash_core::configuration::NO_DEVICE;
use wakeflash_core::device::DeviceId;
use wakeflash_core::update::SourceFile;
use wakeflash_engine::configs::{self, Esphome};
use wakeflash_esphome::answer::Answer;
use wakeflash_tests::esphome;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

fn installed() -> Esphome {
    let esphome = esphome::Esphome::locate().unwrap();
    Esphome {
        program: esphome.program().to_path_buf(),
        version: esphome.version().unwrap(),
        mark: ("WAKEFLASH_TEST", "cases".to_owned()),
    }
}

/// A copy of all cases: what ESPHome leaves beside them is nobody's business.
fn copied() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(cases().join(".")).arg(dir.path()).status();
    assert!(copied.unwrap().success());
    let upstream = dir.path().join("14-remote-package/upstream");
    let repository = dir.path().join("repository");
    std::fs::rename(upstream, &repository).unwrap();
    let commit = "git init -q -b main && git add -A && \
                  git -c user.name=a -c user.email=a@example.org commit -qm first";
    let made = Command::new("sh").args(["-c", commit]).current_dir(&repository).status();
    assert!(made.unwrap().success());
    let brook = dir.path().join("14-remote-package/brook.yaml");
    let text = std::fs::read_to_string(&brook).unwrap();
    let url = format!("file://{}", repository.display());
    let text = text.replace("file://REPLACE_WITH_A_GIT_REPOSITORY_MADE_FROM_upstream", &url);
    std::fs::write(brook, text).unwrap();
    dir
}

/// A summary as `truth.json` has it.
fn said(summary: &ConfigSummary) -> Value {
    let word = summary.validated.as_ref().unwrap();
    json!({
        "name": summary.name,
        "friendly": summary.friendly_name,
        "platform": summary.platform,
        "address": summary.address,
        "deep_sleep": summary.deep_sleep,
        "mac_suffix": word.mac_suffix,
        "port": word.ota.as_ref().ok().map(|ota| ota.port),
    })
}

fn expected(truth: &Value) -> Value {
    let mut expected = json!({"port": truth["ota"][0][1]});
    for key in ["name", "friendly", "platform", "address", "deep_sleep", "mac_suffix"] {
        expected[key] = truth[key].clone();
    }
    expected
}

/// The files that ESPHome's loader opened are among those that were read; nothing else is but what ESPHome lists, and
/// what it looked for in vain.
fn compare_reads(case: &Path, truth: &Value, reads: &[SourceFile]) -> Result<(), String> {
    let paths = |key: &str| -> BTreeSet<String> {
        let all = truth[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        // What it fetched counts by its commit.
        all.filter(|path| !path.contains(".truthdata")).map(str::to_owned).collect()
    };
    let read: BTreeSet<String> = reads.iter().map(|source| shown(case, &source.path)).collect();
    let missing: Vec<_> = paths("loaded").difference(&read).cloned().collect();
    let there =
        reads.iter().filter(|source| source.sha256.is_some() && !source.path.ends_with('/'));
    let there: BTreeSet<String> = there.map(|source| shown(case, &source.path)).collect();
    let known: BTreeSet<String> = paths("files").union(&paths("loaded")).cloned().collect();
    let unknown = there.difference(&known).filter(|path| !path.contains("stubs"));
    let unknown: Vec<_> = unknown.filter(|path| !path.starts_with(".esphome/packages/")).collect();
    if missing.is_empty() && unknown.is_empty() {
        Ok(())
    } else {
        Err(format!("not read: {missing:?}; read and not known: {unknown:?}"))
    }
}

/// A path relative to the config directory, also where it leads out of it.
fn shown(case: &Path, path: &str) -> String {
    let above = case.parent().unwrap();
    match Path::new(path).strip_prefix(above) {
        Ok(outside) => format!("../{}", outside.display()),
        Err(_) => path.to_owned(),
    }
}

#[tokio::test]
async fn every_configuration_is_what_esphome_says() {
    let dir = copied();
    let root = dir.path().canonicalize().unwrap();
    let truth: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_str(&std::fs::read_to_string(cases().join("truth.json")).unwrap())
            .unwrap();
    let esphome = installed();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (case, files) in truth {
        let mut dirs: BTreeMap<PathBuf, Vec<(String, Value)>> = BTreeMap::new();
        for (file, truth) in files {
            let path = root.join(&case).join(&file);
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            dirs.entry(path.parent().unwrap().to_owned()).or_default().push((name, truth));
        }
        for (dir, files) in dirs {
            let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
            let answers = configs::ask(&esphome, &dir, &names).await;
            for ((name, truth), (answer, reads)) in files.iter().zip(answers) {
                seen += 1;
                let verdict = judge(&dir, truth, &answer, &reads);
                println!("{case}/{name}: {verdict:?}");
                wrong.extend(verdict.err().map(|why| format!("{case}/{name}: {why}")));
            }
        }
    }
    assert!(seen > 50, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn judge(dir: &Path, truth: &Value, answer: &Answer, reads: &[SourceFile]) -> Result<(), String> {
    match (truth["error"].as_str(), answer) {
        (None, Answer::Device(summary)) => {
            let (said, expected) = (said(summary), expected(truth));
            if said != expected {
                return Err(format!("{said} and not {expected}"));
            }
            if summary.validated.as_ref().is_none_or(|word| word.config_hash.is_none()) {
                return Err("no hash".to_owned());
            }
            compare_reads(dir, truth, reads)
        }
        (Some(error), Answer::Refused(problem)) => {
            let none =
                error.contains("'esphome' section missing") || error.contains("Platform missing");
            let placed = problem.message.contains("ine ") && problem.message.contains("column ");
            match (none, problem.code == NO_DEVICE) {
                (true, true) => Ok(()),
                (false, false) if placed => Ok(()),
                (true, false) | (false, _) => Err(format!("{problem:?} and not {error}")),
            }
        }
        (truth, answer) => Err(format!("{answer:?} and not {truth:?}")),
    }
}

/// A config directory of these files.
fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

/// The name and whether there is a hash, which only a process has that has loaded ESPHome; or what is wrong.
fn name_of(answer: &Answer) -> (String, bool) {
    match answer {
        Answer::Device(summary) => {
            let hash = summary.validated.as_ref().and_then(|word| word.config_hash);
            (summary.name.clone(), hash.is_some())
        }
        Answer::Refused(problem) => (format!("refused: {problem}"), false),
        Answer::Unanswered(problem) => (format!("unanswered: {problem}"), false),
    }
}

const TICKER: &str = "import esphome.config_validation as cv
CONFIG_SCHEMA = cv.Schema({})
async def to_code(config):
    pass
";

/// What a fork of ESPHome has, too: a component that ESPHome itself always loads, and one that others used before.
#[tokio::test]
async fn the_components_of_a_fork_are_its_own() {
    const SOURCE: &str = "external_components:\n  - source: {type: local, path: fork/components}\n";
    let some = format!(
        "{SOURCE}    components: [ticker]\nesphome: {{name: some}}\nhost:\nlogger:\nticker:\n"
    );
    let all = format!("{SOURCE}esphome: {{name: all}}\nhost:\nlogger:\n");
    let dir = written(&[
        ("plain.yaml", "esphome: {name: plain}\nhost:\nlogger:\n"),
        ("some.yaml", some.as_str()),
        ("all.yaml", all.as_str()),
        ("then.yaml", "esphome: {name: then}\nhost:\nlogger:\n"),
        ("fork/components/ticker/__init__.py", TICKER),
        ("fork/components/substitutions/__init__.py", "raise ImportError('nobody asks for it')\n"),
        (
            "fork/components/logger/__init__.py",
            "import esphome.config_validation as cv\nCONFIG_SCHEMA = cv.invalid('the one of the fork')\n",
        ),
    ]);
    let files = ["plain.yaml", "some.yaml", "all.yaml", "then.yaml"].map(str::to_owned);
    let answers = configs::ask(&installed(), dir.path(), &files).await;
    let names: Vec<_> = answers.iter().map(|(answer, _)| name_of(answer)).collect();
    println!("{names:?}");
    assert_eq!(names[0], ("plain".to_owned(), true));
    assert_eq!(names[1], ("some".to_owned(), true));
    assert!(names[2].0.starts_with("refused") && names[2].0.contains("the one of the fork"));
    assert_eq!(names[3], ("then".to_owned(), true));
}

#[tokio::test]
async fn secrets_count_however_they_are_written() {
    let yaml = "esphome: {name: flow, friendly_name: !secret 'my name'}\nesp32: {board: esp32dev}\n\
                wifi: {ssid: !secret wifi_ssid, password: !secret wifi_password}\n\
                # ap: !secret gone\nota: [{platform: esphome, password: !secret\n    ota}]\n";
    let secrets = |password: &str, ota: &str, other: &str| {
        format!("wifi_ssid: a\nwifi_password: {password}\nota: {ota}\nother: {other}\nmy name: x\n")
    };
    let text = secrets("longenough", "o", "1");
    let dir = written(&[("flow.yaml", yaml), ("secrets.yaml", text.as_str())]);
    let answers = configs::ask(&installed(), dir.path(), &["flow.yaml".to_owned()]).await;
    let (answer, reads) = &answers[0];
    assert_eq!(name_of(answer), ("flow".to_owned(), true));
    let changed = |text: &str| {
        std::fs::write(dir.path().join("secrets.yaml"), text).unwrap();
        let changes =
            configs::changed_sources(dir.path(), &DeviceId::of_file("flow.yaml"), reads).unwrap();
        changes.into_iter().map(|change| change.path).collect::<Vec<_>>()
    };
    assert_eq!(changed(&secrets("longenough", "o", "2")), Vec::<String>::new());
    assert_eq!(changed(&secrets("longer than that", "o", "1")), ["secrets.yaml"]);
    assert_eq!(changed(&secrets("longenough", "p", "1")), ["secrets.yaml"]);
    assert_eq!(changed(&secrets("longenough", "o", "1").replace(": x", ": y")), ["secrets.yaml"]);
}

/// No space, no memory: where it is met, ESPHome says something else about the configuration in part.
#[tokio::test]
async fn what_the_computer_lacks_now_is_no_refusal() {
    let failing = |place: &str, error: &str| {
        let lines = format!("import os\nif os.path.exists('lacking'):\n    raise {error}\n");
        match place {
            "import" => format!("{lines}{TICKER}"),
            _ => format!(
                "import esphome.config_validation as cv\ndef checked(value):\n    {}\n    return value\n\
                 CONFIG_SCHEMA = checked\nasync def to_code(config):\n    pass\n",
                lines.trim_end().replace('\n', "\n    ")
            ),
        }
    };
    for (place, error) in [
        ("import", "MemoryError"),
        ("import", "OSError(24, 'Too many open files')"),
        ("check", "MemoryError"),
        ("check", "cv.Invalid('not there') from OSError(28, 'No space left on device')"),
    ] {
        let component = failing(place, error);
        let dir = written(&[
            (
                "a.yaml",
                "external_components: [{source: parts}]\nesphome: {name: a}\nhost:\nticker: {}\n",
            ),
            ("parts/ticker/__init__.py", component.as_str()),
            ("lacking", ""),
        ]);
        let ask = async || {
            let answers = configs::ask(&installed(), dir.path(), &["a.yaml".to_owned()]).await;
            name_of(&answers[0].0)
        };
        let (said, _) = ask().await;
        assert!(said.starts_with("unanswered"), "{place} {error}: {said}");
        std::fs::remove_file(dir.path().join("lacking")).unwrap();
        assert_eq!(ask().await, ("a".to_owned(), true), "{place} {error}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_name_that_is_no_text_takes_nothing_from_its_neighbours() {
    use std::os::unix::ffi::OsStrExt as _;

    let dir = written(&[
        (
            "a.yaml",
            "external_components: [{source: parts}]\nesphome: {name: a}\nhost:\nticker: {}\n",
        ),
        ("parts/ticker/__init__.py", TICKER),
        ("parts/ticker/no\u{a0}break.h", ""),
    ]);
    let name = std::ffi::OsStr::from_bytes(b"gr\xfcn.h");
    std::fs::write(dir.path().join("parts/ticker").join(name), "").unwrap();
    std::fs::create_dir(dir.path().join("parts").join(name)).unwrap();
    let answers = configs::ask(&installed(), dir.path(), &["a.yaml".to_owned()]).await;
    let (answer, reads) = &answers[0];
    assert_eq!(name_of(answer), ("a".to_owned(), true));
    assert!(reads.iter().any(|source| source.path == "parts/"), "{reads:?}");
    let device = DeviceId::of_file("a.yaml");
    assert_eq!(configs::changed_sources(dir.path(), &device, reads).unwrap(), []);
}
