# `make demo` runs the main job on bundled data; `make test` runs the tests. Both make .venv first.
#
#   PYTHON=python3.12    the Python that .venv is made with (3.11 or newer)
#   TORCH_INDEX=URL      take torch from another index, such as one with CPU-only builds

PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3)
VENV := .venv
BIN := $(VENV)/bin
TOOLS := $(VENV)/tools
# Two workers with one thread each: more threads than cores make small matrices slower, not faster.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-long lint types lock audit bench clean

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## fit two bundled data sets and write demo-report/
	$(BIN)/bayeshyper demo --output demo-report --force

test: $(VENV)/.installed  ## run the tests, but for those that take minutes
	$(PYTEST) -m "not long and not bench"

test-long: $(VENV)/.installed  ## run the tests that take minutes
	$(PYTEST) -m long || test $$? -eq 5  # 5: there are none

lint: $(VENV)/.installed  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed  ## check types
	$(BIN)/mypy

lock: $(TOOLS)/.installed  ## write locks/ from pyproject.toml and constraints.txt
	$(TOOLS)/bin/python locks/make.py

audit: $(TOOLS)/.installed  ## look for known vulnerabilities in what is locked, and for stale locks
	$(TOOLS)/bin/python locks/audit.py
	$(TOOLS)/bin/python locks/make.py --check

bench: $(VENV)/.installed  ## time a training step against the same arithmetic in plain torch
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m bench -rP || test $$? -eq 5

clean:  ## remove .venv and everything that can be made again
	rm -rf $(VENV) build dist demo-report .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt $(wildcard locks/*)
	@echo "Installing bayeshyper into $(VENV); with torch, this takes minutes the first time"
	@$(BIN)/python locks/install.py $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))
	@touch $@

$(TOOLS)/.installed: $(VENV)/.made locks/tools.txt
	@$(BIN)/python -m venv --clear $(TOOLS)
	@$(TOOLS)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --no-deps \
		--only-binary :all: -r locks/tools.txt
	@touch $@

# The first Python that runs, is new enough and can make a venv; where there is none, what stood in the way.
$(VENV)/.made:
	@for python in $(PYTHONS); do \
		"$$python" -c "" 2>/dev/null || continue; \
		"$$python" -c "import sys; sys.exit(sys.version_info < (3, 11))" \
			|| { old="$$python is $$("$$python" --version 2>&1)"; continue; }; \
		"$$python" -c "import ensurepip, venv" 2>/dev/null || { bare="$$python"; continue; }; \
		echo "Making $(VENV) with $$("$$python" --version)"; \
		"$$python" -m venv --clear $(VENV) && touch $@; exit; \
	done; \
	if [ -n "$$bare" ]; then \
		echo "bayeshyper needs Python's venv module, and $$bare has none: install it (on Debian and Ubuntu," \
			"apt install python3-venv), or name another Python: make PYTHON=/path/to/python3"; \
	elif [ -n "$$old" ]; then \
		echo "bayeshyper needs Python 3.11 or newer, and $$old: install a newer one," \
			"or name it: make PYTHON=/path/to/python3"; \
	else \
		echo "bayeshyper needs Python 3.11 or newer, and none of these runs: $(PYTHONS)." \
			"Install one, or name it: make PYTHON=/path/to/python3"; \
	fi >&2; exit 1
