//! What a YAML configuration says without ESPHome being asked: a summary for the list, and the files it
//! refers to.
//!
//! It reads the parser's events and builds no tree: aliases are never expanded and nesting is limited, so
//! that a hostile file costs no more than its size. What can't be understood is left open; only what is no
//! YAML is a [`Problem`].

mod claim;

use core::borrow::Borrow;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScanError, StrInput, Tag};

use crate::device::{AddressClaim, ConfigSummary};
use crate::error::Problem;
use crate::esphome_files::Storage;
use crate::schedule::SleepPlan;

/// Deeper nesting than this is refused; ESPHome's own parser gives up not far above.
const MAX_DEPTH: usize = 250;
/// A name or a path that gets longer than this by substitution is given up.
const MAX_VALUE: usize = 4096;
/// The most references that are kept of one file.
const MAX_REFERENCES: usize = 10_000;

/// The top-level keys that name a platform.
const PLATFORMS: [&str; 10] = [
    "esp32",
    "esp8266",
    "rp2040",
    "rp2350",
    "bk72xx",
    "rtl87xx",
    "ln882x",
    "libretiny",
    "nrf52",
    "host",
];

/// Something that a file refers to, with its path as it is written there: relative to that file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// `!include`: a file whose content takes the place of the tag.
    File {
        /// Its path.
        path: String,
        /// The place that its content takes, as a path of keys.
        place: Vec<String>,
        /// `vars:` of the include.
        vars: BTreeMap<String, String>,
    },
    /// `!include_dir_…`: every `*.yaml` in a directory and below it.
    Directory {
        /// Its path.
        path: String,
    },
    /// `!secret`: `secrets.yaml` beside this file, or else in the config directory.
    Secrets,
}

/// What one YAML file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The values that matter, by their key path (`esphome.name`); the first one of each counts.
    values: BTreeMap<&'static str, String>,
    platform: Option<&'static str>,
    deep_sleep: bool,
    /// Whether what it says about itself is all that there is.
    claim: claim::Certainty,
    /// `substitutions:`, scalars only.
    pub substitutions: BTreeMap<String, String>,
    /// What it refers to, without repetitions.
    pub references: Vec<Reference>,
}

/// The key paths whose scalars are kept.
const WANTED: [&str; 10] = [
    "esphome.name",
    "esphome.friendly_name",
    "esphome.platform",
    "wifi.use_address",
    "wifi.manual_ip.static_ip",
    "ethernet.use_address",
    "ethernet.manual_ip.static_ip",
    "openthread.use_address",
    "deep_sleep.run_duration",
    "deep_sleep.sleep_duration",
];

/// The text of a file's bytes.
///
/// # Errors
/// They aren't UTF-8, which is all that ESPHome reads.
pub fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    core::str::from_utf8(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        Problem::new("config.encoding", format!("Line {line} contains bytes that aren't UTF-8."))
            .with_help("Save the file as UTF-8 in your editor.")
    })
}

/// Reads a device's configuration.
///
/// # Errors
/// The text is no YAML, is nested too deeply, or is no mapping.
pub fn parse(text: &str) -> Result<Document, Problem> {
    let mut reader = Reader::new(Vec::new());
    reader.read(text)?;
    match reader.root {
        Some(Root::Mapping) => Ok(reader.document),
        Some(Root::Other) => {
            Err(Problem::new("config.no_mapping", "The file is no ESPHome configuration.")
                .with_help("It should begin with a key such as `esphome:`."))
        }
        None => Err(Problem::new("config.empty", "The file is empty.")
            .with_help("It should begin with a key such as `esphome:`.")),
    }
}

/// Reads a file that another one includes at `place` ([`Reference::File`]).
///
/// # Errors
/// The text is no YAML or is nested too deeply.
pub fn parse_included(text: &str, place: &[String]) -> Result<Document, Problem> {
    let mut reader = Reader::new(place.to_vec());
    reader.read(text)?;
    Ok(reader.document)
}

/// Puts together what the file itself (the first document) and the files it includes say, and fills the
/// gaps with what the last compile recorded.
#[must_use]
pub fn summarize<D: Borrow<Document>>(
    stem: &str,
    documents: &[D],
    storage: Option<&Storage>,
) -> ConfigSummary {
    let documents = || documents.iter().map(Borrow::borrow);
    let mut substitutions = BTreeMap::new();
    for document in documents() {
        for (name, value) in &document.substitutions {
            substitutions.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    let value = |path: &str| {
        documents()
            .find_map(|document| document.values.get(path))
            .and_then(|value| substitute(value, &substitutions))
            .filter(|value| !value.is_empty())
    };
    let recorded = |pick: fn(&Storage) -> &Option<String>| storage.and_then(|s| pick(s).clone());
    let address = value("wifi.use_address")
        .or_else(|| value("ethernet.use_address"))
        .or_else(|| value("openthread.use_address"))
        .or_else(|| value("wifi.manual_ip.static_ip"))
        .or_else(|| value("ethernet.manual_ip.static_ip"));
    let first = documents().next();
    ConfigSummary {
        name: value("esphome.name")
            .or_else(|| recorded(|s| &s.name))
            .unwrap_or_else(|| stem.to_owned()),
        friendly_name: value("esphome.friendly_name").or_else(|| recorded(|s| &s.friendly_name)),
        platform: documents()
            .find_map(|document| document.platform.map(str::to_owned))
            .or_else(|| value("esphome.platform").map(|name| name.to_lowercase()))
            .or_else(|| recorded(|s| &s.platform)),
        claim: first.map_or(AddressClaim::Unknown, |first| first.claim.about(address.as_deref())),
        address,
        deep_sleep: documents().any(|document| document.deep_sleep)
            || storage.is_some_and(Storage::deep_sleep),
        sleep_plan: SleepPlan::read(
            value("deep_sleep.run_duration").as_deref(),
            value("deep_sleep.sleep_duration").as_deref(),
        ),
        compiled_name: recorded(|s| &s.name),
    }
}

/// Replaces `${name}` and `$name`; `None` when one is unknown or is an expression.
#[must_use]
pub fn substitute(text: &str, substitutions: &BTreeMap<String, String>) -> Option<String> {
    const ROUNDS: usize = 8;
    let mut text = text.to_owned();
    for _ in 0..ROUNDS {
        if !text.contains('$') {
            return Some(text);
        }
        text = substitute_once(&text, substitutions)?;
    }
    None
}

fn substitute_once(text: &str, substitutions: &BTreeMap<String, String>) -> Option<String> {
    let mut pieces = text.split('$');
    let mut result = pieces.next()?.to_owned();
    for piece in pieces {
        let (name, rest) = match piece.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = piece.find(|c: char| !is_name(c)).unwrap_or(piece.len());
                piece.split_at(end)
            }
        };
        result.push_str(substitutions.get(name.trim())?);
        result.push_str(rest);
        if result.len() > MAX_VALUE {
            return None;
        }
    }
    Some(result)
}

/// What the text is as a whole.
#[derive(Clone, Copy)]
enum Root {
    Mapping,
    Other,
}

/// A collection that is being read.
enum Frame {
    Mapping {
        /// The key whose value comes next.
        key: Option<String>,
        /// It is the value of `!include`.
        include: bool,
    },
    Sequence,
}

/// An `!include` in its long form that is being read.
#[derive(Default)]
struct Include {
    depth: usize,
    file: Option<String>,
    vars: BTreeMap<String, String>,
}

struct Reader {
    place: Vec<String>,
    frames: Vec<Frame>,
    include: Option<Include>,
    /// Scalars with an anchor, so that `name: *name` is understood. They are never put into each other.
    anchors: BTreeMap<usize, String>,
    root: Option<Root>,
    documents: usize,
    document: Document,
}

impl Reader {
    fn new(place: Vec<String>) -> Self {
        Self {
            place,
            frames: Vec::new(),
            include: None,
            anchors: BTreeMap::new(),
            root: None,
            documents: 0,
            document: Document::default(),
        }
    }

    fn read(&mut self, text: &str) -> Result<(), Problem> {
        let mut parser = Parser::new(StrInput::new(text));
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| syntax(&error))?;
            self.event(event);
            if self.frames.len() > MAX_DEPTH {
                let line = span.start.line();
                return Err(Problem::new(
                    "config.too_deep",
                    format!("Line {line}: the file is nested deeper than {MAX_DEPTH} levels."),
                ));
            }
        }
        self.document.references.sort();
        self.document.references.dedup();
        Ok(())
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                self.document.claim.document(self.documents);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            // ESPHome reads one document.
            Event::Alias(_)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd
                if self.documents > 1 => {}
            Event::Alias(anchor) => {
                self.document.claim.computed(&self.place());
                let text = self.anchors.get(&anchor).cloned();
                self.scalar(text.as_deref(), None);
            }
            Event::Scalar(text, _, anchor, tag) => {
                if anchor > 0 && text.len() <= MAX_VALUE {
                    self.anchors.insert(anchor, text.clone().into_owned());
                }
                self.scalar(Some(&text), tag.as_deref());
            }
            Event::SequenceStart(..) => self.open(Frame::Sequence),
            Event::MappingStart(_, tag) => {
                if tag.is_some() {
                    self.document.claim.computed(&self.place());
                }
                let include = tag.as_deref().is_some_and(|tag| custom(tag) == Some("include"));
                if include && self.include.is_none() {
                    self.include =
                        Some(Include { depth: self.frames.len() + 1, ..Include::default() });
                }
                self.open(Frame::Mapping { key: None, include });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn open(&mut self, frame: Frame) {
        if self.root.is_none() {
            self.root = Some(match frame {
                Frame::Mapping { .. } => Root::Mapping,
                Frame::Sequence => Root::Other,
            });
        }
        self.frames.push(frame);
    }

    fn close(&mut self) {
        let closed = self.frames.pop();
        if matches!(closed, Some(Frame::Mapping { include: true, .. })) {
            self.end_include();
        }
        self.node_ended("");
    }

    fn end_include(&mut self) {
        let Some(include) = self.include.take_if(|include| include.depth == self.frames.len() + 1)
        else {
            return;
        };
        if let Some(path) = include.file {
            let place = self.place();
            self.refer(Reference::File { path, place, vars: include.vars });
        }
    }

    /// A key, a value or an item is complete.
    fn node_ended(&mut self, text: &str) {
        if let Some(Frame::Mapping { key, .. }) = self.frames.last_mut() {
            match key {
                Some(_) => *key = None,
                None => {
                    *key = Some(text.to_owned());
                    self.key_read();
                }
            }
        }
    }

    /// A key may say something by being there.
    fn key_read(&mut self) {
        if let Some(Frame::Mapping { key: Some(key), .. }) = self.frames.last() {
            self.document.claim.key(self.frames.len(), key);
        }
        let place = self.place();
        self.document.claim.place(&place);
        if let [key] = place.as_slice() {
            if key == "deep_sleep" {
                self.document.deep_sleep = true;
            }
            if self.document.platform.is_none() {
                self.document.platform = PLATFORMS.into_iter().find(|platform| platform == key);
            }
        }
    }

    fn scalar(&mut self, text: Option<&str>, tag: Option<&Tag>) {
        if self.root.is_none() {
            self.root = Some(Root::Other);
        }
        let is_key = matches!(self.frames.last(), Some(Frame::Mapping { key: None, .. }));
        if !is_key && (tag.is_some() || text.is_none_or(|text| text.contains('$'))) {
            self.document.claim.computed(&self.place());
        }
        if !is_key && let Some(text) = text {
            match tag.and_then(custom) {
                Some("include") => {
                    let place = self.place();
                    let path = text.to_owned();
                    self.refer(Reference::File { path, place, vars: BTreeMap::new() });
                }
                Some("secret") => self.refer(Reference::Secrets),
                Some(
                    "include_dir_list"
                    | "include_dir_merge_list"
                    | "include_dir_named"
                    | "include_dir_merge_named",
                ) => self.refer(Reference::Directory { path: text.to_owned() }),
                Some(_) => {}
                None => self.value(text),
            }
        }
        self.node_ended(text.unwrap_or(""));
    }

    fn value(&mut self, text: &str) {
        if let Some(include) = &mut self.include {
            match self.frames.get(include.depth - 1..) {
                Some([Frame::Mapping { key: Some(key), .. }]) if key == "file" => {
                    include.file = Some(text.to_owned());
                }
                Some(
                    [
                        Frame::Mapping { key: Some(outer), .. },
                        Frame::Mapping { key: Some(name), .. },
                    ],
                ) if outer == "vars" => {
                    include.vars.insert(name.clone(), text.to_owned());
                }
                Some(_) | None => {}
            }
            return;
        }
        if text.len() > MAX_VALUE || self.frames.len() + self.place.len() > 6 {
            return;
        }
        let place = self.place();
        if let [section, name] = place.as_slice()
            && section == "substitutions"
        {
            let substitutions = &mut self.document.substitutions;
            substitutions.entry(name.clone()).or_insert_with(|| text.to_owned());
            return;
        }
        let path = place.join(".");
        if let Some(wanted) = WANTED.into_iter().find(|wanted| *wanted == path) {
            self.document.values.entry(wanted).or_insert_with(|| text.to_owned());
        }
    }

    fn refer(&mut self, reference: Reference) {
        let references = &mut self.document.references;
        if references.len() < MAX_REFERENCES && references.last() != Some(&reference) {
            references.push(reference);
        }
    }

    /// Where in the whole configuration the current node stands, as far as that is simple. What stands in
    /// a package stands at the top.
    fn place(&self) -> Vec<String> {
        const FAR: usize = 8;
        let mut place = self.place.clone();
        for frame in self.frames.iter().take(FAR) {
            match frame {
                Frame::Mapping { key: Some(key), .. } if key == "<<" => {}
                Frame::Mapping { key: Some(key), .. } => place.push(key.clone()),
                Frame::Mapping { key: None, .. } => {}
                Frame::Sequence => place.push("-".to_owned()),
            }
        }
        while place.len() >= 2 && place.first().is_some_and(|key| key == "packages") {
            place.drain(..2);
        }
        place
    }
}

/// The name of one of ESPHome's own tags.
fn custom(tag: &Tag) -> Option<&str> {
    (tag.handle == "!").then_some(tag.suffix.as_str())
}

fn syntax(error: &ScanError) -> Problem {
    let marker = error.marker();
    Problem::new(
        "config.syntax",
        format!("Line {}, column {}: {}.", marker.line(), marker.col() + 1, error.info()),
    )
    .with_help("Correct the YAML; the list follows as soon as the file is saved.")
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
