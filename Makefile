# make repro: set up and run the main job.  make test: set up and pass the tests.
.PHONY: repro test lint up tour notebooks bench docs clean help
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
export PATH := $(CURDIR)/$(BIN):$(PATH)

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@# The pip that comes with Python 3.11 searches for many minutes where this one takes half of one.
	$(PIP) install -q --upgrade pip==26.3

.venv/run: requirements.txt requirements-data.txt constraints.txt pyproject.toml | $(BIN)/python
	@echo "installing packages: about 4 minutes, 2.1 GB"
	$(PIP) install -q -c constraints.txt -r requirements.txt -r requirements-data.txt
	$(PIP) install -q --no-deps -e .
	@$(BIN)/python -m compileall -q workbench
	@touch $@

.venv/dev: requirements-dev.txt requirements-nodeps.txt .venv/run
	@echo "installing tests, notebooks and dashboards: about 2 minutes, 1 GB more"
	$(PIP) install -q -c constraints.txt -r requirements-dev.txt
	$(PIP) install -q --no-deps -r requirements-nodeps.txt
	@touch $@

repro: .venv/run  ## set up and run the main job: every pipeline to a release
	workbench repro

test: .venv/dev  ## set up and pass the tests
	pytest -q -n 2 --dist worksteal tests

lint: .venv/dev  ## format, lint, types, layers, notebooks
	ruff format --check .
	ruff check .
	pyright
	lint-imports
	workbench check

up: .venv/dev  ## MLflow, server, dashboards and notebooks together, until Ctrl-C
	workbench up

tour: .venv/dev  ## ten minutes in the browser, for a beginning; sets up
	marimo run notebooks/tour.py

notebooks: .venv/dev  ## the notebook editor
	marimo edit pipelines

bench: .venv/dev  ## the benchmark table: ours and the others in one run
	python -m benchmarks

docs: .venv/dev  ## build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 mkdocs build -q --strict

clean:  ## remove the environment and everything that can be made again
	rm -rf .venv site build *.egg-info
