#!/usr/bin/env bash
# Draws the pictures of the documentation: every screen on the fake backend, in light and dark, and the real
# window with a device that waits. With arguments, only the former, as ui/scripts/screenshots.mjs says.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash scripts/setup.sh test
need_tools
(cd ui && node scripts/screenshots.mjs "$@")
if (($#)); then exit; fi
# `ip` is there, which isn't on every user's PATH.
PATH=$PATH:/usr/sbin:/sbin
build_ui
cargo build --workspace --all-targets
WAKEFLASH_SCREENSHOTS=1 cargo test --workspace --test window a_sleeping_device_is_updated_through_the_window
# As the others: it looks the same, and takes half the space.
picture=docs/screenshots/window.png
convert "$picture" -dither None -colors 256 -strip -define png:exclude-chunks=date,time \
    -define png:compression-level=9 -define png:compression-filter=0 "PNG8:$picture"
