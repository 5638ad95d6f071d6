//! What a real ESPHome reads while it builds is what the build is made from.

use std::io::Write as _;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::DeviceId;
use wakeflash_core::update::{Cleaning, SourceChange, SourceFile, UpdateId};
use wakeflash_engine::builder::{self, BuildOutcome, BuildRequest, BuilderEvent};
use wakeflash_engine::configs;
use wakeflash_engine::esphome::WITNESS;
use wakeflash_tests::esphome::Esphome;

struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    fn new(files: &[(&str, &str)]) -> Self {
        let lab = Self { dir: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            lab.write(name, text);
        }
        lab
    }

    fn config_dir(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.config_dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.config_dir().join(name)).unwrap()
    }

    /// Builds; `compiling` is done when the compiler has begun.
    async fn build(&self, file: &str, compiling: impl FnOnce()) -> BuildOutcome {
        let request = BuildRequest {
            esphome: Esphome::locate().unwrap().program().to_path_buf(),
            config_dir: self.config_dir(),
            device: DeviceId::of_file(file),
            update: UpdateId(1),
            state_dir: self.dir.path().join("state"),
            marker: self.dir.path().display().to_string(),
            compiler_cache: None,
            cleaning: Cleaning::No,
            limits: builder::LIMITS,
        };
        let (output, mut events) = mpsc::channel(16);
        let building = builder::build(request, output, CancellationToken::new());
        let mut compiling = Some(compiling);
        let follow = async {
            while let Some(event) = events.recv().await {
                if matches!(&event, BuilderEvent::Progress(p) if p.step.starts_with("Compiling "))
                    && let Some(compiling) = compiling.take()
                {
                    compiling();
                }
            }
        };
        tokio::join!(building, follow).0.unwrap()
    }

    fn changes(&self, file: &str, sources: &[SourceFile]) -> Vec<String> {
        let device = DeviceId::of_file(file);
        paths(&configs::changed_sources(&self.config_dir(), &device, sources).unwrap())
    }

    /// Edits a file and puts it back; what is said to have changed in between.
    fn edited(&self, file: &str, sources: &[SourceFile], name: &str) -> Vec<String> {
        let before = self.read(name);
        self.write(name, &format!("{before}\n"));
        let changes = self.changes(file, sources);
        self.write(name, &before);
        assert_eq!(self.changes(file, sources), Vec::<String>::new(), "{name} is what it was");
        changes
    }
}

fn paths(changes: &[SourceChange]) -> Vec<String> {
    changes.iter().map(|change| change.path.clone()).collect()
}

const COMPONENT: &str = "import esphome.codegen as cg
import esphome.config_validation as cv
CONFIG_SCHEMA = cv.Schema({})
async def to_code(config):
    cg.add_global(cg.RawExpression('static int ticks = tick()'))
";

/// Packages found by expressions and outer variables, secrets beside and above, a local component with a header that
/// takes another one from elsewhere, a header of the configuration's own, behind a link.
fn everything(lab: &Lab) {
    let shared = lab.dir.path().join("shared");
    std::fs::create_dir_all(shared.join("deep")).unwrap();
    std::fs::write(shared.join("word.yaml"), "level: INFO\n").unwrap();
    std::fs::write(shared.join("near.h"), "inline int near_by() { return 1; }\n").unwrap();
    let elsewhere = shared.join("near.h");
    let header = format!(
        "#pragma once\n#include \"{}\"\ninline int tick() {{ return near_by(); }}\n",
        elsewhere.display()
    );
    lab.write("parts/ticker/ticker.h", &header);
    #[cfg(unix)]
    std::os::unix::fs::symlink(shared.join("deep"), lab.config_dir().join("link")).unwrap();
}

const YAML: &str = "substitutions:
  kind: tall
packages:
  one: !include
    file: parts/outer.yaml
    vars: {flavour: grain}
  two: !include ${ 'parts/' ~ kind ~ '.yaml' }
esphome:
  name: silo
  includes: [lib/dial.h]
host:
ota:
  - platform: esphome
    password: !secret ota
external_components:
  - source: {type: local, path: parts}
ticker:
logger: !include link/../word.yaml
";

#[tokio::test]
async fn all_that_a_build_reads_is_a_source_of_it() {
    let lab = Lab::new(&[
        ("silo.yaml", YAML),
        ("parts/outer.yaml", "packages:\n  inner: !include ${flavour}.yaml\n"),
        ("parts/grain.yaml", "esphome:\n  friendly_name: !secret friendly\n"),
        ("parts/tall.yaml", "logger:\n  baud_rate: 0\n"),
        ("parts/ticker/__init__.py", COMPONENT),
        ("lib/dial.h", "inline int dial() { return 1; }\n"),
        ("secrets.yaml", "<<: !include ../secrets.yaml\nfriendly: Silo\n"),
    ]);
    std::fs::write(lab.dir.path().join("secrets.yaml"), "ota: hunter2\nother: x\n").unwrap();
    everything(&lab);
    let outcome = lab.build("silo.yaml", || ()).await;
    assert_eq!(outcome.changes, []);
    let sources = &outcome.build.sources;
    let shown: Vec<_> = sources.iter().map(|source| source.path.as_str()).collect();
    println!("{shown:#?}");
    for name in [
        "silo.yaml",
        "parts/outer.yaml",
        "parts/grain.yaml",
        "parts/tall.yaml",
        "parts/ticker/__init__.py",
        "parts/ticker/ticker.h",
        "lib/dial.h",
        "link/../word.yaml",
    ] {
        assert_eq!(lab.edited("silo.yaml", sources, name), [name]);
    }
    // Outside, by the compiler alone.
    let near = lab.dir.path().join("shared/near.h");
    assert_eq!(lab.edited("silo.yaml", sources, near.to_str().unwrap()).len(), 1);

    let none = Vec::<String>::new();
    lab.write("secrets.yaml", "# ours\n<<: !include ../secrets.yaml\nfriendly: Silo\nmore: x\n");
    std::fs::write(lab.dir.path().join("secrets.yaml"), "ota: hunter2\nother: y\n").unwrap();
    assert_eq!(lab.changes("silo.yaml", sources), none, "nobody else's secrets");
    std::fs::write(lab.dir.path().join("secrets.yaml"), "ota: hunter3\n").unwrap();
    assert_eq!(lab.changes("silo.yaml", sources).len(), 1);
    std::fs::write(lab.dir.path().join("secrets.yaml"), "ota: hunter2\n").unwrap();
    for (name, text) in [
        ("parts/secrets.yaml", "friendly: Other\n"),
        ("parts/ticker/more.cpp", "// x\n"),
        ("parts/logger/__init__.py", "# in place of ESPHome's own\n"),
    ] {
        lab.write(name, text);
        let changes = lab.changes("silo.yaml", sources);
        assert_eq!(changes.len(), 1, "{name}: {changes:?}");
        std::fs::remove_file(lab.config_dir().join(name)).unwrap();
    }
    std::fs::remove_dir(lab.config_dir().join("parts/logger")).unwrap();
    lab.write("parts/README.md", "x");
    lab.write("another.yaml", "esphome:\n  name: another\n");
    assert_eq!(lab.changes("silo.yaml", sources), none);
}

#[tokio::test]
async fn what_was_changed_while_it_was_built_is_a_change_though_it_was_changed_back() {
    let yaml = "esphome:\n  name: a\nhost:\nota:\n  - platform: esphome\nlogger:\n";
    let lab = Lab::new(&[("a.yaml", "")]);
    lab.write("a.yaml", &format!("{yaml}  level: INFO\n"));
    let outcome = lab.build("a.yaml", || lab.write("a.yaml", yaml)).await;
    assert_eq!(paths(&outcome.changes), ["a.yaml"]);
    assert_eq!(lab.changes("a.yaml", &outcome.build.sources), ["a.yaml"], "and stays one");
    lab.write("a.yaml", &format!("{yaml}  level: INFO\n"));
    assert_eq!(lab.changes("a.yaml", &outcome.build.sources), Vec::<String>::new());
}

/// A chain of files, each of which includes the next one in some way; the last one is `p<number>.yaml`.
fn chain(lab: &Lab, kinds: &[u8]) {
    let shared = lab.dir.path().join("shared");
    std::fs::create_dir_all(shared.join("deep")).unwrap();
    lab.write("sub/beside.yaml", "unused: 1\n");
    std::os::unix::fs::symlink(shared.join("deep"), lab.config_dir().join("link")).unwrap();
    lab.write("secrets.yaml", "word: one\n");
    let mut text = "esphome:\n  name: chain\nhost:\nlogger:\npackages:\n".to_owned();
    let mut name = "chain.yaml".to_owned();
    for (number, kind) in kinds.iter().enumerate() {
        let next = format!("p{number}.yaml");
        let (include, next) = match kind {
            0 => (format!("!include {next}"), next),
            1 => (format!("!include {{file: {next}, vars: {{v: 1}}}}"), next),
            2 => (format!("!include ${{ 'p' ~ {number} ~ '.yaml' }}"), next),
            3 => (format!("!include sub/../{next}"), next),
            4 => (format!("!include link/../{next}"), format!("../shared/{next}")),
            5 => (format!("!include {}/{next}", shared.display()), format!("../shared/{next}")),
            _ => (format!("!include {{file: {next}, condition: true}}"), next),
        };
        // Where the files of outside lie, the next ones do, too.
        let outside = name.starts_with("../");
        let include = if outside { format!("!include {next}") } else { include };
        let next = if outside { format!("../shared/p{number}.yaml") } else { next };
        let include =
            if outside { include.replace(&next, &format!("p{number}.yaml")) } else { include };
        let secret = if kind % 2 == 0 { "!secret word" } else { "plain" };
        text.push_str(&format!("  n{number}: {include}\nsubstitutions:\n  s{number}: {secret}\n"));
        lab.write(&name, &text);
        text = "packages:\n".to_owned();
        name = next;
    }
    lab.write(&name, "substitutions:\n  last: x\n");
}

/// The files of the lab that a process opened to read them, by what the system says.
fn opened(trace: &str, lab: &Lab) -> std::collections::BTreeSet<PathBuf> {
    let root = lab.dir.path().canonicalize().unwrap();
    let read =
        trace.lines().filter(|line| line.contains("O_RDONLY") && !line.contains("O_DIRECTORY"));
    let paths = read.filter_map(|line| line.split('"').nth(1));
    let real = paths.filter_map(|path| lab.config_dir().join(path).canonicalize().ok());
    real.filter(|path| path.starts_with(&root) && path.is_file()).collect()
}

#[test]
fn a_temporary_file_hides_nothing_that_lies_beside_it() {
    let lab = Lab::new(&[("a.yaml", "a"), ("parts/b.yaml", "b")]);
    let text = "import tempfile\nfor dir in ('.', 'parts'):\n    tempfile.NamedTemporaryFile(dir=dir).close()\n\
                for name in ('a.yaml', 'parts/b.yaml'):\n    open(name, 'rb').close()\n";
    let read = recorded(&lab, text);
    for name in ["a.yaml", "parts/b.yaml"] {
        assert!(read.files.contains_key(name), "{name} of {:?}", read.files);
    }
}

/// What a Python program reads, by what is recorded: started in the config directory of the lab, its home.
fn recorded(lab: &Lab, text: &str) -> wakeflash_esphome::witness::Reads {
    let (program, reads) = (lab.dir.path().join("program"), lab.dir.path().join("reads"));
    std::fs::write(&program, text).unwrap();
    let mut recorded = std::process::Command::new(Esphome::locate().unwrap().python().unwrap());
    recorded.args(["-c", WITNESS, "record"]);
    recorded.arg(&reads).arg(&program).current_dir(lab.config_dir()).env("HOME", lab.dir.path());
    assert!(recorded.status().unwrap().success());
    wakeflash_esphome::witness::reads(&std::fs::read_to_string(&reads).unwrap()).unwrap()
}

#[test]
fn what_is_shared_beside_other_programs_settings_counts() {
    let lab = Lab::new(&[("a.yaml", "a")]);
    let text = "for name in ('esphome-common/wifi.yaml', 'git/config', 'pip/pip.conf'):\n    \
                try: open('../.config/' + name, 'rb')\n    except OSError: pass\n\
                for name in ('/run/media/stick/wifi.yaml', '/etc/esphome/wifi.yaml', '/etc/hosts'):\n    \
                try: open(name, 'rb')\n    except OSError: pass\n";
    let read = recorded(&lab, text);
    let home = lab.dir.path().join(".config/esphome-common/wifi.yaml").display().to_string();
    let program = lab.dir.path().join("program").display().to_string();
    let paths: std::collections::BTreeSet<_> =
        read.files.into_keys().filter(|path| *path != program).collect();
    let outside = ["/etc/esphome/wifi.yaml", "/run/media/stick/wifi.yaml", &home];
    assert_eq!(paths, outside.map(str::to_owned).into());
}

/// What a question has started ends with it, also where it leads a session of its own: in time, and when whoever asks
/// ends.
#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_of_a_question() {
    use std::io::BufRead as _;

    let busy = "import os, subprocess\nimport esphome.config_validation as cv\n\
                busy = subprocess.Popen(['sleep', '600'], start_new_session=True)\n\
                with open('busy.new', 'w') as file:\n    file.write(str(busy.pid))\n\
                os.rename('busy.new', 'busy')\nbusy.wait()\n";
    let yaml = "external_components: [{source: parts}]\nesphome: {name: a}\nhost:\nticker:\n";
    let lab = Lab::new(&[("a.yaml", yaml), ("parts/ticker/__init__.py", busy)]);
    let temporary = lab.dir.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let mut server = std::process::Command::new(Esphome::locate().unwrap().python().unwrap());
    server.args(["-c", WITNESS, "serve"]);
    server.current_dir(lab.config_dir()).env("TMPDIR", &temporary);
    server.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut server = server.spawn().unwrap();
    let mut questions = server.stdin.take().unwrap();
    let mut answers = std::io::BufReader::new(server.stdout.take().unwrap()).lines();
    answers.next().unwrap().unwrap();
    let busy = lab.config_dir().join("busy");
    let wait = |until: &dyn Fn() -> bool| {
        let done = (0..6_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            until()
        });
        assert!(done, "nothing comes of it");
    };
    let is_gone = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        !stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    // In time; on a busy machine it takes a while until there is something to end.
    for seconds in [5, 20, 80, 320] {
        let question = format!("{{\"file\": \"a.yaml\", \"seconds\": {seconds}}}\n");
        questions.write_all(question.as_bytes()).unwrap();
        let answer = answers.next().unwrap().unwrap();
        assert_eq!(answer, format!("{{\"timeout\": {seconds}}}"));
        if busy.exists() {
            break;
        }
    }
    let pid = std::fs::read_to_string(&busy).unwrap();
    wait(&|| is_gone(&pid));
    // With whoever asks.
    std::fs::remove_file(&busy).unwrap();
    questions.write_all(b"{\"file\": \"a.yaml\", \"seconds\": 600}\n").unwrap();
    wait(&|| busy.exists());
    let pid = std::fs::read_to_string(&busy).unwrap();
    let ended = std::process::Command::new("kill").arg(server.id().to_string()).status();
    assert!(ended.unwrap().success() && server.wait().unwrap().success());
    wait(&|| is_gone(&pid));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn what_is_recorded_is_what_the_system_saw() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        // Past cargo's capture of what tests print.
        writeln!(std::io::stderr(), "skipped: there is no strace").unwrap();
        return;
    }
    let esphome = Esphome::locate().unwrap();
    let witness = WITNESS;
    let mut runner = TestRunner::new(Config { cases: 6, ..Config::default() });
    let kinds = prop::collection::vec(0_u8..7, 1..6);
    let result = runner.run(&kinds, |kinds| {
        let lab = Lab::new(&[]);
        std::fs::create_dir_all(lab.config_dir()).unwrap();
        chain(&lab, &kinds);
        let run = |command: &mut std::process::Command| {
            let output = command.current_dir(lab.config_dir()).output().unwrap();
            prop_assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            Ok(())
        };
        let (trace, reads) = (lab.dir.path().join("trace"), lab.dir.path().join("reads"));
        let asked = ["config", "chain.yaml"];
        let mut traced = std::process::Command::new("strace");
        traced.args(["-f", "-e", "trace=open,openat", "-o"]).arg(&trace);
        run(traced.arg(esphome.program()).args(asked))?;
        let mut recorded = std::process::Command::new(esphome.python().unwrap());
        recorded.args(["-c", witness, "record"]).arg(&reads);
        run(recorded.arg(esphome.program()).args(asked))?;
        let text = std::fs::read_to_string(&reads).unwrap();
        let recorded = wakeflash_esphome::witness::reads(&text).unwrap();
        let there = recorded.files.keys().chain(recorded.secrets.keys());
        let there = there.filter_map(|path| lab.config_dir().join(path).canonicalize().ok());
        let seen = opened(&std::fs::read_to_string(&trace).unwrap(), &lab);
        prop_assert!(seen.len() > kinds.len());
        prop_assert_eq!(there.collect::<std::collections::BTreeSet<_>>(), seen);
        Ok(())
    });
    result.unwrap();
}
