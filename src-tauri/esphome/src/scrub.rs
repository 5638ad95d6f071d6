//! Taking secrets out of a text that leaves the machine, such as a diagnostics report.
//!
//! What a secret is, the configurations say: every value of `secrets.yaml`, and every value below a key that
//! sounds like one. Too much is taken out rather than too little.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, StrInput};

/// What stands in the place of a secret. No configuration can have made it up: the replaced text never
/// joins with what stands beside it to another secret of plain letters.
pub const MARK: &str = "•••";

/// The parts of a key that make its value a secret.
const SENSITIVE: [&str; 15] = [
    "pass",
    "pw",
    "psk",
    "key",
    "secret",
    "token",
    "ssid",
    "auth",
    "user",
    "identity",
    "credential",
    "pin",
    "code",
    "cert",
    "networks",
];

/// How a key ends whose value is a secret beyond doubt.
const PLAINLY: [&str; 6] = ["password", "passphrase", "psk", "secret", "token", "key"];

/// A text of fewer letters is nothing that could be kept secret.
const SHORT: usize = 4;

/// Secrets of any number of files.
#[derive(Debug, Default)]
pub struct Secrets {
    values: BTreeSet<String>,
    /// The names of substitutions that stand for secrets.
    wanted: BTreeSet<String>,
    /// Values by the name of a key: what a substitution stands for, whatever file it is in.
    named: BTreeMap<String, BTreeSet<String>>,
    /// Only what is a secret beyond doubt is one, and of `!secret` the name is none.
    plain: bool,
}

impl Secrets {
    /// For a text that stays readable: a network's name or a pin are no secrets in it.
    #[must_use]
    pub fn plain() -> Self {
        Self { plain: true, ..Self::default() }
    }

    /// Adds a value that is known to be secret.
    pub fn add(&mut self, value: &str) {
        let value = value.trim();
        if !value.is_empty() {
            self.values.insert(value.to_owned());
            // A text with several lines is shown line by line.
            self.values
                .extend(value.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
        }
    }

    /// Adds what a YAML file holds; `all`: every value of it (`secrets.yaml`). What can't be read as YAML is
    /// read line by line.
    pub fn add_yaml(&mut self, text: &str, all: bool) {
        let mut reader =
            Reader { secrets: self, all, frames: Vec::new(), anchors: BTreeMap::new() };
        let mut parser = Parser::new(StrInput::new(text));
        let mut broken = false;
        while let Some(next) = parser.next_event() {
            let Ok((event, _)) = next else {
                broken = true;
                break;
            };
            reader.event(event);
        }
        if broken {
            self.add_lines(text, all);
        }
    }

    fn add_lines(&mut self, text: &str, all: bool) {
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            if all || self.is_sensitive(key) {
                let value = value.split(" #").next().unwrap_or_default().trim();
                self.add(value);
                self.add(value.trim_matches(['"', '\'']));
            }
        }
    }

    fn take(&mut self, key: Option<&str>, value: &str, sensitive: bool) {
        if sensitive {
            self.add(value);
            self.wanted.extend(substitutions(value));
        }
        if let Some(key) = key {
            self.named.entry(key.to_owned()).or_default().insert(value.to_owned());
        }
    }

    fn is_sensitive(&self, key: &str) -> bool {
        let key = key.trim().to_ascii_lowercase();
        if self.plain {
            return !key.starts_with("on_") && PLAINLY.iter().any(|end| key.ends_with(end));
        }
        SENSITIVE.iter().any(|word| key.contains(word))
    }

    /// The text without any of them.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        self.replaced(text, |_| MARK.to_owned())
    }

    /// The text with something else in the place of each of them.
    #[must_use]
    pub fn replaced(&self, text: &str, other: impl Fn(&str) -> String) -> String {
        let substituted = self.wanted.iter().filter_map(|name| self.named.get(name)).flatten();
        let mut values: Vec<&str> = self
            .values
            .iter()
            .chain(substituted)
            .map(String::as_str)
            .filter(|value| !(value.is_empty() || (self.plain && is_open(value))))
            .collect();
        // A secret that contains another one is taken out as a whole.
        values.sort_by_key(|value| (core::cmp::Reverse(value.len()), *value));
        let mut text = text.to_owned();
        for value in values {
            if text.contains(value) {
                let other = other(value);
                text = if value.chars().count() < SHORT {
                    replace_words(&text, value, &other)
                } else {
                    text.replace(value, &other)
                };
            }
        }
        text
    }
}

/// Replaces a short text only where it stands alone: a PIN of one digit would else take every such digit out.
fn replace_words(text: &str, value: &str, other: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let (before, found) = rest.split_at(at);
        let after = found.get(value.len()..).unwrap_or_default();
        let joined = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        result.push_str(before);
        let inside = joined(result.chars().next_back()) || joined(after.chars().next());
        result.push_str(if inside { value } else { other });
        rest = after;
    }
    result.push_str(rest);
    result
}

/// Whether it hides nothing: it is too short, or says where the secret stands.
fn is_open(value: &str) -> bool {
    value.chars().count() < SHORT || value.starts_with('$')
}

/// The names in `$name` and `${name}`.
fn substitutions(value: &str) -> impl Iterator<Item = String> + '_ {
    value.split('$').skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        rest.get(..end).filter(|name| !name.is_empty()).map(str::to_owned)
    })
}

enum Frame {
    Mapping { key: Option<String>, sensitive: bool },
    Sequence { sensitive: bool },
}

struct Reader<'a> {
    secrets: &'a mut Secrets,
    all: bool,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, String>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
            Event::Alias(anchor) => {
                let text = self.anchors.get(&anchor).cloned().unwrap_or_default();
                self.scalar(&text, false);
            }
            Event::Scalar(text, _, anchor, tag) => {
                if anchor > 0 {
                    self.anchors.insert(anchor, text.clone().into_owned());
                }
                let is_name = tag.is_some_and(|tag| tag.suffix == "secret");
                self.scalar(&text, is_name && self.secrets.plain);
            }
            Event::SequenceStart(..) => {
                let sensitive = self.below();
                self.frames.push(Frame::Sequence { sensitive });
            }
            Event::MappingStart(..) => {
                let sensitive = self.below();
                self.frames.push(Frame::Mapping { key: None, sensitive });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.frames.pop();
                self.value_ended();
            }
        }
    }

    /// Whether what comes next is a secret by where it stands.
    fn below(&self) -> bool {
        match self.frames.last() {
            Some(Frame::Mapping { key, sensitive }) => {
                *sensitive || key.as_deref().is_some_and(|key| self.secrets.is_sensitive(key))
            }
            Some(Frame::Sequence { sensitive }) => *sensitive,
            None => self.all,
        }
    }

    /// `is_name`: it names a secret, and is none.
    fn scalar(&mut self, text: &str, is_name: bool) {
        let sensitive = self.below() && !is_name;
        match self.frames.last_mut() {
            Some(Frame::Mapping { key: key @ None, .. }) => *key = Some(text.to_owned()),
            Some(Frame::Mapping { key: Some(key), .. }) => {
                let key = key.clone();
                self.secrets.take(Some(&key), text, sensitive);
                self.value_ended();
            }
            Some(Frame::Sequence { .. }) | None => self.secrets.take(None, text, sensitive),
        }
    }

    fn value_ended(&mut self) {
        if let Some(Frame::Mapping { key, .. }) = self.frames.last_mut() {
            *key = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_sounds_like_a_secret_is_one() {
        let mut secrets = Secrets::default();
        secrets.add_yaml("wifi_password: from-secrets\nother: also-this\n", true);
        secrets.add_yaml(
            "substitutions:\n  net: HomeNet\n  room: Kitchen\n  hidden: sub-value\n\
             esphome:\n  name: kitchen-plug\n\
             wifi:\n  ssid: ${net}\n  password: !secret wifi_password\n  networks:\n    - ssid: Guest\n      password: guest-pass\n\
             api:\n  encryption:\n    key: \"AAAA+BBBB=\"\n\
             ota:\n  - platform: esphome\n    password: 'ota pass'\n\
             mqtt:\n  username: mqtt-user\n  password: $hidden\n\
             web_server:\n  auth:\n    username: admin\n    password: &pw anchored\nx:\n  password: *pw\n",
            false,
        );
        let text = "HomeNet Guest guest-pass AAAA+BBBB= ota pass mqtt-user sub-value admin anchored \
                    from-secrets also-this kitchen-plug Kitchen esphome";
        let scrubbed = secrets.scrub(text);
        assert!(scrubbed.ends_with("kitchen-plug Kitchen esphome"), "{scrubbed}");
        assert_eq!(scrubbed.matches(MARK).count(), 11, "{scrubbed}");
    }

    #[test]
    fn broken_yaml_is_read_line_by_line() {
        let mut secrets = Secrets::default();
        secrets.add_yaml("wifi:\n  password: \"hunter22\" # mine\n  x: [unfinished\n", false);
        assert_eq!(secrets.scrub("it is hunter22."), "it is •••.");
    }

    #[test]
    fn a_short_secret_does_not_eat_the_text() {
        let mut secrets = Secrets::default();
        secrets.add_yaml("pin: 12\n", false);
        assert_eq!(secrets.scrub("12 of 2012, 12"), "••• of 2012, •••");
    }

    fn word() -> impl Strategy<Value = String> {
        // Printable, as Wi-Fi passwords are: 8 to 63 characters.
        "[ -~]{6,40}".prop_map(|word| word.trim().to_owned()).prop_filter("short", |w| w.len() > 5)
    }

    proptest! {
        #[test]
        fn no_secret_of_a_configuration_is_left(
            [ssid, wifi, ota, api, secret] in [word(), word(), word(), word(), word()],
            noise in "[ -~\n]{0,200}",
        ) {
            let quoted = |text: &str| serde_json::to_string(text).unwrap();
            let yaml = format!(
                "wifi:\n  ssid: {}\n  password: {}\nota:\n  - platform: esphome\n    password: {}\n\
                 api:\n  encryption:\n    key: {}\n",
                quoted(&ssid), quoted(&wifi), quoted(&ota), quoted(&api)
            );
            let mut secrets = Secrets::default();
            secrets.add_yaml(&yaml, false);
            secrets.add_yaml(&format!("any: {}\n", quoted(&secret)), true);
            let all = [&ssid, &wifi, &ota, &api, &secret];
            let text = format!("{noise}{ssid}{wifi}: {ota}\n{api},{noise}{secret}");
            let scrubbed = secrets.scrub(&text);
            for value in all {
                prop_assert!(!scrubbed.contains(value.as_str()), "{value:?} is left in {scrubbed:?}");
            }
        }
    }
}
