//! The output of `esphome compile`: how far it is, what it built, and why it failed.

use std::borrow::Cow;

use wakeflash_core::build_failure::{BuildFailure, BuildFailureClass, Lack};
use wakeflash_core::device::ConfigHash;
use wakeflash_core::error::Problem;
use wakeflash_core::view::Progress;

/// How much of the compilation is over when ninja starts and ends.
const COMPILE_FROM: u32 = 5;
const COMPILE_TO: u32 = 97;
/// The most lines of a failure that are kept, and the most characters of each.
const MAX_LINES: usize = 6;
const MAX_LINE: usize = 300;

/// Follows the output of one `esphome compile`, line by line, in bounded memory.
#[derive(Debug, Default)]
pub struct CompileOutput {
    config_hash: Option<ConfigHash>,
    percent: u8,
    shown: Option<Progress>,
    /// What went wrong, the most telling kind first seen.
    cause: Option<(Cause, String)>,
    /// Lines that follow the announcement of an error, and belong to it.
    details: Vec<String>,
    collecting: bool,
    last_error: Option<String>,
    /// How Python says that ESPHome has died: the line that ends a traceback.
    died: Option<String>,
    in_traceback: bool,
    /// ESPHome itself is there: it reads the configuration.
    begun: bool,
    /// It is downloading or installing something.
    fetching: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By a signal.
    Signal(Option<i32>),
}

impl Exit {
    /// Its code; `None`: a signal ended it.
    #[must_use]
    pub const fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) => None,
        }
    }

    /// Whether the system or somebody else ended it: SIGHUP, SIGINT, SIGKILL or SIGTERM. A shell in between gives the
    /// signal back as a code.
    fn is_from_outside(self) -> bool {
        let signal = match self {
            Self::Code(code) => code.checked_sub(128),
            Self::Signal(signal) => signal,
        };
        matches!(signal, Some(1 | 2 | 9 | 15))
    }
}

/// What a line says about the reason of a failure. A later variant tells more than an earlier one: what a download
/// lacked doesn't matter when there was something to compile after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Download,
    Linker,
    Compiler,
    Config,
    /// The configuration is rejected, because something that it refers to can't be downloaded.
    Remote,
    Program,
    Environment,
    TooBig,
    Memory,
    Secret,
    Space,
}

impl Cause {
    /// Whether it may pass by itself.
    const fn class(self) -> BuildFailureClass {
        match self {
            Self::Space => BuildFailureClass::Again(Lack::Disk),
            Self::Memory => BuildFailureClass::Again(Lack::Memory),
            // While ESPHome is being updated, parts of it are missing.
            Self::Environment => BuildFailureClass::Again(Lack::Esphome),
            Self::Download | Self::Remote => BuildFailureClass::Again(Lack::Network),
            Self::Linker
            | Self::Compiler
            | Self::Config
            | Self::Program
            | Self::TooBig
            | Self::Secret => BuildFailureClass::Final,
        }
    }
}

/// The parts of a line that give its cause away, in lowercase: what ESPHome, PlatformIO, pip, git and the compilers
/// say.
const SIGNS: [(Cause, &[&str]); 10] = [
    (Cause::Space, &["no space left on device", "disk quota exceeded"]),
    (
        Cause::Memory,
        &[
            "killed signal terminated program",
            "memoryerror",
            "cannot allocate memory",
            "out of memory allocating",
            "virtual memory exhausted",
            "std::bad_alloc",
            "terminated with signal 9",
        ],
    ),
    (Cause::Secret, &["error reading file secrets.yaml", "secrets.yaml: [errno 2]"]),
    (
        Cause::TooBig,
        &[
            "greater than maximum allowed",
            "will not fit in region",
            "is too small for binary",
            "app partition is too small",
        ],
    ),
    (Cause::Environment, &["no module named esphome", "modulenotfounderror: ", "importerror: "]),
    (
        Cause::Program,
        &[
            "ninja: not found",
            "no such file or directory: 'ninja'",
            // Its command line is not what we know.
            "esphome: error: ",
        ],
    ),
    (Cause::Config, &["failed config", "error while reading config"]),
    (
        Cause::Download,
        &[
            "failed to download",
            "nameresolutionerror",
            "could not resolve host",
            "max retries exceeded",
            "failed to establish a new connection",
            "after connection broken by",
            "temporary failure in name resolution",
            "httpclienterror",
            "could not install package",
            "internet connection",
            "connected to the internet",
            "connection timed out",
            "connection refused",
            "connection reset",
            "connection aborted",
            "network is unreachable",
            "no route to host",
            "read timed out",
            "failed to connect to",
            "could not connect to",
            "hung up unexpectedly",
            "early eof",
            "rpc failed",
            "gnutls_handshake",
            "ssl connect error",
            " server error: ",
        ],
    ),
    (Cause::Compiler, &[": error: ", ": fatal error: "]),
    (Cause::Linker, &["undefined reference to", "ld returned 1 exit status"]),
];

impl CompileOutput {
    /// Nothing was read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The hash that ESPHome says the build has.
    #[must_use]
    pub const fn config_hash(&self) -> Option<ConfigHash> {
        self.config_hash
    }

    /// Reads a line, without its end; returns the progress when it is another one.
    pub fn line(&mut self, raw: &str) -> Option<Progress> {
        let plain = plain(raw);
        let line = plain.trim_end();
        self.diagnose(line);
        if let Some((_, rest)) = line.split_once("config_hash=")
            && let Some(hash) = rest.split_whitespace().next().and_then(|hash| hash.parse().ok())
        {
            self.config_hash = Some(hash);
        }
        let progress = self.progress(line)?;
        self.fetching = is_fetching(&progress.step);
        if self.shown.as_ref() == Some(&progress) {
            return None;
        }
        self.shown = Some(progress.clone());
        Some(progress)
    }

    fn progress(&mut self, line: &str) -> Option<Progress> {
        if let Some((done, total, rest)) = ninja_step(line) {
            let span = COMPILE_TO - COMPILE_FROM;
            let part = u64::from(done.min(total)) * u64::from(span) / u64::from(total);
            let percent = COMPILE_FROM + u32::try_from(part).unwrap_or(span);
            // A build has several runs of ninja (the boot loader, then the application): never go back.
            self.percent = self.percent.max(u8::try_from(percent).unwrap_or(0));
            let what = if rest.starts_with("LINK") || rest.starts_with("Linking") {
                "Linking".to_owned()
            } else {
                format!("Compiling {done} of {total}")
            };
            return Some(Progress { percent: Some(self.percent), step: what });
        }
        let (percent, step) = phase(line)?;
        if let Some(percent) = percent {
            self.percent = self.percent.max(percent);
        }
        Some(Progress { percent: percent.map(|_| self.percent), step })
    }

    fn diagnose(&mut self, line: &str) {
        self.begun |= line.contains("Reading configuration");
        if self.collecting {
            let log_line = line.starts_with("INFO ") || line.starts_with("DEBUG ");
            if self.details.len() >= MAX_LINES || log_line {
                self.collecting = false;
            } else if !line.trim().is_empty() {
                self.details.push(short(line));
            }
        }
        if line.starts_with("Traceback (most recent call last)") {
            self.in_traceback = true;
        } else if self.in_traceback && !line.starts_with(' ') && !line.is_empty() {
            self.in_traceback = false;
            self.died = Some(short(line));
        }
        if let Some(error) = line.strip_prefix("ERROR ") {
            self.last_error = Some(short(error));
        }
        let known = self.cause.as_ref().map(|(known, _)| *known);
        let cause = match cause(line) {
            // It stands among the reasons.
            Some(Cause::Download) if known == Some(Cause::Config) => Cause::Remote,
            // A component of the user's is at fault.
            Some(Cause::Environment) if self.begun => return,
            Some(cause) => cause,
            None => return,
        };
        if known.is_none_or(|known| cause > known) {
            if cause == Cause::Config {
                self.details.clear();
                self.collecting = true;
            }
            self.cause = Some((cause, short(line)));
        }
    }

    /// Why it failed, in words, and whether that may pass.
    #[must_use]
    pub fn failure(&self, exit: Exit) -> BuildFailure {
        if let Some((cause, line)) = &self.cause {
            return BuildFailure { class: cause.class(), problem: self.explain(*cause, line) };
        }
        if exit.is_from_outside() {
            let message = "ESPHome was ended by the system, perhaps for want of memory.";
            let problem =
                Problem::new("build.killed", message).with_help("The build log says more.");
            return BuildFailure::again(Lack::Memory, problem);
        }
        let message = match (self.died.as_ref().or(self.last_error.as_ref()), exit) {
            (Some(error), _) => format!("ESPHome ended with an error: {error}"),
            (None, Exit::Code(code)) => {
                format!("ESPHome ended with exit code {code} and no error message.")
            }
            (None, Exit::Signal(Some(signal))) => format!("ESPHome was ended by signal {signal}."),
            (None, Exit::Signal(None)) => "ESPHome was ended by a signal.".to_owned(),
        };
        Problem::new("build.failed", message).with_help("The build log says more.").into()
    }

    /// It was ended, since it took too long. A download that has come to a halt may go on later.
    #[must_use]
    pub fn overdue(&self, problem: Problem) -> BuildFailure {
        if self.fetching { BuildFailure::again(Lack::Network, problem) } else { problem.into() }
    }

    fn explain(&self, cause: Cause, line: &str) -> Problem {
        let (code, message, help) = match cause {
            Cause::Space => (
                "build.no_space",
                "The disk is full.".to_owned(),
                "Free some space (`esphome clean-all` removes old builds), then retry.",
            ),
            Cause::Memory => (
                "build.out_of_memory",
                "The computer ran out of memory while compiling.".to_owned(),
                "Close other programs, or set `compile_process_limit: 1` under `esphome:`, then retry.",
            ),
            Cause::Secret => (
                "build.secret_missing",
                secret_message(line),
                "Add it to secrets.yaml in the config directory, then retry.",
            ),
            Cause::TooBig => (
                "build.too_big",
                format!("The firmware doesn't fit: {line}"),
                "Remove components from the configuration, then retry.",
            ),
            Cause::Program | Cause::Environment => (
                "build.esphome_broken",
                format!("This ESPHome doesn't work: {line}"),
                "Choose another ESPHome in the settings, or let Wakeflash install one.",
            ),
            Cause::Config => (
                "build.config_invalid",
                match self.details.as_slice() {
                    [] => "ESPHome rejects the configuration.".to_owned(),
                    details => format!("ESPHome rejects the configuration: {}", join(details)),
                },
                "Correct the YAML, then retry.",
            ),
            Cause::Download => (
                "build.download_failed",
                "ESPHome couldn't download what it needs for this platform.".to_owned(),
                "Check the internet connection. The first build of a platform needs it.",
            ),
            Cause::Remote => (
                "build.download_failed",
                "ESPHome couldn't download what the configuration refers to.".to_owned(),
                "Check the internet connection.",
            ),
            Cause::Compiler => (
                "build.compiler_error",
                format!("The compiler stopped: {line}"),
                "When the line is one of your YAML, correct its lambda; else look at the build log.",
            ),
            Cause::Linker => (
                "build.linker_error",
                format!("The linker stopped: {line}"),
                "The build log says more. `esphome clean` before a retry may help.",
            ),
        };
        Problem::new(code, message).with_help(help)
    }
}

fn cause(line: &str) -> Option<Cause> {
    let lower = line.to_lowercase();
    if lower.contains("secret '") && lower.contains("' not defined") {
        return Some(Cause::Secret);
    }
    let found = SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| lower.contains(sign)));
    // What a server doesn't have or give won't be there later.
    found.map(|(cause, _)| *cause).filter(|cause| *cause != Cause::Download || !is_refusal(&lower))
}

/// Whether a server has answered with an error of the 400s. 429 is another word for "later".
fn is_refusal(line: &str) -> bool {
    let refused = |code: &str| code.starts_with('4') && !code.starts_with("429");
    let after = line.split_once("returned error: ").map(|(_, code)| code);
    let before = line.split_once(" client error").map(|(before, _)| before);
    let before = before.and_then(|before| before.get(before.len().checked_sub(3)?..));
    after.or(before).is_some_and(refused)
}

fn is_fetching(step: &str) -> bool {
    ["Downloading", "Installing", "Cloning"].iter().any(|what| step.starts_with(what))
}

fn secret_message(line: &str) -> String {
    match line.split_once("ecret '").and_then(|(_, rest)| rest.split_once('\'')) {
        Some((name, _)) => format!("The secret `{name}` is not defined."),
        None => "The configuration uses secrets, but there is no secrets.yaml.".to_owned(),
    }
}

fn join(details: &[String]) -> String {
    details.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" · ")
}

fn short(line: &str) -> String {
    let line = line.trim_end();
    match line.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(line)),
        None => line.to_owned(),
    }
}

/// `[29/51] CXX …`
fn ninja_step(line: &str) -> Option<(u32, u32, &str)> {
    let (counter, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (done, total) = counter.split_once('/')?;
    let (done, total) = (done.trim().parse().ok()?, total.trim().parse().ok()?);
    (total > 0).then_some((done, total, rest.trim_start()))
}

/// The phases beside ninja's counting. PlatformIO doesn't say how many files there are.
fn phase(line: &str) -> Option<(Option<u8>, String)> {
    let message = line.strip_prefix("INFO ").unwrap_or(line);
    let known = |percent: u8, step: &str| Some((Some(percent), step.to_owned()));
    if message.starts_with("Reading configuration") {
        known(1, "Reading the configuration")
    } else if message.starts_with("Generating C++ source") {
        known(2, "Generating the source")
    } else if message.starts_with("Compiling app") {
        known(4, "Compiling")
    } else if message.starts_with("Linking ") {
        known(95, "Linking")
    } else if message.starts_with("Building ") && message.contains("firmware") {
        known(97, "Making the image")
    } else if message.starts_with("Successfully compiled") {
        known(99, "Compiled")
    } else if let Some(file) = message.strip_prefix("Compiling ") {
        let file = file.trim().rsplit(['/', '\\']).next().unwrap_or(file);
        Some((None, format!("Compiling {}", short(file.trim_end_matches(".o")))))
    } else if is_fetching(message) {
        Some((None, short(message.trim_end_matches([' ', '.']))))
    } else if message.starts_with("Tool Manager:") || message.starts_with("Platform Manager:") {
        let (_, what) = message.split_once(": ")?;
        Some((None, short(what)))
    } else {
        None
    }
}

/// A line without ANSI escape sequences and without what a later carriage return overwrites.
#[must_use]
pub fn plain(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\x1B') {
        return Cow::Borrowed(raw);
    }
    let mut result = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, escaped)) = rest.split_once('\x1B') {
        result.push_str(before);
        rest = match escaped.strip_prefix('[') {
            // A control sequence ends with its first byte from `@` to `~`.
            Some(sequence) => sequence
                .find(|c: char| ('@'..='~').contains(&c))
                .and_then(|end| sequence.get(end + 1..))
                .unwrap_or(""),
            None => {
                let mut chars = escaped.chars();
                chars.next();
                chars.as_str()
            }
        };
    }
    result.push_str(rest);
    Cow::Owned(result)
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
