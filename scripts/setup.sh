#!/usr/bin/env bash
# Installs what is missing: for `rust` a compiler and Rust, for `run` what it takes to build and run, for the others
# what they need on top of it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

level=${1:-test}

# Package, and how to tell that what it contains is there, whoever installed it.
rust_packages=(
    'build-essential|command -v c++ make'
)
build_packages=(
    "${rust_packages[@]}"
    'pkg-config|command -v pkg-config'
    'libwebkit2gtk-4.1-dev|pkg-config --exists webkit2gtk-4.1'
    'libayatana-appindicator3-dev|pkg-config --exists ayatana-appindicator3-0.1'
    'librsvg2-dev|pkg-config --exists librsvg-2.0'
    'file|command -v file'
)
# A device of the demo lives in a network of its own.
demo_packages=(
    'iproute2|command -v ip'
    'util-linux|command -v unshare nsenter setpriv'
)
# The window on a screen of its own, driven and photographed; its session bus; packet filters; text; a repository that
# a configuration includes; what a build reads; another computer that is reached through SSH.
test_packages=(
    'xvfb|command -v Xvfb'
    'xauth|command -v xauth'
    'webkit2gtk-driver|command -v WebKitWebDriver'
    'imagemagick|command -v import convert'
    'at-spi2-core|test -e /usr/share/dbus-1/services/org.a11y.Bus.service'
    'dbus|command -v dbus-daemon'
    'nftables|command -v nft'
    'fonts-dejavu-core|has_fonts'
    'git|command -v git'
    'strace|command -v strace'
    'openssh-server|command -v sshd ssh'
)

# What a package is checked with.
package_packages=(
    'xvfb|command -v Xvfb'
    'x11-utils|command -v xwininfo'
    'dbus|command -v dbus-daemon'
    'fonts-dejavu-core|has_fonts'
    'desktop-file-utils|command -v desktop-file-validate'
    'appstream|command -v appstreamcli'
)

case $level in
    rust) packages=("${rust_packages[@]}") ;;
    run) packages=("${build_packages[@]}") ;;
    demo) packages=("${build_packages[@]}" "${demo_packages[@]}") ;;
    test) packages=("${build_packages[@]}" "${demo_packages[@]}" "${test_packages[@]}") ;;
    package) packages=("${build_packages[@]}" "${package_packages[@]}") ;;
    *) die "$0 rust|run|demo|test|package" ;;
esac

has_apt() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

may_install() {
    ((EUID == 0)) || { command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; }
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

apt_updated=
apt_update() {
    if [[ -n $apt_updated ]]; then return; fi
    apt_updated=1
    say "Asking for the list of packages ..."
    as_root apt-get update -qq >>"$logs/apt.log" 2>&1 ||
        warn "apt-get update failed (see .cache/logs/apt.log); trying with the packages known here."
}

apt_install() {
    apt_update
    say "Installing $* ..."
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null >"$logs/apt.log" 2>&1; then
        tail -n 20 "$logs/apt.log" >&2
        die "apt-get could not install: $*"
    fi
}

# The version that apt would install, or nothing.
apt_offers() {
    LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9].*\)/\1/p'
}

# Prints those of the packages that neither are installed nor have their contents here.
missing_packages() {
    local installed='' entry
    if has_apt; then
        installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]%%|*}" 2>/dev/null) || true
    fi
    for entry in "${packages[@]}"; do
        if grep -qxF "installed ${entry%%|*}" <<<"$installed"; then continue; fi
        contents_there "${entry#*|}" || printf '%s\n' "${entry%%|*}"
    done
}

has_fonts() { [[ -n $(fc-list 2>/dev/null) ]]; }

contents_there() {
    local -a check
    read -ra check <<<"$1"
    if [[ ${check[0]} == command ]]; then
        local program
        for program in "${check[@]:2}"; do
            command -v "$program" >/dev/null || return 1
        done
    else
        "${check[@]}" >/dev/null 2>&1
    fi
}

set_up_packages() {
    local -a missing
    local entry
    # Programs such as `ip` and `nft` are in a directory that isn't on every user's PATH.
    PATH=$PATH:/usr/sbin:/sbin
    mapfile -t missing < <(missing_packages)
    if ((${#missing[@]} == 0)); then return; fi
    if has_apt && may_install; then
        apt_install "${missing[@]}"
        return
    fi
    if has_apt; then
        warn "Packages are missing that only root can install:" \
            "sudo apt-get install --no-install-recommends ${missing[*]}"
    else
        warn "This is no Debian. What these packages of Debian contain is missing: ${missing[*]}"
    fi
    for entry in "${build_packages[@]}"; do
        if [[ " ${missing[*]} " == *" ${entry%%|*} "* ]]; then
            die "Wakeflash can't be built without ${entry%%|*}."
        fi
    done
    warn "Going on; what needs them fails or is skipped."
}

set_up_node() {
    if use_node; then return; fi
    local wanted offered=
    wanted=$(node_wanted)
    if has_apt && may_install; then
        apt_update
        offered=$(apt_offers nodejs)
        # Without the epoch and Debian's own part.
        offered=${offered#*:}
        if [[ -n $offered ]] && node_fits "$wanted" "${offered%%[-+~]*}"; then
            apt_install nodejs
            if ! command -v npm >/dev/null; then apt_install npm; fi
        fi
    fi
    use_node || die "A Node.js that fits \"$wanted\", with npm, is needed${offered:+, and this Debian has ${offered%%[-+~]*}}." \
        "Install it from https://nodejs.org/en/download, then run this again."
}

set_up_rust() {
    local wanted
    wanted=$(rust_wanted)
    if ! use_rust && [[ ${WAKEFLASH_INSTALL_RUST:-} == 1 ]]; then install_rust; fi
    use_rust || {
        local have
        have=$(rust_version) || true
        die "Rust $wanted or newer is needed${have:+, and here is $have}. It is installed, for this user only, by" \
            "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y" \
            "and brought up to date by \`rustup update stable\`. Then run this again." \
            "With WAKEFLASH_INSTALL_RUST=1 in the environment, it is done for you."
    }
    if [[ $level == test ]]; then
        local tool
        for tool in fmt clippy; do
            cargo "$tool" --version >/dev/null 2>&1 ||
                die "\`cargo $tool\` is missing: run \`rustup component add rustfmt clippy\`."
        done
    fi
}

install_rust() {
    say "Installing Rust ..."
    if ! command -v rustup >/dev/null && has_apt && may_install; then
        apt_update
        if [[ -n $(apt_offers rustup) ]]; then apt_install rustup; fi
    fi
    if command -v rustup >/dev/null; then
        rustup --quiet toolchain install stable --profile default && rustup --quiet default stable
        return
    fi
    if ! command -v curl >/dev/null && has_apt && may_install; then
        apt_install curl ca-certificates
    fi
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
        sh -s -- -y --quiet --no-modify-path --profile default
}

set_up_ui() {
    # npm ci begins with deleting the directory, and the stamp in it.
    local stamp=ui/node_modules/.setup wanted
    wanted=$(cat ui/package.json ui/package-lock.json | sha256sum)
    if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then return; fi
    say "Installing the npm packages ..."
    npm --prefix ui ci --include=dev --no-audit --no-fund --loglevel=error ||
        die "The npm packages could not be installed."
    printf '%s\n' "$wanted" >"$stamp"
}

# A Python that runs and that ESPHome takes.
python_fits() {
    "$1" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 15))' >/dev/null 2>&1
}

# Can it make environments? Debian has that in a package of its own.
python_complete() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Prints the best Python; a complete one rather than a newer one.
find_python() {
    local python incomplete=
    while read -r python; do
        python_fits "$python" || continue
        if python_complete "$python"; then
            printf '%s\n' "$python"
            return
        fi
        incomplete=${incomplete:-$python}
    done < <(
        type -ap python3.14 python3.13 python3.12 python3 || true
        compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/*/bin/python3.1[2-9]" | sort -Vr || true
        compgen -G "$login_home/.pyenv/versions/*/bin/python3.1[2-9]" | sort -Vr || true
    )
    printf '%s\n' "$incomplete"
}

python_for_esphome() {
    local python version
    python=$(find_python)
    if [[ -n $python ]] && python_complete "$python"; then
        printf '%s\n' "$python"
        return
    fi
    if has_apt && may_install; then
        apt_update >&2
        if [[ -n $python ]]; then
            version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            if [[ -n $(apt_offers "python$version-venv") ]]; then
                apt_install "python$version-venv" >&2
            fi
        else
            for version in 3.14 3.13 3.12; do
                if [[ -n $(apt_offers "python$version-venv") ]]; then
                    apt_install "python$version" "python$version-venv" >&2
                    break
                fi
            done
        fi
        python=$(find_python)
    fi
    if [[ -z $python ]] || ! python_complete "$python"; then
        die "ESPHome needs Python 3.12, 3.13 or 3.14 with its module venv, and there is none on PATH or in ~/.pyenv." \
            "Install one (such as \`pyenv install 3.13\`), then run this again."
    fi
    printf '%s\n' "$python"
}

# The environment can't be moved, so its place belongs to the stamp.
esphome_stamp() { printf 'esphome==%s in %s\n' "$esphome_version" "$esphome_env"; }

esphome_there() {
    if [[ -L $esphome_env ]]; then
        # Somebody put it there; it is taken as it is.
        [[ -x $esphome_env/bin/esphome ]]
        return
    fi
    [[ -f $esphome_env/.complete && $(<"$esphome_env/.complete") == "$(esphome_stamp)" ]] &&
        "$esphome_env/bin/python" -c '' 2>/dev/null
}

set_up_esphome() {
    if esphome_there; then return; fi
    if [[ -L $esphome_env ]]; then
        die ".cache/esphome points at a place without an ESPHome: remove that link."
    fi
    local python
    python=$(python_for_esphome)
    say "Installing ESPHome $esphome_version with $("$python" --version) in .cache/esphome ..."
    rm -rf "$esphome_env"
    "$python" -m venv "$esphome_env"
    "$esphome_env/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        "esphome==$esphome_version" || die "ESPHome could not be installed."
    "$esphome_env/bin/esphome" version >/dev/null || die "The new ESPHome does not run."
    esphome_stamp >"$esphome_env/.complete"
}

# The user's own ESPHome will do to run Wakeflash; tests want a known version, at a known place.
esphome_wanted() {
    case $level in
        rust | package) false ;;
        run) esphome_there || ! esphome version >/dev/null 2>&1 ;;
        *) [[ ! -x ${WAKEFLASH_TEST_ESPHOME:-} ]] ;;
    esac
}

# Two at a time would be in each other's way.
if command -v flock >/dev/null; then
    exec 9>"$root/.cache/setup.lock"
    flock 9
fi
set_up_rust
set_up_packages
if [[ $level != rust ]]; then
    set_up_node
    set_up_ui
fi
if esphome_wanted; then set_up_esphome; fi
say "Everything is there (${SECONDS} s)."
