use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn program(dir: &Path, name: &str, script: &str) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_configured_program_is_asked_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let good =
        program(dir.path(), "good", "echo noise; printf '\\033[32mVersion: 2026.10.0\\033[0m\\n'");
    let EsphomeStatus::Ready { path, version } = locate(Some(&good), dir.path()).await else {
        panic!("not found");
    };
    assert_eq!((path.as_str(), version.as_str()), (good.to_str().unwrap(), "2026.10.0"));
    for bad in [
        program(dir.path(), "fails", "exit 1"),
        program(dir.path(), "other", "echo hello"),
        dir.path().join("missing"),
    ] {
        let status = locate(Some(&bad), dir.path()).await;
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

async fn make(
    state: &Path,
    pip: &str,
    cancel: &CancellationToken,
) -> Result<PathBuf, InstallFailure> {
    let python = fake_python(&state.join("fake"), pip);
    let (progress, _lines) = mpsc::channel(4);
    let made = make_env(state, &python, &progress, cancel).await;
    if made.is_err() {
        clear(state).await.unwrap();
    }
    made
}

#[tokio::test]
async fn an_environment_is_complete_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let good = "d=$(dirname \"$0\"); printf '#!/bin/sh\\necho Version: 1\\n' > $d/esphome; chmod +x $d/esphome";
    assert_eq!(make(dir.path(), good, &cancel).await, Ok(own_program(dir.path())));
    assert!(own_is_complete(dir.path()));
    let failure =
        make(dir.path(), "echo ERROR: Failed to establish a new connection; exit 1", &cancel).await;
    let Err(InstallFailure::Failed { problem }) = failure else { panic!("{failure:?}") };
    assert_eq!(problem.code, "esphome.install_network");
    assert!(!env_dir(dir.path()).exists());
    let soon = cancel.clone();
    let canceller = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        soon.cancel();
    });
    assert_eq!(make(dir.path(), "sleep 60", &cancel).await, Err(InstallFailure::Cancelled));
    canceller.await.unwrap();
    assert!(!env_dir(dir.path()).exists());
}
