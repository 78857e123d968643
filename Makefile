# The two commands: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

SCENARIOS := $(filter-out e2e,$(notdir $(patsubst %/,%,$(dir $(wildcard molecule/*/molecule.yml)))))

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z%-]+:.*##' Makefile | awk -F ':.*## ' '{ printf "  make %-20s %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## install what the machine lacks, and .venv
	@testbed/setup

.PHONY: images
images: setup ## build the test images and serve them to the VPS engines
	@testbed/engine
	@testbed/images

molecule-%: images ## one scenario, e.g. make molecule-postgres
	@testbed/molecule $*
