# `make` alone lists the targets.
VENV ?= .venv
PYTHON ?=
PROFILE ?= embedded
BASE_IMAGE ?= python:3.13-slim
export VENV PYTHON
# Where the environment forbids compiled files, each of the hundred commands that the tests start compiles ours again.
export PYTHONDONTWRITEBYTECODE :=
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help up down status test test-docker check format lock schema hardware-table wheel proxy-image bench bench-engine bench-proxy soak demo-model clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Install what is needed and serve on port 2025 (PROFILE=embedded)
	@infra/install.sh run
	@$(BIN)/scout-deploy up --profile "$(PROFILE)"

down: ## Stop what `make up` started
	@infra/install.sh run
	@$(BIN)/scout-deploy down scout || [ $$? -eq 9 ] # the exit status of a deployment that is not there

status: ## Show what runs
	@infra/install.sh run
	@$(BIN)/scout-deploy status

test: ## Install what is needed and run the tests
	@infra/install.sh dev
	@infra/install-test-services.sh
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# All of them; the gate takes DOCKER_TESTS="docker and not variant".
DOCKER_TESTS ?= docker
test-docker: ## Run the tests that need a Docker engine; as root, it is installed and started where it is missing
	@infra/install.sh dev
	@infra/install-docker.sh
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --run-docker -m "$(DOCKER_TESTS)" tests/integration/docker

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
	@$(LOCK) --extra bench --extra embedded --extra redis --extra otel --group dev --constraint requirements.lock --upgrade -o requirements-dev.lock
	@$(LOCK) --extra redis --extra otel --constraint requirements.lock --upgrade -o requirements-proxy.lock

schema: ## Write the profiles' JSON schema from the model
	@infra/install.sh run
	@$(BIN)/scout-deploy profiles schema > profiles/profile.schema.json.new
	@mv profiles/profile.schema.json.new profiles/profile.schema.json

hardware-table: ## Write the READMEs' table of what the shipped profiles need, by the planner
	@infra/install.sh run
	@$(BIN)/python -m scout_deploy.hardware_table README.md README.zh.md

wheel: ## Build the wheel into dist/
	@infra/install.sh run
	@$(BIN)/pip --quiet wheel --no-deps --no-build-isolation -w dist .

PROXY_CONTEXT = $(BIN)/python -m scout_deploy.proxy_image --base-image "$(BASE_IMAGE)"
proxy-image: ## Build the proxy's image beforehand (BASE_IMAGE=python:3.13-slim)
	@infra/install.sh run
	@options=$$($(PROXY_CONTEXT) --options) && $(PROXY_CONTEXT) | docker build $$options -

# Two minutes: BENCH="--quick". Its other options: scout-deploy bench run --help.
bench: ## Measure how fast what `make up` started is, and how many requests it carries
	@infra/install.sh dev
	@$(BIN)/scout-deploy bench $(BENCH)

bench-engine: ## Compare the embedded engine with llama.cpp's own server
	@infra/install.sh run
	@$(BIN)/python loadtests/engine_throughput.py

# Quick look: BENCH="--quick". One row: BENCH="--only hit". Everything measured, as JSON: BENCH="--json FILE".
bench-proxy: ## Measure the proxy beside nginx, FastAPI + AsyncClient and LiteLLM
	@infra/install.sh run
	@LITELLM=$$(infra/install-bench.sh) && PYTHONPATH=loadtests LITELLM=$$LITELLM $(BIN)/python -m proxy_bench $(BENCH)

MINUTES ?= 30
soak: ## Load the proxy with everything that clients do and look for errors and leaks (MINUTES=30)
	@infra/install.sh run
	@PYTHONPATH=loadtests $(BIN)/python -m proxy_bench.soak --minutes $(MINUTES)

demo-model: ## Train the demonstration model again (its own environment, about half an hour)
	@$(MAKE) -C infra/demo-model

clean: ## Remove what was installed and built here
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
