# `make` shows what there is. Everything installs itself into .venv, pinned by constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
RUNS ?= runs

.PHONY: help install browser demo test test-slow lint format clean

help:  ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/installed  ## make .venv and install facesegl with what its tests need

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps \
	    segmentation-models-pytorch timm  # for model=smp; the tests stand in for torchvision, whose build must fit torch's
	touch $@

demo: install  ## draw faces, train on them, score the checkpoint: a few minutes, no data needed
	$(BIN)/facesegl train data=synthetic data.fold=null data.image_size=128 trainer.max_epochs=160 \
	    name=demo paths.runs=$(RUNS)
	$(BIN)/facesegl evaluate "$$(ls -td $(RUNS)/demo/*/ | head -n 1)checkpoints/last.ckpt" paths.runs=$(RUNS)

browser:  ## Chromium from Debian's packages for the tests of the report's page, where it can be had
	@command -v chromium chromium-browser google-chrome >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get -qq update \
	     && apt-get -qq install -y --no-install-recommends chromium >/dev/null; } \
	|| echo "no Chromium here: the tests of the report in a browser are skipped (apt-get install chromium)"

test: install browser  ## every quick test
	$(BIN)/python -m pytest -q -n auto -m 'not slow'

test-slow: install  ## the others: real trainings, on the real photos too if data/fasseg has them
	$(BIN)/python -m pytest -q -m slow

lint: install  ## ruff, mypy and the contracts of who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: install  ## let ruff put everything into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove .venv and what tools leave; runs and data stay
	rm -rf .venv dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './data/*' -prune -exec rm -rf {} +
