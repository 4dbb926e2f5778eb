# `make run` and `make test` work alone in a fresh clone: they need only Python 3.11+ and make.
RECIPE ?= label_smoothing
ARGS ?=
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test lint lock clean

run: $(READY)
	@$(BIN)/python bench/run.py --recipe "$(RECIPE)" $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# uv from the PATH, else from the registry into the environment itself.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Python 3.11 to 3.13 is needed: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@uv=$$(command -v uv || echo $(BIN)/uv); \
	  VIRTUAL_ENV=$(abspath $(VENV)) $$uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock && \
	  VIRTUAL_ENV=$(abspath $(VENV)) $$uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Pin versions and hashes, no addresses. The exact pins stand here; pyproject.toml states the ranges.
lock:
	@printf 'torch==2.11.0\ntorchvision==0.26.0\nlightning==2.6.6\ntorchmetrics==1.9.0\nwandb==0.31.0\n' | \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra dev --constraints - pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV)
