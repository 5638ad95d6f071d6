#!/usr/bin/env bash
# Builds a .deb in target/<profile>/bundle/deb and tries it. PROFILE=dev builds faster.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

profile=${PROFILE:-release}
bash scripts/build.sh wakeflash
which=() dir=release
if [[ $profile == dev ]]; then which=(--debug) dir=debug; fi
rm -rf "target/$dir/bundle/deb"
# Only the bundling: the program is built, and its features must not depend on who builds it.
(cd src-tauri && ../ui/node_modules/.bin/tauri bundle "${which[@]}" --bundles deb)
deb=$(ls "target/$dir/bundle/deb/"*.deb)
bash scripts/package-test.sh "$deb"
say "$deb"
