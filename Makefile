# Two commands on a fresh machine with Python 3 and make: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
BACKENDS := .venv-torch .venv-jax
OLDEST := .venv-oldest
ADDONS := .venv-addons
SITE := $(VENV)/.docs-installed
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: demo test test-all test-backends test-oldest test-old-tensorflow notebooks lint docs ci clean

$(INSTALLED): pyproject.toml setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable '.[demo,dev,serving,train]'
	touch $@

demo: $(INSTALLED)  ## restore a noisy photograph and write the side-by-side picture
	$(PY) -m ipt_tf.demo.terminal

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test: $(INSTALLED)
	$(PY) -m pytest -n 2

test-all: $(INSTALLED)  ## also what takes long: full size, kill and resume, all benchmark pictures
	$(PY) -m pytest -m "not backends"

ON_BACKENDS := tests/model/test_backends.py tests/training/test_trainers.py tests/data/test_examples.py \
	tests/test_degradations.py tests/test_jpeg.py

test-backends: $(BACKENDS:%=%/.installed)  ## the network and training on PyTorch and JAX, without TensorFlow
	KERAS_BACKEND=torch .venv-torch/bin/python -m pytest -m "backends or everywhere" $(ON_BACKENDS)
	KERAS_BACKEND=jax XLA_FLAGS=--xla_force_host_platform_device_count=2 JAX_COMPILATION_CACHE_DIR=.venv-jax/compiled \
		.venv-jax/bin/python -m pytest -m "backends or everywhere" $(ON_BACKENDS)

WITHOUT_TENSORFLOW := keras numpy pillow imagecodecs tifffile safetensors tqdm pytest

.venv-torch/.installed: pyproject.toml setup.cfg
	$(PYTHON) -m venv .venv-torch
	.venv-torch/bin/pip install --quiet torch==2.13.0
	.venv-torch/bin/pip install --quiet $(WITHOUT_TENSORFLOW)
	.venv-torch/bin/pip install --quiet --no-deps --editable .
	touch $@

.venv-jax/.installed: pyproject.toml setup.cfg
	$(PYTHON) -m venv .venv-jax
	.venv-jax/bin/pip install --quiet jax $(WITHOUT_TENSORFLOW)
	.venv-jax/bin/pip install --quiet --no-deps --editable .
	touch $@

test-oldest: $(OLDEST)/.installed  ## the tests with the lowest versions that setup.cfg allows (Python 3.11 or 3.12)
	$(OLDEST)/bin/python -m pytest

$(OLDEST)/.installed: pyproject.toml setup.cfg
	$(PYTHON) -m venv $(OLDEST)
	sed -n 's/^ *\([a-z0-9_-]*\)>=\([0-9.]*\)$$/\1==\2/p' setup.cfg > $(OLDEST)/lowest.txt
	$(OLDEST)/bin/pip install --quiet --editable '.[demo,dev,serving,train]' --constraint $(OLDEST)/lowest.txt
	touch $@

test-old-tensorflow: $(INSTALLED) $(ADDONS)/.installed  ## exported models in the last TensorFlow beside tensorflow-addons
	$(PY) -m pytest -m slow tests/export/test_old_tensorflow.py

$(ADDONS)/.installed:
	python3.11 -m venv $(ADDONS)
	$(ADDONS)/bin/pip install --quiet tensorflow-cpu==2.15.1 tensorflow-addons==0.23.0
	touch $@

$(SITE): $(INSTALLED)
	$(VENV)/bin/pip install --quiet --editable '.[docs]'
	touch $@

docs: $(SITE)  ## build the site into site/; a link or an anchor that leads nowhere fails
	$(VENV)/bin/mkdocs build --strict --quiet

notebooks: $(INSTALLED)  ## the tutorials, each in a fresh kernel
	$(PY) -m pytest --nbmake --nbmake-timeout=600 notebooks

ci: lint docs test test-backends notebooks

clean:
	rm -rf $(VENV) $(BACKENDS) $(OLDEST) $(ADDONS) demo site
