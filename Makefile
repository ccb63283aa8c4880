# Two commands do all set-up: `make demo` and `make test`. Every target makes .venv first and is safe to repeat.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: demo test lint tracker bench check clean

demo: $(VENV)/.run
	@$(BIN)/coursesignal demo $(ARGS)

check: $(VENV)/.run
	@$(BIN)/coursesignal demo --check $(ARGS)

# A file's tests stay together: each process that runs tests has a PostgreSQL of its own, each file a database.
test: lint tracker
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tracker: $(VENV)/.dev
	@$(BIN)/python hatch_build.py

bench: $(VENV)/.run
	@$(BIN)/coursesignal bench $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# Building what .run depends on may need Node for a moment; pip fetches it by itself (hatch_build.py).
$(VENV)/.run: $(VENV)/bin/python pyproject.toml constraints.txt hatch_build.py core/package-lock.json \
		core/coursesignal/tracking/static/t.js
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run tests/sample_plugin/pyproject.toml
	$(PIP) install -q -c constraints.txt -e '.[dev]' -e tests/sample_plugin
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache dist build
