//! What the program says to those who start it in a wrong way.

use std::process::{Command, Stdio};

#[test]
fn the_option_for_its_own_use_is_refused_in_a_sentence() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wakeflash"));
    command.arg("--window").stdin(Stdio::null()).env_remove("DISPLAY");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "wakeflash: the option --window is for Wakeflash's own use. Start wakeflash without it.\n"
    );
}
