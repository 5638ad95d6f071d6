//! The values in a file of secrets, to be compared by name: what other devices' secrets are, is nobody's business.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use sha2::{Digest as _, Sha256 as Hasher};

use wakeflash_core::update::Sha256;

/// A value that is written longer than this isn't compared by itself.
const MAX_VALUE: usize = 64 << 10;

/// A digest of the values that these names have in the text of `secrets.yaml`; and of what it takes from elsewhere
/// (`<<:`), which may have a say in them. A name that isn't there has a value of its own.
///
/// `None`: it is more than a list of names and values, so that only all of it tells.
#[must_use]
pub fn digest<'n>(text: &str, names: impl IntoIterator<Item = &'n String>) -> Option<Sha256> {
    let values = values(text)?;
    let mut names: Vec<&str> = names.into_iter().map(String::as_str).chain(["<<"]).collect();
    names.sort_unstable();
    names.dedup();
    let mut hasher = Hasher::new();
    for name in names {
        let value = values.get(name).map_or("-", String::as_str);
        for part in [name, value] {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
    }
    Some(Sha256(hex::encode(hasher.finalize())))
}

/// Those of these names that the text of `secrets.yaml` has itself.
#[must_use]
pub fn found<'n>(text: &str, names: &'n [String]) -> BTreeSet<&'n str> {
    let values = values(text).unwrap_or_default();
    names.iter().map(String::as_str).filter(|name| values.contains_key(*name)).collect()
}

/// The names that a text asks for by `!secret`, also where that is no YAML: rather too many than too few.
pub fn used_names(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split("!secret").skip(1).filter_map(|rest| {
        let name = rest.strip_prefix(|c: char| c.is_whitespace())?.trim_start();
        let end = match name.strip_prefix(['\'', '"']) {
            Some(quoted) => return Some(quoted.split(['\'', '"']).next()?.to_owned()),
            None => name.find(|c: char| c.is_whitespace() || ",[]{}'\"".contains(c)),
        };
        Some(name.split_at(end.unwrap_or(name.len())).0.to_owned())
    })
}

/// What stands behind every name, as the parser reads it.
fn values(text: &str) -> Option<BTreeMap<String, String>> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut depth = 0_usize;
    let mut key: Option<String> = None;
    for event in Parser::new(StrInput::new(text)) {
        let (event, _) = event.ok()?;
        let written = written(&event);
        let ended = match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
            // A second document may be the one that counts.
            Event::DocumentStart(_) if values.is_empty() && key.is_none() => continue,
            Event::MappingStart(0, None) if depth == 0 => {
                depth = 1;
                continue;
            }
            Event::MappingEnd if depth == 1 => {
                depth = 0;
                continue;
            }
            Event::Scalar(text, _, 0, None) if depth == 1 && key.is_none() => {
                if values.insert(text.clone().into_owned(), String::new()).is_some() {
                    return None;
                }
                key = Some(text.into_owned());
                continue;
            }
            Event::Scalar(_, _, 0, _) => depth == 1,
            Event::SequenceStart(0, _) | Event::MappingStart(0, _) if depth > 0 => {
                depth += 1;
                false
            }
            Event::SequenceEnd | Event::MappingEnd => {
                depth -= 1;
                depth == 1
            }
            // Anchors and aliases lead from one value to another.
            Event::DocumentStart(_)
            | Event::Alias(_)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::MappingStart(..) => return None,
        };
        let value = values.get_mut(key.as_ref()?)?;
        if value.len() > MAX_VALUE {
            return None;
        }
        value.push_str(&written);
        if ended {
            key = None;
        }
    }
    Some(values)
}

/// The same for the same value, in any version of the parser.
fn written(event: &Event<'_>) -> String {
    let tagged = |tag: Option<&Tag>| {
        tag.map_or(String::new(), |tag| format!("{}{}", tag.handle, tag.suffix))
    };
    match event {
        Event::Scalar(text, style, _, tag) => {
            let kind = match style {
                ScalarStyle::Plain => 'p',
                ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 'q',
                ScalarStyle::Literal | ScalarStyle::Folded => 'b',
            };
            format!("{kind}{} {}:{text}", tagged(tag.as_deref()), text.len())
        }
        Event::SequenceStart(_, tag) => format!("[{} ", tagged(tag.as_deref())),
        Event::MappingStart(_, tag) => format!("{{{} ", tagged(tag.as_deref())),
        Event::SequenceEnd | Event::MappingEnd => "]".to_owned(),
        Event::Nothing
        | Event::StreamStart
        | Event::StreamEnd
        | Event::DocumentStart(_)
        | Event::DocumentEnd
        | Event::Alias(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, names: &[&str]) -> Option<Sha256> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        digest(text, &names)
    }

    #[test]
    fn only_the_named_values_count() {
        let before = of("a: one\nb: two\n", &["a"]);
        assert!(before.is_some());
        for same in
            ["# new\na: one\nb: three\n", "c: 3\nb: 2\n\na: one # yes", "{b: [1, 2], a: one}"]
        {
            assert_eq!(of(same, &["a"]), before, "{same}");
        }
        for other in
            ["a: two\nb: one\n", "b: two\n", "a: 'one'\n", "a: [one]", "a: !x one", "", "a:"]
        {
            assert_ne!(of(other, &["a"]), before, "{other}");
        }
        assert_ne!(of("a: {b: {c: 1}}", &["a"]), of("a: {b: {c: 2}}", &["a"]));
        assert_eq!(of("a: 1\nb: {c: 1}", &["a"]), of("a: 1\nb: {c: 2}", &["a"]));
        assert_ne!(of("a: 1", &["a"]), of("a: 1", &["a", "b"]));
        assert_eq!(of("x: 1", &["a"]), of("y: 1", &["a"]), "still missing");
    }

    #[test]
    fn the_names_in_a_text_are_found() {
        let text = "a: !secret one\nb: !secret 'two'\n# c: !secret\t\"three\"\n[!secret four]\nx!secretly\n!secret";
        let names: Vec<_> = used_names(text).collect();
        assert_eq!(names, ["one", "two", "three", "four"]);
        let names: Vec<_> =
            used_names("{a: !secret five, b: [!secret 'six 6', !secret seven]}").collect();
        assert_eq!(names, ["five", "six 6", "seven"]);
    }

    #[test]
    fn the_names_that_a_text_has_are_found() {
        let names = ["a", "b]", "c"].map(str::to_owned);
        assert_eq!(found("a: 1\nb: 2\nc: {d: 1}\n", &names), BTreeSet::from(["a", "c"]));
        assert_eq!(found("- a\n", &names), BTreeSet::new());
    }

    #[test]
    fn what_is_taken_from_elsewhere_counts() {
        let merged = of("<<: !include ../secrets.yaml\na: 1\n", &["a"]);
        assert!(merged.is_some());
        assert_ne!(merged, of("<<: !include other.yaml\na: 1\n", &["a"]));
        assert_ne!(merged, of("a: 1\n", &["a"]));
    }

    #[test]
    fn what_is_no_plain_list_is_left_alone() {
        for text in [
            "a: &x 1\nb: *x\n",
            "a: &x 1\n",
            "- a\n",
            "a\n",
            "!include x.yaml\n",
            "a: 1\na: 2\n",
            "a: 1\n---\na: 2\n",
            "a: [\n",
            "? [x]\n: 1\n",
        ] {
            assert_eq!(of(text, &["a"]), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn random_yaml_never_panics(text in "[\\[\\]{}:,&*!?|>'\"%@#a \n\t<$-]{0,80}") {
            let _ = of(&text, &["a"]);
        }

        #[test]
        fn a_value_is_told_whatever_stands_around_it(
            before in "[a-z]{1,8}", value in "[a-z0-9 ]{0,12}", other in "[a-z0-9 ]{0,12}", more in "[A-Z]{1,8}",
        ) {
            let text = |value: &str, more: &str| format!("{before}: x\nname_: '{value}'\n{more}: y\n");
            let of = |value: &str, more: &str| of(&text(value, more), &["name_"]);
            prop_assert_eq!(of(&value, &more), of(&value, "OTHERS"));
            prop_assert_eq!(of(&value, &more) == of(&other, &more), value == other);
        }
    }
}
