#!/usr/bin/env bash
# Plants the faults of tests/sim/mutants.txt one by one into a copy of the tree, and lets the simulation find each. Takes
# some twenty minutes. Names of mutants may be given.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash scripts/setup.sh rust
need_rust
cargo build --quiet --profile sim --package wakeflash-sim
exec "$(target_dir)/sim/wakeflash-mutants" "$root" "$(target_dir)" "$@"
