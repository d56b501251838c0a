# Braid's front door. `make help` says what there is.

CARGO ?= cargo
CLIPPY ?= $(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
# Where Cargo puts what it builds.
TARGET = $(or $(CARGO_TARGET_DIR),target)
# Passed to `braid up`, for example ARGS='--http 127.0.0.1:8080 --no-traffic'.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run demo-drift demo-kappa test test-long test-s3 test-cdc test-cluster test-page test-compose lint lint-cluster lint-deploy fuzz mutants bench bench-peers profile

help: ## what there is (the default)
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 20
	@echo
	@echo "  NO_INSTALL=1 only says what the machine lacks, instead of installing it."

run: ## the whole platform in one process, with sample traffic; ARGS='…' passes flags to `braid up`
	@deploy/install.sh run
	$(CARGO) run --locked --quiet -p braid -- up $(ARGS)

demo-drift: ## a million events and 36 copies that speed cannot know: what it says, what the recount says, and the drift between them
	@deploy/install.sh test
	$(CARGO) build --locked --workspace
	$(TARGET)/debug/demo-drift

demo-kappa: ## a mistake in a metric, corrected by another version: replayed, verified, promoted under load and rolled back
	@deploy/install.sh test
	$(CARGO) build --locked --workspace
	$(TARGET)/debug/demo-kappa

# How many tests run at once: two for each processor, and two scenarios that only wait meanwhile. Busy scenarios count for two; see
# e2e-tests/src/places.rs.
TEST_THREADS ?= $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN) + 2)

# The whole workspace is built first: the scenarios start the layers' binaries, with the fail points that `e2e-tests` turns on.
test: ## every test, on a real Kafka broker and a real Redis
	@deploy/install.sh test
	$(CARGO) build --locked --workspace --all-targets
	RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --locked --workspace

test-long: ## the same with many more repetitions: kills, random walks, records
	BRAID_LONG=1 $(MAKE) test

test-s3: ## the scenarios with tables on S3, on a real SeaweedFS; builds it once, in some minutes
	@deploy/install.sh test-s3
	$(CARGO) build --locked --workspace --all-targets
	weed=$$(e2e-tests/s3-server.sh) && \
	BRAID_TEST_S3=$$weed RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --locked --workspace --test e2e on_s3

test-cdc: ## a table that follows a real PostgreSQL, by Debezium's connector in Kafka Connect; fetches both once
	@deploy/install.sh test-cdc
	$(CARGO) build --locked --workspace --all-targets
	jars=$$(e2e-tests/connect-jars.sh) && \
	BRAID_TEST_CDC=$$jars RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --locked --workspace --test e2e cdc

# The cluster's program has a workspace of its own, with DataFusion; of ours it needs `shared-logic` alone. It is built apart from all others.
CLUSTER = --manifest-path cluster/Cargo.toml --target-dir $(TARGET)/cluster

test-cluster: ## a reconcile, rebuilds and a report counted by a Ballista cluster of real processes, with kills; not part of .ci/run
	@deploy/install.sh test-cluster
	$(CARGO) build --locked --workspace --all-targets
	$(CARGO) build --locked $(CLUSTER)
	$(CARGO) test --locked $(CLUSTER)
	BRAID_TEST_CLUSTER=$(abspath $(TARGET))/cluster/debug/braid-cluster RUST_TEST_THREADS=$(TEST_THREADS) \
	$(CARGO) test --locked --workspace --test e2e on_a_cluster

test-page: ## the web page in a real Chromium, and the HTTP API by its OpenAPI document with Schemathesis; fetches what both need once
	@deploy/install.sh test-page
	$(CARGO) build --locked --workspace
	e2e-tests/page.sh $(TARGET)/debug/braid
	e2e-tests/schemathesis.sh $(TARGET)/debug/braid

test-compose: ## builds the image and holds `docker compose up` to exact answers under faults; WITH_CLUSTER=1 with the profile `cluster`; exit code 3 without an engine
	@deploy/install.sh test-compose
	e2e-tests/compose.sh

lint: ## formatting, clippy, the repository's own rules, licences and bans of dependencies
	@deploy/install.sh lint
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) fmt --manifest-path cluster/Cargo.toml --check
	$(CLIPPY)
	$(CARGO) test --locked --quiet --workspace --test tidy
	$(CARGO) deny --locked check licenses bans

lint-cluster: ## clippy, licences and bans of the cluster's program, which compiles DataFusion; not part of .ci/run
	@deploy/install.sh lint
	$(CARGO) clippy --locked $(CLUSTER) --all-targets -- --deny warnings
	$(CARGO) deny --manifest-path cluster/Cargo.toml --locked check licenses bans

lint-deploy: ## builds the Kubernetes manifests and holds them to Kubernetes' schemas and to rules of ours; builds Kustomize once
	@deploy/install.sh lint-deploy
	e2e-tests/manifests.sh

# How long each target is fuzzed.
FUZZ_SECONDS ?= 60

fuzz: ## searches for input that breaks the decoders or the catalog, a minute each; FUZZ_SECONDS=600 for longer
	@deploy/install.sh fuzz
	fuzz/run $(FUZZ_SECONDS)

mutants: ## switches rules off, one at a time, in a copy, and expects a red test; hours for all; MUTANTS='…' names some
	@deploy/install.sh test
	e2e-tests/mutations/run.sh $(MUTANTS)

bench: ## the figures of this machine: prints a table, writes target/bench.json
	@deploy/install.sh test
	$(CARGO) build --locked --release --workspace
	$(TARGET)/release/bench

bench-peers: ## one topic through Braid, Flink SQL and Kafka Streams, each total checked: 4 min; writes docs/performance.md; EVENTS=200000 rehearses
	@deploy/install.sh bench-peers
	$(CARGO) build --locked --release --workspace
	$(TARGET)/release/bench peers

profile: ## where a speed worker spends its time: runs the speed benchmark under perf, draws docs/profile-speed.svg
	@deploy/install.sh profile
	$(CARGO) build --locked --release --workspace
	e2e-tests/profile.sh
