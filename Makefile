# `make help` lists the targets. Everything runs in .venv, made from requirements/dev.txt, or for `make run` from the
# smaller requirements/run.txt (hash-checked).

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
RUN_STAMP := .venv/.installed-to-run
SOURCES := app devtools tests alembic requirements benchmarks

.DEFAULT_GOAL := help
.PHONY: help install run test test-quick clients check api-diff drills bench fuzz format lock migration feature docs clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' $(MAKEFILE_LIST) | awk '{n=$$1; $$1=""; printf "  make %-11s%s\n", n, $$0}'

install: $(STAMP) ## Make .venv from the lock (other targets do it when needed)

# What a lock names that is there is left alone; so `make run` after `make test` installs nothing. Packages are compiled
# without the columns of their lines, which nobody needs and which each process would hold.
define installed
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "taller: Python 3.11 or newer is needed; name one: make PYTHON=python3.13 …" >&2; exit 1; }
	@echo "taller: installing $$(grep -c '^[a-z].*==' $(1)) locked packages into .venv"
	@export PYTHONNODEBUGRANGES=1; if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) .venv && \
		uv pip $(2) $(1) --compile-bytecode --python $(BIN)/python --require-hashes && \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
		$(PYTHON) -m venv .venv && \
		$(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r $(1) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
endef

$(STAMP): requirements/dev.txt pyproject.toml app/__init__.py
	$(call installed,requirements/dev.txt,sync)
	@touch $(STAMP) $(RUN_STAMP)

$(RUN_STAMP): requirements/run.txt pyproject.toml app/__init__.py
	$(call installed,requirements/run.txt,install --no-deps -r)
	@touch $(RUN_STAMP)

run: $(RUN_STAMP) ## Serve on http://127.0.0.1:8000 with an embedded PostgreSQL, ready to use
	@exec $(BIN)/taller dev

test: $(STAMP) ## Run the whole suite on a real PostgreSQL of its own (or with options=--pgbouncer)
	@$(BIN)/python -m pytest -n auto $(options)

test-quick: $(STAMP) ## Run all tests but the slow ones, which start processes or take seconds by design
	@$(BIN)/python -m pytest -n auto -m "not slow and not compiled" $(options)

clients: $(STAMP) ## Try what TypeScript, Go and Java are needed for, too: generated clients (docs/api/clients.md), api-diff
	@$(BIN)/python -m pytest -n auto -m "compiled or not compiled" \
		tests/contract/test_clients.py tests/contract/test_api_diff.py $(options)

check: $(STAMP) ## Formatting, lint, types, import contracts, migrations, lock up to date, the OpenAPI document
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/ty check --quiet
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m devtools.lint_migrations
	@$(BIN)/python requirements/lock.py --check
	@$(BIN)/python -m tests.support.tools
	@$(BIN)/python -m tests.support.api_diff

api-diff: $(STAMP) ## Name the breaking changes of the API since the last release (needs Go)
	@$(BIN)/python -m tests.support.api_diff

drills: $(STAMP) ## Run all drills (deploy/drills), which take an hour or so; or some: make drills only="backup ha"
	@deploy/drills $(only)

bench: $(STAMP) ## Measure against other stacks (benchmarks/README.md): make bench options="--quick"
	@$(BIN)/python -m benchmarks $(options)

fuzz: $(STAMP) ## Try new cases on the OpenAPI document, as everybody who may call (or with options="--seed=…")
	@$(BIN)/python -m tests.contract.fuzz $(options)

format: $(STAMP) ## Format the code and mend what lint can mend
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

lock: $(STAMP) ## Rewrite requirements/ after a change of dependencies
	@$(BIN)/python requirements/lock.py

migration: $(STAMP) ## Draft a migration from the models: make migration name="add labels"
	@$(BIN)/taller migration "$(name)"

feature: $(STAMP) ## Lay a new feature from the template: make feature name=notes
	@$(BIN)/python -m devtools.new_feature $(name)

docs: $(STAMP) ## Rewrite what is written from the code: the errors, the OpenAPI document, the index of docs/
	@$(BIN)/python -m devtools.docs

clean: ## Remove .venv and caches (the data in .taller stays)
	@rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
