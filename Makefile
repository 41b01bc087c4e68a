# make help lists what there is. PYTHON chooses the interpreter that makes the environment, SETS what is grown.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
SETS ?= fashion
RULES := gan_runner.losses.reweighting.
LATE := seed=1,2,3 train.threads=1 probes.facts.every=0 probes.pictures.every=0

.DEFAULT_GOAL := help
.PHONY: $(shell grep -oE '^[a-z-]+:' Makefile | tr -d :)

help: ## what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## an environment with everything, in .venv

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: setup ## train on the embedded digits and end with a picture (about two minutes)
	$(BIN)/python -m gan_runner

test: setup ## the tests
	$(BIN)/python -m pytest -q -n $(WORKERS)

test-slow: setup ## proofs that take minutes: kills, learning, every combination
	$(BIN)/python -m pytest -q -m slow

test-gpu: setup ## tests that need a CUDA device
	$(BIN)/python -m pytest -q -m gpu

bench: setup ## docs/speed.md: speed as ratios, both sides alternating (about ten minutes)
	$(BIN)/python scripts/bench.py --page docs/speed.md

table-modes: setup ## docs/modes.md: which loss finds all modes (about half an hour)
	$(BIN)/python scripts/table_modes.py

table-adagan: setup ## docs/adagan.md: 60 runs of AdaGAN's toy, half an hour on one core
	$(BIN)/python -m gan_runner -m experiment=adagan_gmm '~probes.rounds' seed=0,1,2,3,4 \
		loss.weights._target_=$(RULES)TheoryStar,$(RULES)Uniform dataset.modes=1,2,3,5,7,10 train.threads=1 sweep=adagan
	$(BIN)/python scripts/table_adagan.py outputs/sweeps/adagan/*/ --out docs/adagan.md

table-progressive: setup ## docs/progressive.png: from 4x4 to 32x32 pixels, ten minutes for each of SETS (fashion,mnist)
	$(BIN)/python -m gan_runner -m experiment=progressive_fashion dataset=$(SETS) sweep=progressive
	$(BIN)/python scripts/progressive_table.py outputs/sweeps/progressive/*/ --out docs/progressive.png

table-stocks: setup ## docs/stocks.md: days that stand apart, six runs of two minutes on one core
	$(BIN)/python -m gan_runner -m experiment=stocks,stocks_market seed=1,2,3 train.threads=1 sweep=stocks
	$(BIN)/python scripts/table_stocks.py outputs/sweeps/stocks/*/

table-huber: setup ## docs/huber.md: robust estimation against the share of outliers (about two minutes)
	$(BIN)/python scripts/table_huber.py

table-huber-all: setup ## the same with every section: location, heavy tails, scatter (about half an hour on one core)
	$(BIN)/python scripts/table_huber.py --all

table-correlations: setup ## docs/correlations.md: the facts of correlation matrices, 18 runs, half an hour on one core
	$(BIN)/python -m gan_runner -m dataset=correlations experiment=corrgan_stocks,correlation_stocks $(LATE) \
		sweep=correlations_stocks
	$(BIN)/python -m gan_runner -m dataset=hcbm experiment=corrgan_hcbm,correlation_hcbm $(LATE) sweep=correlations_hcbm
	$(BIN)/python -m gan_runner -m experiment=corrgan_original dataset=correlations,hcbm $(LATE) train.images=64000 \
		model.generator.width=8 model.discriminator.width=8 sweep=correlations_original
	$(BIN)/python scripts/table_correlations.py outputs/sweeps/correlations*/*/ --out docs/correlations.md

table-ebm: setup ## docs/ebm.md: energy-based models in the plane (3 runs of a minute) and of Fashion-MNIST (2 of 20 minutes)
	$(BIN)/python -m gan_runner -m experiment=ebm_toy seed=1,2,3 train.threads=1 sweep=ebm_toy
	$(BIN)/python -m gan_runner -m experiment=ebm_fashion seed=2,3 train.threads=1 sweep=ebm_fashion
	$(BIN)/python scripts/table_ebm.py outputs/sweeps/ebm_toy outputs/sweeps/ebm_fashion

table-tables: setup ## docs/tables.md: how good generated rows of tables are (about half an hour)
	$(BIN)/python scripts/table_tables.py

table-quant: setup ## docs/quant.md: Quant GANs against GARCH on the S&P 500, 45 runs of a quarter to half an hour on one core
	$(BIN)/python scripts/table_quant.py

choose-quant: setup ## docs/quant-choice.md: their settings by the decade before, 60 runs on one core
	$(BIN)/python scripts/choose_quant.py

table-vae: setup ## docs/vae.md: bounds of a VAE on Fashion-MNIST, three runs of a quarter of an hour on one core
	$(BIN)/python -m gan_runner -m experiment=vae seed=1,2,3 train.threads=1 sweep=vae
	$(BIN)/python scripts/table_vae.py outputs/sweeps/vae/*/

table-stopping: setup ## docs/stopping.md: what ending a run early saves and loses, six runs (half an hour on one core)
	$(BIN)/python -m gan_runner -m experiment=few_fashion seed=1,2,3 train.patience=5000,null train.threads=1 sweep=stopping
	$(BIN)/python scripts/table_stopping.py outputs/sweeps/stopping

table-family: setup ## docs/family.md: GANs and their relatives under one budget of time (half an hour on one core)
	$(BIN)/python -m gan_runner +experiment=family_fashion
	$(BIN)/python scripts/table_family.py outputs/sweeps/family_fashion

table-rbm: setup ## docs/rbm.md: a Boltzmann machine beside scikit-learn's, three runs (about three minutes on one core)
	$(BIN)/python scripts/table_rbm.py

table-annealing: setup ## docs/annealing.md: how well log Z of a Boltzmann machine of 784 x 500 units is known (a quarter of an hour)
	$(BIN)/python scripts/table_annealing.py

testbed: setup ## docs/watchdog.md: runs that go wrong, runs that go well, and what alarms say (about ten minutes)
	$(BIN)/python scripts/testbed.py

lint: setup ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

tensorboard: setup ## all runs in the browser
	$(BIN)/tensorboard --logdir outputs

clean: ## remove the environment and caches, keep runs
	rm -rf $(VENV) .pytest_cache .ruff_cache build dist *.egg-info
