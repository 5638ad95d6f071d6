#!/usr/bin/env bash
# Packs wakeflash-headless into a .deb of its own, without the window's libraries: package-headless.sh PROGRAM DIRECTORY
set -euo pipefail
umask 022
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

program=$(realpath "${1:?which program}")
bundle=${2:?into which directory}
version=$("$program" --version | awk '{ print $2 }')
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root name=wakeflash-headless

install -D -m 755 "$program" "$root/usr/bin/$name"
if command -v strip >/dev/null; then strip "$root/usr/bin/$name"; fi
install -D -m 644 "packaging/$name.system.service" "$root/usr/lib/systemd/system/$name.service"
install -D -m 644 "packaging/$name.user.service" "$root/usr/lib/systemd/user/$name.service"
install -D -m 644 "packaging/$name.sysusers" "$root/usr/lib/sysusers.d/$name.conf"
install -D -m 644 packaging/copyright "$root/usr/share/doc/$name/copyright"
made() {
    mkdir -p "$(dirname "$root/$1")"
    "$program" "${@:2}" >"$root/$1"
}
made "usr/share/man/man1/$name.1" man
gzip -9n "$root/usr/share/man/man1/$name.1"
made "usr/share/bash-completion/completions/$name" completions bash
made "usr/share/zsh/vendor-completions/_$name" completions zsh
made "usr/share/fish/vendor_completions.d/$name.fish" completions fish

# What it is linked with, by the packages that have it here.
mkdir -p "$work/debian" "$root/DEBIAN"
printf 'Source: wakeflash\n\nPackage: %s\nArchitecture: any\n' "$name" >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O "$root/usr/bin/$name" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
[[ -n $depends ]] || die "What it depends on can't be told."
cat >"$root/DEBIAN/control" <<CONTROL
Package: $name
Version: $version
Architecture: $architecture
Section: utils
Priority: optional
Maintainer: The Wakeflash authors <wakeflash@users.noreply.github.com>
Depends: $depends
Recommends: systemd
Homepage: https://github.com/wakeflash/wakeflash
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Description: updates ESPHome devices that sleep, on a box that is always on
 Queues updates of ESPHome devices that sleep, flashes each the moment it
 wakes, and proves that the new firmware runs. This is the engine as a
 service, without a window.
CONTROL
cat >"$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
# The user of the system unit. Which of the units runs is the owner's choice: none is started by the package.
if [ "$1" = configure ] && command -v systemd-sysusers >/dev/null; then
    systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} wakeflash-headless.conf
fi
POSTINST
chmod 755 "$root/DEBIAN/postinst"
mkdir -p "$bundle"
deb=$bundle/${name}_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$deb" >/dev/null
printf '%s\n' "$deb"
