#!/usr/bin/env bash
# Lives many lives of Wakeflash in virtual time: docs/TESTING.md. With SEED, replays one of them with its story.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash scripts/setup.sh rust
need_rust
cargo build --quiet --profile sim --package wakeflash-sim
sim=$(target_dir)/sim/wakeflash-sim
if [[ -n ${SEED:-} ]]; then exec "$sim" --seed "$SEED" "$@"; fi
if (($# == 0)); then set -- --seeds 10000 --everywhere 60; fi
exec "$sim" "$@"
