# Everything starts here: `make help`.
# As root on Debian 12 the targets install what they need; otherwise they say what is missing.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# What WeasyPrint lays a PDF out with, and the fonts in it.
PDF_PACKAGES := libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core
RUN_PACKAGES := python3-venv gcc libc6-dev iproute2 $(PDF_PACKAGES)
DEMO_PACKAGES := prometheus prometheus-alertmanager
TEST_PACKAGES := $(RUN_PACKAGES) iputils-ping prometheus prometheus-alertmanager victoria-metrics openssl zstd jq xxd snmpd tshark iperf3 poppler-utils systemd libseccomp2 docker-compose shellcheck chromium
BENCH_PACKAGES := $(RUN_PACKAGES) iputils-ping fping prometheus-blackbox-exporter prometheus victoria-metrics iperf3
# Not as packages where there is an npm already: other distributions of node bring their own.
NODE_PACKAGES := $(if $(shell command -v npm),,nodejs npm)
NPM_READY := tests/npm/node_modules/.package-lock.json

.PHONY: help demo test test-near test-far test-district test-lab test-fast check fmt lock lock-install dashboards bench clean run-system demo-system test-system bench-system

help:  ## Show the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: run-system demo-system $(READY)  ## Collector and nodes behind emulated links, with a live table (Ctrl-C ends)
	$(BIN)/pantau-collector demo $(DEMO)

# Most of the time goes by in waiting for emulated outages, so three runs go on side by side, and a
# fourth when the first of them has ended; each tells what it has to say when it ends. What is asked
# for by PYTEST is one run.
test: test-system $(READY) check  ## All checks and tests
ifdef PYTEST
	$(BIN)/pytest $(PYTEST)
else
	@$(MAKE) --no-print-directory --jobs=3 --keep-going --output-sync=target \
	  test-far test-near test-district test-lab
endif

DISTRICT := tests/endtoend/test_outages.py tests/endtoend/test_page.py
LOADS := tests/endtoend/test_experiment.py $(sort $(wildcard tests/endtoend/test_throughput*.py))

test-near: $(READY)
	$(BIN)/pytest --ignore=tests/endtoend --ignore=tests/lab

test-lab: $(READY)
	$(BIN)/pytest -o cache_dir=.pytest_cache/lab tests/lab $(LOADS)

test-far: $(READY)
	$(BIN)/pytest -o cache_dir=.pytest_cache/far $(addprefix --ignore=,$(DISTRICT) $(LOADS)) tests/endtoend

test-district: $(READY)
	$(BIN)/pytest -o cache_dir=.pytest_cache/district $(DISTRICT)

test-fast: $(READY)  ## Tests without namespaces and without other programs
	$(BIN)/pytest -q -m "not lab and not prometheus and not alertmanager and not victoria and not chromium" $(PYTEST)

check: $(READY)  ## Format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(READY)  ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: bench-system $(READY)  ## Print side-by-side measurements against peers
	@for one in bench/*.py; do echo; echo "== $$one"; $(BIN)/python $$one || exit 1; done

lock: $(READY)  ## Resolve the dependencies anew and write the locked versions with their hashes
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --upgrade --quiet pyproject.toml --extra collector --group dev -o requirements/dev.lock
	@$(MAKE) --no-print-directory lock-install

# What deploy/install.sh puts on machines: the same versions, without the tools of the workshop.
lock-install: $(READY)
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --quiet pyproject.toml --group build --constraint requirements/dev.lock -o requirements/agent.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --quiet pyproject.toml --group build --constraint requirements/dev.lock --extra collector \
	  -o requirements/collector.lock

dashboards: $(READY)  ## Write the Grafana dashboards anew from their description
	$(BIN)/python -m configs.grafana.generate

clean:  ## Remove what was built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

run-system:
	@deploy/system-packages.sh $(RUN_PACKAGES)

# The demo goes on without them, and says so.
demo-system:
	@deploy/system-packages.sh $(DEMO_PACKAGES) \
	  || echo "Not installed: $(DEMO_PACKAGES): the demo shows no alerts"

test-system:
	@deploy/system-packages.sh $(TEST_PACKAGES) $(NODE_PACKAGES)
	@if command -v npm >/dev/null; then $(MAKE) -s $(NPM_READY); \
	  else echo "No npm: the stock ndt7 client is not tried"; fi

$(NPM_READY): tests/npm/package-lock.json
	@cd tests/npm && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json

bench-system:
	@deploy/system-packages.sh $(BENCH_PACKAGES)

$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "pantau needs Python 3.11 or newer; say PYTHON=... to make"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
