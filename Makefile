# From a fresh clone to a running system: needs make and python3 (3.11 or newer), and fetches the rest into .tools and
# .venv of this folder. What they fetch comes from wherever pip, uv and Go are told to look on this machine.

PYTHON ?= python3
UV_VERSION := 0.13.9
# Tests wait more than they compute: a few more workers than the two cores that they are planned for.
JOBS ?= 4

BIN := .venv/bin
UV := .tools/bin/uv
SOURCES := $(wildcard libs/*/src services/*/src)
# Examples in prose are laid out by hand.
CODE := libs services tests --exclude '*.md'
empty :=
space := $(empty) $(empty)
# Where the import's name isn't the distribution's.
LIBRARIES := $(filter-out certbus,$(notdir $(wildcard libs/*)))
MODULES := certbus-cli=certbus$(subst $(space),,$(foreach name,$(LIBRARIES),,certbus-$(name)=$(name)))
# Longer than this, in seconds, `make test` may not take on two cores. Give a slower machine more.
LIMIT_S ?= 1200
PARTS := $(notdir $(patsubst %/,%,$(filter-out %__pycache__/,$(wildcard tests/proofs/*/))))
# A seed of one's own choice, or a fresh one: printed, and to be given again.
seeded = seed=$${SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}

MANIFESTS := pyproject.toml uv.lock $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)

# Python is the one found below; uv neither fetches another one nor picks one by itself.
export UV_PYTHON_DOWNLOADS := never

# Compiled modules are kept: without them each process spends seconds of its start on compiling.
unexport PYTHONDONTWRITEBYTECODE

on = $(filter-out 0 no false,$(1))
off = $(filter 0 no false,$(1))

.DEFAULT_GOAL := help
.PHONY: help run test unit fuzz prove check deps format clean

help: ## print this help
	@awk -F ' *## *' '/^[a-z]+:.*##/ { sub(/:.*/, "", $$1); printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run ONCE=1             play the story, print its table, stop; exit code 0 if everything in it holds"
	@echo "  make run KUBERNETES=1       give both sites a real Kubernetes API server"
	@echo "  make run WITHOUT=issuer     leave that service to you: print how to run it, wait for it"
	@echo "  make run KNOT=0             take the CA's test server for all DNS, even where Knot is installed"
	@echo "  make run CERTBUS_HOME=DIR   keep the state there instead of in .certbus"
	@echo "  make test T='tests/unit -k name'   run only what is named"
	@echo "  make test LIMIT_S=1800      let all of it take that many seconds; 1200 by default"
	@echo "  make fuzz SEED=N EXAMPLES=N T=FILE   the same examples again, more of them, only of one file"
	@echo "  make prove PART=NAME SEED=N one of: $(PARTS); T=NAME for those of its tests whose names hold that"

run: .venv/.synced ## start the whole system on this machine, and play its story
	@$(BIN)/certbus run $(if $(call on,$(ONCE)),--once) $(if $(call on,$(KUBERNETES)),--kubernetes) $(if $(WITHOUT),--without $(WITHOUT)) $(if $(call off,$(KNOT)),--no-knot)

test: .venv/.synced ## run every test, against real servers
	LIMIT_S=$(LIMIT_S) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(T)

unit: .venv/.synced ## run the fast tests, which need no server
	$(BIN)/python -m pytest -m "not integration" tests/architecture tests/contracts tests/unit $(T)

fuzz: .venv/.synced ## give the properties many fresh examples
	@$(seeded); echo "make fuzz SEED=$$seed"; \
	    EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(JOBS) -m hypothesis --hypothesis-profile=fuzz \
	    --hypothesis-seed=$$seed $(or $(T),tests/contracts tests/unit)

prove: .venv/.synced ## run one of the long proofs: PART=NAME
	@test -n "$(filter $(PART),$(PARTS))" || { echo "PART must be one of: $(PARTS)" >&2; exit 2; }
	@$(seeded); echo "make prove PART=$(PART) SEED=$$seed"; \
	    CERTBUS_SEED=$$seed $(BIN)/python -m pytest -s tests/proofs/$(PART) $(if $(T),-k '$(T)')

check: deps ## look for what tools find: format, lint, types, imports
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	@# Migrations are loaded by path and are no modules with names of their own.
	$(BIN)/mypy --exclude '/migrations/' $(SOURCES) tests
	$(BIN)/lint-imports --no-logo

deps: .venv/.synced ## look for imports that a package uses and doesn't declare
	@# What is loaded by name (a database driver, a template engine) looks unused: DEP002 is left out.
	@for folder in libs/* services/*; do \
	    told=$$(cd $$folder && "$(CURDIR)/$(BIN)/deptry" src --ignore DEP002 --package-module-name-map $(MODULES) 2>&1) \
	        || { echo "$$folder: $$told"; failed=1; }; \
	done; exit $${failed:-0}

format: .venv/.synced ## format the code, and mend what the linter can
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

clean: ## remove what was installed and cached in this folder; .certbus stays
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find libs services tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.synced: $(MANIFESTS) .tools/.uv-$(UV_VERSION)
	$(UV) sync --locked --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	@touch $@

.tools/.uv-$(UV_VERSION):
	@command -v $(PYTHON) >/dev/null || { echo "certbus needs Python 3.11 or newer, and there is no $(PYTHON)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "certbus needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1): say make PYTHON=python3.X" >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	        apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes python3-venv >/dev/null; \
	    else \
	        echo "$(PYTHON) lacks ensurepip: install it with apt-get install python3-venv" >&2; exit 1; \
	    fi; }
	$(PYTHON) -m venv --clear .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@
