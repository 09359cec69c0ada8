# Every target sets up .venv by itself the first time, and again when the dependencies change.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test test-all lint

demo: $(READY)
	$(BIN)/maskadapter segment .venv/lib/python3*/site-packages/skimage/data/coffee.png \
		--classes "cup, saucer|plate, table, spoon" --output out

test: $(READY)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@
