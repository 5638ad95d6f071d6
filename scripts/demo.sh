#!/usr/bin/env bash
# Sets up, builds and starts the application next to a device that sleeps and wakes.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_screen
bash scripts/setup.sh demo
bash scripts/build.sh wakeflash wakeflash-lab
need_tools
programs=$(program_dir)
# With a directory of the user's own, what it keeps stays.
kept=(--demo)
if [[ " $* " == *" --dir"* ]]; then kept=(); fi
exec "$programs/wakeflash-lab" demo --app "$programs/wakeflash" "$@" -- \
    --config '{config}' --state '{state}' --esphome '{esphome}' "${kept[@]}"
