//! What the window's made-up stories say of failures is what the application says: it is written from here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use serde_json::json;
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_esphome::answer::{Answer, answer};
use wakeflash_esphome::compile::{CompileOutput, Exit};
use wakeflash_ota::{DeviceError, OtaError, Step};

use crate::flasher::FlashError;
use crate::store::aside::lost_of;
use crate::store::{OpenError, unwritable};
use crate::{configs, esphome, runtime, watch};

/// Set it to write the file instead of checking it.
const UPDATE: &str = "WAKEFLASH_UPDATE_BINDINGS";

#[test]
fn the_problems_of_the_stories_are_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../ui/src/lib/backend/generated/problems.engine.json");
    let wanted = serde_json::to_string_pretty(&problems()).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "{} is stale; write it with {UPDATE}=1", file.display());
}

fn problems() -> BTreeMap<&'static str, Problem> {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    let gone = io::Error::from(io::ErrorKind::NotFound);
    let reset = || "Connection reset by peer (os error 104)".to_owned();
    let wrong = OtaError::Device { error: DeviceError::AuthInvalid, step: Step::AuthResult };
    let too_big = OtaError::Device { error: DeviceError::Esp32NotEnoughSpace, step: Step::Prepare };
    BTreeMap::from([
        (
            "configInvalid",
            compiled(
                "Failed config\n\nsensor.sht5x: [source hallway.yaml:14]\n  \n  Platform not found: 'sensor.sht5x'.\n",
            ),
        ),
        (
            "secretMissing",
            compiled(
                "ERROR Error while reading config: Invalid YAML syntax:\n\nSecret 'wifi_password' not defined.\n",
            ),
        ),
        (
            "compilerError",
            compiled("src/main.cpp:14:3: error: 'foo' was not declared in this scope\n"),
        ),
        ("yamlSyntax", refused()),
        ("connectionLost", ota(OtaError::Closed { step: Step::Transfer, reason: reset() })),
        ("busy", ota(OtaError::Timeout { step: Step::Greeting })),
        ("wrongPassword", ota(wrong)),
        ("tooBig", ota(too_big)),
        ("wrongKey", ota(OtaError::WrongKey)),
        ("esphomeMissing", esphome::missing()),
        ("folderMissing", configs::dir_problem(Path::new("/home/sam/esphome"), &gone)),
        ("storeUnwritable", unwritable(&full.into())),
        ("setAside", lost_of(&BTreeSet::from(["attic.yaml", "garage.yaml"]))),
        ("storeNewer", newer().problem()),
        ("folderBusy", runtime::folder_busy(&DeviceId::of_file("mailbox.yaml"))),
        ("noNetwork", watch::no_network()),
        ("logAsleep", runtime::asleep()),
        ("mdnsPort", watch::port_taken()),
    ])
}

fn compiled(output: &str) -> Problem {
    let mut compile = CompileOutput::new();
    for line in output.lines() {
        compile.line(line);
    }
    compile.failure(Exit::Code(2)).problem
}

fn refused() -> Problem {
    let says = "mapping values are not allowed here";
    let problem = json!({"says": says, "file": "old-pump.yaml", "line": 14, "column": 9});
    let answer = answer("old-pump.yaml", &json!({"problems": [problem]})).unwrap();
    let Answer::Refused(problem) = answer else { panic!("{answer:?}") };
    problem
}

fn newer() -> OpenError {
    OpenError::Newer { found: 7, known: 3, written_by: Some("1.2.0".to_owned()) }
}

fn ota(error: OtaError) -> Problem {
    FlashError::Ota(error).problem()
}
