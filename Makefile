# `make demo` and `make test` do all their own set-up in a virtual environment.
PYTHON ?= python3
VENV ?= .venv
BACKEND ?= all
BACKENDS := $(if $(filter all,$(BACKEND)),tensorflow jax torch,$(BACKEND))
BIN := $(VENV)/bin
# The CPU builds: a plain `torch` or `tensorflow` may bring gigabytes of CUDA.
BACKEND_PACKAGES := tensorflow-cpu jax torch==2.13.0
# The demo takes one backend only.
DEMO_BACKEND := $(if $(filter all,$(BACKEND)),$(or $(KERAS_BACKEND),jax),$(BACKEND))
DEMO_PACKAGE := $(filter $(DEMO_BACKEND)%,$(BACKEND_PACKAGES))

.PHONY: demo test lint docs notebooks clean

demo: $(BIN)/python
	$(BIN)/pip install --quiet --editable ".[demo]" $(DEMO_PACKAGE)
	KERAS_BACKEND=$(DEMO_BACKEND) $(BIN)/python examples/pretrain_on_photos.py \
		$(if $(IMAGES),--images "$(IMAGES)")

# Each process keeps to its part of the files, whose tests share models and what
# is compiled, until it has none left and takes some of another's.
test: lint
	@set -e; for backend in $(BACKENDS); do \
		echo "== $$backend"; \
		KERAS_BACKEND=$$backend $(BIN)/python -m pytest -n 2 --dist worksteal; \
	done

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/mkdocs build --strict

# About ten minutes: runs them all. NAMES=explore_patch_features takes one.
notebooks: $(VENV)/installed
	KERAS_BACKEND=jax $(BIN)/python .ci/make_notebooks.py $(NAMES)

$(VENV)/installed: pyproject.toml $(BIN)/python
	$(BIN)/pip install --quiet --editable ".[demo,dev]" $(BACKEND_PACKAGES)
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build site *.egg-info
