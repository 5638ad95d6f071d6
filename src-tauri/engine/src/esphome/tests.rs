use std::fs;

use super::*;
use crate::script::write_program;

fn program(dir: &Path, name: &str, script: &str) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let path = dir.join(name);
    write_program(&path, script);
    path
}

fn at(path: &Path) -> Choice {
    Choice { own: false, path: Some(path.to_owned()) }
}

#[tokio::test]
async fn a_configured_program_is_asked_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let good =
        program(dir.path(), "good", "echo noise; printf '\\033[32mVersion: 2026.10.0\\033[0m\\n'");
    let EsphomeStatus::Ready { path, version, problem: None } =
        locate(&at(&good), dir.path()).await
    else {
        panic!("not found");
    };
    assert_eq!((path.as_str(), version.as_str()), (good.to_str().unwrap(), "2026.10.0"));
    for bad in [
        program(dir.path(), "fails", "exit 1"),
        program(dir.path(), "other", "echo hello"),
        dir.path().join("missing"),
    ] {
        let status = locate(&at(&bad), dir.path()).await;
        let EsphomeStatus::Missing { problem } = status else { panic!("{status:?}") };
        assert_eq!(problem.code, "esphome.broken");
    }
}

/// A Python that makes an environment whose pip does what the test wants.
fn fake_python(dir: &Path, pip: &str) -> PathBuf {
    let venv = format!(
        "mkdir -p \"$3/bin\"; cat > \"$3/bin/python\" <<'EOF'\n#!/bin/sh\n{pip}\nEOF\n\
         chmod +x \"$3/bin/python\""
    );
    program(dir, "python", &venv)
}

const GOOD: &str = "d=$(dirname \"$0\"); printf '#!/bin/sh\\necho Version: 1\\n' > $d/esphome; chmod +x $d/esphome";
const OFFLINE: &str = "echo ERROR: Failed to establish a new connection; exit 1";

async fn install_by(
    state: &Path,
    pip: &str,
    cancel: &CancellationToken,
) -> Result<PathBuf, InstallFailure> {
    let python = fake_python(&state.join("fake"), pip);
    let (progress, _lines) = mpsc::channel(4);
    let installation =
        Installation { state_dir: state.to_owned(), mark: ("WAKEFLASH_TEST", "mark".to_owned()) };
    install_with(&python, &installation, &progress, cancel).await
}

/// The names of the environments, complete or not.
fn environments(state: &Path) -> Vec<String> {
    let names = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("esphome"));
    names.sort();
    names
}

async fn own(state: &Path) -> EsphomeStatus {
    locate(&Choice { own: true, path: None }, state).await
}

fn ready(path: &Path) -> EsphomeStatus {
    let path = path.to_string_lossy().into_owned();
    EsphomeStatus::Ready { path, version: "1".to_owned(), problem: None }
}

#[tokio::test]
async fn an_installation_that_fails_or_is_cancelled_leaves_the_one_before_alone() {
    let dir = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let first = install_by(dir.path(), GOOD, &cancel).await.unwrap();
    assert_eq!(own(dir.path()).await, ready(&first));
    let failure = install_by(dir.path(), OFFLINE, &cancel).await;
    let Err(InstallFailure::Failed { problem }) = failure else { panic!("{failure:?}") };
    assert_eq!(problem.code, "esphome.install_network");
    assert_eq!((own(dir.path()).await, environments(dir.path()).len()), (ready(&first), 1));
    let soon = cancel.clone();
    let canceller = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        soon.cancel();
    });
    let held = "[ \"$WAKEFLASH_TEST\" = mark ] || exit 1; sleep 60";
    assert_eq!(install_by(dir.path(), held, &cancel).await, Err(InstallFailure::Cancelled));
    canceller.await.unwrap();
    assert_eq!((own(dir.path()).await, environments(dir.path()).len()), (ready(&first), 1));
}

#[tokio::test]
async fn the_newest_complete_one_is_used_and_what_nobody_needs_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    // What an earlier version made, and what a kill left.
    let old = program(&dir.path().join("esphome/bin"), "esphome", "echo Version: 1");
    fs::write(dir.path().join("esphome/wakeflash-complete"), "1").unwrap();
    program(&dir.path().join("esphome-7/bin"), "esphome", "echo Version: 1");
    for other in ["esphome-x", "esphome-0", "esphomes"] {
        fs::create_dir(dir.path().join(other)).unwrap();
    }
    assert_eq!(own(dir.path()).await, ready(&old));
    delete(&leftovers(dir.path()));
    assert_eq!(environments(dir.path()), ["esphome", "esphome-0", "esphome-x", "esphomes"]);
    assert_eq!(own(dir.path()).await, ready(&old));

    let cancel = CancellationToken::new();
    let new = install_by(dir.path(), GOOD, &cancel).await.unwrap();
    assert_eq!(own(dir.path()).await, ready(&new));
    assert!(leftovers(dir.path()).is_empty());
    assert!(outdated(dir.path(), Some(&old)).is_empty(), "something may run in it");
    // One that is being made is none of its business.
    fs::create_dir(dir.path().join("esphome-2")).unwrap();
    delete(&outdated(dir.path(), Some(&new)));
    assert_eq!(
        environments(dir.path()),
        ["esphome-0", "esphome-1", "esphome-2", "esphome-x", "esphomes"]
    );
    assert_eq!(own(dir.path()).await, ready(&new));
}

#[tokio::test]
async fn a_damaged_one_gives_way_to_an_older_one_and_its_end_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let first = install_by(dir.path(), GOOD, &cancel).await.unwrap();
    let second = install_by(dir.path(), GOOD, &cancel).await.unwrap();
    program(second.parent().unwrap(), "esphome", "exit 1");
    assert_eq!(own(dir.path()).await, ready(&first));
    fs::remove_file(&first).unwrap();
    let given = program(dir.path(), "given", "echo Version: 1");
    let choice = Choice { own: true, path: Some(given.clone()) };
    let status = locate(&choice, dir.path()).await;
    let EsphomeStatus::Ready { path, problem: Some(problem), .. } = status else {
        panic!("{status:?}");
    };
    assert_eq!((Path::new(&path), problem.code.as_str()), (given.as_path(), "esphome.own_gone"));
}
