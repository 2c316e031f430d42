# The commands of the project. Each sets up what it needs in .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
THREADS := OMP_NUM_THREADS=1
APT := DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -o Acquire::Retries=0 -o Acquire::http::Timeout=20

.PHONY: study test test-slow test-oldest test-newest lint docs bench dist compilers browser clean

$(STAMP): pyproject.toml constraints.txt weights/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all]"
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable ./weights
	touch $(STAMP)

study: $(STAMP)  ## The main job: an ablation study on the shipped jets, with a table and a report.
	$(BIN)/lorentzoo study run examples/studies/quickstart.yaml --out runs/quickstart

test: $(STAMP)  ## All quick tests, two at a time.
	$(THREADS) $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

compilers:  ## gcc, g++ and gfortran for the tests of exported source, where apt may install them; else these are skipped.
	@for tool in gcc g++ gfortran; do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  $(APT) update -qq > /dev/null 2>&1; $(APT) install -y -qq $$missing > /dev/null 2>&1; fi; \
	for tool in $$missing; do command -v $$tool > /dev/null || echo "no $$tool: tests that need it are skipped"; done

browser:  ## Debian's chromium for the tests of pages, where apt may install it; else these are skipped.
	@if ! command -v chromium > /dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  $(APT) update -qq > /dev/null 2>&1; $(APT) install -y -qq --no-install-recommends chromium > /dev/null 2>&1; fi; \
	command -v chromium > /dev/null || echo "no chromium: tests that need it are skipped"

dist: $(STAMP)  ## Wheels and source archives of both distributions, checked, with a bill of materials; known flaws where a network is there.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[release]"
	rm -rf dist
	for part in . weights; do $(BIN)/python -m build --no-isolation --outdir dist $$part > /dev/null || exit 1; done
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml -o dist/sbom.cdx.json $(BIN)/python
	$(BIN)/pip-audit --skip-editable --progress-spinner off || echo "pip-audit found flaws, or there is no network"

test-oldest:  ## Tests of the core on the oldest Python and packages that pyproject.toml allows.
	$(call versions,oldest,$(OLDEST),--resolution lowest-direct)

test-newest:  ## The same on the newest ones.
	$(call versions,newest,$(NEWEST),--upgrade)

# Packages that others depend on may be newer than the oldest ones expect, and say so in warnings.
define versions
	$(MAKE) --no-print-directory $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv venv --quiet --allow-existing --no-python-downloads --python $(2) .venv-$(1)
	VIRTUAL_ENV=.venv-$(1) $(BIN)/uv pip install --quiet $(3) \
	  --editable ".[train,substructure,generative,readers,nflows,scale]" "pytest>=8.3" "pytest-xdist>=3.6" "hypothesis>=6.115" "pandas>=2.2"
	$(THREADS) .venv-$(1)/bin/python -m pytest -n 2 --dist loadfile -m "not slow" -p no:cacheprovider -W ignore::DeprecationWarning \
	  -W ignore::PendingDeprecationWarning -W ignore::FutureWarning -W 'ignore:Guards may run slower' $(VERSION_TESTS)
endef
# Versions or paths of the interpreters.
OLDEST ?= 3.10
NEWEST ?= 3.13
VERSION_TESTS := tests/core tests/densities tests/registry tests/tasks tests/training tests/plugins/lgatr tests/plugins/lloca

test-slow: $(STAMP)  ## The long tests.
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)  ## Style, types, and who may import whom.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)  ## The site, in site/, with the catalogue of the zoo.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(THREADS) $(BIN)/lorentzoo catalogue --out site/catalogue > site/catalogue/log.txt 2>&1 || { cat site/catalogue/log.txt; exit 1; }
	rm site/catalogue/log.txt

bench: $(STAMP)  ## Side by side with the published packages.
	for script in benchmarks/*.py; do $(THREADS) $(BIN)/python $$script || exit 1; done
	$(THREADS) $(BIN)/python benchmarks/lgatr.py --curve

clean:
	rm -rf $(VENV) site build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
