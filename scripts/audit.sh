#!/usr/bin/env bash
# Checks licences, sources and known vulnerabilities of everything that Wakeflash is made of. Where a database can't be
# had, it says so: that part is not checked then.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Later versions may judge otherwise.
deny_version=0.20.2
tools=$root/.cache/tools

bash scripts/setup.sh run
need_rust
use_node || die "No Node.js that fits: run \`make setup\`."
if [[ ! -x $tools/bin/cargo-deny ]] || ! "$tools/bin/cargo-deny" --version | grep -qF "$deny_version"; then
    say "Building cargo-deny $deny_version into .cache/tools."
    cargo install --quiet --locked --root "$tools" --version "$deny_version" cargo-deny
fi
deny() { "$tools/bin/cargo-deny" --locked --workspace "$@"; }

failed=0
unknown=()
deny check bans licenses sources || failed=1
if deny fetch db >"$logs/audit-db.log" 2>&1; then
    deny check advisories || failed=1
else
    unknown+=("known vulnerabilities of crates: the database can't be fetched (.cache/logs/audit-db.log)")
fi

if npm --prefix ui audit --json >"$logs/audit-npm.json" 2>"$logs/audit-npm.log"; then
    say "npm: no known vulnerabilities"
elif grep -q '"vulnerabilities"' "$logs/audit-npm.json"; then
    npm --prefix ui audit || true
    failed=1
else
    unknown+=("known vulnerabilities of npm packages: the registry doesn't say (.cache/logs/audit-npm.log)")
fi

for what in "${unknown[@]}"; do warn "not checked: $what"; done
exit "$failed"
