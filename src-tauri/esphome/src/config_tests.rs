use proptest::prelude::*;

use super::*;

const REAL: &str = r#"
substitutions:
  location: cellar
  device: "sleepy-${location}"
esphome:
  name: $device
  friendly_name: "Sleepy ${location}"
  on_boot:
    then:
      - lambda: !lambda |-
          return 1;
esp32:
  board: esp32dev
<<: !include common/base.yaml
packages:
  wifi: !include common/wifi.yaml
  sensors: !include
    file: common/sensors.yaml
    vars:
      pin: 4
  remote: github://somebody/else/x.yaml@main
wifi:
  ssid: !secret ssid
  manual_ip:
    static_ip: 192.0.2.7
sensor: !include_dir_merge_list sensors
binary_sensor:
  - id: !extend door
    name: !remove
deep_sleep:
  run_duration: 10s
"#;

fn file(path: &str, place: &[&str], vars: &[(&str, &str)]) -> Reference {
    Reference::File {
        path: path.to_owned(),
        place: place.iter().map(|key| (*key).to_owned()).collect(),
        vars: vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    }
}

#[test]
fn a_configuration_with_everything_is_summarized() {
    let document = parse(REAL);
    let summary = summarize("stem", std::slice::from_ref(&document), None);
    assert_eq!(summary.name, "sleepy-cellar");
    assert_eq!(summary.friendly_name.as_deref(), Some("Sleepy cellar"));
    assert_eq!(summary.platform.as_deref(), Some("esp32"));
    assert_eq!(summary.address.as_deref(), Some("192.0.2.7"));
    assert!(summary.deep_sleep);
    assert_eq!(
        document.references,
        [
            file("common/base.yaml", &[], &[]),
            file("common/sensors.yaml", &[], &[("pin", "4")]),
            file("common/wifi.yaml", &[], &[]),
            Reference::Directory { path: "sensors".into() },
            Reference::Secrets,
        ]
    );
}

#[test]
fn an_area_is_named_in_either_form() {
    for text in [
        "esphome: {name: a, area: $room}\nsubstitutions: {room: Cellar}\n",
        "esphome:\n  name: a\n  area:\n    id: cellar\n    name: Cellar\n",
    ] {
        assert_eq!(summarize("a", &[parse(text)], None).area.as_deref(), Some("Cellar"), "{text}");
    }
    assert_eq!(summarize("a", &[parse("esphome: {name: a}\n")], None).area, None);
}

#[test]
fn what_an_included_section_says_counts_at_its_place() {
    let root = parse("esphome: !include e.yaml\npackages: !include p.yaml\n");
    assert_eq!(root.references[0], file("e.yaml", &["esphome"], &[]));
    assert_eq!(root.references[1], file("p.yaml", &["packages"], &[]));
    let e = parse_included("name: inner\n", &["esphome".to_owned()]);
    let p = parse_included("one:\n  deep_sleep:\n  host:\n", &["packages".to_owned()]);
    let summary = summarize("stem", &[root, e, p], None);
    assert_eq!(summary.name, "inner");
    assert_eq!(summary.platform.as_deref(), Some("host"));
    assert!(summary.deep_sleep);
}

#[test]
fn a_nested_deep_sleep_is_none() {
    let text =
        "esphome:\n  name: a\n  on_boot:\n    - deep_sleep.enter: x\nscript:\n  deep_sleep:\n";
    assert!(!summarize("a", &[parse(text)], None).deep_sleep);
}

#[test]
fn what_cannot_be_substituted_is_left_to_the_last_compile() {
    let document = parse("esphome:\n  name: ${unknown}\n");
    assert_eq!(summarize("stem", std::slice::from_ref(&document), None).name, "stem");
    let storage = crate::files::storage(br#"{"name":"recorded"}"#).unwrap();
    assert_eq!(summarize("stem", &[document], Some(&storage)).name, "recorded");
}

#[test]
fn an_alias_of_a_scalar_is_understood() {
    let document = parse("x: &n sleepy\nesphome:\n  name: *n\n");
    assert_eq!(summarize("stem", &[document], None).name, "sleepy");
}

#[test]
fn what_stands_before_something_broken_counts() {
    for broken in ["host: [\n", "a: \"x\n", "\t\n", "? [\n", "esphome: {\n", "\u{0}"] {
        let text = format!("esphome:\n  name: a\n{broken}");
        assert_eq!(summarize("stem", &[parse(&text)], None).name, "a", "{broken:?}");
    }
    for nothing in ["", "# nothing\n", "- a\n", "a"] {
        assert_eq!(summarize("stem", &[parse(nothing)], None).name, "stem", "{nothing:?}");
    }
    let latin = decode(b"\xEF\xBB\xBFesphome:\n  name: k\n  friendly_name: k\xFCche\n");
    assert_eq!(summarize("stem", &[parse(&latin)], None).name, "k");
}

#[test]
fn a_document_before_the_configuration_is_not_the_configuration() {
    let text = "---\nowner: me\nesphome:\n  name: not\n---\nesphome:\n  name: orchard\n";
    assert_eq!(summarize("stem", &[parse(text)], None).name, "orchard");
    let list = "- printed: 2026-04\n---\nesphome:\n  name: arbor\n";
    assert_eq!(summarize("stem", &[parse(list)], None).name, "arbor");
}

#[test]
fn what_is_kept_of_a_hostile_file_is_little() {
    use std::fmt::Write as _;
    let key = "k".repeat(80_000);
    let mut text = String::from("esphome:\n  name: a\n");
    for n in 0..9 {
        writeln!(text, "{}? {key}{n}\n{}:", " ".repeat(n), " ".repeat(n)).unwrap();
    }
    for n in 0..10_000 {
        writeln!(text, "{}- !include x{n}.yaml", " ".repeat(9)).unwrap();
    }
    let document = parse(&text);
    let size = |reference: &Reference| match reference {
        Reference::File { path, place, .. } => {
            path.len() + place.iter().map(String::len).sum::<usize>()
        }
        Reference::Directory { path } => path.len(),
        Reference::Secrets => 0,
    };
    assert!(document.references.len() <= MAX_REFERENCES);
    assert!(document.references.iter().map(size).sum::<usize>() < 100_000);
    assert_eq!(summarize("stem", &[document], None).name, "a");
}

#[test]
fn a_billion_laughs_cost_nothing() {
    use std::fmt::Write as _;
    let mut text = String::from("a0: &a0 [lol, lol]\n");
    for n in 1..60 {
        let m = n - 1;
        writeln!(text, "a{n}: &a{n} [*a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}]")
            .unwrap();
    }
    text.push_str("esphome:\n  name: a\n  friendly_name: *a59\n");
    assert_eq!(summarize("x", &[parse(&text)], None).name, "a");
    let laughs: BTreeMap<_, _> =
        (0..50).map(|n| (format!("s{n}"), format!("${{s{m}}}${{s{m}}}", m = n + 1))).collect();
    assert_eq!(substitute("$s0", &laughs), None);
}

#[test]
fn hostile_nesting_costs_little() {
    for text in
        ["[".repeat(2_000_000), "- ".repeat(100_000), "? ".repeat(10_000), "{a: ".repeat(10_000)]
    {
        assert_eq!(parse(&text).references, []);
    }
}

#[test]
fn five_megabytes_are_read() {
    let mut text = String::from("esphome:\n  name: big\nsensor:\n");
    while text.len() < 5 << 20 {
        text.push_str("  - platform: template\n    name: \"A sensor that has a name\"\n");
    }
    assert_eq!(summarize("x", &[parse(&text)], None).name, "big");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&decode(&bytes));
    }

    #[test]
    fn random_yaml_signs_never_panic(text in "[\\[\\]{}:,&*!?|>'\"%@#a \n\t<$-]{0,80}") {
        let _ = parse(&text);
        let _ = parse_included(&text, &["packages".to_owned()]);
    }

    #[test]
    fn mutated_yaml_never_panics(
        edits in proptest::collection::vec((0..REAL.len(), any::<u8>(), any::<bool>()), 0..12)
    ) {
        let mut bytes = REAL.as_bytes().to_vec();
        for (at, byte, insert) in edits {
            if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
        }
        let _ = summarize("x", &[parse(&decode(&bytes))], None);
    }
}
