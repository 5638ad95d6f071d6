//! An ESPHome that remembers: what the real one left of a compile is kept, and taken when the same sources
//! are compiled again. Stories about what happens after a build need not wait for the compiler; stories
//! about the build itself use the real one.
//!
//! A compile with Noise needs ESPHome's component registry. So what [`PATCH`] says about keys is written into the
//! configuration that the compile leaves behind; the firmware stays as it is.
//!
//! What the real one read is kept as well, and read again when its build is taken, so that whoever watches it sees the
//! same. All other questions go to the real one.
//!
//! It builds a fleet by compiling once: devices that differ in the number of their name alone
//! ([`Sibling`]) get copies of the first one's firmware, with their own name in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::esphome::Esphome;
use crate::paths;
use crate::yaml::COMPONENTS_DIR;

/// Beside the YAML: `{"ota": {…}, "api": {…}, "without": [key, …]}`, put into the validated configuration's entry of
/// `ota: platform: esphome` and its `api:`, and what is taken out of that entry.
pub const PATCH: &str = "validated.patch.json";

/// One of many devices whose firmware differs in the number of the name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sibling(pub u16);

impl Sibling {
    const STEM: &'static str = "sibling";
    const FIRST: u16 = 100;

    /// Its name; the first one has the number 0.
    #[must_use]
    pub fn name(self) -> String {
        // Names of one length: they are exchanged in the finished program.
        format!("{}-{}", Self::STEM, Self::FIRST + self.0)
    }

    /// The name of its YAML file.
    #[must_use]
    pub fn file(self) -> String {
        format!("{}.yaml", self.name())
    }

    /// Writes its firmware, made from the first one's.
    ///
    /// # Errors
    /// When the one can't be read, or the other can't be written.
    pub fn write_program(self, first: &Path, path: &Path) -> Result<()> {
        let first = fs::read(first).with_context(|| format!("cannot read {}", first.display()))?;
        let (old, new) = (Self(0).name(), self.name());
        let mut program = first;
        let mut at = 0;
        while let Some(rest) = program.get_mut(at..at + old.len()) {
            if rest == old.as_bytes() {
                rest.copy_from_slice(new.as_bytes());
            }
            at += 1;
        }
        fs::write(path, program).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}

/// The program: Python, as the real one is.
const PROGRAM: &str = r#"#!@PYTHON@
import json, os, subprocess, sys, tempfile

def construct_secret(path):
    look_into(path)

def look_into(path):
    try:
        open(path, "rb").close()
    except OSError:
        pass

def read_again(reads, file):
    number = file.removeprefix("@STEM@-").removesuffix(".yaml")
    for line in reads:
        (what, value), = json.loads(line).items()
        path = value[0] if isinstance(value, list) and value else ""
        if file == f"@STEM@-{number}.yaml":
            path = path.replace("@STEM@-@FIRST@", f"@STEM@-{number}")
        if what == "file":
            look_into(path)
        elif what == "secret":
            construct_secret(path)
        elif what == "names" and os.path.isdir(path):
            os.listdir(path)

if "version" in sys.argv[1:2]:
    print("Version: @VERSION@")
elif "compile" in sys.argv:
    with tempfile.NamedTemporaryFile() as reads:
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compile.sh")
        ended = subprocess.run([script, *sys.argv[1:]], env={**os.environ, "LAB_READS": reads.name})
        with open(reads.name) as lines:
            read_again(lines.readlines(), sys.argv[-1])
    sys.exit(ended.returncode)
else:
    os.execv("@REAL@", ["@REAL@", *sys.argv[1:]])
"#;

/// What compiles. Everything that a configuration may refer to (its own file, `secrets.yaml`, what lies in
/// directories beside it) makes the key; other configurations beside it don't.
const SCRIPT: &str = r#"#!/bin/sh
set -eu
real='@REAL@' cache='@CACHE@' version='@VERSION@'
witness=$(dirname "$0")/witness.py
file=$3
# A file is there as a whole or not at all, as with the real one.
put() { cat >"$1.new"; mv "$1.new" "$1"; }
if [ -f @PATCH@ ] && [ -z "${LAB_PATCHED:-}" ]; then
    LAB_PATCHED=1 "$0" "$@"
    "$(dirname "$real")/python" - @PATCH@ ".esphome/storage/$file.validated.json" <<'PYTHON'
import json, sys
with open(sys.argv[1]) as file:
    patch = json.load(file)
with open(sys.argv[2]) as file:
    left = json.load(file)
config = left["config"]
config["api"] = {**(config.get("api") or {}), **patch.get("api", {})}
for entry in config["ota"]:
    if entry["platform"] == "esphome":
        for key in patch.get("without", []):
            entry.pop(key, None)
        entry.update(patch.get("ota", {}))
with open(sys.argv[2], "w") as file:
    json.dump(left, file)
PYTHON
    exit 0
fi
number=${file#@STEM@-} number=${number%.yaml}
if [ "$file" = "@STEM@-$number.yaml" ] && [ "$number" != "@FIRST@" ]; then
    here=$PWD there=.esphome/siblings/$number
    mkdir -p "$there"
    if [ -d @COMPONENTS@ ]; then cp -r @COMPONENTS@ "$there"; fi
    sed "s/@STEM@-$number/@STEM@-@FIRST@/g" "$file" >"$there/@STEM@-@FIRST@.yaml"
    (cd "$there" && "$0" "$1" "$2" "@STEM@-@FIRST@.yaml")
    cd "$there"
    find .esphome -type f -path '*@STEM@-@FIRST@*' | while read -r from; do
        to=$here/$(echo "$from" | sed "s/@STEM@-@FIRST@/@STEM@-$number/g")
        mkdir -p "$(dirname "$to")"
        case $from in
            *.json) sed "s|/$there/|/|g; s/@STEM@-@FIRST@/@STEM@-$number/g" "$from" | put "$to" ;;
            # The name keeps its length, so the program stays what it is otherwise.
            *) LC_ALL=C sed "s/@STEM@-@FIRST@/@STEM@-$number/g" "$from" | put "$to"; chmod 755 "$to" ;;
        esac
    done
    exit 0
fi
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
# What an older one kept has no list of what was read.
if [ ! -e "$entry/reads" ]; then
    rm -rf "$entry"
    PATH=$(dirname "$real"):$PATH
    new=$entry.new
    rm -rf "$new"
    mkdir "$new"
    # The status of the first part of a pipe is lost, so it is written down.
    { status=0; "@PYTHON@" -c "$(cat "$witness")" record "$new/reads" "$real" "$@" 2>&1 9>&- || status=$?; echo "$status" >"$new/status"; } | tee "$new/log"
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
    cat "$entry/reads" >"$LAB_READS"
    exit 0
fi
cat "$entry/reads" >"$LAB_READS"
name=$(cat "$entry/name") then=$(cat "$entry/dir") now=$(pwd)
mkdir -p .esphome/storage ".esphome/build/$name/.pioenvs/$name"
sed "s|$then|$now|g" "$entry/storage.json" | put ".esphome/storage/$file.json"
sed "s|$then|$now|g" "$entry/validated.json" | put ".esphome/storage/$file.validated.json"
put ".esphome/build/$name/build_info.json" <"$entry/build_info.json"
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
    let version = real.version()?;
    let python = real.python()?;
    let filled = |text: &str| {
        text.replace("@REAL@", &real.program().to_string_lossy())
            .replace("@PYTHON@", &python.to_string_lossy())
            .replace("@CACHE@", &paths::cache_dir().join("compiles").to_string_lossy())
            .replace("@VERSION@", &version)
            .replace("@COMPONENTS@", COMPONENTS_DIR)
            .replace("@PATCH@", PATCH)
            .replace("@STEM@", Sibling::STEM)
            .replace("@FIRST@", &Sibling::FIRST.to_string())
    };
    fs::create_dir_all(dir)?;
    let write = |name: &str, text: &str| -> Result<PathBuf> {
        let path = dir.join(name);
        paths::write_program(&path, text)?;
        Ok(path)
    };
    write("witness.py", wakeflash_engine::esphome::WITNESS)?;
    write("compile.sh", &filled(SCRIPT))?;
    write("esphome", &filled(PROGRAM))
}
