//! Having a configuration validated without building it.

use std::path::PathBuf;

use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::view::Validation;

use super::Runtime;
use crate::handle::ReplyTo;
use crate::{configs, esphome};

impl Runtime {
    /// A second question about a configuration takes the place of the first: the file may be another one by now.
    pub(super) fn validate(&mut self, device: DeviceId, reply: ReplyTo<Validation>) {
        // Whoever asked may have gone.
        let refuse = |reply: ReplyTo<Validation>, problem| drop(reply.send(Err(problem)));
        let state = self.conductor.state();
        if let Err(problem) = state.has_file(&device) {
            return refuse(reply, problem);
        }
        let asked = self.surroundings.asked();
        let dir = state.settings().config_dir.as_deref().map(PathBuf::from);
        let (Some(esphome), Some(dir)) = (asked, dir) else {
            return refuse(reply, esphome::missing());
        };
        let superseded = self.cancel.child_token();
        if let Some(earlier) = self.work.validations.insert(device.clone(), superseded.clone()) {
            earlier.cancel();
        }
        self.spawn(async move {
            let said = tokio::select! {
                biased;
                () = superseded.cancelled() => Err(asked_anew(&device)),
                said = configs::validate(&esphome, &dir, &device) => said,
            };
            drop(reply.send(said));
            None
        });
    }
}

fn asked_anew(device: &DeviceId) -> Problem {
    let message =
        format!("{device} is being validated anew: this question is not answered any more.");
    Problem::new("config.asked_anew", message)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use tokio::sync::oneshot;
    use wakeflash_core::configuration::ConfigFile;
    use wakeflash_core::dispatch::Input;
    use wakeflash_core::view::EsphomeStatus;

    use super::super::report::Report;
    use super::super::tests::{runtime_over, stored};
    use super::*;
    use crate::handle::Asked;
    use crate::script::write_program;
    use crate::store::Store;

    /// Says that it has begun, and waits for as long as it is held.
    const PROGRAM: &str = "[ $1 = config ] || exit 2\necho begun >>begun\n\
        while [ -e hold ]; do sleep 0.05; done\nprintf 'esphome:\\n  name: a\\nhost:\\n'";

    async fn until_begun(dir: &Path, times: usize) {
        let begun = || std::fs::read_to_string(dir.join("begun")).unwrap_or_default();
        while begun().lines().count() < times {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn the_newest_question_about_a_configuration_is_the_one_that_is_answered() {
        let (dir, config) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = config.path();
        let program = config.join("esphome");
        write_program(&program, PROGRAM);
        let store = Store::open(dir.path()).unwrap();
        let (mut runtime, _queues, _) = runtime_over(store, dir.path(), Vec::new()).await;
        let mut settings = runtime.conductor.state().settings().clone();
        settings.config_dir = Some(config.to_string_lossy().into_owned());
        runtime.happened(Input::Settings(settings));
        stored(&mut runtime).await;
        let content = Err(Problem::new("test.problem", "It can't be read."));
        let id = DeviceId::of_file("a.yaml");
        let file = ConfigFile { id: id.clone(), content, sources: Default::default() };
        runtime.happened(Input::Configs(vec![file]));
        stored(&mut runtime).await;
        let ask = |runtime: &mut Runtime, device: &DeviceId| {
            let (reply, answer) = oneshot::channel();
            runtime.take_request(Asked::Validate { device: device.clone(), reply });
            answer
        };
        let code = |answer: Result<Validation, Problem>| answer.unwrap_err().code;
        assert_eq!(code(ask(&mut runtime, &id).await.unwrap()), "esphome.missing");
        let path = program.to_string_lossy().into_owned();
        let ready = EsphomeStatus::Ready { path, version: "1".into(), problem: None };
        runtime.take_report(Report::Located(0, ready));
        let unknown = ask(&mut runtime, &DeviceId::of_file("b.yaml")).await.unwrap();
        assert_eq!(code(unknown), "device.unknown");

        std::fs::write(config.join("hold"), "").unwrap();
        let first = ask(&mut runtime, &id);
        until_begun(config, 1).await;
        let second = ask(&mut runtime, &id);
        assert_eq!(code(first.await.unwrap()), "config.asked_anew");
        std::fs::remove_file(config.join("hold")).unwrap();
        assert_eq!(second.await.unwrap(), Ok(Validation::Valid));

        std::fs::write(config.join("hold"), "").unwrap();
        let third = ask(&mut runtime, &id);
        until_begun(config, 3).await;
        runtime.cancel.cancel();
        assert!(third.await.unwrap().is_err(), "it ends with the program");
    }
}
