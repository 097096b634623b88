#!/usr/bin/env bash
# Run the tests of the Kubernetes edge with the oldest client that is supported; `make test` has the newest.
set -euo pipefail
cd "$(dirname "$0")/../.."

site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
.venv/bin/python -m pip install --quiet --target "$site" 'kubernetes==36.0.1'
PYTHONPATH=$site .venv/bin/python -m pytest -p no:xdist tests/unit/scaler/test_scaler_kube_answers.py tests/e2e/kube "$@"
