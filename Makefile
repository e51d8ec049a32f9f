# `make` alone lists the targets.
VENV ?= .venv
PYTHON ?=
PROFILE ?= embedded
export VENV PYTHON
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help up down status test check format lock schema wheel bench-engine demo-model clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Install what is needed and serve on port 2025 (PROFILE=embedded)
	@infra/install.sh run
	@$(BIN)/scout-deploy up --profile "$(PROFILE)"

down: ## Stop what `make up` started
	@infra/install.sh run
	@$(BIN)/scout-deploy down

status: ## Show what runs
	@infra/install.sh run
	@$(BIN)/scout-deploy status

test: ## Install what is needed and run the tests
	@infra/install.sh dev
	@$(BIN)/python -m pytest

check: ## Lint, format check and types
	@infra/install.sh dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: ## Put the code into its form
	@infra/install.sh dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet
lock: ## Resolve the lock files again (needs uv)
	@$(LOCK) --extra embedded --group build --upgrade -o requirements.lock
	@$(LOCK) --extra embedded --group dev --constraint requirements.lock --upgrade -o requirements-dev.lock

schema: ## Write the profiles' JSON schema from the model
	@infra/install.sh run
	@$(BIN)/scout-deploy profiles schema > profiles/profile.schema.json.new
	@mv profiles/profile.schema.json.new profiles/profile.schema.json

wheel: ## Build the wheel into dist/
	@infra/install.sh run
	@$(BIN)/pip --quiet wheel --no-deps --no-build-isolation -w dist .

bench-engine: ## Compare the embedded engine with llama.cpp's own server
	@infra/install.sh run
	@$(BIN)/python loadtests/engine_throughput.py

demo-model: ## Train the demonstration model again (its own environment, about half an hour)
	@$(MAKE) -C infra/demo-model

clean: ## Remove what was installed and built here
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
