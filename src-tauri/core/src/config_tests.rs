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
    let document = parse(REAL).unwrap();
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
fn what_an_included_section_says_counts_at_its_place() {
    let root = parse("esphome: !include e.yaml\npackages: !include p.yaml\n").unwrap();
    assert_eq!(root.references[0], file("e.yaml", &["esphome"], &[]));
    assert_eq!(root.references[1], file("p.yaml", &["packages"], &[]));
    let e = parse_included("name: inner\n", &["esphome".to_owned()]).unwrap();
    let p = parse_included("one:\n  deep_sleep:\n  host:\n", &["packages".to_owned()]).unwrap();
    let summary = summarize("stem", &[root, e, p], None);
    assert_eq!(summary.name, "inner");
    assert_eq!(summary.platform.as_deref(), Some("host"));
    assert!(summary.deep_sleep);
}

#[test]
fn a_nested_deep_sleep_is_none() {
    let text =
        "esphome:\n  name: a\n  on_boot:\n    - deep_sleep.enter: x\nscript:\n  deep_sleep:\n";
    assert!(!summarize("a", &[parse(text).unwrap()], None).deep_sleep);
}

#[test]
fn what_cannot_be_substituted_is_left_to_the_last_compile() {
    let document = parse("esphome:\n  name: ${unknown}\n").unwrap();
    assert_eq!(summarize("stem", std::slice::from_ref(&document), None).name, "stem");
    let storage = crate::esphome_files::storage(br#"{"name":"recorded"}"#).unwrap();
    assert_eq!(summarize("stem", &[document], Some(&storage)).name, "recorded");
}

#[test]
fn an_alias_of_a_scalar_is_understood() {
    let document = parse("x: &n sleepy\nesphome:\n  name: *n\n").unwrap();
    assert_eq!(summarize("stem", &[document], None).name, "sleepy");
}

#[test]
fn broken_yaml_names_its_line() {
    let problem = parse("esphome:\n  name: a\nhost: [\n").unwrap_err();
    assert_eq!(problem.code, "config.syntax");
    assert!(problem.message.starts_with("Line 4"), "{}", problem.message);
    assert_eq!(parse("").unwrap_err().code, "config.empty");
    assert_eq!(parse("# nothing\n").unwrap_err().code, "config.empty");
    assert_eq!(parse("- a\n").unwrap_err().code, "config.no_mapping");
}

#[test]
fn bytes_that_are_not_utf8_name_their_line() {
    let problem = decode(b"a: b\nc: \xFF\n").unwrap_err();
    assert_eq!(problem.message, "Line 2 contains bytes that aren't UTF-8.");
    assert_eq!(decode(b"\xEF\xBB\xBFa: b"), Ok("a: b"));
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
    assert_eq!(summarize("x", &[parse(&text).unwrap()], None).name, "a");
    let laughs: BTreeMap<_, _> =
        (0..50).map(|n| (format!("s{n}"), format!("${{s{m}}}${{s{m}}}", m = n + 1))).collect();
    assert_eq!(substitute("$s0", &laughs), None);
}

#[test]
fn hostile_nesting_is_refused() {
    assert!(parse(&"[".repeat(2_000_000)).is_err());
    assert!(parse(&"- ".repeat(100_000)).is_err());
    assert!(parse(&"? ".repeat(10_000)).is_err());
    assert!(parse(&"{a: ".repeat(10_000)).is_err());
}

#[test]
fn five_megabytes_are_read() {
    let mut text = String::from("esphome:\n  name: big\nsensor:\n");
    while text.len() < 5 << 20 {
        text.push_str("  - platform: template\n    name: \"A sensor that has a name\"\n");
    }
    assert_eq!(summarize("x", &[parse(&text).unwrap()], None).name, "big");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(text) = decode(&bytes) {
            let _ = parse(text);
        }
        let _ = parse(&String::from_utf8_lossy(&bytes));
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
        if let Ok(document) = parse(&String::from_utf8_lossy(&bytes)) {
            let _ = summarize("x", &[document], None);
        }
    }
}
