//! Having one configuration validated, because the user wants to know now: by a process of its own, which waits for none
//! of the others.

use std::path::Path;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::view::Validation;
use wakeflash_esphome::answer::{self, Answer, Place};

use super::{Esphome, config_path, dir_problem};
use crate::esphome::ask::Asker;

/// How long ESPHome may take for it. Whoever asks waits, a minute at most.
const PATIENCE: Duration = Duration::from_secs(50);

/// How many are under way at once: each takes a process that has loaded ESPHome.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Asks ESPHome whether anything is wrong with a configuration. Dropped before its end, it ends what it has started.
///
/// # Errors
/// It can't be said: there is no such configuration, or ESPHome doesn't answer in time.
pub async fn validate(
    esphome: &Esphome,
    dir: &Path,
    device: &DeviceId,
) -> Result<Validation, Problem> {
    config_path(dir, device)?;
    let in_time = timeout(PATIENCE, ask(esphome, dir, device.as_str())).await;
    in_time.unwrap_or_else(|_| Err(answer::unanswered("it doesn't answer in time")))
}

async fn ask(esphome: &Esphome, dir: &Path, file: &str) -> Result<Validation, Problem> {
    // One that is away says nothing about the configuration.
    if let Err(error) = tokio::fs::read_dir(dir).await {
        return Err(dir_problem(dir, &error));
    }
    let alone = AT_ONCE.acquire().await;
    let mut asker = Asker::new(&esphome.program, dir, esphome.mark.clone());
    let asked = asker.ask(file, PATIENCE).await;
    drop(alone);
    let said = asked.said.ok_or_else(|| answer::unanswered("it can't be started"))?;
    match answer::answer(file, &said) {
        Ok(Answer::Device(_)) => Ok(Validation::Valid),
        Ok(Answer::Refused(problem)) => {
            let place = answer::place(&said);
            let shown = |file: &str| {
                let below = Path::new(file).strip_prefix(dir);
                below.map_or_else(|_| file.to_owned(), |path| path.to_string_lossy().into_owned())
            };
            let file = place.and_then(|Place { file, .. }| file).map(shown);
            Ok(Validation::Invalid { problem, file, line: place.and_then(|place| place.line) })
        }
        Ok(Answer::Unanswered(problem)) => Err(problem),
        Err(error) => {
            tracing::warn!(file, error, "ESPHome's answer is of no use");
            Err(answer::unanswered(&error))
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::script::write_program;

    fn esphome(dir: &Path, text: &str) -> Esphome {
        let program = dir.join("esphome");
        write_program(&program, text);
        Esphome { program, version: "1".to_owned(), mark: ("WAKEFLASH_TEST", String::new()) }
    }

    async fn says(text: &str) -> Result<Validation, Problem> {
        let dir = tempfile::tempdir().unwrap();
        validate(&esphome(dir.path(), text), dir.path(), &DeviceId::of_file("a.yaml")).await
    }

    #[tokio::test]
    async fn what_its_command_line_says_is_the_answer() {
        let valid = "[ $1 = config ] && printf 'esphome:\\n  name: a\\nhost:\\n'";
        assert_eq!(says(valid).await, Ok(Validation::Valid));
        let refuses = "[ $1 = config ] && { echo Failed config; echo 'a.b: [source b.yaml:3]'; echo wrong; }\nexit 2";
        let Ok(Validation::Invalid { problem, file, line }) = says(refuses).await else {
            panic!("valid")
        };
        assert_eq!(problem.code, "config.refused");
        assert_eq!((file.as_deref(), line), (Some("b.yaml"), Some(3)));
        assert!(problem.message.contains("wrong"), "{problem}");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_none() {
        assert_eq!(says("exit 1").await.unwrap_err().code, "config.unanswered");
        let dir = tempfile::tempdir().unwrap();
        let esphome = esphome(dir.path(), "exit 1");
        let device = |name| DeviceId::of_file(name);
        let away = validate(&esphome, &dir.path().join("away"), &device("a.yaml")).await;
        assert!(away.unwrap_err().code.starts_with("config_dir."));
        let other = validate(&esphome, dir.path(), &device("../a.yaml")).await;
        assert_eq!(other.unwrap_err().code, "device.no_config");
    }
}
