# Everything that a person or CI does here, one target each. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/release
CARGO_FLAGS := --locked

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: onnxruntime ## Build, start the whole grid in the background, and ask it a few things (UP="--one-process")
	cargo build --release $(CARGO_FLAGS) --package nanogrid --package nanogrid-router --package nanogrid-experts
	$(BIN)/nanogrid up --detach $(UP)
	@bash services/cli/first-requests $(BIN)/nanogrid
	@printf '\nThe grid keeps running: `%s experts --watch` shows it, `make down` stops it.\n' $(BIN)/nanogrid

.PHONY: down
down: ## Stop the grid that `make up` started
	$(BIN)/nanogrid down

.PHONY: build
build: onnxruntime ## Build the programs, optimised
	cargo build --release $(CARGO_FLAGS) --workspace --bins

.PHONY: onnxruntime
onnxruntime: ## Fetch ONNX Runtime's shared library into .nanogrid, once
	@services/onnx/fetch-onnxruntime

.PHONY: test
test: onnxruntime ## Run every test; installs what the tests need into .nanogrid
	@services/cli/tests/python/prepare
	@k8s/apiserver/prepare
	cargo test $(CARGO_FLAGS) --workspace
	cargo test $(CARGO_FLAGS) --package nanogrid-router --features openai --lib --test escalation
	@k8s/validate

FUZZ_TARGETS := tensors grpc_timeout process_settings grid_file package_manifests images json rows
# Where they read and write: what was found stays in .nanogrid, the seeds are only read.
FUZZ_WORK := $(CURDIR)/.nanogrid/fuzz

.PHONY: fuzz
fuzz: export PATH := $(CURDIR)/.nanogrid/tools/bin:$(PATH)
# Link time optimisation would take minutes and find nothing more; no sanitizer, because that needs a nightly compiler
# and there is no unsafe code here.
fuzz: export CARGO_PROFILE_RELEASE_LTO := off
fuzz: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 16
fuzz: ## Feed random bytes to everything that reads those of strangers (SECONDS=30 for each)
	@command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --version 0.13.2 --locked --root .nanogrid/tools
	@cd services/fuzz && cargo fuzz build --fuzz-dir . --sanitizer none --features libfuzzer
	@cd services/fuzz && for target in $(FUZZ_TARGETS); do \
		mkdir -p $(FUZZ_WORK)/$$target $(FUZZ_WORK)/broken; \
		echo "$$target: $(or $(SECONDS),30) s"; \
		cargo fuzz run --fuzz-dir . --sanitizer none --features libfuzzer $$target $(FUZZ_WORK)/$$target seeds/$$target -- \
			-max_total_time=$(or $(SECONDS),30) -max_len=4096 -timeout=5 -rss_limit_mb=1024 -verbosity=0 \
			-artifact_prefix=$(FUZZ_WORK)/broken/$$target- \
			|| { echo "$$target broke: fix it, and put the file named above into services/fuzz/seeds/$$target"; exit 1; }; \
	done

.PHONY: lint
lint: ## Check formatting and lints; a warning is an error
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	cargo clippy $(CARGO_FLAGS) --package nanogrid-router --all-targets --features openai -- -D warnings

.PHONY: proto
proto: ## Generate the Rust code of proto/ again
	cargo test $(CARGO_FLAGS) --package nanogrid-proto --test generated_code_is_fresh || git diff --stat proto/src/gen

.PHONY: readme
readme: ## Write the table of experts in README.md again, from the catalog
	cargo run --quiet $(CARGO_FLAGS) --package nanogrid -- expert table --readme README.md

.PHONY: loadtest
loadtest: build ## Measure the running grid (ARGS="...")
	$(BIN)/nanogrid-loadtest $(ARGS)

.PHONY: train
train: ## Train an expert and measure it (EXPERT=intent DATA=folder-with-the-data-sets)
	@: $(if $(and $(EXPERT),$(DATA)),,$(error say which and from what: make train EXPERT=intent DATA=folder))
	python=$$(services/cli/tests/python/prepare experts/training/requirements.txt) && cd experts/training && $$python -m nanogrid_training all $(EXPERT) --data $(abspath $(DATA))

.PHONY: images
images: ## Build the container images (ARGS="--experts intent")
	docker/build $(ARGS)

.PHONY: k8s-check
k8s-check: ## Check the Kubernetes manifests against the real schemas
	k8s/validate
