use proptest::prelude::*;

use super::*;

fn read(output: &str) -> (CompileOutput, Vec<Progress>) {
    let mut compile = CompileOutput::new();
    let progress = output.lines().filter_map(|line| compile.line(line)).collect();
    (compile, progress)
}

#[test]
fn a_compile_for_the_host_goes_from_the_beginning_to_the_end() {
    let (compile, progress) = read(
        "\x1b[32mINFO ESPHome 2026.10.0\x1b[0m\n\x1b[32mINFO Reading configuration sleepy.yaml...\x1b[0m\n\
         INFO Generating C++ source...\nINFO Compiling app... Build path: /c/.esphome/build/sleepy\n\
         [1/51] CC obj/a.c.o\n[26/51] CXX obj/b.cpp.o\n[51/51] LINK program\n\
         \x1b[32mINFO Build Info: config_hash=0x06b5fb73 build_time_str=2026-11-23 11:20:39 +0000\x1b[0m\n\
         INFO Successfully compiled program to path '/c/program'\n",
    );
    assert_eq!(compile.config_hash(), Some(ConfigHash(0x06b5_fb73)));
    let percents: Vec<_> = progress.iter().map(|p| p.percent).collect();
    assert_eq!(percents, [1, 2, 4, 6, 51, 97, 99].map(Some));
    assert_eq!(progress[4].step, "Compiling 26 of 51");
}

#[test]
fn platformio_has_no_total_and_a_second_ninja_does_not_go_back() {
    let (_, progress) =
        read("Compiling .pioenvs/x/src/esphome/core/log.cpp.o\nLinking .pioenvs/x/firmware.elf\n");
    assert_eq!(progress[0], Progress { percent: None, step: "Compiling log.cpp".into() });
    assert_eq!(progress[1].percent, Some(95));
    let (_, progress) = read("[100/100] Linking boot\n[1/1000] Building CXX object x\n");
    assert_eq!(progress.iter().map(|p| p.percent).collect::<Vec<_>>(), [Some(97), Some(97)]);
    let (_, progress) = read("[0/0] x\n[4294967295/1] y\n[5/4294967296] z\n");
    assert_eq!(progress.len(), 1);
}

/// Outputs as ESPHome 2026.10 writes them, and what is made of them.
#[test]
fn failures_are_explained() {
    let cases = [
        (
            "INFO Reading configuration b.yaml...\nFailed config\n\nfoo: [source b.yaml:4]\n  \n  \
             Component not found: foo.\n  1\n",
            "build.config_invalid",
            "ESPHome rejects the configuration: foo: [source b.yaml:4] · Component not found: foo. · 1",
        ),
        (
            "ERROR Error while reading config: Invalid YAML syntax:\n\nwhile parsing a flow node\n\
             expected the node content, but found '<stream end>'\n  in \"c.yaml\", line 6, column 1\n",
            "build.config_invalid",
            "ESPHome rejects the configuration: while parsing a flow node · expected the node content, \
             but found '<stream end>' · in \"c.yaml\", line 6, column 1",
        ),
        (
            "ERROR Error while reading config: Invalid YAML syntax:\n\nError reading file secrets.yaml: \
             [Errno 2] No such file or directory: 'secrets.yaml'\n",
            "build.secret_missing",
            "The configuration uses secrets, but there is no secrets.yaml.",
        ),
        (
            "ERROR Error while reading config: Invalid YAML syntax:\n\nSecret 'ssid' not defined\n",
            "build.secret_missing",
            "The secret `ssid` is not defined.",
        ),
        (
            "[27/28] CXX obj/src/main.cpp.o\nFAILED: [code=1] obj/src/main.cpp.o \nd.yaml: In lambda \
             function:\nd.yaml:5:7: error: ‘foo’ was not declared in this scope\nERROR Host build failed\n",
            "build.compiler_error",
            "The compiler stopped: d.yaml:5:7: error: ‘foo’ was not declared in this scope",
        ),
        (
            "INFO Downloading ESP-IDF 5.5.6 framework ...\nERROR Failed to download from all mirrors:\n",
            "build.download_failed",
            "ESPHome couldn't download what it needs for this platform.",
        ),
        (
            "x.cpp:1:1: error: can't write: No space left on device\n",
            "build.no_space",
            "The disk is full.",
        ),
        (
            "esphome: error: unrecognized arguments: --x\n",
            "build.esphome_broken",
            "This ESPHome doesn't work: esphome: error: unrecognized arguments: --x",
        ),
        ("ERROR Something new\n", "build.failed", "ESPHome ended with an error: Something new"),
        ("", "build.failed", "ESPHome ended with exit code 2 and no error message."),
    ];
    for (output, code, message) in cases {
        let problem = read(output).0.failure(Some(2));
        assert_eq!((problem.code.as_str(), problem.message.as_str()), (code, message));
        assert!(problem.help.is_some());
    }
}

#[test]
fn colours_are_stripped() {
    assert_eq!(plain("\x1b[1;32mINFO\x1b[0m a\x1b"), "INFO a");
    assert_eq!(plain("\x1b[38;5"), "");
    assert_eq!(plain("\x1bcx"), "x");
}

#[test]
fn a_long_failure_is_kept_short() {
    let (compile, _) = read(&format!("Failed config\n{}", "x: ö ".repeat(100_000)));
    assert!(compile.failure(None).message.len() < 1_000);
}

proptest! {
    #[test]
    fn random_lines_never_panic(lines in proptest::collection::vec("[\\[\\]0-9/ \u{1b}a-zöE:m]{0,40}", 0..8)) {
        let mut compile = CompileOutput::new();
        for line in &lines {
            let _ = compile.line(line);
        }
        let _ = compile.failure(None);
    }
}
