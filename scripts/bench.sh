#!/usr/bin/env bash
# Measures the OTA client against ESPHome's own; docs/PERFORMANCE.md says what that means. Takes some five
# minutes, in which nothing else should run, and as long again for the first build.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash scripts/setup.sh test
need_tools
exec cargo bench --package wakeflash-tests --bench ota -- "$@"
