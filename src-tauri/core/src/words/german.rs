//! Problems in German. The sentences are in `german.json`, which the window reads as well:
//!
//! - `problems`, by code: `says` what happened in general, and `help` what to do. Where an English sentence says
//!   more, `exact` has it as a template, `from`, in which `{}` is whatever stands there, and the German one, `to`,
//!   in which `{1}` is the first of these. With `varies`, the window shows the English sentence as details when
//!   none of them fits.
//! - `helps`, where the help isn't always the same: by the English one.
//! - `phrases`: what stands in such a place and is words itself.
//!
//! `titles.json` has a title of a few words for each code, in both languages.
//!
//! `examples.json` is tested here and in the window: both read the templates alike.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

#[derive(Default, Deserialize)]
struct Catalogue {
    phrases: BTreeMap<String, String>,
    problems: BTreeMap<String, German>,
}

#[derive(Deserialize)]
struct German {
    says: String,
    #[serde(default)]
    exact: Vec<Exact>,
}

#[derive(Deserialize)]
struct Exact {
    from: String,
    to: String,
}

fn parsed() -> Result<Catalogue, serde_json::Error> {
    serde_json::from_str(include_str!("german.json"))
}

/// A test parses it; were it broken all the same, English would be better than nothing.
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| parsed().unwrap_or_default());

/// What happened, in German. A code that isn't in the catalogue keeps its words.
pub(super) fn message(code: &str, english: &str) -> String {
    let Some(german) = CATALOGUE.problems.get(code) else { return english.to_owned() };
    let exact = german.exact.iter().find_map(|exact| {
        let parts = taken_over(english, &exact.from)?;
        Some(filled(&exact.to, &parts))
    });
    exact.unwrap_or_else(|| german.says.clone())
}

/// What stands in the places of a template; `None`: the text is another one.
fn taken_over<'t>(text: &'t str, template: &str) -> Option<Vec<&'t str>> {
    let mut literals = template.split("{}");
    let mut left = text.strip_prefix(literals.next()?)?;
    let literals: Vec<&str> = literals.collect();
    let Some((last, between)) = literals.split_last() else {
        return left.is_empty().then(Vec::new);
    };
    let mut parts = Vec::new();
    for literal in between {
        let (part, after) = left.split_once(literal)?;
        parts.push(part);
        left = after;
    }
    parts.push(left.strip_suffix(last)?);
    Some(parts)
}

/// The German sentence with these parts. What they contain is never taken for a place.
fn filled(words: &str, parts: &[&str]) -> String {
    let mut said = String::new();
    let mut rest = words;
    while let Some((before, after)) = rest.split_once('{') {
        said.push_str(before);
        let Some((number, after)) = after.split_once('}') else { break };
        let part = number.parse::<usize>().ok().and_then(|n| parts.get(n.checked_sub(1)?));
        let part = part.copied().unwrap_or_default();
        said.push_str(CATALOGUE.phrases.get(part).map_or(part, String::as_str));
        rest = after;
    }
    said + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use wakeflash_ota::{DeviceError, Step};

    #[derive(Deserialize)]
    struct Example {
        code: String,
        message: String,
        german: String,
    }

    #[test]
    fn the_catalogue_can_be_read_and_fills_only_what_it_took() {
        let catalogue = parsed().unwrap();
        assert!(catalogue.problems.len() > 100);
        for (code, german) in &catalogue.problems {
            for exact in &german.exact {
                let places = exact.from.matches("{}").count();
                for place in exact.to.split('{').skip(1) {
                    let number: usize = place.split_once('}').unwrap().0.parse().unwrap();
                    assert!((1..=places).contains(&number), "{code}: {}", exact.to);
                }
                assert!(!exact.from.contains("{}{}"), "{code}: {}", exact.from);
            }
        }
    }

    #[test]
    fn every_problem_has_a_short_title_in_both_languages() {
        type Titles = BTreeMap<String, BTreeMap<String, String>>;
        let titles: Titles = serde_json::from_str(include_str!("titles.json")).unwrap();
        let known: Vec<_> = parsed().unwrap().problems.into_keys().collect();
        assert_eq!(titles.keys().cloned().collect::<Vec<_>>(), known);
        for (code, title) in &titles {
            assert_eq!(title.keys().collect::<Vec<_>>(), ["de", "en"], "{code}");
            for words in title.values() {
                assert!((3..=36).contains(&words.chars().count()), "{code}: {words}");
                assert!(!words.ends_with('.'), "{code}: {words}");
            }
        }
    }

    #[test]
    fn the_examples_are_read_as_the_window_reads_them() {
        let examples: Vec<Example> = serde_json::from_str(include_str!("examples.json")).unwrap();
        for Example { code, message, german } in examples {
            assert_eq!(super::message(&code, &message), german);
        }
    }

    #[test]
    fn what_a_device_reports_is_said_in_german() {
        for byte in 0..=u8::MAX {
            let Some(error) = DeviceError::from_byte(byte) else { continue };
            let english = error.sentence(Step::Commit);
            assert_ne!(message(error.code(), &english), english, "{}", error.code());
        }
    }
}
