# The commands of the project. Each sets up what it needs in .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
THREADS := OMP_NUM_THREADS=1

.PHONY: study test test-slow lint docs bench clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all]"
	touch $(STAMP)

study: $(STAMP)  ## The main job: an ablation study on the shipped jets, with a table and a report.
	$(BIN)/lorentzoo study run examples/studies/quickstart.yaml --out runs/quickstart

test: $(STAMP)  ## All quick tests, two at a time.
	$(THREADS) $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(STAMP)  ## The long tests.
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)  ## Style, types, and who may import whom.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)  ## The site, in site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(STAMP)  ## Side by side with the published packages.
	for script in benchmarks/*.py; do $(THREADS) $(BIN)/python $$script || exit 1; done
	$(THREADS) $(BIN)/python benchmarks/lgatr.py --curve

clean:
	rm -rf $(VENV) site build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
