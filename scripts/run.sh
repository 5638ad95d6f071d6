#!/usr/bin/env bash
# Sets up, builds and starts the application.
#
# It is the release build that is run: who types `make run` wants to use Wakeflash, and the seconds in
# which a device is awake shouldn't go into unoptimised hashing and compressing. The first time costs a
# quarter of an hour of computing, shared by the cores, and nothing afterwards. `make run PROFILE=dev` is
# for those who change the code.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_screen
bash scripts/setup.sh run
bash scripts/build.sh wakeflash
need_tools
# The user's own ESPHome comes first, ours is there if there is none.
PATH=$PATH:$esphome_env/bin
exec "$(program_dir)/wakeflash" "$@"
