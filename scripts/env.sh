#!/usr/bin/env bash
# env.sh runtime|dev : make .venv with exactly what the lock files say, hashes checked; do nothing when it is so.
#
# Needs CPython 3.11 or newer and nothing else: no root, and not even Debian's python3-venv where another way
# (pip of the system, or virtualenv) is there. As root on Debian or Ubuntu it installs python3-venv itself.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m%s\033[0m\n' "==> $*" >&2; }
[ -t 2 ] || say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11) or sys.implementation.name != "cpython")' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        if is_recent "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer was not found (looked for python3, python3.11 to python3.14);" \
        "install it (Debian 12+, Ubuntu 24.04+: apt-get install python3 python3-venv) or set PYTHON=/path/to/python3.11"
}

make_venv() {
    local python=$1 version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "making .venv with Python $version ($python)"
    rm -rf .venv
    if ! "$python" -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing python$version-venv"
        DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "python$version-venv" >&2 || true
    fi
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv .venv
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip .venv
        "$python" -m pip --python .venv/bin/python install pip
    elif command -v virtualenv >/dev/null; then
        virtualenv --quiet --python "$python" .venv
    else
        die "this Python cannot make environments; run: apt-get install python$version-venv"
    fi
}

install_locked() {
    local lock arguments=()
    for lock in "$@"; do arguments+=(--requirement "$lock"); done
    say "installing $(cat "$@" | grep -c '^[a-z0-9]') packages from $* (hashes checked)"
    .venv/bin/python -m pip install --disable-pip-version-check --require-hashes "${arguments[@]}" >&2
    .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable . >&2
}

# A stamp names everything that decides what is installed, the place included: an environment is not movable.
stamp() { printf '.venv/.installed-%s' "$(printf '%s\n' "$PWD" | cat - "$@" pyproject.toml | sha256sum | cut -c 1-16)"; }
runtime=(requirements.lock)
dev=(requirements.lock requirements-dev.lock)

case ${1:-} in
    runtime) locks=("${runtime[@]}") ;;
    dev) locks=("${dev[@]}") ;;
    *) die "usage: scripts/env.sh runtime|dev" ;;
esac
[ -e "$(stamp "${locks[@]}")" ] && is_recent .venv/bin/python && exit 0

# An environment whose Python is gone or too old (an upgrade of the machine, a copied tree) is made anew.
if ! is_recent .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    make_venv "$python"
fi
install_locked "${locks[@]}"
rm -f .venv/.installed-*
touch "$(stamp "${runtime[@]}")" "$(stamp "${locks[@]}")"
say "environment ready"
