#!/usr/bin/env bash
# Measures how wakes are caught and what waiting costs; docs/PERFORMANCE.md says what that means. Takes some
# half an hour, in which nothing else should run, and as long as a release build before.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash scripts/setup.sh test
need_tools
# `ip` and `nft` are there, which isn't on every user's PATH.
PATH=$PATH:/usr/sbin:/sbin
cargo build --release --package wakeflash-engine --package wakeflash-tests --bins
exec cargo bench --package wakeflash-tests --bench wake -- "$@"
