# `make run` and `make test` are all there is to know; `make help` lists the rest.

VENV := .venv
PYTHON := $(VENV)/bin/python
DATA := $(or $(DATA_DIR),.data)

# What the tools read when they load the settings; they serve nobody and open no database.
TOOLS := SECRET_KEY=tools DEBUG=True

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup run test check format lint types layers migrations bench-api-keys bench-billing bench-gateway bench-usage pins clean

help: ## List what can be made.
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /: /' | column -t -s :

setup: $(VENV)/dev ## Install everything, for running and for developing.

run: $(VENV)/run ## Start the console with its demo world, and print where it is.
	@mkdir -p "$(DATA)"
	@test -s "$(DATA)/secret-key" || (umask 077; $(PYTHON) -c \
	  'import secrets; print(secrets.token_urlsafe(64))' > "$(DATA)/secret-key")
	@SECRET_KEY="$$(cat "$(DATA)/secret-key")" DEBUG=True exec $(PYTHON) manage.py serve --demo

test: $(VENV)/dev ## Run all tests, those in a browser too.
	@$(PYTHON) -m tests.chromium
	$(PYTHON) -m pytest -n $(or $(TEST_PROCESSES),auto)

# In the order that fails fastest; what CI runs. There is no second list.
check: format lint types layers migrations test ## Check everything.

format: $(VENV)/dev
	$(VENV)/bin/ruff format --check .
	git ls-files -z '*.html' | xargs -0 $(VENV)/bin/djade --check --target-version 5.2

lint: $(VENV)/dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/typos

types: $(VENV)/dev
	$(TOOLS) $(VENV)/bin/mypy .

layers: $(VENV)/dev
	$(VENV)/bin/lint-imports

migrations: $(VENV)/dev
	$(TOOLS) DATA_DIR=$(VENV)/check $(PYTHON) manage.py makemigrations --check --dry-run

bench-api-keys: $(VENV)/dev ## Measure the pages of API keys with 100,000 of them.
	$(PYTHON) -m bench.api_keys

bench-billing: $(VENV)/dev ## Measure how many charges are settled per second.
	$(PYTHON) -m bench.billing

bench-gateway: $(VENV)/dev ## Measure the gateway against its bare upstream and against LiteLLM.
	$(PYTHON) -m bench.gateway

bench-usage: $(VENV)/dev ## Measure the usage explorer with EVENTS=10000000 requests, beside SQL.
	$(PYTHON) -m bench.usage

pins: $(VENV)/dev ## Pin the requirements anew, after pyproject.toml has changed.
	$(PYTHON) -m pip install --quiet uv
	$(PIN) --output-file requirements.txt
	$(PIN) --output-file requirements-dev.txt --extra dev

# With hashes, for every platform, and without the address of any index.
PIN = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url pyproject.toml

clean: ## Remove what was installed; the data stay.
	rm -rf $(VENV)

# --- Each stamp is as old as what it was installed from, so a second `make` starts at once.

$(VENV)/run: requirements.txt | $(PYTHON)
	$(PYTHON) -m pip install --quiet --require-hashes -r requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt | $(PYTHON)
	$(PYTHON) -m pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@ $(VENV)/run

$(PYTHON):
	@for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; \
	  then exec $$python -m venv $(VENV); fi; \
	done; \
	echo "The console needs Python 3.11 or later with its venv module (python3-venv on Debian)." >&2; exit 1
