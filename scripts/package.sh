#!/usr/bin/env bash
# Builds a .deb of the application and one of the service in target/<profile>/bundle/deb, and tries both. PROFILE=dev
# builds faster.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

profile=${PROFILE:-release}
bash scripts/setup.sh package
need_tools
bash scripts/build.sh wakeflash wakeflash-headless
which=() dir=release
if [[ $profile == dev ]]; then which=(--debug) dir=debug; fi
# Points at which tests kill it are not for users.
for program in wakeflash wakeflash-headless; do
    if [[ $profile == release ]] && grep -q WAKEFLASH_KILL_AT "$(target_dir)/release/$program"; then
        die "$program can be killed from outside (wakeflash_engine::kill): it was built with debug assertions."
    fi
done
bundle=$(target_dir)/$dir/bundle/deb
rm -rf "$bundle"
# Tauri's program writes the manifest anew. It is put back with its time, so that nothing is compiled again.
manifest=src-tauri/Cargo.toml
saved=$(mktemp)
cp -p "$manifest" "$saved"
trap 'cp -p "$saved" "$manifest"; rm -f "$saved"' EXIT
# Tauri's program writes into the program, too, which can't be done to one that runs: it gets a file of its own.
program=$(target_dir)/$dir/wakeflash
cp -p "$program" "$program.bundled"
mv -f "$program.bundled" "$program"
# Only the bundling: the program is built, and its features must not depend on who builds it.
(cd src-tauri && ../ui/node_modules/.bin/tauri bundle "${which[@]}" --bundles deb)
deb=$(ls "$bundle"/*.deb)
bash scripts/package-test.sh "$deb"
service=$(bash scripts/package-headless.sh "$(target_dir)/$dir/wakeflash-headless" "$bundle")
bash scripts/package-headless-test.sh "$service"
say "$deb" "$service"
