#!/usr/bin/env bash
# Measures what a decision costs with 1,000 devices: docs/PERFORMANCE.md.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash scripts/setup.sh rust
need_rust
exec cargo bench --package wakeflash-sim --bench decide -- "$@"
