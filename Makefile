# Every target sets up its environment by itself the first time, and again when the dependencies change.
PYTHON ?= python3
BIN := .venv/bin
PIP := -m pip install --quiet --disable-pip-version-check
# One thread in each of the two workers: more get in one another's way.
PYTEST := env OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal
MINIMUM := .venv-minimum/bin/python

# Of `make tiny`: the data to train on, and the folder of what the stages write.
SHARED ?= ../shared
WORK ?= build/tiny

.PHONY: demo test test-all test-minimum test-extras lint docs dist tiny

demo: .venv/installed
	@echo "Segmenting a photo of scikit-image with the embedded model:"
	$(BIN)/maskadapter segment .venv/lib/python3*/site-packages/skimage/data/camera.png \
		--classes "person, camera, sky, building, ground|grass|pavement" --output out

test: .venv/ready
	$(PYTEST) -m "not slow"

test-all: .venv/ready test-minimum
	$(PYTEST) --cov --cov-report=term:skip-covered

# The lowest versions of everything but PyTorch.
test-minimum: .venv-minimum/ready
	env OMP_NUM_THREADS=1 $(MINIMUM) -m pytest -W default -m "not slow" -n 2 --dist worksteal

# Each extra in an environment of its own: 8 minutes with a PyTorch for the CPU.
test-extras:
	$(PYTHON) tools/extras.py

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/lint_words.py

# The documentation site, in build/site.
docs: .venv/docs
	$(BIN)/python tools/documentation/make_site.py

# What is published: the sdist, and the wheel that is built from it.
dist: .venv/dist
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python tools/dist.py dist

# Rebuilds the embedded model, stage by stage: tools/tiny/README.md.
tiny: .venv/tiny
	$(MAKE) -f tools/tiny/Makefile PYTHON=$(BIN)/python SHARED=$(SHARED) WORK=$(WORK)

# What a user installs. pip shows what it fetches: that is most of the time of the first `make demo`.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	@echo "Installing maskadapter and its libraries into .venv; most of them is PyTorch:"
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

.venv/ready: .venv/installed
	$(BIN)/python $(PIP) --constraint constraints.txt --editable ".[dev]"
	touch $@

.venv/docs: .venv/installed
	$(BIN)/python $(PIP) --constraint constraints.txt --editable ".[docs]"
	touch $@

.venv/dist: .venv/installed
	$(BIN)/python $(PIP) build twine
	touch $@

.venv/tiny: .venv/ready tools/tiny/requirements.txt
	$(BIN)/python $(PIP) --constraint constraints.txt --requirement tools/tiny/requirements.txt
	touch $@

.venv-minimum/ready: pyproject.toml constraints-minimum.txt
	$(PYTHON) -m venv .venv-minimum
	$(MINIMUM) $(PIP) --constraint constraints-minimum.txt --editable ".[bulk,label,plot,serve,train,transformers,video]" \
		hypothesis import-linter "pytest>=9.0" pytest-xdist
	touch $@
