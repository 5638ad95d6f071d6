//! ESPHome's own word about the configurations: asked for one after the other, and kept for as long as nothing
//! changes that it was said about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wakeflash_core::configuration::{AddressClaim, ConfigFile};
use wakeflash_core::device::DeviceId;
use wakeflash_core::update::SourceFile;
use wakeflash_esphome::answer::{self, Answer};
use wakeflash_esphome::witness;

use super::followed::{Stamps, add_stamps};
use super::listed_reads;
use super::recorded::{Contents, sources_of};
use crate::esphome::ask::{Asked, Asker};

/// When a question is asked again that had no answer.
const AGAIN: Duration = Duration::from_secs(10 * 60);

/// How long an answer may take as long as others are waited for.
const QUICK: Duration = Duration::from_secs(5);

/// How long it may take otherwise: a package that is fetched takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The ESPHome that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Esphome {
    pub program: PathBuf,
    pub version: String,
    /// An environment variable by which what it starts is found.
    pub mark: (&'static str, String),
}

impl Esphome {
    /// What its answers are kept under.
    fn key(&self) -> String {
        format!("{} {}", self.version, self.program.display())
    }
}

/// An answer that is kept over restarts, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWord {
    /// Of which file.
    pub file: String,
    /// The answer, with what it was said about.
    pub body: String,
}

/// What is kept of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    esphome: String,
    pub(super) reads: Vec<SourceFile>,
    said: Value,
    #[serde(skip)]
    answer: Option<Answer>,
    /// It isn't one, or may be another one by then, and is asked for again.
    #[serde(skip)]
    again_at: Option<Instant>,
}

impl Kept {
    fn read(kept: &KeptWord) -> Option<Self> {
        let mut read: Self = serde_json::from_str(&kept.body).ok()?;
        let answer = answer::answer(&kept.file, &read.said).ok()?;
        // Earlier versions kept what can pass, too.
        let again = matches!(answer, Answer::Unanswered(_)) || !answer::is_lasting(&read.said);
        read.again_at = again.then(Instant::now);
        read.answer = Some(answer);
        Some(read)
    }
}

/// All answers, and who asks.
pub(super) struct Words {
    dir: PathBuf,
    esphome: Option<Esphome>,
    pub(super) kept: BTreeMap<String, Arc<Kept>>,
    /// The files that are to be asked about.
    pub(super) due: Vec<String>,
    /// Those that took long: they hold nobody up, and get more time after the others.
    slow: BTreeSet<String>,
    asker: Option<Asker>,
    asking: Option<(String, Asking)>,
}

type Asking = JoinHandle<(Asker, Asked, Looked)>;

/// What was read for an answer, and what it is like by now.
#[derive(Default)]
struct Looked {
    reads: Vec<SourceFile>,
    stamps: Stamps,
    /// It is as it was read.
    current: bool,
}

/// An answer that has just come.
pub(super) struct Answered {
    pub(super) file: String,
    pub(super) kept: Arc<Kept>,
    /// Of what was read for it.
    pub(super) stamps: Stamps,
    /// Whether it is about the files as they are.
    pub(super) current: bool,
}

impl Words {
    pub(super) fn new(dir: &Path, kept: &[KeptWord]) -> Self {
        let read = |kept: &KeptWord| Some((kept.file.clone(), Arc::new(Kept::read(kept)?)));
        Self {
            dir: dir.to_owned(),
            esphome: None,
            kept: kept.iter().filter_map(read).collect(),
            due: Vec::new(),
            slow: BTreeSet::new(),
            asker: None,
            asking: None,
        }
    }

    /// Asks another ESPHome from now on.
    pub(super) fn choose(&mut self, esphome: Option<Esphome>) {
        if self.esphome != esphome {
            self.stop();
            self.asker = None;
            self.esphome = esphome;
        }
    }

    /// The key of answers that count.
    pub(super) fn key(&self) -> Option<String> {
        self.esphome.as_ref().map(Esphome::key)
    }

    /// Takes over which files have no answer that counts.
    pub(super) fn ask_about(&mut self, due: Vec<String>) {
        self.due = due;
        let superseded = self.asking.as_ref().is_some_and(|(file, _)| !self.due.contains(file));
        if superseded {
            // What it is about has changed, or is gone.
            self.stop();
        }
    }

    fn stop(&mut self) {
        if let Some((_, asking)) = self.asking.take() {
            asking.abort();
        }
    }

    /// The next answer; waits for ever when there is nothing to ask. Cancel safe.
    pub(super) async fn next(&mut self) -> Answered {
        loop {
            if self.asking.is_none() && !self.ask_next() {
                return std::future::pending().await;
            }
            let Some((file, asking)) = self.asking.as_mut() else { continue };
            let file = file.clone();
            let ended = asking.await;
            self.asking = None;
            let (asked, looked) = match ended {
                Ok((asker, asked, looked)) => {
                    self.asker = Some(asker);
                    (asked, looked)
                }
                // Whoever ends it doesn't wait for it.
                Err(error) => {
                    if error.is_panic() {
                        tracing::error!(%error, "a question to ESPHome ended badly");
                    }
                    (Asked::default(), Looked::default())
                }
            };
            if asked.is_timeout() && self.slow.insert(file.clone()) {
                continue;
            }
            self.due.retain(|due| *due != file);
            if !asked.is_timeout() {
                self.slow.remove(&file);
            }
            let Looked { reads, stamps, current } = looked;
            let kept = self.keep(&file, asked, reads);
            self.kept.insert(file.clone(), Arc::clone(&kept));
            return Answered { file, kept, stamps, current };
        }
    }

    /// Begins to ask about the next file; `false`: there is none, or nobody to ask.
    fn ask_next(&mut self) -> bool {
        let Some(esphome) = &self.esphome else { return false };
        let quick = self.due.iter().find(|file| !self.slow.contains(*file));
        let Some(file) = quick.or(self.due.first()).cloned() else { return false };
        let patience = if quick.is_some() { QUICK } else { PATIENCE };
        let mut asker = self
            .asker
            .take()
            .unwrap_or_else(|| Asker::new(&esphome.program, &self.dir, esphome.mark.clone()));
        let (dir, about) = (self.dir.clone(), file.clone());
        let task = tokio::spawn(async move {
            let asked = asker.ask(&about, patience).await;
            let read = tokio::task::spawn_blocking({
                let (reads, dir) = (asked.reads.clone(), dir.clone());
                move || Looked::at(&dir, &about, &reads)
            });
            let looked = read.await.unwrap_or_default();
            (asker, asked, looked)
        });
        self.asking = Some((file, task));
        true
    }

    fn keep(&self, file: &str, asked: Asked, reads: Vec<SourceFile>) -> Arc<Kept> {
        let answer = match asked.said {
            Some(ref said) => answer::answer(file, said).unwrap_or_else(|error| {
                tracing::warn!(file, error, "ESPHome's answer is of no use");
                Answer::Unanswered(answer::unanswered(&error))
            }),
            None => Answer::Unanswered(answer::unanswered("it can't be started")),
        };
        let again = match answer {
            Answer::Unanswered(_) => true,
            Answer::Device(_) => false,
            Answer::Refused(_) => asked.said.as_ref().is_some_and(|said| !answer::is_lasting(said)),
        };
        Arc::new(Kept {
            esphome: self.key().unwrap_or_default(),
            reads,
            said: asked.said.unwrap_or_default(),
            answer: Some(answer),
            again_at: again.then(|| Instant::now() + AGAIN),
        })
    }

    /// Whether a question that had no answer is to be asked again by now.
    pub(super) fn is_late(&self) -> bool {
        let now = Instant::now();
        self.kept.values().any(|kept| kept.again_at.is_some_and(|at| at <= now))
    }

    /// What is to be kept over restarts.
    pub(super) fn to_store(file: &str, kept: &Kept) -> Option<KeptWord> {
        let worth = kept.again_at.is_none();
        let body = worth.then(|| serde_json::to_string(kept).ok()).flatten()?;
        Some(KeptWord { file: file.to_owned(), body })
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Looked {
    /// Without a list of what was read it is the file itself, and what it seems to include.
    fn at(dir: &Path, file: &str, reads: &[String]) -> Self {
        let reads = match witness::reads(&reads.join("\n")) {
            Ok(reads) => sources_of(dir, reads),
            Err(_) => {
                let listed = listed_reads(dir, &DeviceId::of_file(file), reads);
                listed.map(|reads| sources_of(dir, reads)).unwrap_or_default()
            }
        };
        let mut stamps = Stamps::new();
        add_stamps(dir, &reads, &mut stamps);
        let current = !Contents::default().differ(dir, &reads);
        Self { reads, stamps, current }
    }
}

/// Asks ESPHome what configurations of a directory are, one after the other: the answers, and what was read for them.
pub async fn ask(
    esphome: &Esphome,
    dir: &Path,
    files: &[String],
) -> Vec<(Answer, Vec<SourceFile>)> {
    let mut words = Words::new(dir, &[]);
    words.choose(Some(esphome.clone()));
    words.ask_about(files.to_vec());
    let mut answers = Vec::new();
    for file in files {
        let kept = words.next().await.kept;
        let answer =
            kept.answer.clone().unwrap_or_else(|| Answer::Unanswered(answer::unanswered(file)));
        answers.push((answer, kept.reads.clone()));
    }
    answers
}

/// Puts ESPHome's word in the place of what the files seem to say; returns the files about which it has to be asked.
pub(super) fn speak(
    dir: &Path,
    kept: &BTreeMap<String, Arc<Kept>>,
    key: Option<&str>,
    contents: &mut Contents,
    configs: &mut [ConfigFile],
) -> Vec<String> {
    let mut due = Vec::new();
    for config in configs {
        // One that can't be read can't be asked about either.
        if config.content.is_err() {
            continue;
        }
        let file = config.id.as_str();
        let Some(kept) = kept.get(file) else {
            due.push(file.to_owned());
            continue;
        };
        let current = !contents.differ(dir, &kept.reads);
        let waits = kept.again_at.is_none_or(|at| at > Instant::now());
        if !current || !waits || key.is_some_and(|key| key != kept.esphome) {
            due.push(file.to_owned());
        }
        say(config, kept, current);
    }
    due
}

/// `current`: it was said about the files as they are.
pub(super) fn say(config: &mut ConfigFile, kept: &Kept, current: bool) {
    match &kept.answer {
        Some(Answer::Device(summary)) => {
            let recorded = config.content.as_ref().ok().and_then(|said| said.compiled_name.clone());
            let mut summary = (**summary).clone();
            summary.compiled_name = recorded;
            if !current {
                // What it is called is hardly another thing; where it is can be.
                summary.claim = AddressClaim::Unknown;
                if let Some(validated) = &mut summary.validated {
                    validated.config_hash = None;
                }
            }
            config.content = Ok(summary);
        }
        Some(Answer::Refused(problem)) if current => config.content = Err(problem.clone()),
        Some(Answer::Unanswered(problem)) if current => {
            if let Ok(summary) = &mut config.content {
                summary.doubt = Some(problem.clone());
            }
        }
        Some(Answer::Refused(_) | Answer::Unanswered(_)) | None => {}
    }
}
