#!/usr/bin/env bash
# Run every test: first all that can run side by side, then those that wait on real time, one after another.
# Each run ends with pytest's own summary; the exit code is non-zero if any failed.
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
    .venv/bin/python -m pytest "$@" "${arguments[@]}" || code=$?
    [ $code -eq 5 ] && [ ${#arguments[@]} -gt 0 ] && code=0
    [ $code -eq 0 ] || failed=1
}

# The Kubernetes API server that the last tests drive is built meanwhile, where there is Go and no copy of an earlier
# run; beyond a quarter of an hour those tests skip and say so.
timeout 900 nice -n 19 tests/kube/build.sh >/dev/null &
kube=$!

# In the order in which they are collected, files of few but long tests do not come last, on one core alone.
suite --numprocesses 2 --dist loadfile --no-loadscope-reorder -m 'not lab and not browser and not slow' \
    --doctest-modules tests "${packages[@]}"
suite -p no:xdist -m 'lab or browser or slow' --durations 5 --ignore tests/e2e/kube tests
wait $kube || echo "==> no Kubernetes API server: its tests will skip" >&2
suite -p no:xdist -m 'lab or browser or slow' --durations 5 tests/e2e/kube
exit $failed
