# Lathe: `make run` starts the dashboard, `make test` runs the tests. Both set everything up first.

HOST ?= localhost
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

.PHONY: run test test-cpus check format tables tour samples pins clean

run: $(VENV)/.run
	@echo "Lathe serves on http://$(HOST):$(PORT)  (stop: Ctrl+C)"
	@$(BIN)/python app.py --server.address=$(HOST) --server.port=$(PORT) --server.headless=true

test: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

# What depends on the CPU, as lesser ones would see it: OpenVINO is held to each set of instructions.
ISAS := SSE41 AVX2 AVX2_VNNI AVX512_CORE AVX512_CORE_VNNI AVX512_CORE_AMX
CPU_TESTS := tests/backends tests/measure tests/compress/quantization tests/runs

test-cpus: $(VENV)/.dev
	@for isa in $(ISAS); do echo "== $$isa"; \
	$(BIN)/pytest -n 2 --dist loadfile -q -m backend --cpu-isa $$isa $(CPU_TESTS) $(ARGS) || exit 1; done

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The tables of README.md and docs/, from what passes, backends, tasks and metrics state of themselves.
tables: $(VENV)/.run
	$(BIN)/python -m docs.tables

# The pictures of README.md and docs/, taken from the running app (needs Chromium).
tour: $(VENV)/.dev
	$(BIN)/python -m docs.tour

samples: $(VENV)/.run
	$(BIN)/pip install --quiet --requirement requirements/torch.txt
	$(BIN)/python sample_models/make_samples.py

# requirements/*.in say what is wanted, the *.txt beside them what is installed. A pin moves only when
# asked: make pins ARGS="--upgrade-package numpy". PyTorch's are those of macOS, where its plain
# package is the CPU build: on Linux it would bring CUDA.
PIN = $(BIN)/uv pip compile --quiet --python-version 3.11 --no-annotate --custom-compile-command "make pins"

pins: $(VENV)/.dev
	$(PIN) --universal requirements/run.in --output-file requirements.txt $(ARGS)
	$(PIN) --universal requirements/dev.in --output-file requirements/dev.txt $(ARGS)
	$(PIN) --universal requirements/mnn.in --output-file requirements/mnn.txt $(ARGS)
	$(PIN) --universal requirements/tract.in --output-file requirements/tract.txt $(ARGS)
	MACOSX_DEPLOYMENT_TARGET=14.0 $(PIN) --python-platform macos requirements/torch.in --output-file requirements/torch.txt $(ARGS)

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Lathe needs Python 3.11, 3.12 or 3.13 on PATH (or: make PYTHON=/path/to/python)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/dev.txt
	@touch $@
