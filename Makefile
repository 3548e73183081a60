# Everything goes through one bootstrap: `.venv` with pinned, hashed parts, and the chain node.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check deep bench-gas bench-epochs bench-calls bench-gateway bench-node bench-queue bench-attribution bench-adversaries bench-approvals bench-behaviour bench-consensus bench-rings bench-diligence bench-indexer simulate contracts format lock clean setup

PYTHON := .venv/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Narrow a run: make test TESTS=tests/unit/test_units.py
TESTS ?= tests
# Whole files to each worker, the longest rooms first; in one process: make test PARALLEL=
# Tests wait for children, chains and clocks about as long as they compute: three share two cores.
WORKERS ?= $$(( $$(nproc) * 3 / 2 ))
PARALLEL ?= --numprocesses $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder
# The suite starts hundreds of Pythons, and without bytecode each compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the whole story on a real chain with real models; writes demo-report.json
	@scripts/bootstrap demo
	@.venv/bin/tessera demo $(DEMO)

test: ## everything we promise, checked (under 10 minutes on 2 cores)
	@scripts/bootstrap dev
	@$(PYTHON) -m pytest $(PARALLEL) $(TESTS)

check: ## format, lint, layers, types, artifacts and bindings, tree
	@scripts/bootstrap dev
	@$(PYTHON) scripts/check.py

deep: ## deep fuzzing, a hundred kills, a bundle of 2 GB; an hour or two on two cores
	@scripts/bootstrap dev
	@TESSERA_HYPOTHESIS_PROFILE=deep $(PYTHON) -m pytest $(PARALLEL) -m "deep or not deep" $(TESTS)

bench-gas: ## gas of every operation beside its peers; exits 1 where a goal is missed
	@scripts/bootstrap dev
	@scripts/bootstrap peers
	@$(PYTHON) -m bench.gas --json bench/results/gas.json --figures bench/figures.md

bench-epochs: ## gas of posting an epoch's result and of proving it false, by size
	@scripts/bootstrap dev
	@$(PYTHON) -m bench.epochs --figures bench/epochs.md

bench-calls: ## paid calls a second through the gateway, each on the disk
	@scripts/bootstrap core
	@$(PYTHON) -m bench.paid_calls

bench-gateway: ## paid calls beside LiteLLM, Portkey, x402's middleware and nginx; exits 1 where a goal is missed
	@scripts/bootstrap core
	@scripts/bootstrap gateways
	@$(PYTHON) -m bench.gateway --figures bench/README.md $(GATEWAY)

bench-node: ## transactions a second through the embedded node, and its starts
	@scripts/bootstrap core
	@$(PYTHON) -m bench.embedded_node

bench-queue: ## who gets a full model, by locked shares, and how long each waits
	@scripts/bootstrap core
	@$(PYTHON) -m bench.fair_queue

bench-attribution: ## how near sampled Shapley values come, on the demo's classifier
	@scripts/bootstrap demo
	@$(PYTHON) -m bench.attribution

bench-adversaries: ## what dishonest validators, models and colluders earn beside honest ones
	@scripts/bootstrap demo
	@$(PYTHON) -m bench.adversaries --figures bench/README.md $(ADVERSARIES)

bench-approvals: ## bonded approvals beside the specification's calibration; exits 1 where one is missed
	@scripts/bootstrap demo
	@$(PYTHON) -m bench.approvals --figures docs/explain/approvals.md $(APPROVALS)

bench-behaviour: ## whether contracts pay holders, decided by running them; exits 1 where one is misjudged
	@scripts/bootstrap dev
	@$(PYTHON) -m bench.behaviour --figures bench/README.md

bench-consensus: ## one epoch of 256 validators and 4,096 models; exits 1 where a goal is missed
	@scripts/bootstrap core
	@$(PYTHON) -m bench.consensus --reference --figures bench/README.md $(CONSENSUS)

bench-diligence: ## a whole report on 10 M transfers; exits 1 where it takes too long or too much
	@scripts/bootstrap demo
	@$(PYTHON) -m bench.diligence $(DILIGENCE)

bench-indexer: ## transfers a second into facts, beside plain loops over the same node; exits 1 where a goal is missed
	@scripts/bootstrap dev
	@$(PYTHON) -m bench.indexer --figures bench/README.md $(INDEXER)

simulate: ## a market of 1,000 actors over 10,000 steps, conserved at each; minutes
	@scripts/bootstrap dev
	@$(PYTHON) -m bench.simulation --json bench/results/simulation.json --chart bench/results/simulation.svg $(SIMULATE)

bench-rings: ## circular payments over a grid of planted rings; exits 1 where the goal is missed
	@scripts/bootstrap dev
	@$(PYTHON) -m bench.rings --figures bench/rings.md $(RINGS)

contracts: ## compile the contracts again and write artifacts and bindings
	@scripts/bootstrap dev
	@$(PYTHON) -m tessera.contracts.build
	@$(PYTHON) -m tessera.contracts.generate

format: ## format Python and Vyper, and mend what the linter can mend
	@scripts/bootstrap dev
	@$(PYTHON) scripts/vyper_format.py
	@$(PYTHON) -m ruff format .
	@$(PYTHON) -m ruff check --fix .

lock: ## resolve versions again after a change of dependencies (UPGRADE=1: newest ones)
	@scripts/bootstrap core
	@scripts/lock

setup: ## only build the environment, with everything in it
	@scripts/bootstrap dev

clean: ## remove the environment, caches and reports; nothing of a data folder
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache demo-report.json
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +
