#!/usr/bin/env bash
# Looks whether the tests that docs/THREAT_MODEL.md names exist: functions, modules named `x::tests`, files of tests.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mapfile -t files < <(
    find src-tauri tests -name target -prune -o -name node_modules -prune -o -name '*.rs' -print
)

# Each file's tests, by the name of its functions.
functions=$(
    awk '/^ *#\[(tokio::)?test/ { test = 1; next }
        test && match($0, /fn [a-z0-9_]+\(/) { print substr($0, RSTART + 3, RLENGTH - 4); test = 0 }' "${files[@]}"
)

is_there() {
    local file
    case $1 in
        *::tests)
            for file in "${files[@]}"; do
                if [[ $file == */"${1%::tests}".rs || $file == */"${1%::tests}"/mod.rs ]] &&
                    grep -q '^mod tests\b' "$file"; then return; fi
            done
            return 1
            ;;
        ota::* | stories::* | window::*) [[ " ${files[*]} " == */tests/"${1/:://}".rs\ * ]] ;;
        *) grep -qxF "$1" <<<"$functions" || [[ " ${files[*]} " == */tests/"$1".rs\ * ]] ;;
    esac
}

missing=()
named=0
# The last column of the tables.
while read -r name; do
    named=$((named + 1))
    is_there "$name" || missing+=("$name")
done < <(
    awk -F '|' 'NF == 5 { print $4 }' docs/THREAT_MODEL.md | grep -o '`[a-z0-9_:]*`' | tr -d '`' | grep -vx ui | sort -u
)
if ((named < 20)); then die "docs/THREAT_MODEL.md names only $named tests: its tables have changed."; fi
if ((${#missing[@]})); then die "docs/THREAT_MODEL.md names tests that don't exist: ${missing[*]}"; fi
say "All $named tests that docs/THREAT_MODEL.md names exist."
