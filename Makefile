# Everything lives in .venv; `make setup` is run by whatever needs it.
PYTHON ?= python3
# With the CPU build of torch in place first, no CUDA libraries are fetched afterwards.
TORCH ?= torch==2.13.0
WORK ?= runs/nano
MINUTES ?= 1200

BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup run demo test test-slow lint format train-nano clean

setup: $(READY)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "FlowAct needs Python 3.11 or newer: make setup PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(TORCH)
	$(BIN)/python -m pip install -e '.[serve,speed,studio,train,dev]'
	@touch $@

run: $(READY)
	@$(BIN)/flowact serve

demo: $(READY)
	@mkdir -p out
	@$(BIN)/flowact generate --image samples/portrait.png --audio samples/voice.wav \
		--prompt "a person talks to the camera and nods" --out out/demo.mp4 --report out/demo.json

# Minutes; what drives a browser or takes longer is in test-slow.
test: $(READY)
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train-nano: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/train_nano.sh "$(WORK)" "$(MINUTES)"

clean:
	rm -rf .venv out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
