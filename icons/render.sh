#!/bin/sh
# Draws the committed pictures from the two SVG sources. Needs rsvg-convert (librsvg2-bin), the font DejaVu Sans
# Bold for the numbers, and, unless only the tray's are drawn (--tray), the UI's npm packages for the Tauri
# command line.
set -eu
cd "$(dirname "$0")"

tray() { # NAME STATE NUMBER
    sed -e "s|@STATE@|$2|" -e "s|@COUNT@|$3|" tray.svg | rsvg-convert -w 64 -h 64 -o "tray/$1.png"
}
mkdir -p tray
tray idle idle ''
tray working working ''
tray attention attention ''
for count in 1 2 3 4 5 6 7 8 9; do tray "waiting-$count" waiting "$count"; done
tray waiting-more waiting '+'

if [ "${1:-}" = --tray ]; then exit 0; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rsvg-convert -w 1024 -h 1024 wakeflash.svg -o "$work/icon.png"
(cd ../ui && npx tauri icon "$work/icon.png" -o "$work/out" >/dev/null)
for name in 32x32.png 128x128.png 128x128@2x.png icon.png icon.ico icon.icns; do
    cp "$work/out/$name" .
done
