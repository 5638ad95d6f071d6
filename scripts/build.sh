#!/usr/bin/env bash
# Builds the window's files and the programs: those that are named, or else all.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_tools
[[ -f ui/node_modules/.setup ]] || die "The npm packages are missing: run \`make setup\`."

which=(--bins)
if (($#)); then which=("${@/#/--bin=}"); fi
locked=()
if [[ ${CI:-} == true ]]; then locked=(--locked); fi

build_ui
# Always with --workspace: the features of the dependencies, and so what must be compiled, depend on it.
cargo build "${locked[@]}" --workspace --profile "${PROFILE:-release}" "${which[@]}"
