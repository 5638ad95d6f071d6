#!/bin/sh
# Draws the committed pictures from the two SVG sources. Needs rsvg-convert (librsvg2-bin) and the UI's
# npm packages, for the Tauri command line.
set -eu
cd "$(dirname "$0")"

tray() { # NAME COLOUR-OF-THE-SUN BADGE
    sed -e "s|@SUN@|$2|" -e "s|@BADGE@|$3|" tray.svg | rsvg-convert -w 64 -h 64 -o "tray-$1.png"
}
edge='stroke="#1b2552" stroke-width="3"'
tray idle '#9aa5c4' ''
tray waiting '#ffd34d' ''
tray working '#5ec2ff' "<circle cx=\"52\" cy=\"12\" r=\"9\" fill=\"#5ec2ff\" $edge/>"
tray attention '#ffd34d' "<circle cx=\"51\" cy=\"13\" r=\"12\" fill=\"#e5383b\" $edge/><path d=\"M51 6v8\" stroke=\"#fff\" stroke-width=\"4\" stroke-linecap=\"round\"/><circle cx=\"51\" cy=\"19\" r=\"2.4\" fill=\"#fff\"/>"

if [ "${1:-}" = --tray ]; then exit 0; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rsvg-convert -w 1024 -h 1024 wakeflash.svg -o "$work/icon.png"
(cd ../ui && npx tauri icon "$work/icon.png" -o "$work/out" >/dev/null)
for name in 32x32.png 128x128.png 128x128@2x.png icon.png icon.ico icon.icns; do
    cp "$work/out/$name" .
done
