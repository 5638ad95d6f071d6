#!/usr/bin/env bash
# Tries a .deb: what is in it is valid; installed, it starts from its menu entry and shows a window; removed, it
# leaves nothing. It is installed into a directory of its own, with a dpkg database of its own, so that nothing of
# this machine changes: package-test.sh FILE.deb
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

deb=$(realpath "${1:?which .deb}")
work=$(mktemp -d)
started=()
cleanup() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

root=$work/root
mkdir -p "$root/var/lib/dpkg/"{info,updates,triggers} "$work/home" "$work/run"
chmod 700 "$work/run"
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
find "$root" -type f -not -path '*/var/lib/dpkg/*' | sort >"$work/before"

# What it depends on is on the machine, not in that root.
packages() { dpkg --root="$root" --force-not-root --force-depends --force-bad-path --log="$work/dpkg.log" "$@"; }
packages --install "$deb" >"$work/install.log" 2>&1 || die "It can't be installed:" "$(cat "$work/install.log")"

say "Installed; checking what came."
entry=$root/usr/share/applications/Wakeflash.desktop
for file in "$entry" "$root/usr/bin/wakeflash" "$root/usr/share/doc/wakeflash/copyright" \
    "$root/usr/share/icons/hicolor/scalable/apps/wakeflash.svg" \
    "$root/usr/share/icons/hicolor/128x128/apps/wakeflash.png" \
    "$root/usr/share/metainfo/io.github.wakeflash.Wakeflash.metainfo.xml"; do
    [[ -s $file ]] || die "${file#"$root"} is missing."
done
if command -v desktop-file-validate >/dev/null; then desktop-file-validate "$entry"; fi
if command -v appstreamcli >/dev/null; then
    appstreamcli validate --no-net "$root"/usr/share/metainfo/*.xml >/dev/null || die "The AppStream data is invalid."
fi
# Tauri's program adds what the web view and the tray need; nothing is named twice, and the tray's library is there.
depends=$(dpkg-deb --field "$deb" Depends | tr ',' '\n' | awk 'NF { print $1 }')
twice=$(sort <<<"$depends" | uniq -d)
[[ -z $twice ]] || die "It depends twice on:" "$twice"
grep -qx libayatana-appindicator3-1 <<<"$depends" || die "It doesn't depend on the tray's library."
# Every dependency must be one that this distribution has.
while read -r dependency; do
    dpkg-query -W "$dependency" >/dev/null 2>&1 || apt-cache show "$dependency" >/dev/null 2>&1 ||
        die "There is no package $dependency."
done <<<"$depends"

say "Starting it as the menu does."
exec_line=$(sed -n 's/^Exec=//p' "$entry" | sed 's/ *%[a-zA-Z]//g')
export HOME=$work/home XDG_RUNTIME_DIR=$work/run PATH=$root/usr/bin:$PATH NO_AT_BRIDGE=1 GDK_BACKEND=x11
export WEBKIT_DISABLE_DMABUF_RENDERER=1 LC_ALL=C.UTF-8
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME XDG_STATE_HOME WAYLAND_DISPLAY XAUTHORITY
exec {display}<> <(:)
Xvfb -displayfd "$display" -screen 0 1280x800x24 -nolisten tcp >"$work/xvfb.log" 2>&1 &
started+=($!)
read -r -t 20 number <&"$display" || die "There is no display." "$(cat "$work/xvfb.log")"
export DISPLAY=:$number
dbus-daemon --session --nofork --nopidfile --address="unix:path=$work/run/bus" >"$work/bus.log" 2>&1 &
started+=($!)
export DBUS_SESSION_BUS_ADDRESS=unix:path=$work/run/bus
for _ in $(seq 100); do
    if [[ -S $work/run/bus ]]; then break; fi
    sleep 0.1
done
bash -c "exec $exec_line" >"$work/app.log" 2>&1 &
app=$!
started+=("$app")
has_window() { xwininfo -root -tree 2>/dev/null | grep -q '"Wakeflash": ("wakeflash"'; }
for _ in $(seq 300); do
    if has_window; then break; fi
    kill -0 "$app" 2>/dev/null || die "It has ended:" "$(cat "$work/app.log")"
    sleep 0.1
done
has_window || die "No window appeared:" "$(cat "$work/app.log")"
kill -TERM "$app"
wait "$app" || die "It didn't end in good order:" "$(cat "$work/app.log")"

packages --purge wakeflash >"$work/remove.log" 2>&1 || die "It can't be removed:" "$(cat "$work/remove.log")"
find "$root" -type f -not -path '*/var/lib/dpkg/*' | sort >"$work/after"
cmp -s "$work/before" "$work/after" || die "Something is left:" "$(diff "$work/before" "$work/after")"
say "The package installs, starts and leaves nothing."
