#!/usr/bin/env bash
# Run every test: first the many small ones side by side, then those that drive real programs, one after another.
# Both runs end with pytest's own summary; the exit code is non-zero if either failed.
set -uo pipefail
cd "$(dirname "$0")/.."
export NUMBA_CACHE_DIR="$PWD/.cache/numba"
read -r -a arguments <<<"${PYTEST_ARGS:-}"

packages=()
for package in telephony storage collectors forecast scaler alerts dashboards surgecast; do
    [ -d "$package" ] && packages+=("$package")
done

failed=0
# suite ARGUMENT... : one run of pytest; finding no test (5) is a failure, unless PYTEST_ARGS chose among them
suite() {
    local code=0
    .venv/bin/python -m pytest "$@" tests "${arguments[@]}" || code=$?
    [ $code -eq 5 ] && [ ${#arguments[@]} -gt 0 ] && code=0
    [ $code -eq 0 ] || failed=1
}

# The Kubernetes API server that some of the serial tests drive is built meanwhile, where there is Go and no copy of
# an earlier run; beyond a quarter of an hour those tests skip and say so.
timeout 900 nice -n 19 tests/kube/build.sh >/dev/null &
kube=$!

suite --numprocesses 2 --dist loadfile -m 'not lab and not browser and not slow' --doctest-modules "${packages[@]}"
wait $kube || echo "==> no Kubernetes API server: its tests will skip" >&2
suite -p no:xdist -m 'lab or browser or slow' --durations 5
exit $failed
