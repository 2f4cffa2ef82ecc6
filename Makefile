# Two commands are enough: `make demo` shows the main job, `make test` proves it. Each does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STUDY ?=
# make bundle: folders of real slices (slices.csv) and of head label maps; without them it learns from less and says so.
REAL ?=
LABELS ?=
OUTPUT ?= demo-output

.PHONY: install demo test peers check bench bench-gpu bundle clean
.DEFAULT_GOAL := install

install: $(VENV)/.base

demo: $(VENV)/.base
	$(BIN)/mrclip demo --output "$(OUTPUT)" $(if $(STUDY),--study "$(STUDY)")

# Two files at a time, each in one process, so that what a file sets up is set up once.
test: $(VENV)/.test peers
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

peers:
	sh tests/install_peers.sh

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

bench: $(VENV)/.test peers
	$(BIN)/python benchmarks/run.py

# On a machine with an NVIDIA GPU and its driver. ONNX Runtime for CUDA and the one for processors are the same files, and the
# extra `training` brings the latter: an environment of its own, and the right one put in last.
GPU := .venv-gpu/bin
bench-gpu:
	$(PYTHON) -m venv .venv-gpu
	$(GPU)/python -m pip install --quiet --disable-pip-version-check --editable '.[gpu,training,test]'
	$(GPU)/python -m pip uninstall --quiet --yes onnxruntime onnxruntime-gpu
	$(GPU)/python -m pip install --quiet --disable-pip-version-check 'onnxruntime-gpu[cuda,cudnn]'
	$(GPU)/python benchmarks/gpu_worker.py
	$(GPU)/python benchmarks/gpu_training.py data.batch_size=1024

# Two hours and a half on two quiet processor cores. The result is in runs/bundle/out; inference/default_bundle is replaced by hand.
# glibc gives memory back to the kernel at every step otherwise, which doubles the time of a step.
bundle: export MALLOC_MMAP_MAX_ = 0
bundle: export MALLOC_TRIM_THRESHOLD_ = 100000000000
bundle: $(VENV)/.test
	$(BIN)/python -m training.bundle runs/bundle/out $(if $(REAL),--real "$(REAL)") $(if $(LABELS),--labels "$(LABELS)")

clean:
	rm -rf $(VENV) .venv-gpu build dist *.egg-info demo-output .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Debian keeps venv in a package of its own.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mrclip needs Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv; } \
		|| { echo "python3-venv is missing: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: setup.cfg pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[cpu]'
	@touch $@

# torch and open_clip come as PyPI has them (several GB, CUDA libraries included); they run on CPU too.
$(VENV)/.test: setup.cfg pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[cpu,otel,postgres,store,training,test]'
	@touch $(VENV)/.base $@
