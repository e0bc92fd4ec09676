# kdsweep: `make` explains the targets.
#
# pip and not uv, on purpose. Without a GPU, torch should come as its CPU build, 2.13.0+cpu; the build
# without a suffix brings gigabytes of CUDA packages. pip takes the CPU build wherever its own
# configuration (pip.conf, PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL) offers one, because 2.13.0+cpu sorts
# above 2.13.0. uv does not read that configuration. The pin in constraints.txt keeps a later 2.13.x
# without CPU build from winning.

PYTHON ?= python3
STUDY ?= csi-feedback
ARGS ?=

# A file's tests share what is slow to make, so they stay in one process. In what order files come,
# and how many processes there are, tests/conftest.py decides.
TESTS := --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

BIN := .venv/bin
INSTALLED := .venv/installed
DOCS_INSTALLED := .venv/docs-installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Compiled code is kept, whatever the shell has set: tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install locked sweep test fast types tests thorough format docs lock clean

help:
	@echo 'make sweep    set up .venv if need be, run the study csi-feedback, write its report'
	@echo '              other studies: make sweep STUDY=csi-tables-short ARGS="--time 5m"'
	@echo 'make test     set up .venv if need be, then the whole gate: ruff, mypy, all tests'
	@echo 'make fast     the gate without the slow tests; make types: mypy alone, make tests: tests alone'
	@echo 'make thorough the quick tests, with 33 times as many examples of their laws'
	@echo 'make format   let ruff format the code'
	@echo 'make docs     build the site into docs/_build/html; a warning or a dead link inside is an error'
	@echo 'make install  only set up .venv; make PYTHON=python3.12 install takes another Python'
	@echo 'make locked   set up .venv for running alone, each file with a known hash (CPU, Python 3.11)'
	@echo 'make lock     renew deploy/requirements.lock after a change of constraints.txt'
	@echo 'make clean    remove .venv and docs/_build'
	@echo
	@echo 'Once installed, everything works offline. The command is $(BIN)/kdsweep; try --help.'

# Made anew only when what is to be installed has changed.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and \
	  sys.exit("kdsweep needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(INSTALLED)

# Without the tools of the gate, which the list does not have. Its torch is the CPU build, and its
# hashes are those of files for Python 3.11 on Linux: elsewhere pip refuses, and install is the way.
locked:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: \
	  --requirement deploy/requirements.lock
	$(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation --editable .

sweep: $(INSTALLED)
	$(BIN)/kdsweep run $(STUDY) $(ARGS)

test: $(DOCS_INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --jobs 2 types tests OPTIONS='--durations 30'

fast: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --jobs 2 types tests OPTIONS="-m 'not slow'"

# Beside each other: some tests wait, and leave a core idle.
types: $(INSTALLED)
	$(BIN)/mypy

# Tests start hundreds of processes, which keep what they compile for each other.
tests: $(INSTALLED)
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest $(TESTS) $(OPTIONS)

thorough: $(INSTALLED)
	$(BIN)/pytest $(TESTS) -m 'not slow' --hypothesis-profile thorough --timeout 1200

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: $(DOCS_INSTALLED)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky --builder html docs docs/_build/html
	@echo 'docs/_build/html/index.html'

# Where pip's configuration offers the CPU build of torch, as above. No index is named in the list.
lock:
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/pip install --quiet pip-tools==7.6.2
	CUSTOM_COMPILE_COMMAND='make lock' .venv/lock/bin/pip-compile --quiet --generate-hashes \
	  --extra cluster --all-build-deps --allow-unsafe --strip-extras --no-annotate \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --constraint constraints.txt --output-file deploy/requirements.lock pyproject.toml

clean:
	rm -rf .venv docs/_build
