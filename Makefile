# The two commands: `make demo` and `make test`. `make help` lists the others.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TESTS := .venv/bin/python testbed/run_tests.py

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9%-]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "  make %-18s %s\n", $$1, $$2 }'

.PHONY: demo
demo: ## migrate a Brainer from SQLite to PostgreSQL on a disposable server, and show it
	@testbed/demo

.PHONY: demo-clean
demo-clean: ## remove that server with everything on it
	@testbed/vps down brainer-demo
	@rm -rf inventory/demo/.ssh

.PHONY: test
test: images browser ## lint, unit tests, all scenarios and the end-to-end test
	@$(TESTS) lint unit molecule e2e

.PHONY: lint
lint: setup ## ansible-lint, yamllint, ruff, mypy, import-linter
	@$(TESTS) lint

.PHONY: unit
unit: images browser ## the programs' tests, against a real PostgreSQL
	@$(TESTS) unit

.PHONY: molecule
molecule: images ## every scenario
	@$(TESTS) molecule

molecule-%: images ## one scenario, with its output: make molecule-postgres
	@testbed/molecule $*

.PHONY: e2e
e2e: images ## what the demo does, asserted
	@$(TESTS) e2e

.PHONY: test-faults
test-faults: images ## migrate.yml, rollback.yml and upgrade.yml killed at every phase, doctor.yml with each of its fixes, and the long counts of db_backup (`make test` has some of each)
	@.venv/bin/pytest --quiet --slow --durations=0 -m slow tests/db_backup
	@testbed/images patroni:17
	@.venv/bin/pytest --quiet --slow --durations=0 -m slow tests/patroni
	@TEST_FAULTS=all testbed/molecule migration
	@TEST_FAULTS=all testbed/molecule rollback
	@TEST_FAULTS=all testbed/molecule deploy
	@TEST_FAULTS=all testbed/molecule external
	@TEST_FAULTS=all testbed/molecule upgrade
	@TEST_FAULTS=all testbed/molecule doctor

.PHONY: corpus
corpus: images ## migrate databases that nobody here wrote, judged by a second program; fetches packages
	@.venv/bin/python -m tests.migrate_db.corpus

.PHONY: format
format: setup ## let ruff lay out the Python code
	@.venv/bin/ruff check --fix-only . && .venv/bin/ruff format .

.PHONY: variables
variables: setup ## write each role's table of variables into its README, from its argument specs
	@.venv/bin/python testbed/variables

.PHONY: setup
setup: ## install what this machine lacks, and .venv
	@testbed/setup

.PHONY: images
images: setup ## build the images of the test bed
	@testbed/engine
	@testbed/images

.PHONY: browser
browser: ## install Debian's Chromium, with which the tests look at the status page
	@testbed/browser

.PHONY: clean
clean: demo-clean ## remove the test bed's containers, images and caches, too
	@testbed/clean
