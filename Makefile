# Every command of the project; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# One shell a recipe, so that an export holds for its other lines.
.ONESHELL:
.DEFAULT_GOAL := help
UV_VERSION := 0.13.9
CACHE := $(or $(TREADLE_CACHE),$(HOME)/.cache/treadle)
UV := $(shell uv --version 2> /dev/null | grep -qx 'uv $(UV_VERSION)\( .*\)\?' && command -v uv || echo $(CACHE)/uv-$(UV_VERSION)/bin/uv)
PYTHON := $(lastword $(wildcard $(HOME)/.pyenv/versions/3.13*/bin/python3.13))
RUN := .venv/bin
CLUSTER_ENV = export KUBECONFIG=$$(hack/cluster/kubeconfig) PATH=$(CACHE)/bin:$$PATH

.PHONY: help
help: ## list every command
	@grep -hE '^[a-z-]+:.*## ' Makefile | sort | sed 's/:.*## /\t/' | expand -t 18

.PHONY: venv
venv: .venv/synced ## make the virtual environment from uv.lock
$(CACHE)/uv-$(UV_VERSION)/bin/uv:
	python3 -m venv $(CACHE)/uv-$(UV_VERSION)
	$(CACHE)/uv-$(UV_VERSION)/bin/pip install -q --disable-pip-version-check uv==$(UV_VERSION)
.venv/synced: pyproject.toml uv.lock | $(UV)
	$(UV) sync -q --frozen --all-groups --python $(or $(PYTHON),3.13)
	touch $@

.PHONY: crds
crds: venv ## generate crds/, and the chart's copy, from the models
	$(RUN)/python -m treadle.api.crds crds/
	$(RUN)/python -m treadle.api.crds charts/treadle/files/crds/

.PHONY: kustomize
kustomize: ## render manifests/kustomize/base from the chart
	helm=$$(hack/cluster/build.sh helm)/helm
	{
	  echo "# Rendered by make kustomize from charts/treadle. Do not edit."
	  $$helm template treadle charts/treadle --namespace treadle-system --set crds.enabled=false
	} > manifests/kustomize/base/operator.yaml

.PHONY: docs
docs: venv ## generate docs/reference/ and the pages of the reasons
	$(RUN)/python hack/docs.py

.PHONY: verify
verify: venv ## format, lint, types, import contracts, generated files, unit and engine tests
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/python -m treadle.api.crds --check crds/
	$(RUN)/python -m treadle.api.crds --check charts/treadle/files/crds/
	$(RUN)/python hack/docs.py --check
	$(RUN)/pytest -n auto tests/unit tests/engine

.PHONY: test
test: venv ## all tiers but e2e: against VersityGW, a real kube-apiserver with etcd, and the embedded cluster
	hack/cluster/build.sh etcd versitygw kube-apiserver kube-controller-manager kubectl helm
	hack/browser.sh
	$(RUN)/pytest -n auto tests/unit tests/engine tests/cli tests/flights
	$(RUN)/pytest tests/store tests/semantics tests/api tests/local

.PHONY: e2e
e2e: venv cluster images images-check ## the whole loop and its faults on the test cluster
	$(CLUSTER_ENV) TREADLE_IMAGE_TAG=$$(hack/cluster/images.sh --tag)
	$(RUN)/pytest tests/e2e

.PHONY: demo cluster-demo
demo: venv ## data, model, prediction, shift, retrained model: on this machine alone
	hack/demo.sh
cluster-demo: venv cluster images ## the same on the test cluster
	$(CLUSTER_ENV) TREADLE_IMAGE_TAG=$$(hack/cluster/images.sh --tag)
	hack/cluster-demo.sh

.PHONY: cluster cluster-down kubeconfig images images-check
cluster: ## find or start the test cluster (CLUSTER=external, kind, k3d or node; unset, the machine decides)
	@hack/cluster/up.sh
cluster-down: ## stop the test cluster and remove all that it left
	@hack/cluster/down.sh
kubeconfig: ## print the line that makes kubectl use the test cluster
	@echo "export KUBECONFIG=$$(hack/cluster/kubeconfig)"
images: ## build the four images, load them into the test cluster, print their tag
	@hack/cluster/images.sh
images-check: images ## each image imports its packages and holds no other image's libraries
	hack/cluster/check-images.sh

.PHONY: bench-operator
bench-operator: venv ## 2,000 resources against a real kube-apiserver; writes bench/operator.md and .json
	hack/cluster/build.sh etcd kube-apiserver kubectl
	$(RUN)/python -m tests.bench.operator
.PHONY: bench-cli
bench-cli: venv ## first byte of each command, beside kubectl; writes bench/cli.md and .json
	hack/cluster/build.sh kubectl
	$(RUN)/python -m tests.bench.cli --kubectl $(CACHE)/bin/kubectl

.PHONY: clean
clean: ## remove what this checkout has made; caches and the cluster stay
	rm -rf .venv dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find operator tests hack -name __pycache__ -type d -exec rm -rf {} +
