# The one door to the project. `make` prints the menu.

DAGS ?= examples
PORT ?= 8080
CARGO ?= cargo

.DEFAULT_GOAL := menu
.PHONY: menu run test unit check fix

menu:
	@echo 'make run      build, then run everything on the DAGs of $(DAGS)/, API on port $(PORT)'
	@echo 'make unit     tests that need no server: under a minute'
	@echo 'make test     all tests, against real servers'
	@echo 'make check    formatting, lints, layers, generated files; changes nothing'
	@echo 'make fix      formatting, lints and generated files, put right'
	@echo
	@echo 'Other DAGs or another port: make run DAGS=path/to/dags PORT=9000'

run:
	@scripts/ensure-postgresql
	$(CARGO) run --package gridflow-cli -- standalone --dags '$(DAGS)' --port '$(PORT)'

test:
	@scripts/ensure-postgresql
	$(CARGO) test --workspace --no-fail-fast
	$(CARGO) build --workspace --bin gridflow
	tests/airflow_client/run

unit:
	$(CARGO) test --package gridflow-core --package gridflow-dag-spec --package xtask
	$(CARGO) test --package gridflow-cli --bins

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) xtask tidy

fix:
	$(CARGO) fmt --all
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged
