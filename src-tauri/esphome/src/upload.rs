//! The output of `esphome upload --ota-platform web_server`: how far it is, and what its end means.

use crate::compile::plain;
use wakeflash_core::error::Problem;
use wakeflash_core::view::Progress;
use wakeflash_ota::FailureClass;

/// The most characters of a line that reach the user.
const MAX_LINE: usize = 300;

/// An upload that ended without the device's word that it was successful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadFailure {
    /// What to do about it.
    pub class: FailureClass,
    /// What to tell the user.
    pub problem: Problem,
}

/// Follows the output of one upload, line by line, in bounded memory.
#[derive(Debug, Default)]
pub struct UploadOutput {
    connecting: bool,
    /// How much was handed to the network, as far as it was said. ESPHome says it before it sends: without
    /// 100 the end of the image was never sent.
    percent: Option<u8>,
    refusal: Option<Refusal>,
    /// ESPHome reached nobody.
    unreachable: bool,
    last_error: Option<String>,
}

/// How the device said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Login,
    Http,
    Update,
}

/// What ESPHome says when the device said no.
const REFUSALS: [(&str, Refusal); 3] = [
    ("Authentication failed (HTTP 401)", Refusal::Login),
    ("Unexpected HTTP ", Refusal::Http),
    ("Device reported OTA failure", Refusal::Update),
];

/// How the system's errors begin when no connection was opened.
const UNREACHABLE: [&str; 3] =
    ["Failed to establish a new connection", "ConnectTimeoutError", "Connection refused"];

impl UploadOutput {
    /// Reads a line, without its end; returns the progress when there is some.
    pub fn line(&mut self, raw: &str) -> Option<Progress> {
        // `--dashboard` makes ESPHome spell escapes out.
        let spelled = raw.replace("\\033[", "\x1b[");
        let plain = plain(&spelled);
        let line = plain.trim();
        if let Some(percent) = percent(line) {
            let news = self.percent.replace(percent) != Some(percent);
            let step = if percent == 100 { "Finishing" } else { "Sending" };
            return news.then(|| Progress { percent: Some(percent), step: step.to_owned() });
        }
        if line.contains("Connecting to ") {
            self.connecting = true;
            return Some(Progress { percent: None, step: "Connecting".to_owned() });
        }
        if let Some((_, error)) = line.split_once("ERROR ").or_else(|| line.split_once("error: ")) {
            self.note_error(error);
        }
        None
    }

    fn note_error(&mut self, error: &str) {
        if let Some((_, refusal)) = REFUSALS.iter().find(|(sign, _)| error.contains(sign)) {
            self.refusal = Some(*refusal);
        }
        self.unreachable |= UNREACHABLE.iter().any(|sign| error.contains(sign));
        // Its last word is only that it failed.
        if !error.starts_with("OTA upload failed") {
            self.last_error = Some(error.trim_end_matches('.').chars().take(MAX_LINE).collect());
        }
    }

    /// What it means that ESPHome has ended with this code; without one it was ended by a signal.
    ///
    /// # Errors
    /// The device hasn't said that the update was successful.
    pub fn ended(&self, code: Option<i32>) -> Result<(), UploadFailure> {
        if code == Some(0) {
            return Ok(());
        }
        Err(match self.refusal {
            Some(refusal) => self.refused(refusal),
            None => self.cut("ESPHome ended before the device had confirmed the update"),
        })
    }

    /// What it means that nothing more comes, for the reason given as the beginning of a sentence.
    #[must_use]
    pub fn cut(&self, reason: &str) -> UploadFailure {
        let said = self.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let (class, code, help) = match (self.percent, self.connecting) {
            (Some(100), _) => (
                FailureClass::OutcomeUnknown,
                "web_server.outcome_unknown",
                "The device may have taken the firmware nevertheless: Wakeflash looks at what it runs when it \
                 comes back.",
            ),
            (Some(_), _) => (
                FailureClass::RetryNow,
                "web_server.cut",
                "The device keeps its old firmware. It will be tried again as soon as it answers.",
            ),
            (None, true) if self.unreachable => (
                FailureClass::RetryNow,
                "web_server.unreachable",
                "Nothing was sent. It will be tried again as soon as the device answers.",
            ),
            // An ESPHome that doesn't say how far it is.
            (None, true) => (
                FailureClass::OutcomeUnknown,
                "web_server.outcome_unknown",
                "Wakeflash looks at what the device runs when it comes back.",
            ),
            (None, false) => (
                FailureClass::NextWake,
                "web_server.not_begun",
                "Nothing was sent. Check the configuration with `esphome config`, and that this ESPHome knows \
                 `esphome upload --ota-platform`: 2026.10 does.",
            ),
        };
        UploadFailure {
            class,
            problem: Problem::new(code, format!("{reason}{said}.")).with_help(help),
        }
    }

    fn refused(&self, refusal: Refusal) -> UploadFailure {
        let said = self.last_error.as_deref().unwrap_or_default();
        let (class, code, message, help) = match refusal {
            Refusal::Login => (
                FailureClass::Permanent,
                "web_server.auth",
                "The web server of the device refused the user name or the password.".to_owned(),
                "ESPHome uses those under `web_server: auth:` in the YAML, while the device wants those of the \
                 firmware that runs on it. ESPHome's uploader can't do `type: digest`.",
            ),
            Refusal::Http => (
                FailureClass::NextWake,
                "web_server.http",
                format!("The web server of the device refused the update: {said}."),
                "The firmware on the device must have `ota: platform: web_server` itself.",
            ),
            Refusal::Update => (
                FailureClass::NextWake,
                "web_server.refused",
                format!("The device took the image and then failed the update: {said}."),
                "The device keeps its old firmware.",
            ),
        };
        UploadFailure { class, problem: Problem::new(code, message).with_help(help) }
    }
}

/// The number of "Uploading: [====    ] 41%".
fn percent(line: &str) -> Option<u8> {
    let (_, bar) = line.split_once("Uploading: [")?;
    let (_, rest) = bar.split_once(']')?;
    let (number, _) = rest.split_once('%')?;
    number.trim().parse().ok().filter(|percent| *percent <= 100)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(lines: &[&str]) -> UploadOutput {
        let mut output = UploadOutput::default();
        for line in lines {
            output.line(line);
        }
        output
    }

    const CONNECTING: &str = "INFO Connecting to 192.0.2.7 port 80...";
    const HALF: &str =
        "Uploading: [==============================                              ] 50% ";
    const WHOLE: &str =
        "Uploading: [============================================================] 100% Done...";
    const CUT: &str = "\\033[31mERROR OTA upload to 192.0.2.7 port 80 failed: ('Connection aborted.', reset)\\033[0m";
    const NOBODY: &str = "ERROR OTA upload to 192.0.2.7 port 80 failed: HTTPConnectionPool(host='192.0.2.7'): Max \
                          retries exceeded (Caused by NewConnectionError('Failed to establish a new connection'))";

    #[test]
    fn a_cut_is_judged_by_what_may_have_been_sent() {
        let cases: [(&[&str], FailureClass); 6] = [
            (&["ERROR Error reading a.yaml"], FailureClass::NextWake),
            (&[CONNECTING, NOBODY], FailureClass::RetryNow),
            (&[CONNECTING, HALF, CUT], FailureClass::RetryNow),
            (
                &[CONNECTING, HALF, WHOLE, CUT, "ERROR OTA upload failed."],
                FailureClass::OutcomeUnknown,
            ),
            (&[CONNECTING, HALF, WHOLE], FailureClass::OutcomeUnknown),
            (&[CONNECTING, CUT], FailureClass::OutcomeUnknown),
        ];
        for (lines, class) in cases {
            for code in [Some(1), Some(2), None] {
                assert_eq!(after(lines).ended(code).unwrap_err().class, class, "{lines:?}");
            }
        }
        let failure = after(&[CONNECTING, WHOLE, CUT]).ended(Some(1)).unwrap_err();
        assert!(failure.problem.message.contains("Connection aborted"), "{}", failure.problem);
    }

    #[test]
    fn a_refusal_is_definite_also_after_the_last_byte() {
        for (word, class, code) in [
            (
                "Authentication failed (HTTP 401). Check the",
                FailureClass::Permanent,
                "web_server.auth",
            ),
            (
                "Unexpected HTTP 500 response from device: x",
                FailureClass::NextWake,
                "web_server.http",
            ),
            (
                "Device reported OTA failure: Update Failed!",
                FailureClass::NextWake,
                "web_server.refused",
            ),
        ] {
            let said = format!("ERROR {word}");
            let lines = [CONNECTING, HALF, WHOLE, &said, "ERROR OTA upload failed."];
            let failure = after(&lines).ended(Some(1)).unwrap_err();
            assert_eq!((failure.class, failure.problem.code.as_str()), (class, code));
            assert!(failure.problem.help.is_some());
        }
    }

    #[test]
    fn the_progress_is_read_once_each() {
        let mut output = UploadOutput::default();
        let percents: Vec<_> = [CONNECTING, HALF, HALF, WHOLE]
            .iter()
            .filter_map(|line| output.line(line))
            .map(|progress| progress.percent)
            .collect();
        assert_eq!(percents, [None, Some(50), Some(100)]);
        assert_eq!(output.ended(Some(0)), Ok(()));
    }

    proptest! {
        #[test]
        fn no_line_panics(lines in proptest::collection::vec(".{0,80}", 0..20), code in any::<Option<i32>>()) {
            let mut output = UploadOutput::default();
            for line in &lines {
                output.line(line);
            }
            prop_assert_eq!(output.ended(code).is_ok(), code == Some(0));
        }
    }
}
