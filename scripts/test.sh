#!/usr/bin/env bash
# Sets up and runs every check, the quick ones first, until one fails. The last line has the numbers.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

began=$SECONDS
bash scripts/setup.sh test
need_tools
# `ip` and `nft` are there, which isn't on every user's PATH.
PATH=$PATH:/usr/sbin:/sbin

locked=()
if [[ ${CI:-} == true ]]; then
    locked=(--locked)
    export CARGO_INCREMENTAL=0
fi
# Root, and CI, can make networks: a test that needs one must not be skipped by mistake.
if [[ ${CI:-} == true ]] || ((EUID == 0)); then
    export WAKEFLASH_REQUIRE_LAN=${WAKEFLASH_REQUIRE_LAN-1}
fi

vitest_results=$logs/vitest.json
# Where `stage` puts it.
screens_results=$logs/ui--every-screen.log
cargo_results=$logs/cargo-test.log
rm -f "$vitest_results" "$screens_results" "$cargo_results"

# A check judges the change and not its luck: the same cases each time. Without it, `cargo test` tries others in each run.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}

# stage NAME COMMAND...: one line; the output only if it fails.
stage() {
    local name=$1 since=$SECONDS log
    log=$logs/${name//[^a-z]/-}.log
    shift
    printf '%-34s' "$name"
    if "$@" >"$log" 2>&1; then
        printf 'ok %5d s\n' $((SECONDS - since))
    else
        printf 'FAILED %d s\n\n' $((SECONDS - since))
        cat "$log"
        return 1
    fi
}

fail() {
    printf '\nFailed: %s\n' "$1" >&2
    exit 1
}

# shellcheck disable=SC2317 # called by stage
run_vitest() {
    npm --prefix ui test -- --reporter=default --reporter=json --outputFile.json="$vitest_results"
}

# The features of the dependencies, and so what must be compiled, depend on the selection of packages and
# targets: always the same one.
all=("${locked[@]}" --workspace)

# The long ones wait: for devices that sleep, and for a network.
run_cargo_tests() {
    RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))} \
        cargo test "${all[@]}" --no-fail-fast 2>&1 | tee "$cargo_results"
}

# The fuzz targets are no members of the workspace, so nothing else compiles them. What they run is in
# src-tauri/ota/tests/ota_fuzz.rs and src-tauri/api/tests/properties.rs as well. Without libFuzzer itself, which a check doesn't link.
# shellcheck disable=SC2317 # called by stage
check_fuzz_targets() {
    local manifest=tests/fuzz/Cargo.toml
    if [[ Cargo.lock -nt tests/fuzz/Cargo.lock ]]; then cp Cargo.lock tests/fuzz/; fi
    check_them() {
        CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a \
            cargo check "$@" --manifest-path "$manifest" --target-dir "$(target_dir)/fuzz"
    }
    check_them --offline || check_them
}

# Adds up what the tests said. A test that found that it can't run here says "skipped: " and why; cargo
# knows no such thing and counts it as passed.
summary() {
    local passed=0 failed=0 skipped=0 p f s said
    if [[ -f $vitest_results ]]; then
        read -r passed failed skipped < <(
            node -e 'const r = JSON.parse(require("fs").readFileSync(process.argv[1]));
                console.log(r.numPassedTests, r.numFailedTests, r.numPendingTests + r.numTodoTests)' \
                "$vitest_results"
        )
        # A file that can't even be loaded has no tests to count.
        if ((failed == 0 && vitest_code != 0)); then failed=1; fi
    elif ((vitest_code != 0)); then
        failed=1
    fi
    if [[ -f $screens_results ]]; then
        local screens_failed=0
        while read -r p f; do
            passed=$((passed + p)) screens_failed=$((screens_failed + f))
        done < <(sed -n 's/^.* screens: \([0-9]*\) views passed, \([0-9]*\) failed$/\1 \2/p' "$screens_results")
        # A script that gave up has no numbers.
        if ((screens_failed == 0 && screens_code != 0)); then screens_failed=1; fi
        failed=$((failed + screens_failed))
    fi
    if [[ -f $cargo_results ]]; then
        local tests_failed=0
        while read -r p f s; do
            passed=$((passed + p)) tests_failed=$((tests_failed + f)) skipped=$((skipped + s))
        done < <(
            sed -n 's/.*test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored;.*/\1 \2 \3/p' \
                "$cargo_results"
        )
        # A program that died has no result.
        if ((tests_failed == 0 && cargo_code != 0)); then tests_failed=1; fi
        failed=$((failed + tests_failed))
        said=$(grep -o 'skipped: .*' "$cargo_results" || true)
        if [[ -n $said ]]; then
            s=$(wc -l <<<"$said")
            passed=$((passed - s)) skipped=$((skipped + s))
            say "" "Skipped:"
            sort <<<"$said" | uniq -c
        fi
    fi
    printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
}

vitest_code=0
screens_code=0
cargo_code=0

stage 'named tests' bash scripts/named-tests.sh || fail 'a test that docs/THREAT_MODEL.md names'
stage 'cargo fmt' cargo fmt --all --check || fail 'cargo fmt; "cargo fmt" may help'
stage 'ui: types' npm --prefix ui run check || fail 'ui: types'
stage 'ui: style' npm --prefix ui run lint || fail 'ui: style; "npm run format" in ui/ may help'
stage 'ui: tests' run_vitest || vitest_code=$?
if ((vitest_code)); then
    summary
    exit 1
fi
# In the web view that the application uses: axe, and nothing wider than its place.
stage 'ui: every screen' npm --prefix ui run --silent screenshots -- --check || screens_code=$?
if ((screens_code)); then
    summary
    exit 1
fi
stage 'ui: build' build_ui || fail 'ui: build'
stage 'cargo clippy' cargo clippy "${all[@]}" --all-targets -- -D warnings || fail 'cargo clippy'
stage 'cargo check: fuzz targets' check_fuzz_targets || fail 'cargo check in tests/fuzz'
# A part of `make sim`; 2,000 lives and a few small ones take about 20 s on two cores.
live_lives() {
    cargo run --quiet --profile sim --package wakeflash-sim --bin wakeflash-sim -- \
        --seeds 2000 --everywhere 10 --time 50 --no-table
}
stage 'the simulation' live_lives || fail 'the simulation; "make sim SEED=…" tells its story'
# Tests start the programs, which `cargo test` alone wouldn't build.
stage 'cargo build' cargo build "${all[@]}" --all-targets || fail 'cargo build'

say 'cargo test'
since=$SECONDS
run_cargo_tests || cargo_code=$?
printf '\n%-34s%s %5d s\n' 'cargo test' "$( ((cargo_code)) && echo FAILED || echo ok)" $((SECONDS - since))
printf '%-34s   %5d s\n' 'all' $((SECONDS - began))
summary
exit $((cargo_code != 0))
