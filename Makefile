# The only command surface. `make` lists what there is; every recipe is one script or one cargo command.
# CARGO_TARGET_DIR is respected; built tools live in $PORTOLAN_CACHE (~/.cache/portolan), clusters in $PORTOLAN_STATE (/var/tmp/portolan).
SHELL := /bin/bash
.DEFAULT_GOAL := help
# What takes minutes and has clusters is asked to end, and cleans up, when make itself is killed.
guarded := setpriv --pdeathsig TERM
.PHONY: help demo test check unit api conformance conformance-full clients chart admission operator gitops cluster-test e2e \
	programs images crds tools deny soak bench cluster-up cluster-down cluster-shell clean

help: ## This list.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## The main job from nothing: a real Kubernetes, a Registry, a push, and a Pod that runs from it.
	@$(guarded) e2e/demo/run

test: ## Every test (less what needs the slow builds named in e2e/README.md), with each stage's duration; the last line has the totals.
	@$(guarded) .ci/test

check: ## Formatting, lints, layering, generated files, banned dependencies, shell syntax.
	@.ci/check

unit: ## Unit, property and golden-file tests of every package.
	@.ci/cargo-test unit
	@.ci/cargo-test power-cut

api: ## The registry's HTTP API, against the running server.
	@.ci/cargo-test api

conformance: ## The official OCI conformance program against the registry, in every way of connecting.
	@e2e/conformance/run

conformance-full: ## The same with twenty runs at once, and runs after kill -9, in every way of connecting.
	@e2e/conformance/run --full

clients: ## crane, containerd, helm, oras, regctl, skopeo, podman, containers/image, BuildKit, cosign, registry 2.8 and 3.1 against the registry.
	@$(guarded) e2e/clients/run --all

chart: ## helm lint, and facts about what the chart renders.
	@charts/tests/run

admission: ## What a real kube-apiserver accepts and refuses as a Registry.
	@$(guarded) .ci/with-cluster api .ci/cargo-test admission

operator: ## The operator against a real kube-apiserver (without nodes).
	@$(guarded) .ci/with-cluster api .ci/cargo-test operator

gitops: ## The README's documents for Argo CD and Flux: taken by a real kube-apiserver, and what both say of a Registry.
	@$(guarded) .ci/with-cluster api e2e/gitops/test

cluster-test: ## That the throwaway cluster comes up, goes down and leaves nothing behind.
	@$(guarded) e2e/cluster/test

e2e: images ## Everything together on a whole cluster: operator and registries as Pods, pushes, pulls, failures.
	@$(guarded) .ci/with-cluster full .ci/cargo-test e2e

programs: ## Both programs as static release binaries, in target/programs.
	@e2e/images/programs

images: programs ## Images of both programs and of the demo, as OCI archives in target/images.
	@e2e/images/build

crds: ## Write the generated custom resource definitions into the chart.
	cargo run --locked -q -p portolan-crds --bin crdgen

tools: ## Build Kubernetes and the clients that the tests use (once; cached).
	@e2e/tools/build $(notdir $(patsubst %/recipe,%,$(shell grep -L '^# slow: ' e2e/tools/*/recipe)))

deny: ## Licences, banned crates and sources of every dependency, by cargo-deny.
	@.ci/deny

cluster-up: ## Start the throwaway Kubernetes.
	@e2e/cluster/up

cluster-down: ## Take the throwaway Kubernetes down.
	@e2e/cluster/down

cluster-shell: ## A shell inside the cluster, with kubectl, helm, crane and ctr.
	@e2e/cluster/shell

soak: ## The registry is killed 500 times under load, then works two minutes without a cut; everything acknowledged is checked.
	PORTOLAN_SOAK_CUTS=$${PORTOLAN_SOAK_CUTS:-500} PORTOLAN_SOAK_SECONDS=$${PORTOLAN_SOAK_SECONDS:-120} \
		cargo test --locked --workspace --test kill -- --nocapture --test-threads 1

bench: ## How fast the registry is, beside registry:2: tables of collections, starts, lists and pushes.
	@$(guarded) registry/benches/run

clean: ## Remove what was built here (not the tools in the cache).
	cargo clean
