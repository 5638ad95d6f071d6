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
        let problem = read(output).0.failure(Exit::Code(2)).problem;
        assert_eq!((problem.code.as_str(), problem.message.as_str()), (code, message));
        assert!(problem.help.is_some());
    }
}

/// What ESPHome 2026.10, PlatformIO 6.1, pip 25, git 2.47 and GCC 14 wrote when something was missing.
#[test]
fn the_last_line_of_a_traceback_is_the_reason() {
    let output = "INFO Reading configuration a.yaml...\nTraceback (most recent call last):\n  File \"/x/esphome\", \
                  line 8, in <module>\n    sys.exit(main())\n             ~~~~^^\nOSError: [Errno 30] Read-only file \
                  system: '/config/.gitignore'\n";
    let said = |output: &str| read(output).0.failure(Exit::Code(1)).problem.message;
    let reason = "ESPHome ended with an error: OSError: [Errno 30] Read-only file system: '/config/.gitignore'";
    assert_eq!(said(output), reason);
    let chained = format!(
        "ERROR Something before.\nTraceback (most recent call last):\n  File x\nKeyError: 'a'\n\nDuring handling of the \
         above exception, another exception occurred:\n\n{output}\n"
    );
    assert_eq!(said(&chained), reason);
}

#[test]
fn what_may_pass_by_itself_is_told_from_what_stays() {
    let recorded = [
        (Lack::Network, "build.download_failed", include_str!("compile_logs/external.txt")),
        (Lack::Network, "build.download_failed", include_str!("compile_logs/font.txt")),
        (Lack::Network, "build.download_failed", include_str!("compile_logs/framework.txt")),
        (Lack::Network, "build.download_failed", include_str!("compile_logs/esp8266.txt")),
        (Lack::Network, "build.download_failed", include_str!("compile_logs/platformio.txt")),
        (Lack::Network, "build.download_failed", include_str!("compile_logs/pip.txt")),
        (Lack::Disk, "build.no_space", include_str!("compile_logs/disk.txt")),
        (Lack::Disk, "build.no_space", include_str!("compile_logs/disk_early.txt")),
        (Lack::Memory, "build.out_of_memory", include_str!("compile_logs/killed.txt")),
        (Lack::Esphome, "build.esphome_broken", "/usr/bin/python3: No module named esphome\n"),
        (
            Lack::Esphome,
            "build.esphome_broken",
            "ModuleNotFoundError: No module named 'aioesphomeapi'\n",
        ),
    ];
    for (number, (lack, code, output)) in recorded.into_iter().enumerate() {
        let failure = read(output).0.failure(Exit::Code(1));
        assert_eq!(failure.class, BuildFailureClass::Again(lack), "{number}: {}", failure.problem);
        assert_eq!(failure.problem.code, code, "{number}");
    }
}

#[test]
fn a_download_that_failed_is_no_reason_when_there_is_a_better_one() {
    let network = include_str!("compile_logs/external.txt");
    let (retried, _) = network.split_once("Failed config").unwrap();
    let retried = retried.trim_end_matches(|c| c != '\n');
    let class = |output: &str| read(output).0.failure(Exit::Code(1)).class;
    assert!(matches!(class(network), BuildFailureClass::Again(_)));
    for (rest, code) in [
        (
            "Failed config\n\nfoo: [source b.yaml:4]\n  Component not found: foo.\n",
            "build.config_invalid",
        ),
        ("d.yaml:5:7: error: ‘foo’ was not declared in this scope\n", "build.compiler_error"),
        ("x.cpp:(.text+0x7): undefined reference to `connect'\n", "build.linker_error"),
        (
            "Failed config\n\n  unable to access 'https://x/y/': The requested URL returned error: 404\n",
            "build.config_invalid",
        ),
        (
            "Failed config\n\n  Could not download from https://x/y.png: 404 Client Error: Not Found for url: https://x/y.png\n",
            "build.config_invalid",
        ),
    ] {
        let failure = read(&format!("{retried}{rest}")).0.failure(Exit::Code(1));
        assert_eq!(failure.class, BuildFailureClass::Final, "{rest}");
        assert_eq!(failure.problem.code, code);
    }
    let component = "INFO Reading configuration d.yaml...\nImportError: cannot import name 'CONF_X' from 'esphome.const'\n";
    assert_eq!(class(component), BuildFailureClass::Final);
    let later = "Could not download from https://x/y.png: 429 Client Error: Too Many Requests, Max retries exceeded\n";
    assert_eq!(class(later), BuildFailureClass::Again(Lack::Network));
}

#[test]
fn who_was_ended_by_others_is_built_again_and_who_crashed_is_not() {
    let class = |exit| CompileOutput::new().failure(exit).class;
    for from_outside in [1, 2, 9, 15] {
        let again = BuildFailureClass::Again(Lack::Memory);
        assert_eq!(class(Exit::Signal(Some(from_outside))), again);
        assert_eq!(class(Exit::Code(128 + from_outside)), again);
    }
    for exit in [Exit::Signal(Some(11)), Exit::Signal(None), Exit::Code(139), Exit::Code(1)] {
        assert_eq!(class(exit), BuildFailureClass::Final);
    }
}

#[test]
fn a_download_that_stands_still_may_go_on_and_a_compiler_does_not() {
    let overdue = |output: &str| {
        let problem =
            Problem::new("build.timeout", "ESPHome said nothing for 15 min and was ended.");
        read(output).0.overdue(problem).class
    };
    let framework = include_str!("compile_logs/framework.txt");
    let (begun, _) = framework.split_once("WARNING").unwrap();
    assert_eq!(overdue(begun), BuildFailureClass::Again(Lack::Network));
    let tools = "Tool Manager: Installing platformio/tool-scons @ ~4.40801.0\n";
    assert_eq!(overdue(tools), BuildFailureClass::Again(Lack::Network));
    assert_eq!(overdue(&format!("{begun}[1/51] CC obj/a.c.o\n")), BuildFailureClass::Final);
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
    assert!(compile.failure(Exit::Code(1)).problem.message.len() < 1_000);
}

proptest! {
    #[test]
    fn random_lines_never_panic(lines in proptest::collection::vec("[\\[\\]0-9/ \u{1b}a-zöE:m]{0,40}", 0..8)) {
        let mut compile = CompileOutput::new();
        for line in &lines {
            let _ = compile.line(line);
        }
        let _ = compile.failure(Exit::Signal(None));
    }
}
