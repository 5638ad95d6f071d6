#!/usr/bin/env bash
# Lets the engine work for a long time and judges whether it grows; docs/PERFORMANCE.md says what flat means.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash scripts/setup.sh test
need_tools
# `ip` and `nft` are there, which isn't on every user's PATH.
PATH=$PATH:/usr/sbin:/sbin
cargo build --release --workspace --bin wakeflash-headless --bin wakeflash-lab
exec "$(target_dir)/release/wakeflash-lab" soak "$@"
