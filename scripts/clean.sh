#!/usr/bin/env bash
# Removes what was built.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rm -rf ui/dist .cache/ui-dist.stamp .cache/logs
if use_rust; then cargo clean; else rm -rf target; fi
