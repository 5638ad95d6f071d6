//! An ESPHome that remembers: what the real one left of a compile is kept, and taken when the same sources
//! are compiled again. Stories about what happens after a build need not wait for the compiler; stories
//! about the build itself use the real one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::esphome::Esphome;
use crate::paths;

/// The program. Everything that a configuration may refer to (its own file, `secrets.yaml`, what lies in
/// directories beside it) makes the key; other configurations beside it don't.
const SCRIPT: &str = r#"#!/bin/sh
set -eu
real='@REAL@' cache='@CACHE@' version='@VERSION@'
if [ "$1" = version ]; then echo "Version: $version"; exit 0; fi
# Nothing to remember.
if [ "$2" = upload ]; then exec "$real" "$@"; fi
file=$3
key=$({
    printf '%s\n' "$file" "$version"
    cat -- "$file"
    find . -path ./.esphome -prune -o -type f ! -path '*/__pycache__/*' \
        \( -path './*/*' -o -name secrets.yaml \) -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
} | sha256sum | cut -d' ' -f1)
entry=$cache/$key
mkdir -p "$cache"
exec 9>"$cache/$key.lock"
flock 9
if [ ! -e "$entry" ]; then
    PATH=$(dirname "$real"):$PATH
    new=$entry.new
    rm -rf "$new"
    mkdir "$new"
    # The status of the first part of a pipe is lost, so it is written down.
    { status=0; "$real" "$@" 2>&1 9>&- || status=$?; echo "$status" >"$new/status"; } | tee "$new/log"
    status=$(cat "$new/status")
    if [ "$status" != 0 ]; then exit "$status"; fi
    build=$(sed -n 's/.*"build_path": *"\(.*\)".*/\1/p' ".esphome/storage/$file.json")
    name=$(basename "$build")
    pwd >"$new/dir"
    echo "$name" >"$new/name"
    cp ".esphome/storage/$file.json" "$new/storage.json"
    cp ".esphome/storage/$file.validated.json" "$new/validated.json"
    cp ".esphome/build/$name/build_info.json" "$new/build_info.json"
    cp ".esphome/build/$name/.pioenvs/$name/program" "$new/program"
    mv "$new" "$entry"
    exit 0
fi
name=$(cat "$entry/name") then=$(cat "$entry/dir") now=$(pwd)
mkdir -p .esphome/storage ".esphome/build/$name/.pioenvs/$name"
sed "s|$then|$now|g" "$entry/storage.json" >".esphome/storage/$file.json"
sed "s|$then|$now|g" "$entry/validated.json" >".esphome/storage/$file.validated.json"
cat "$entry/build_info.json" >".esphome/build/$name/build_info.json"
program=.esphome/build/$name/.pioenvs/$name/program
rm -f "$program"
cp "$entry/program" "$program"
cat "$entry/log"
"#;

/// Writes the program into a directory.
///
/// # Errors
/// When there is no real ESPHome, or the program can't be written.
pub fn program(dir: &Path) -> Result<PathBuf> {
    let real = Esphome::locate()?;
    let script = SCRIPT
        .replace("@REAL@", &real.program().to_string_lossy())
        .replace("@CACHE@", &paths::cache_dir().join("compiles").to_string_lossy())
        .replace("@VERSION@", &real.version()?);
    fs::create_dir_all(dir)?;
    let path = dir.join("esphome");
    fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
