# Every target bootstraps what it needs from a bare python3 and does nothing twice.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
STAMP := .venv/.installed
# Many processes are started here, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup up test check storm bulk bench lock

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## make .venv and install the locked dependencies

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Cauce needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "installing what requirements.lock lists into .venv: about a minute the first time"
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

up: $(STAMP) ## run everything on this machine; options by ARGS="--demo --api-port 8001"
	@exec $(BIN)/cauce up $(ARGS)

# A file to a worker: what its tests share is started once. Many of them wait for a server: three keep two cores busy.
test: $(STAMP) ## run every test, against real servers; options by ARGS="-k ledger"
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(STAMP) ## lint, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

storm: $(STAMP) ## a thousand messages while processes are killed: prints how many were lost, doubled or doubted
	CAUCE_TEST_STORM=1000 $(BIN)/pytest -q -s tests/chaos

bulk: $(STAMP) ## twenty thousand contacts enrolled in bulk while the worker is killed ten times: prints speed and memory
	CAUCE_TEST_BULK=20000 $(BIN)/pytest -q -s tests/recovery/test_bulk_kill.py

bench: $(STAMP) ## measure, as ratios to what is bare, into bench/results.json; some of it by ARGS="enrolling flowing"
	$(BIN)/python -m bench $(ARGS)

lock: $(BIN)/uv ## resolve requirements.lock anew from pyproject.toml; newer versions by ARGS=--upgrade
	$(BIN)/uv pip compile --quiet $(ARGS) --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--extra dev -o requirements.lock pyproject.toml
