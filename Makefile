# Two commands do all set-up: `make demo` and `make test`. Every target makes .venv first and is safe to repeat.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: demo test lint bench check clean

demo: $(VENV)/.run
	@$(BIN)/coursesignal demo $(ARGS)

check: $(VENV)/.run
	@$(BIN)/coursesignal demo --check $(ARGS)

test: lint
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.run
	@$(BIN)/coursesignal bench $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run tests/sample_plugin/pyproject.toml
	$(PIP) install -q -c constraints.txt -e '.[dev]' -e tests/sample_plugin
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache dist build
