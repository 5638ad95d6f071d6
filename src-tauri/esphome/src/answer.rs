//! ESPHome's own word about a configuration, as the program says it that asks ESPHome for us (`engine/src/esphome/witness`).

use serde_json::Value;

use crate::files;
use wakeflash_core::configuration::{AddressClaim, ConfigSummary, Validated};
use wakeflash_core::error::Problem;

/// The most characters of ESPHome's that are shown.
const MAX_SAYS: usize = 300;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is a device.
    Device(Box<ConfigSummary>),
    /// ESPHome refuses it, or it is no device of its own.
    Refused(Problem),
    /// Nothing is known: what it depends on can't be had now, or the question failed.
    Unanswered(Problem),
}

/// Reads an answer about a file.
///
/// # Errors
/// This ESPHome can't be asked like this; the error is for the log.
pub fn answer(file: &str, said: &Value) -> Result<Answer, String> {
    if let Some(problems) = said.get("problems").and_then(Value::as_array) {
        let problem = problems.iter().find_map(|problem| refusal(file, problem));
        return Ok(problem.unwrap_or_else(|| Answer::Refused(plain_refusal())));
    }
    if let Some(config) = said.get("config").filter(|config| config.is_object()) {
        return Ok(Answer::Device(Box::new(summary(file, said, config))));
    }
    if said.get("timeout").is_some() {
        return Ok(Answer::Unanswered(unanswered("it doesn't answer in time")));
    }
    if let Some(fault) = said.get("passing").and_then(Value::as_str) {
        return Ok(Answer::Unanswered(unanswered(&short(fault))));
    }
    if said.get("died").is_some() {
        return Ok(Answer::Unanswered(unanswered("it ends without an answer")));
    }
    let fault = said.get("fault").and_then(Value::as_str);
    Err(fault.unwrap_or("the answer isn't understood").to_owned())
}

/// Whether it is the same the next time as long as the files are: it is a device, none, or what is wrong is the
/// configuration itself.
#[must_use]
pub fn is_lasting(said: &Value) -> bool {
    let problems = said.get("problems").and_then(Value::as_array);
    problems.is_none_or(|problems| {
        problems.first().is_some_and(|problem| {
            let says = problem.get("says").and_then(Value::as_str).unwrap_or_default();
            let valid = problem.get("validation").and_then(Value::as_bool);
            valid == Some(true) || problem.get("line").is_some() || is_no_device(says)
        })
    })
}

fn is_no_device(says: &str) -> bool {
    ["'esphome' section missing", "Platform missing"].iter().any(|sign| says.starts_with(sign))
}

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'s> {
    /// In which file.
    pub file: Option<&'s str>,
    /// Its line, counted from 1.
    pub line: Option<u32>,
}

/// Where that is which [`answer`] says to be wrong, as far as it is said.
#[must_use]
pub fn place(said: &Value) -> Option<Place<'_>> {
    let problems = said.get("problems")?.as_array()?;
    let first =
        problems.iter().find(|problem| problem.get("says").is_some_and(Value::is_string))?;
    let line = first.get("line").and_then(Value::as_u64).and_then(|line| line.try_into().ok());
    let file = first.get("file").and_then(Value::as_str);
    (line.is_some() || file.is_some()).then_some(Place { file, line })
}

fn summary(file: &str, said: &Value, config: &Value) -> ConfigSummary {
    let at = |pointer: &str| files::text(config.pointer(pointer));
    let platform = files::text(said.get("platform"));
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let address = files::address_of(config);
    let hash = said.get("hash").and_then(Value::as_str);
    ConfigSummary {
        name: at("/esphome/name").unwrap_or_else(|| stem.to_owned()),
        friendly_name: at("/esphome/friendly_name"),
        area: at("/esphome/area/name").or_else(|| at("/esphome/area")),
        claim: AddressClaim::Names(address.clone()),
        address,
        deep_sleep: config.get("deep_sleep").is_some(),
        sleep_plan: files::sleep_plan_of(config),
        compiled_name: None,
        doubt: None,
        validated: Some(Box::new(Validated {
            version: files::text(said.get("esphome")),
            config_hash: hash.and_then(|hash| hash.parse().ok()),
            mac_suffix: files::has_mac_suffix(config),
            ota: files::ota_parameters(config, platform.as_deref()),
        })),
        platform,
    }
}

/// What ESPHome says about one of the things that are wrong.
fn refusal(file: &str, problem: &Value) -> Option<Answer> {
    let says = short(problem.get("says")?.as_str()?);
    let number = |key: &str| problem.get(key).and_then(Value::as_u64);
    let place = number("line").zip(number("column"));
    if is_no_device(&says) {
        let message = "The file is no device of its own: it has no `esphome:` with a platform.";
        let help =
            "If it is to be one, add `esphome:` with a name, and a platform such as `esp32:`.";
        return Some(Answer::Refused(Problem::new("config.no_device", message).with_help(help)));
    }
    let Some((line, column)) = place else {
        // It may lie in what was to be fetched, and be another one the next time.
        return Some(if can_pass(&says) {
            Answer::Unanswered(unanswered(&says))
        } else {
            let message = format!("ESPHome refuses the configuration: {says}");
            Answer::Refused(Problem::new("config.refused", message).with_help(CORRECT))
        });
    };
    let of = problem.get("file").and_then(Value::as_str).unwrap_or(file);
    let message = if of == file {
        format!("Line {line}, column {column}: {says}")
    } else {
        format!("{of}, line {line}, column {column}: {says}")
    };
    Some(match can_pass(&says) {
        true => Answer::Unanswered(unanswered(&says)),
        false => Answer::Refused(Problem::new("config.refused", message).with_help(CORRECT)),
    })
}

const CORRECT: &str = "Correct the YAML; the list follows as soon as the file is saved.";

fn plain_refusal() -> Problem {
    Problem::new("config.refused", "ESPHome refuses the configuration: it doesn't say why.")
        .with_help(CORRECT)
}

/// What the user reads while ESPHome's word isn't known.
#[must_use]
pub fn unanswered(why: &str) -> Problem {
    Problem::new(
        "config.unanswered",
        format!("ESPHome can't say yet what this is: {}", sentence(why)),
    )
    .with_help("What the list shows was read without ESPHome. Install asks it again.")
}

/// It depends on the network, or on what this computer lacks now.
fn can_pass(says: &str) -> bool {
    let says = says.to_lowercase();
    [
        "://",
        "git ",
        "github",
        "clone",
        "fetch",
        "download",
        "could not resolve",
        "timed out",
        "connection",
        "could not create leading directories",
        "permission denied",
        "operation not permitted",
        "read-only file system",
        "no space left",
        "disk quota exceeded",
        "cannot allocate memory",
        "too many open files",
        "input/output error",
        "resource temporarily unavailable",
    ]
    .iter()
    .any(|sign| says.contains(sign))
}

fn short(says: &str) -> String {
    let words: Vec<&str> = says.split_whitespace().collect();
    let says = words.join(" ");
    let said = says.trim_start_matches("Invalid YAML syntax: ");
    let said = match said.char_indices().nth(MAX_SAYS) {
        Some((end, _)) => format!("{}…", said.split_at(end).0),
        None => said.to_owned(),
    };
    sentence(&said)
}

fn sentence(said: &str) -> String {
    let ends = said.ends_with(['.', '!', '?', '…']);
    format!("{}{}", said.trim_end_matches(':'), if ends { "" } else { "." })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use wakeflash_core::configuration::NO_DEVICE;
    use wakeflash_core::device::ConfigHash;
    use wakeflash_core::schedule::SleepPlan;
    use wakeflash_core::update::Secret;

    fn device(said: &Value) -> ConfigSummary {
        let answer = answer("a.yaml", said).unwrap();
        let Answer::Device(summary) = answer else { panic!("{answer:?}") };
        *summary
    }

    fn refused(problem: Value) -> Problem {
        let answer = answer("a.yaml", &json!({"problems": [problem]})).unwrap();
        let Answer::Refused(problem) = answer else { panic!("{answer:?}") };
        problem
    }

    #[test]
    fn a_device_is_what_esphome_says() {
        let summary = device(&json!({
            "esphome": "2026.10.0", "platform": "esp32", "hash": "cda6d273", "reads": [], "external": false,
            "config": {
                "esphome": {"name": "x", "friendly_name": "X", "name_add_mac_suffix": true, "area": {"name": "Hall"}},
                "wifi": {"use_address": "192.0.2.1"},
                "ota": [{"platform": "esphome", "port": 3232, "password": "p"}],
                "deep_sleep": {"run_duration": "10s", "sleep_duration": "1h"},
            },
        }));
        assert_eq!((summary.name.as_str(), summary.platform.as_deref()), ("x", Some("esp32")));
        assert_eq!(summary.claim, AddressClaim::Names(Some("192.0.2.1".into())));
        assert_eq!(summary.sleep_plan, SleepPlan::read(Some("10s"), Some("1h")));
        assert_eq!(summary.area.as_deref(), Some("Hall"));
        let word = summary.validated.unwrap();
        assert_eq!(word.config_hash, Some(ConfigHash(0xcda6_d273)));
        assert!(word.mac_suffix);
        assert_eq!(word.ota.unwrap().password, Some(Secret("p".into())));
    }

    #[test]
    fn a_device_without_updates_over_the_air_is_one_all_the_same() {
        let summary = device(
            &json!({"platform": "host", "config": {"esphome": {"name": "x", "friendly_name": ""}}}),
        );
        assert_eq!((summary.friendly_name, summary.deep_sleep), (None, false));
        assert_eq!(summary.claim, AddressClaim::Names(None));
        assert_eq!(summary.validated.unwrap().ota.unwrap_err().code, "ota.missing");
    }

    #[test]
    fn what_is_refused_is_told_with_its_place() {
        let at = |file: &str| json!({"says": "Duplicate key \"name\"", "file": file, "line": 3, "column": 5});
        assert_eq!(refused(at("a.yaml")).message, "Line 3, column 5: Duplicate key \"name\".");
        assert_eq!(
            refused(at("b.yaml")).message,
            "b.yaml, line 3, column 5: Duplicate key \"name\"."
        );
        assert_eq!(
            place(&json!({"problems": [at("b.yaml"), at("c.yaml")]})),
            Some(Place { file: Some("b.yaml"), line: Some(3) })
        );
        assert_eq!(place(&json!({"problems": [{"says": "x"}]})), None);
        let long =
            refused(json!({"says": format!("Invalid YAML syntax:\n\n{}", "ä\n".repeat(1_000))}));
        assert!(
            long.message.chars().count() < MAX_SAYS + 50 && !long.message.contains('\n'),
            "{long}"
        );
        let none =
            json!({"says": "'esphome' section missing from configuration. Please make sure"});
        assert_eq!(refused(none).code, NO_DEVICE);
        assert_eq!(refused(json!({})).code, "config.refused");
    }

    #[test]
    fn what_could_be_different_the_next_time_is_no_refusal() {
        for said in [
            json!({"problems": [{"says": "Error: could not clone https://x", "line": 1, "column": 1}]}),
            json!({"problems": [{"says": "fatal: unable to access 'https://x'"}]}),
            json!({"problems": [{"says": "fatal: could not create leading directories of 'x'"}]}),
            json!({"problems": [{"says": "could not lock .esphome/x: Permission denied", "line": 1, "column": 1}]}),
            json!({"problems": [{"says": "Error reading file a.yaml: [Errno 24] Too many open files"}]}),
            json!({"passing": "[Errno 28] No space left on device"}),
            json!({"timeout": 60}),
            json!({"died": -9}),
        ] {
            let answer = answer("a.yaml", &said).unwrap();
            assert!(matches!(answer, Answer::Unanswered(_)), "{said}");
        }
        assert!(answer("a.yaml", &json!({"fault": "AttributeError: x"})).is_err());
        assert!(answer("a.yaml", &json!([])).is_err());
    }

    #[test]
    fn what_lasts_is_what_the_files_alone_decide() {
        for lasting in [
            json!({"platform": "host", "config": {}}),
            json!({"problems": [{"says": "x", "validation": true}]}),
            json!({"problems": [{"says": "x", "line": 1, "column": 1}]}),
            json!({"problems": [{"says": "'esphome' section missing from configuration"}]}),
        ] {
            assert!(is_lasting(&lasting), "{lasting}");
        }
        for passing in [json!({"problems": []}), json!({"problems": [{"says": "x"}]})] {
            assert!(!is_lasting(&passing), "{passing}");
        }
    }
}
