#!/usr/bin/env bash
# Measures the engine under load and at rest; docs/PERFORMANCE.md says what that means. Takes some 20 minutes, in which
# nothing else should run, and as long as a release build before.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash scripts/setup.sh test
need_tools
# `ip` and `nft` are there, which isn't on every user's PATH.
PATH=$PATH:/usr/sbin:/sbin
cargo build --release --workspace --bin wakeflash-headless --bin wakeflash-lab
# The release build is what is measured; the stopwatch may be as the tests have it.
WAKEFLASH_BIN_DIR=$(target_dir)/release
export WAKEFLASH_BIN_DIR
exec cargo bench --workspace --profile dev --bench load -- "$@"
