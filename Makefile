# SPDX-License-Identifier: Apache-2.0
# Each target sets up what it needs; nothing but Python 3.11 and make must be there first.
PYTHON ?= python3.11
PYTHON_5_2 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13*/bin/python) $(shell command -v python3.13))
BPY_4_2 := 4.2.23
BPY_4_5 := 4.5.15
BPY_5_0 := 5.0.1
BPY_5_2 := 5.2.3

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_QUIET := 2

GUI_SUITES ?= trixie sid

BIN := .venv/bin
PIP_INSTALL = $(BIN)/python -m pip install --constraint constraints.txt
BLENDERS := .venvs/blender-5.0 .venvs/blender-4.2 .venvs/blender-4.5 $(if $(PYTHON_5_2),.venvs/blender-5.2)

.PHONY: help demo test lint zip release site bench gui-test page-test chaos clean
help:
	@echo "make demo   a face turns in Blender: frames, film and .blend in out/demo/"
	@echo "make test   every test: unit, service, real Blender"
	@echo "make lint   style, types, who may import whom, commit messages"
	@echo "make zip    the add-on, for Blender's Install from Disk, in dist/"
	@echo "make release   zip, wheel, extension repository, documentation and checksums, in dist/release/"
	@echo "make site   the documentation, in dist/site/"
	@echo "make bench  the figures of docs/benchmarks.md"
	@echo "make page-test  clicks through effigy page in Chromium; screenshots in out/page/"
	@echo "make chaos  bakes and renders while the backend is killed, stopped and flooded and the disk is full; minutes"
	@echo "make gui-test   clicks through windowed Blender 4.3 and 5.2; needs root; screenshots in out/gui/"

demo: .venv/demo .venvs/blender-5.0/ready
	$(BIN)/python recipes/demo/run.py --blender .venvs/blender-5.0/bin/python --out out/demo

test: .venv/dev $(addsuffix /ready,$(BLENDERS))
	$(BIN)/python -m pytest --junitxml out/tests/all.xml

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/check_commits.py

zip: .venv/demo .venvs/blender-5.0/ready
	$(BIN)/python build_addon.py --blender .venvs/blender-5.0/bin/python

release: .venv/dev .venvs/blender-5.0/ready
	$(BIN)/python -m recipes.release.run --blender .venvs/blender-5.0/bin/python $(if $(ADDRESS),--address $(ADDRESS))

site: .venv/dev
	$(BIN)/python -m recipes.release.site dist/site

bench: .venv/demo .venvs/blender-5.0/ready
	$(BIN)/python recipes/bench/run.py --blender .venvs/blender-5.0/bin/python

# In the newest Blender that is set up. As root the disk that fills is a tmpfs.
chaos: .venv/demo $(lastword $(BLENDERS))/ready
	$(BIN)/python -m recipes.chaos.run --blender $(lastword $(BLENDERS))/bin/python

# Windowed Blender lives in a small Debian of its own under .gui/.
gui-test: .venv/dev
	@for suite in $(GUI_SUITES); do \
	  echo "Setting up windowed Blender ($$suite) …" && bash tests/gui/chroot.sh $$suite .gui/$$suite && \
	  EFFIGY_GUI_SUITE=$$suite $(BIN)/python -m pytest tests/gui --maxfail 5 --junitxml out/tests/gui-$$suite.xml || exit 1; \
	done

# Gradio and what drives a browser stay out of make test's environment.
page-test: .venv/page
	EFFIGY_PAGE=1 $(BIN)/python -m pytest tests/page --junitxml out/tests/page.xml

.venv/bin/python:
	@echo "Setting up .venv …"
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing the backend …"
	$(PIP_INSTALL) --editable '.[demo]'
	@touch $@

.venv/dev: .venv/demo
	@echo "Installing the development tools …"
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

.venv/page: .venv/dev
	@echo "Installing the page's tools …"
	$(PIP_INSTALL) --editable '.[page-test]'
	@touch $@

.venvs/blender-4.2/ready: ; $(call blender,$(PYTHON),4.2,$(BPY_4_2))
.venvs/blender-4.5/ready: ; $(call blender,$(PYTHON),4.5,$(BPY_4_5))
.venvs/blender-5.0/ready: ; $(call blender,$(PYTHON),5.0,$(BPY_5_0))
.venvs/blender-5.2/ready: ; $(call blender,$(PYTHON_5_2),5.2,$(BPY_5_2))

# Real Blender as a Python module, with pytest and nothing of ours.
define blender
@echo "Installing Blender $(2) …"
@mkdir -p .venvs
@$(1) -m venv .venvs/blender-$(2)
@.venvs/blender-$(2)/bin/python -m pip install bpy==$(3) pytest pytest-timeout
@touch $@
endef

clean:
	rm -rf .venv .venvs build dist out
