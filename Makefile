# Two commands for a newcomer: `make demo` and `make test`. Everything is installed below this folder,
# except the browser, which comes from the system's packages.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
# uv does not byte-compile by itself, and an uncompiled environment starts 2-3 times slower for ever.
UV := UV_COMPILE_BYTECODE=1 $(BIN)/uv pip install --quiet --python $(BIN)/python
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome || true)
export CHROMIUM
PYTEST_ARGS ?=
# Two workers, a file each: most tests wait for a compiler, a disk or a process half of the time. Browser tests
# measure what is felt, so they have the machine for themselves.
UNIT := $(BIN)/python -m pytest -m "not e2e" -n 2 --dist loadfile $(PYTEST_ARGS)
E2E := $(BIN)/python -m pytest -m e2e $(PYTEST_ARGS)
# `make test PYTEST_ARGS="-k word"` may leave one of the two without tests, which pytest says by 5.
OR_NONE := $(if $(strip $(PYTEST_ARGS)),|| [[ $$? = 5 ]])

.PHONY: help setup browser bundle demo test torch pythons lint format types js unit e2e bench fuzz docs readme build clean

help:  ## show this list
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

setup: $(STAMPS)/python bundle browser  ## install everything that the other commands need

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/python: $(STAMPS)/venv pyproject.toml js/hatch_build.py
	@command -v c++ >/dev/null || command -v g++ >/dev/null \
	  || echo "No C++ compiler found: hnswlib will not build (Debian: apt-get install g++; macOS: xcode-select --install)."
	$(UV) -e '.[test,lint]'
	@touch $@

bundle: $(STAMPS)/python  ## build the browser bundle if its sources changed
	@$(BIN)/python js/bundle.py
	@$(BIN)/python js/bundle.py --install-only >/dev/null

browser:
	@if [[ -n "$(CHROMIUM)" ]]; then :; \
	elif [[ "$$(id -u)" = 0 ]] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    chromium fonts-dejavu-core fonts-noto-color-emoji >/dev/null; \
	else \
	  echo "No Chromium found. The browser tests and the headless demo need one: install the package"; \
	  echo "'chromium' with your system's package manager, or set CHROMIUM=/path/to/chromium."; \
	fi

demo: setup  ## the quickstart in JupyterLab; HEADLESS=1 runs it without a screen and writes demo/
	@PYTHONPATH=tests $(BIN)/python -m e2e.demo $(if $(HEADLESS),--headless)

test: setup lint js $(if $(CI),torch)  ## linters, types, JavaScript tests, Python tests, browser tests
	$(UNIT) $(OR_NONE)
	$(E2E) $(OR_NONE)

lint: $(STAMPS)/python  ## ruff, formatting, mypy, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMPS)/python  ## let ruff fix and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

js: bundle  ## TypeScript types and unit tests
	cd js && npm run --silent check
	cd js && npm run --silent test

unit: setup  ## Python tests without a browser
	$(UNIT)

e2e: setup  ## browser tests: JupyterLab, Notebook 7, marimo
	$(E2E)

# PyTorch takes 5 GB with what it brings: its tests have an environment of their own, and run by themselves in CI only.
torch: $(STAMPS)/python  ## tests of the PyTorch adapter, in an environment of their own
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(VENV)/torch
	@if $(BIN)/uv pip install --quiet --python $(VENV)/torch/bin/python -e '.[torch,clip]' pytest pytest-timeout; then \
	  $(VENV)/torch/bin/python -m pytest -q tests/embeddings/test_torch_embedders.py; \
	else echo "PyTorch cannot be installed here: the tests of its adapter are left out."; fi

PYTHONS ?= 3.12 3.13
pythons: $(STAMPS)/python  ## Python tests on the other versions that are named; PYTHONS="3.12 /path/to/python3.13"
	@for python in $(PYTHONS); do \
	  place=$(VENV)/other/$$(basename $$python); \
	  $(BIN)/uv venv --quiet --allow-existing --python $$python $$place; \
	  $(BIN)/uv pip install --quiet --python $$place/bin/python -e '.[test]'; \
	  $$place/bin/python -m pytest -q -m "not e2e" -n 2 --dist loadfile $(PYTEST_ARGS); \
	done

$(STAMPS)/bench: $(STAMPS)/python
	$(UV) -e '.[bench]'
	@touch $@

bench: setup $(STAMPS)/bench  ## speed and size as ratios to peers and limits; ONLY=name runs one
	nice -n 5 $(BIN)/python benchmarks/run.py $(ONLY)

FUZZ_SECONDS ?= 120
fuzz: $(STAMPS)/python  ## fuzz the readers of labels by coverage; FUZZ_SECONDS=120 each
	@for kind in coco voc yolo yaml frame label_studio cvat; do \
	  $(BIN)/python tests/fuzz_readers.py $$kind -max_total_time=$(FUZZ_SECONDS) -verbosity=0 || exit 1; \
	done

docs: $(STAMPS)/python  ## the documentation site in build/site, warnings as errors
	NO_MKDOCS_2_WARNING=1 TQDM_DISABLE=1 $(BIN)/mkdocs build --strict --quiet && echo "build/site/index.html"

readme: setup  ## refresh what is generated: the table in docs/guides/metrics.md and the screenshot of README.md
	$(BIN)/python tests/readme_tables.py --write >/dev/null
	PYTHONPATH=tests $(BIN)/python -m e2e.demo --headless
	cp demo/quickstart.png examples/quickstart.png

build: setup  ## source distribution and wheel in dist/
	rm -rf dist && $(BIN)/uv build --quiet --python $(BIN)/python --out-dir dist && ls -l dist

clean:  ## remove what was built; `make clean all=1` also the environment
	rm -rf dist build demo encord_active_widgets/static tests/e2e/.shots examples/digits examples/scenes examples/work examples/*.eaw \
	  .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis js/coverage
	find encord_active_widgets tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
	$(if $(all),rm -rf $(VENV) js/node_modules)
