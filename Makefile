# Two commands matter: `make demo` shows the product, `make test` checks it. Both make what they need in .venv.
.POSIX:

DEMO_ARGS =
PYTEST_ARGS =
BIN = .venv/bin
PACKAGES = telephony storage collectors forecast scaler alerts dashboards surgecast

help:  ## show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo:  ## run the whole product on simulated traffic, page on http://127.0.0.1:8050 (DEMO_ARGS="--seconds 60")
	@scripts/env.sh runtime
	@NUMBA_CACHE_DIR="$(CURDIR)/.cache/numba" $(BIN)/surgecast demo $(DEMO_ARGS)

test:  ## lint, then every test; as root on Debian or Ubuntu it installs the programs the tests drive (PYTEST_ARGS="-k hep")
	@scripts/debian-programs.sh
	@scripts/env.sh dev
	@$(MAKE) --no-print-directory lint
	@PYTEST_ARGS='$(PYTEST_ARGS)' scripts/test.sh

check: test  ## the same as test

lint: dev-environment  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: dev-environment  ## let ruff format and fix what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

dev-environment:
	@scripts/env.sh dev

lock:  ## write requirements*.lock anew from pyproject.toml (scripts/lock.sh --upgrade takes newer versions)
	scripts/lock.sh

clean:  ## remove the environment and everything made
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find $(PACKAGES) tests -name __pycache__ -type d -exec rm -rf {} +

.PHONY: help demo test check lint format dev-environment lock clean
