# shellcheck shell=bash
# What the scripts share. They run in the root of the checkout, wherever they were called from.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD

# ESPHome's own builds start make and ninja: our make's flags are none of their business.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

# Rustup, pyenv and nvm live in the home directory. When HOME points elsewhere (as in CI), those of the
# user's own home are used.
login_home=$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6 || true)
login_home=${login_home:-${HOME:-/}}
export HOME=${HOME:-$login_home}

export NPM_CONFIG_UPDATE_NOTIFIER=false

logs=$root/.cache/logs
mkdir -p "$logs"

# shellcheck disable=SC2034 # used by those who source this
esphome_version=2026.10.0
# shellcheck disable=SC2034
esphome_env=$root/.cache/esphome

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    printf 'Error: %s\n' "$1" >&2
    shift
    if (($#)); then printf '       %s\n' "$@" >&2; fi
    exit 1
}

# at_least 1.89 1.95.0
at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

rust_wanted() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }
node_wanted() { sed -n 's/.*"node": "\(.*\)".*/\1/p' ui/package.json; }

# node_fits '^20.19 || ^22.13 || >=24' 22.14.0
node_fits() {
    local range
    while read -r range; do
        case $range in
            '>='*) if at_least "${range#>=}" "$2"; then return; fi ;;
            '^'*)
                range=${range#^}
                if [[ ${range%%.*} == "${2%%.*}" ]] && at_least "$range" "$2"; then return; fi
                ;;
            *) die "ui/package.json wants a Node.js that isn't understood: $range" ;;
        esac
    done < <(sed 's/ *|| */\n/g' <<<"$1")
    return 1
}

# The version of the cargo on PATH, or nothing when it doesn't run.
rust_version() { cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p'; }

# Puts a cargo that is new enough on PATH.
use_rust() {
    local wanted have before=$PATH
    wanted=$(rust_wanted)
    rust_fits() {
        have=$(rust_version) || true
        [[ -n $have ]] && at_least "$wanted" "$have"
    }
    if rust_fits; then return; fi
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$before
    if rust_fits; then return; fi
    PATH=${CARGO_HOME:-$login_home/.cargo}/bin:$before
    local rustup=${RUSTUP_HOME:-$login_home/.rustup}
    have=$(RUSTUP_HOME=$rustup rust_version) || true
    if [[ -n $have ]] && at_least "$wanted" "$have"; then
        export RUSTUP_HOME=$rustup
        # The downloaded crates are there, too, unless it is somebody else's.
        if [[ -z ${CARGO_HOME:-} && -w $login_home/.cargo ]]; then
            export CARGO_HOME=$login_home/.cargo
        fi
        return
    fi
    PATH=$before
    return 1
}

# Puts a Node.js that fits, with npm, on PATH.
use_node() {
    local wanted node have before=$PATH
    wanted=$(node_wanted)
    while read -r node; do
        have=$("$node" --version 2>/dev/null) || continue
        node_fits "$wanted" "${have#v}" || continue
        # npm runs on the first one on PATH.
        if [[ $(command -v node) != "$node" ]]; then PATH=$(dirname "$node"):$before; fi
        if command -v npm >/dev/null; then return; fi
        PATH=$before
    done < <(
        type -ap node || true
        compgen -G "${NVM_DIR:-$HOME/.nvm}/versions/node/*/bin/node" | sort -Vr || true
        compgen -G "$login_home/.nvm/versions/node/*/bin/node" | sort -Vr || true
    )
    return 1
}

need_rust() { use_rust || die "No Rust $(rust_wanted) or newer: run \`make setup\`."; }

need_tools() {
    use_node || die "No Node.js that fits \"$(node_wanted)\": run \`make setup\`."
    need_rust
}

# The directory that cargo builds into, whatever the user's settings are.
target_dir() {
    cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# Builds the window's files, unless they are those of these sources: the programs embed them, so that
# new ones mean compiling again.
build_ui() {
    local stamp=.cache/ui-dist.stamp sources
    sources=$(
        find ui src-tauri/core/src/words -path ui/node_modules -prune -o -path ui/dist -prune -o -type f -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
    )
    if [[ -f ui/dist/index.html && -f $stamp && $(<"$stamp") == "$sources" ]]; then
        say "The window is up to date."
        return
    fi
    rm -f "$stamp"
    npm --prefix ui run --silent build || return
    printf '%s\n' "$sources" >"$stamp"
}

# Where the programs of this profile are.
program_dir() {
    local profile=${PROFILE:-release}
    if [[ $profile == dev ]]; then profile=debug; fi
    printf '%s/%s\n' "$(target_dir)" "$profile"
}

# Says so before minutes of building, not after.
need_screen() {
    if [[ -z ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]]; then
        die "There is no screen here (neither DISPLAY nor WAYLAND_DISPLAY is set)." \
            "Without a desktop, \`make build\` and use wakeflash-headless; see docs/API.md."
    fi
}
