# `make` lists the targets. They install into .venv, with the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
RUNS ?= runs

# the phases of `make weights`: small images, then large ones, twice
PHASE_1 ?= data.source.train=5000 data.source.test=100 data.source.height=144 data.image_size=128 trainer.max_epochs=5 \
    optimizer.lr=5e-3
PHASE_2 ?= data.source.train=1800 data.source.test=50 trainer.max_epochs=2 optimizer.lr=2e-3
PHASE_3 ?= data.source.train=1300 data.source.test=20 trainer.max_epochs=3 optimizer.lr=2e-3

.PHONY: help install browser demo weights test test-slow test-versions lint format clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: .venv/installed  ## create .venv and install facesegl with its development tools

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps \
	    segmentation-models-pytorch timm  # for model=smp; the tests replace torchvision, whose build must match torch's
	touch $@

demo: install  ## train on synthetic faces, score the checkpoint, and predict without a model: some minutes, no data needed
	$(BIN)/facesegl train data=synthetic data.fold=null data.image_size=128 trainer.max_epochs=160 \
	    name=demo paths.runs=$(RUNS)
	$(BIN)/facesegl evaluate "$$(ls -td $(RUNS)/demo/*/ | head -n 1)checkpoints/last.ckpt" paths.runs=$(RUNS)
	$(BIN)/facesegl predict "$$(ls -td "$${FACESEGL_DATA:-data}"/synthetic/train20-test10-*/Test_RGB | head -n 1)" \
	    -o $(RUNS)/demo-masks

weights: install  ## train the weights of facesegl:faces again, from nothing: hours; run it again to resume
	$(BIN)/facesegl train experiment=pretrain $(PHASE_1) paths.run=$(RUNS)/weights/1 resume=auto
	$(BIN)/facesegl train experiment=pretrain $(PHASE_2) init=$(RUNS)/weights/1 paths.run=$(RUNS)/weights/2 resume=auto
	$(BIN)/facesegl train experiment=pretrain $(PHASE_3) init=$(RUNS)/weights/2 paths.run=$(RUNS)/weights/3 resume=auto
	$(BIN)/facesegl export $(RUNS)/weights/3 -o $(RUNS)/weights/faces.safetensors --half --warn-unlike --force
	cp $(RUNS)/weights/faces.safetensors src/facesegl/weights/
	mkdir -p docs/weights
	for phase in 1 2 3; do sed -e 's|$(CURDIR)|.|g' -e 's|$(HOME)|~|g' \
	    $(RUNS)/weights/$$phase/result.json >docs/weights/phase_$$phase.json; done

browser:  ## install Chromium for the browser tests of the report, as root on Debian
	@command -v chromium chromium-browser google-chrome >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get -qq update \
	     && apt-get -qq install -y --no-install-recommends chromium >/dev/null; } \
	|| echo "no Chromium here: the tests of the report in a browser are skipped (apt-get install chromium)"

test: install browser  ## run the quick tests
	$(BIN)/python -m pytest -q -n auto -m 'not slow'

test-slow: install  ## run the slow tests: real trainings, also on the real photos if data/fasseg has them
	$(BIN)/python -m pytest -q -n auto -m slow

VERSIONS_TESTS ?= tests/config tests/conf/test_conf.py tests/commands/test_train.py tests/commands/test_predict.py \
    tests/export/test_metadata.py tests/export/test_parity.py tests/reporting/test_report.py

test-versions: .venv-next/installed .venv-lowest/installed  ## some quick tests with the versions of constraints-next.txt and constraints-lowest.txt: over 10 minutes
	for name in next lowest; do \
	    echo "constraints-$$name.txt" && .venv-$$name/bin/python -m pytest -q -n auto -m 'not slow' $(VERSIONS_TESTS) || exit 1; \
	done

.venv-%/installed: constraints-%.txt constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv-$*
	awk -F== '{name = tolower($$1); gsub("-", "_", name)} NR == FNR {own[name]; print} NR > FNR && !(name in own)' \
	    constraints-$*.txt constraints.txt >.venv-$*/constraints.txt
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-$*/constraints.txt torch
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-$*/constraints.txt \
	    -e '.[export,heic,launchers,report,tune]' hypothesis pytest pytest-timeout pytest-xdist
	touch $@

lint: install  ## run ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: install  ## fix and format with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove .venv, builds and caches of tools; keep runs and data
	rm -rf .venv .venv-next .venv-lowest dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './data/*' -prune -exec rm -rf {} +
