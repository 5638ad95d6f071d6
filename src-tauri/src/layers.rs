//! A test: the shell's modules are layers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// From the ground up. What stands in none of them (`app`, `lib.rs`) puts them together.
const LAYERS: [&str; 3] = ["means", "messages", "parts"];

/// The files of a folder, with those below it.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A path as its first two names: `parts/tray/host.rs`, `parts::tray::host` are `parts` and `tray`.
fn place<'a>(names: impl Iterator<Item = &'a str>) -> (String, String) {
    let mut names = names.map(|name| name.trim_end_matches(".rs").to_owned());
    (names.next().unwrap_or_default(), names.next().unwrap_or_default())
}

/// What a file names of this crate.
fn named(text: &str) -> impl Iterator<Item = (String, String)> {
    let after = text.split("crate::").skip(1);
    let path = after.map(|rest| rest.split(|c: char| c != '_' && c != ':' && !c.is_alphanumeric()));
    path.map(|mut rest| place(rest.next().unwrap_or_default().split("::")))
}

#[test]
fn each_layer_knows_those_below_it_and_no_part_another_one() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let level = |layer: &str| LAYERS.iter().position(|known| *known == layer);
    let mut uses: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for layer in LAYERS {
        for file in files(&src.join(layer)) {
            let own =
                place(file.strip_prefix(&src).unwrap().iter().filter_map(|name| name.to_str()));
            let others = uses.entry(own.clone()).or_default();
            for other in named(&std::fs::read_to_string(&file).unwrap()) {
                let fits = level(&other.0).is_some_and(|it| Some(it) <= level(layer));
                let part = layer == "parts" && other.0 == layer && other != own;
                assert!(fits && !part, "{} knows {}::{}", file.display(), other.0, other.1);
                others.extend((other != own && !other.1.is_empty()).then_some(other));
            }
        }
    }
    assert!(uses.len() > 10, "{uses:?}");
    while !uses.is_empty() {
        let before = uses.len();
        let left: BTreeSet<_> = uses.keys().cloned().collect();
        uses.retain(|_, others| others.iter().any(|other| left.contains(other)));
        assert!(uses.len() < before, "these know each other in a circle: {uses:?}");
    }
}
