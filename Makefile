# Everything starts from a plain python3 (>= 3.11, with venv): `make demo`, `make test`.
# uv lives in an environment of its own, because `uv pip sync` removes whatever the lock does not name.
PYTHON ?= python3
UV := .uv/bin/uv
BIN := .venv/bin
SYNCED := .venv/.synced
# UP42's official SDK judges the sandbox from an environment of its own: its pins contradict ours.
SDK := .venv-sdk/.synced
# stac-api-validator judges its STAC APIs from another.
STAC := .venv-stac/.synced
export UV_PYTHON_DOWNLOADS := never
export UV_NO_CONFIG := 1
# Where it is set, every process that the demo or a test starts compiles our modules again.
unexport PYTHONDONTWRITEBYTECODE
# What Dagster, GDAL and gcsfs would otherwise do behind our back.
export DAGSTER_DISABLE_TELEMETRY := 1
# Landing flushes every file: a tenth of the suite's time on a disk. So tests write to memory where 4 GB of it are free as one.
ifeq ($(shell test "$$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 4000000 2>/dev/null && echo there), there)
export PYTEST_DEBUG_TEMPROOT := /dev/shm
endif

.PHONY: help demo dev test test-fast chaos bench lint format lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(SYNCED) ## a backfill of 3 days x 2 AOIs against the sandbox [IMAGERY=folder of rasters] [WHAT=archive|processing]
	$(BIN)/up42-pipelines demo $(if $(IMAGERY),--imagery "$(IMAGERY)") $(if $(WHAT),--what "$(WHAT)")

dev: $(SYNCED) ## the sandbox and the Dagster UI on http://127.0.0.1:3000 [IMAGERY=folder] [PORT=3000]
	$(BIN)/up42-pipelines dev --port $(or $(PORT),3000) $(if $(IMAGERY),--imagery "$(IMAGERY)")

test: $(SYNCED) $(SDK) $(STAC) ## the whole suite
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder

test-fast: $(SYNCED) ## the suite without the slow part
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow and not browser"

chaos: $(SYNCED) ## buying, killed at every step and raced for, against the sandbox [N=1000] [RACES=200] [SEED=at random]
	$(BIN)/python -m tests.chaos.run --schedules $(or $(N),1000) --races $(or $(RACES),200) $(if $(SEED),--seed $(SEED))

bench: $(SYNCED) $(SDK) ## the lake beside its peers, about half an hour on a quiet machine [RESULTS=results]
	$(BIN)/python -m benchmarks.run $(or $(RESULTS),results)
	$(BIN)/python -m benchmarks.report $(or $(RESULTS),results)

lint: $(SYNCED) ## style, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(SYNCED) ## rewrite the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(UV) ## resolve requirements/*.in and pyproject.toml again
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  requirements/uv.in -o requirements/uv.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' \
	  pyproject.toml --all-extras requirements/dev.in -o requirements/dev.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' \
	  requirements/sdk.in -o requirements/sdk.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' \
	  requirements/stac.in -o requirements/stac.txt

clean: ## remove what make created
	rm -rf .venv .venv-sdk .venv-stac .uv .demo .dev .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(UV): requirements/uv.txt
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements/uv.txt
	@touch $@

# --compile-bytecode: without it every Dagster child process compiles its imports again (1.3 s instead of 0.6 s for dagster alone).
$(SYNCED): $(UV) requirements/dev.txt pyproject.toml
	test -x $(BIN)/python || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline --editable .
	@touch $@

$(SDK): $(UV) requirements/sdk.txt
	test -x .venv-sdk/bin/python || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv-sdk
	$(UV) pip sync --quiet --python .venv-sdk/bin/python --require-hashes --compile-bytecode requirements/sdk.txt
	@touch $@

$(STAC): $(UV) requirements/stac.txt
	test -x .venv-stac/bin/python || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv-stac
	$(UV) pip sync --quiet --python .venv-stac/bin/python --require-hashes --compile-bytecode requirements/stac.txt
	@touch $@
