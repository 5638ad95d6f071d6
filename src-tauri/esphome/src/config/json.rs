//! What `esphome config` prints, as a value.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

/// Deeper nesting, and more values than this, aren't read.
const MAX_DEPTH: usize = 100;
const MAX_EVENTS: usize = 2_000_000;

enum Open {
    Mapping(Map<String, Value>, Option<String>),
    Sequence(Vec<Value>),
}

/// Reads YAML without anchors, as far as it can be understood.
#[must_use]
pub fn to_json(text: &str) -> Value {
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new(StrInput::new(text)).take(MAX_EVENTS) {
        let Ok((event, _)) = event else { break };
        let closed = match event {
            Event::MappingStart(..) if open.len() < MAX_DEPTH => {
                open.push(Open::Mapping(Map::new(), None));
                continue;
            }
            Event::SequenceStart(..) if open.len() < MAX_DEPTH => {
                open.push(Open::Sequence(Vec::new()));
                continue;
            }
            Event::MappingStart(..) | Event::SequenceStart(..) => break,
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some(Open::Mapping(mapping, _)) => Value::Object(mapping),
                Some(Open::Sequence(items)) => Value::Array(items),
                None => break,
            },
            Event::Scalar(text, ScalarStyle::Plain, _, None) => plain(&text),
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            Event::Alias(_) => Value::Null,
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
        };
        match open.last_mut() {
            Some(Open::Mapping(mapping, key)) => match key.take() {
                Some(key) => drop(mapping.insert(key, closed)),
                None => {
                    *key = Some(closed.as_str().map_or_else(|| closed.to_string(), str::to_owned))
                }
            },
            Some(Open::Sequence(items)) => items.push(closed),
            None => return closed,
        }
    }
    // What was open when it broke off is of use all the same.
    match open.into_iter().next() {
        Some(Open::Mapping(mapping, _)) => Value::Object(mapping),
        Some(Open::Sequence(items)) => Value::Array(items),
        None => Value::Null,
    }
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        _ => text.parse::<u64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_esphome_prints_is_read() {
        let text = "esphome:\n  name: a\n  name_add_mac_suffix: true\n  on_boot:\n  - lambda: !lambda |-\n      x;\n\
                    ota:\n- platform: esphome\n  port: 8266\n  password: '0123'\n  none:\n";
        assert_eq!(
            to_json(text),
            json!({
                "esphome": {"name": "a", "name_add_mac_suffix": true, "on_boot": [{"lambda": "x;"}]},
                "ota": [{"platform": "esphome", "port": 8266, "password": "0123", "none": null}],
            })
        );
        assert_eq!(to_json("a: 1\nb: [\n")["a"], 1);
        assert_eq!(to_json(""), Value::Null);
        let _ = to_json(&"[".repeat(100_000));
    }

    proptest! {
        #[test]
        fn random_yaml_never_panics(text in "[\\[\\]{}:,&*!?|>'\"%@#a \n\t<$-]{0,80}") {
            let _ = to_json(&text);
        }
    }
}
