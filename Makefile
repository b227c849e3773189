# A machine with Python ≥ 3.11 and make needs nothing else: `make demo`, `make test`.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# Tests are many and small: two processes of one thread each beat one process of two threads.
WORKERS ?= 2
tests: export OMP_NUM_THREADS = 1
tests: export NUMBA_NUM_THREADS = 1

.PHONY: demo test lint types layers tests docs page clean

demo: $(STAMP)
	rm -rf demo
	$(BIN)/cryomix demo -o demo

test: lint types layers docs tests

lint: $(STAMP)
	$(BIN)/ruff format --check src tests benchmarks fuzz docs
	$(BIN)/ruff check src tests benchmarks fuzz docs

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

tests: $(STAMP)
	$(BIN)/pytest -n $(WORKERS)

docs: $(STAMP)
	$(BIN)/sphinx-build -q -W --keep-going docs build/docs

# The page of `cryomix view`; only who changes viewer-ui/ needs Node (20.19 or newer) and this.
page:
	cd viewer-ui && npm ci --no-audit --no-fund && npm run build

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cryomix needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt -e ".[dev]"
	touch $(STAMP)

clean:
	rm -rf .venv demo build dist viewer-ui/node_modules
