#!/usr/bin/env bash
# Write requirements.lock (runtime and build) and requirements-dev.lock (tests and linters) from pyproject.toml.
#
# Locked with the oldest Python we support, so that what only newer ones could use is left out; every hash of
# every wheel is kept, so that the same files serve CPython 3.11 to 3.13 on x86_64 and aarch64. No index host,
# no option of this machine and no path gets into them: where packages come from is the installer's business.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3.11}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$python" -m venv "$tools/venv"
"$tools/venv/bin/python" -m pip install --quiet --upgrade 'pip<26' 'pip-tools>=7.5'

# requirements GROUP... : the requirements of these tables of pyproject.toml, one a line
requirements() {
    "$tools/venv/bin/python" - "$@" <<'PY'
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
tables = {"runtime": project["project"]["dependencies"], "build": project["build-system"]["requires"]}
tables |= project["dependency-groups"]
print(*sorted(line for name in sys.argv[1:] for line in tables[name]), sep="\n")
PY
}

# compile OUT ARGUMENT... : lock the requirements on standard input
compile() {
    local out=$1
    shift
    "$tools/venv/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
        --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
        --output-file "$out" "$@" -
}

upgrade=()
[ "${1:-}" = --upgrade ] && upgrade=(--upgrade)
requirements runtime build | compile requirements.lock "${upgrade[@]}"
requirements test lint | compile requirements-dev.lock "${upgrade[@]}" --constraint requirements.lock
