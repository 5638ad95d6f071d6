//! What a YAML configuration seems to say before ESPHome was asked: a summary for the list, and the files it refers to.
//! It decides nothing and refuses nothing.
//!
//! It reads the parser's events and builds no tree: aliases are never expanded, and nesting, keys, values and what is
//! kept are limited, so that a hostile file costs no more than its size. What can't be understood is left open.

mod json;

use core::borrow::Borrow;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, StrInput, Tag};

use crate::files::Storage;
use wakeflash_core::configuration::{AddressClaim, ConfigSummary};
use wakeflash_core::schedule::SleepPlan;

pub use json::to_json;

/// The most of a file that is read, in bytes: what says who a device is stands at its beginning.
pub const MAX_TEXT: usize = 512 << 10;
/// Nesting deeper than this isn't read; ESPHome's own parser gives up not far above.
const MAX_DEPTH: usize = 250;
/// A longer key isn't one that matters.
const MAX_KEY: usize = 128;
/// A name or a path that gets longer than this by substitution is given up.
const MAX_VALUE: usize = 4096;
/// The most references that are kept of one file, and the most variables.
const MAX_REFERENCES: usize = 500;

/// The most variables of one include.
const MAX_VARS: usize = 50;

/// The top-level keys that name a platform.
const PLATFORMS: [&str; 11] = [
    "esp32",
    "esp8266",
    "rp2",
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
    /// `substitutions:`, scalars only.
    pub substitutions: BTreeMap<String, String>,
    /// What it refers to, without repetitions.
    pub references: Vec<Reference>,
}

/// The key paths whose scalars are kept.
const WANTED: [&str; 12] = [
    "esphome.name",
    "esphome.friendly_name",
    "esphome.area",
    "esphome.area.name",
    "esphome.platform",
    "wifi.use_address",
    "wifi.manual_ip.static_ip",
    "ethernet.use_address",
    "ethernet.manual_ip.static_ip",
    "openthread.use_address",
    "deep_sleep.run_duration",
    "deep_sleep.sleep_duration",
];

/// The text at the beginning of a file.
#[must_use]
pub fn decode(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    String::from_utf8_lossy(bytes.get(..MAX_TEXT).unwrap_or(bytes))
}

/// Reads a device's configuration, as far as it can be understood.
#[must_use]
pub fn parse(text: &str) -> Document {
    parse_included(text, &[])
}

/// Reads a file that another one includes at `place` ([`Reference::File`]).
#[must_use]
pub fn parse_included(text: &str, place: &[String]) -> Document {
    let mut reader = Reader::new(place.to_vec());
    reader.read(text);
    reader.document
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
    ConfigSummary {
        name: value("esphome.name")
            .or_else(|| recorded(|s| &s.name))
            .unwrap_or_else(|| stem.to_owned()),
        friendly_name: value("esphome.friendly_name").or_else(|| recorded(|s| &s.friendly_name)),
        area: value("esphome.area").or_else(|| value("esphome.area.name")),
        platform: documents()
            .find_map(|document| document.platform.map(str::to_owned))
            .or_else(|| value("esphome.platform").map(|name| name.to_lowercase()))
            .or_else(|| recorded(|s| &s.platform)),
        claim: AddressClaim::Unknown,
        address,
        deep_sleep: documents().any(|document| document.deep_sleep)
            || storage.is_some_and(Storage::deep_sleep),
        sleep_plan: SleepPlan::read(
            value("deep_sleep.run_duration").as_deref(),
            value("deep_sleep.sleep_duration").as_deref(),
        ),
        compiled_name: recorded(|s| &s.name),
        doubt: None,
        validated: None,
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
    document: Document,
}

impl Reader {
    fn new(place: Vec<String>) -> Self {
        Self {
            place,
            frames: Vec::new(),
            include: None,
            anchors: BTreeMap::new(),
            document: Document::default(),
        }
    }

    /// Reads until something isn't understood: an error, a nesting that is too deep.
    fn read(&mut self, text: &str) {
        let mut parser = Parser::new(StrInput::new(text));
        while let Some(Ok((event, _))) = parser.next_event()
            && self.frames.len() <= MAX_DEPTH
        {
            self.event(event);
        }
        self.document.references.sort();
        self.document.references.dedup();
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::DocumentStart(_) => self.next_document(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::Alias(anchor) => {
                let text = self.anchors.get(&anchor).cloned();
                self.scalar(text.as_deref(), None);
            }
            Event::Scalar(text, _, anchor, tag) => {
                if anchor > 0 && text.len() <= MAX_VALUE && self.anchors.len() < MAX_REFERENCES {
                    self.anchors.insert(anchor, text.clone().into_owned());
                }
                self.scalar(Some(&text), tag.as_deref());
            }
            Event::SequenceStart(..) => self.open(Frame::Sequence),
            Event::MappingStart(_, tag) => {
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

    /// What stands before another document says something about the file and not about the device.
    fn next_document(&mut self) {
        let place = core::mem::take(&mut self.place);
        *self = Self::new(place);
    }

    fn open(&mut self, frame: Frame) {
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
                    let known = text.len() <= MAX_KEY;
                    *key = Some(if known { text.to_owned() } else { String::new() });
                    self.key_read();
                }
            }
        }
    }

    /// A key may say something by being there.
    fn key_read(&mut self) {
        if self.frames.len() > 3 {
            return;
        }
        let place = self.place();
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
        let is_key = matches!(self.frames.last(), Some(Frame::Mapping { key: None, .. }));
        if !is_key && let Some(text) = text {
            match tag.and_then(custom) {
                Some("include") if text.len() <= MAX_VALUE => {
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
                ) if text.len() <= MAX_VALUE => {
                    self.refer(Reference::Directory { path: text.to_owned() });
                }
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
                    include.file = Some(text.to_owned()).filter(|file| file.len() <= MAX_VALUE);
                }
                Some(
                    [
                        Frame::Mapping { key: Some(outer), .. },
                        Frame::Mapping { key: Some(name), .. },
                    ],
                ) if outer == "vars" && include.vars.len() < MAX_VARS => {
                    let short: String = text.chars().take(MAX_KEY).collect();
                    include.vars.insert(name.clone(), short);
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
            if substitutions.len() < MAX_REFERENCES {
                substitutions.entry(name.clone()).or_insert_with(|| text.to_owned());
            }
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

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
