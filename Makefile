# The one door to the project. `make` prints the menu.

DAGS ?= examples
PORT ?= 8080
CARGO ?= cargo

# The checked queries are built from .sqlx/: no build needs a database.
export SQLX_OFFLINE ?= true

.DEFAULT_GOAL := menu
.PHONY: menu run test unit check fix bench bench-compare bench-record faults soak fuzz

menu:
	@echo 'make run      build, then run everything on the DAGs of $(DAGS)/, API on port $(PORT)'
	@echo 'make unit     tests that need no server: under a minute once built'
	@echo 'make test     all tests, against real servers'
	@echo 'make check    formatting, lints, layers, generated files; changes nothing'
	@echo 'make fix      formatting, lints and generated files, put right'
	@echo 'make faults   everything that can break is broken, for long: FAULTS=200 SEEDS=2000000 LOAD=10000'
	@echo 'make soak     steady work for an hour (GRIDFLOW_SOAK=minutes): is everything flat?'
	@echo 'make bench    how fast it is, beside what the machine can do: docs/benchmarks.md'
	@echo 'make fuzz     any bytes to every parser, five minutes each: FUZZ_SECONDS=300 FUZZ="loader cron"'
	@echo
	@echo 'Other DAGs or another port: make run DAGS=path/to/dags PORT=9000'

run:
	@$(CARGO) build --package gridflow-cli
	@exec target/debug/gridflow standalone --dags '$(DAGS)' --port '$(PORT)'

# The tests of `tests/` start the program that lies beside them, so it is built first,
# with the features that the tests are built with: otherwise each step would build it anew.
test:
	@scripts/ensure-postgresql
	$(CARGO) build --workspace --bin gridflow
	@scripts/build-pod-program
	@tests/services/spark notice
	tests/services/kubernetes with $(CARGO) test --workspace --no-fail-fast
	tests/airflow_client/run

unit:
	$(CARGO) test --package gridflow-core --package gridflow-dag-spec --package xtask
	$(CARGO) test --package gridflow-cli --bins

check:
	@scripts/ensure-postgresql
	$(CARGO) fmt --all --check
	$(CARGO) xtask tidy
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) test --quiet --package gridflow-dag-spec pages
	$(CARGO) xtask sqlx-prepare --check

fix:
	@scripts/ensure-postgresql
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	$(CARGO) fmt --all
	UPDATE=1 $(CARGO) test --quiet --package gridflow-dag-spec pages
	$(CARGO) xtask sqlx-prepare

# The long form of what `make test` does in seconds. GRIDFLOW_FAULTS_SEED repeats the order of faults.
FAULTS ?= 200
SEEDS ?= 2000000
LOAD ?= 10000
faults:
	@scripts/ensure-postgresql
	GRIDFLOW_SIM_SEEDS=$(SEEDS) $(CARGO) test --release --package gridflow-core --test sim
	$(CARGO) build --workspace --bin gridflow
	GRIDFLOW_FAULTS=$(FAULTS) GRIDFLOW_LOAD=$(LOAD) tests/services/kubernetes with \
		$(CARGO) test --package gridflow-tests --no-fail-fast -- --nocapture
	$(MAKE) fuzz

soak:
	@scripts/ensure-postgresql
	$(CARGO) build --release --package gridflow-cli --package gridflow-tests
	target/release/soak

fuzz:
	scripts/fuzz $(FUZZ)

# `make bench ONLY="W1 W7c" QUICK=--quick`; the figures also go to target/bench/results.json.
bench:
	@scripts/ensure-postgresql
	$(CARGO) build --release --package gridflow-cli --package gridflow-bench
	target/release/gridflow-bench run $(QUICK) $(ONLY)

# The last figures against those that are kept in the repository.
bench-compare:
	$(CARGO) build --release --package gridflow-bench
	target/release/gridflow-bench compare bench/recorded.json target/bench/results.json

# The last figures become the ones that are kept: bench/recorded.json and the table of docs/benchmarks.md.
bench-record:
	$(CARGO) build --release --package gridflow-bench
	target/release/gridflow-bench record target/bench/results.json
