#!/usr/bin/env bash
# Measures the window; docs/PERFORMANCE.md says what that means. Takes some ten minutes, in which nothing else
# should run, and as long as a release build before.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash scripts/setup.sh test
bash scripts/build.sh
need_tools
# `ip` and `nft` are there, which isn't on every user's PATH.
PATH=$PATH:/usr/sbin:/sbin
# The release build is what is measured; the stopwatch may be as the tests have it, which is built already.
WAKEFLASH_BIN_DIR=$(program_dir)
export WAKEFLASH_BIN_DIR
exec cargo bench --workspace --profile dev --bench window -- "$@"
