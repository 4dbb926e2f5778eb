# `make run` and `make test` work alone in a fresh clone: they need only Python 3.11+ and make.
RECIPE ?= label_smoothing
ARGS ?=
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
INSTALL = VIRTUAL_ENV=$(abspath $(VENV)) $$(command -v uv || echo $(BIN)/uv) pip install --quiet

.PHONY: run test lint lock clean

run: $(RUN)
	@$(BIN)/python bench/run.py --recipe "$(RECIPE)" $(ARGS)

test: $(DEV)
	@$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal $(ARGS)

lint: $(DEV)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# What a run needs. uv from the PATH, else from the registry into the environment itself.
$(RUN): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Python 3.11 to 3.13 is needed: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(INSTALL) --compile-bytecode --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

# What tests and lint need besides: the same pins, the extras and the tools.
$(DEV): requirements-dev.lock $(RUN)
	@$(INSTALL) --compile-bytecode --require-hashes -r requirements-dev.lock
	@touch $@

# Versions and hashes, no addresses. The exact pins stand here; pyproject.toml states the ranges. What is in a lock already
# stays at its version; the smaller lock takes its versions from the larger.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml
lock:
	@printf 'torch==2.11.0\ntorchvision==0.26.0\nlightning==2.6.6\ntorchmetrics==1.9.0\nwandb==0.31.0\n' | \
	  $(LOCK) --extra dev --constraints - -o requirements-dev.lock
	@$(LOCK) --constraints requirements-dev.lock -o requirements.lock

clean:
	rm -rf $(VENV)
