#!/usr/bin/env bash
# Draws the pictures of the documentation: every screen on the fake backend, in light and dark.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -d ui/node_modules ]] || die "The npm packages are missing: run \`make setup\`."
cd ui
node scripts/screenshots.mjs "$@"
