# Needs python3 (3.11 or newer) with pip or venv; everything else goes into .venv.

PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.ready
# What draws plots, and what builds the documents, comes on demand: an extra each.
PLOTS  := .venv/.extra-bench
DOCS   := .venv/.extra-docs
# The addresses of the servers that `make run` has started; only their owner can read it.
SERVERS := .run/servers.env
ARGS   ?=
# What `make soak` takes: for how long, and which faults; without a seed it draws one and tells it.
SECONDS ?= 120
SEED   ?=

.DEFAULT_GOAL := help
.PHONY: help setup run demo example psql migrate migrate-status test test-faults test-slow soak test-system test-mutants bench bench-peers check docs reference dist clean compose-up compose-down

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install the project and its tools into .venv

run: $(READY) ## start PostgreSQL, NATS, the relay and a demo writer; Ctrl-C drains and stops them
	@mkdir -p .run && exec $(BIN)/outbox-notify demo --servers-file $(SERVERS) --psql "make psql" $(ARGS)

demo: $(READY) ## account for a number of events: make demo ARGS="--events 1000 --json"
	@exec $(BIN)/outbox-notify demo $(ARGS)

example: $(READY) ## walk through a service that writes events, with its relay and its consumer
	@exec $(BIN)/python -m examples.inventory.walkthrough

psql: $(READY) ## open psql on the servers of `make run`, from a second terminal
	@exec $(BIN)/python -m outbox_notify.embedded.psql $(SERVERS) $(ARGS)

migrate: $(READY) ## bring OUTBOX_DATABASE_URL up to date, or else the servers of `make run`
	@$(with_servers) exec $(BIN)/outbox-notify migrate up $(ARGS)

migrate-status: $(READY) ## show which migrations are applied, with the same choice of database
	@$(with_servers) exec $(BIN)/outbox-notify migrate status $(ARGS)

test: $(READY) ## run the test suite in some eight minutes: make test ARGS="-k wake"
	$(BIN)/python -m pytest -m "not system and not slow" $(ARGS)

test-faults: $(READY) ## run every numbered fault case, also those that take minutes, and print their table
	$(BIN)/python -m pytest -m "fault and not system" --cases $(ARGS)

test-slow: $(READY) ## run what takes long beside the fault cases: less than ten minutes
	$(BIN)/python -m pytest -m "slow and not fault and not system" $(ARGS)

soak: $(READY) ## let random faults loose for a while: make soak SECONDS=120 SEED=7 ARGS="--plain-stream --json"
	@exec $(BIN)/python -m tests.soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

test-system: $(READY) ## run the tests that need pgbouncer, promtool, systemd-analyze and root
	@for tool in pgbouncer promtool systemd-analyze; do \
	    command -v $$tool >/dev/null || { echo "make test-system needs $$tool: install it and put it on the PATH" >&2; missing=1; }; \
	done; [ -z "$$missing" ]
	$(BIN)/python -m pytest -m system $(ARGS)

test-mutants: $(READY) ## plant every known bug in a copy of the checkout and show which test catches it
	$(BIN)/python -m tests.mutants $(ARGS)

bench: $(if $(findstring --plots,$(ARGS)),$(PLOTS),$(READY)) ## measure it against a bare loop: make bench ARGS="--only drain --json out.json --plots plots"
	@exec $(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(READY) ## drain a backlog with other relays as well: make bench-peers ARGS="--events 20000 --runs 5"
	@exec $(BIN)/python -m benchmarks.peers $(ARGS)

check: $(READY) ## lint, format, types and layers, as in CI
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS) ## build the documents into site/; a broken link or a page that is nowhere in the list is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet $(ARGS)

reference: $(READY) ## write the pages of docs/reference that come from the code
	@exec $(BIN)/python -m tests.reference

dist: $(READY) ## build wheel and sdist into dist/
	$(BIN)/python -m hatchling build -d dist

clean: ## remove both environments, builds, caches and what make run left
	rm -rf .venv .venv-peers .run dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

compose-up: ## the same with Docker: PostgreSQL, NATS, migrations and the relay
	docker compose up --build --detach --wait

compose-down: ## stop the containers and remove their data
	docker compose down --volumes

with_servers = [ -n "$$OUTBOX_DATABASE_URL" ] || [ ! -f $(SERVERS) ] || . ./$(SERVERS);

# Debian's python3 comes without ensurepip unless python3-venv is installed, and without pip unless python3-pip
# is: either is enough. pip goes by PIP_CONSTRAINT also for what it builds with.
$(READY): pyproject.toml constraints.txt
	@{ $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || { echo "outbox-notify needs Python 3.11 or newer as $(PYTHON): apt-get install python3, or make PYTHON=..."; exit 1; }; \
	  echo "Setting up .venv; the first time it downloads about 80 MB."; \
	  if $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -m venv --clear --without-pip .venv && pip="$(PYTHON) -m pip --python $(BIN)/python"; \
	  elif $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	    $(PYTHON) -m venv --clear .venv && pip="$(BIN)/python -m pip"; \
	  else \
	    echo "setting up needs pip or venv: apt-get install python3-venv python3-pip"; exit 1; \
	  fi \
	  && PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
	     $$pip install --quiet --editable '.[embedded,dev]' \
	  && touch $@; } >&2

.venv/.extra-%: $(READY)
	@if $(PYTHON) -m pip --version >/dev/null 2>&1; then pip="$(PYTHON) -m pip --python $(BIN)/python"; \
	  else pip="$(BIN)/python -m pip"; fi; \
	  PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
	    $$pip install --quiet --editable '.[embedded,dev,$*]' >&2 && touch $@
