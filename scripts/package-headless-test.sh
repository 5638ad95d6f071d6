#!/usr/bin/env bash
# Tries the service's .deb: installed, it serves, answers and ends in order; removed, it leaves nothing. It is installed
# into a directory of its own, so that nothing of this machine changes: package-headless-test.sh FILE.deb
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

deb=$(realpath "${1:?which .deb}")
work=$(mktemp -d)
service=
cleanup() {
    if [[ -n $service ]]; then kill "$service" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

root=$work/root
mkdir -p "$root/var/lib/dpkg/"{info,updates,triggers} "$root/etc" "$work/config"
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
packages() {
    dpkg --root="$root" --force-not-root --force-depends --force-bad-path --force-script-chrootless \
        --log="$work/dpkg.log" "$@"
}
files() { find "$root" \( -type f -o -type l \) -not -path '*/var/lib/dpkg/*' -not -path '*/etc/*' | sort; }
files >"$work/before"
packages --install "$deb" >"$work/install.log" 2>&1 || die "It can't be installed:" "$(cat "$work/install.log")"

say "Installed; checking what came."
program=$root/usr/bin/wakeflash-headless
for file in "$program" "$root/usr/lib/systemd/system/wakeflash-headless.service" \
    "$root/usr/lib/systemd/user/wakeflash-headless.service" "$root/usr/share/man/man1/wakeflash-headless.1.gz" \
    "$root/usr/share/bash-completion/completions/wakeflash-headless"; do
    [[ -s $file ]] || die "${file#"$root"} is missing."
done
for library in webkit gtk appindicator; do
    if ldd "$program" | grep -qi "$library"; then die "It needs the window's libraries: $library"; fi
done
if command -v systemd-analyze >/dev/null; then
    # 3.0 is where systemd's own judgement turns from "OK" to "MEDIUM" and worse.
    systemd-analyze security --offline=true --threshold=30 \
        "$root/usr/lib/systemd/system/wakeflash-headless.service" >"$work/security.log" 2>&1 ||
        die "The system unit leaves too much open:" "$(tail -1 "$work/security.log")"
fi

say "Serving."
export HOME=$work/home XDG_STATE_HOME=$work/state
mkdir "$HOME"
"$program" serve --config "$work/config" >"$work/service.log" 2>&1 &
service=$!
answers() { "$program" status >"$work/status" 2>"$work/refusal"; }
for _ in $(seq 300); do
    if answers; then break; fi
    kill -0 "$service" 2>/dev/null || die "It has ended:" "$(cat "$work/service.log")"
    sleep 0.1
done
answers || die "It doesn't answer:" "$(cat "$work/refusal" "$work/service.log")"
[[ -s $work/status ]] || die "It says nothing of its state."
kill -TERM "$service"
wait "$service" || die "It didn't end in good order:" "$(cat "$work/service.log")"
service=
code=0
"$program" status >/dev/null 2>&1 || code=$?
((code == 3)) || die "Without a service, status ends with $code and not with 3."

packages --purge wakeflash-headless >"$work/remove.log" 2>&1 || die "It can't be removed:" "$(cat "$work/remove.log")"
files >"$work/after"
cmp -s "$work/before" "$work/after" || die "Something is left:" "$(diff "$work/before" "$work/after")"
say "The package of the service installs, serves and leaves nothing."
