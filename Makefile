# `make` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# An index of the examples that `make demo` fills and newcomers may ask.
DEMO_INDEX := .lodestone-demo

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench hub-check docs clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

# torch comes first, in the CPU build that constraints.txt pins: the default one is several gigabytes larger.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[cpu,dev]'
	touch $(INSTALLED)

demo: $(INSTALLED) ## Index the example documents and answer five questions
	$(BIN)/lodestone index examples/corpus --index $(DEMO_INDEX)
	@$(BIN)/python examples/demo.py --index $(DEMO_INDEX)

test: $(INSTALLED) ## Run the tests
	$(BIN)/python -m pytest

lint: $(INSTALLED) ## Check style, types, the shipped pipeline definitions and the compose file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lodestone validate indexing_faiss
	$(BIN)/lodestone validate query_faiss
	$(BIN)/lodestone validate indexing_elasticsearch
	$(BIN)/lodestone validate query_elasticsearch
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

bench: $(INSTALLED) ## Ask the example questions and print how good the answers are
	$(BIN)/python benchmarks/demo_corpus.py

hub-check: $(INSTALLED) ## Read SQuAD's dev sets with published readers, beside what their cards state (network)
	$(BIN)/python benchmarks/hub_check.py

docs: $(INSTALLED) ## Draw the shipped pipelines into docs/
	for name in indexing_faiss query_faiss indexing_elasticsearch query_elasticsearch; do \
		$(BIN)/lodestone draw $$name --format svg --output docs/$$name.svg || exit 1; \
	done

clean: ## Remove the environment and what was built
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
