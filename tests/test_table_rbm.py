"""The page of Boltzmann machines, and that both libraries' machines are judged alike."""

from __future__ import annotations

import runpy

import numpy as np
import pytest
import torch

from gan_runner.build import build
from gan_runner.datasets.images import digits
from gan_runner.datasets.split import split
from gan_runner.draw import Draw
from tests.conftest import ROOT, compose, option_names

script = runpy.run_path(str(ROOT / "scripts/table_rbm.py"))


def test_ours_and_theirs_learn_from_as_many_rows() -> None:
    cfg = compose("experiment=rbm_digits")
    assert (script["UPDATES"], script["BATCH"]) == (cfg["train"]["default_steps"], cfg["train"]["batch_size"])
    assert cfg["model"]["rbm"]["hidden"] == script["HIDDEN"] and "rbm_digits" in option_names("experiment")
    assert set(script["OURS"]) <= set(option_names("loss")) and cfg["optimizer"]["lr"] == 0.4


def test_their_machine_is_judged_as_ours_would_be_with_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a single update both are the same machine but for their first weights, which are next to nothing."""
    import sklearn.neural_network

    monkeypatch.setitem(script["theirs"].__globals__, "UPDATES", 1)
    learnt = []
    fit = sklearn.neural_network.BernoulliRBM.partial_fit
    monkeypatch.setattr(sklearn.neural_network.BernoulliRBM, "partial_fit", lambda m, x: learnt.append(m) or fit(m, x))
    source = split(digits("", 8), 0.2)
    found = script["theirs"](source, "row", (0.1, 0.1), 3)
    run = build(compose("experiment=rbm_digits", "~probes.filters", "~probes.chains", "probes.likelihood.every=0"))
    m, its = run.state.nets["rbm"].requires_grad_(False), learnt[0]
    for p, value in ((m.W, its.components_.T), (m.b, its.intercept_visible_), (m.c, its.intercept_hidden_)):
        p.copy_(torch.from_numpy(np.asarray(value)))
    run.state.average["rbm"].load_state_dict(m.state_dict())
    judged = run.probes["likelihood"](Draw(run.objective, run.state, run.source.device), run.source).scalars
    assert found["log_likelihood"] == pytest.approx(judged["log_likelihood"]) and found["seed"] == 3


def test_the_page_compares_with_the_best_constant_rate_seed_by_seed() -> None:
    values = {"ours, 0.4 falling to 0": (-20.0, -21.0), "scikit-learn, 0.4": (-22.0, -21.5)}
    values |= {"scikit-learn, 0.1 as it comes": (-30.0, -31.0), "scikit-learn, 0.4 falling to 0": (-19.0, -19.0)}
    found = [
        {"row": row, "seed": seed, "log_likelihood": value, "log_likelihood_train": value + 0.25}
        | {"log_likelihood_independent": -40.0}
        for row, pair in values.items()
        for seed, value in enumerate(pair, 1)
    ]
    page = script["page"](found, split(digits("", 8), 0.2), 2)
    assert "| ours, 0.4 falling to 0 | -20.50 ± 0.71 | -20.25 ± 0.71 |" in page
    assert "(scikit-learn, 0.4), seed by seed: +2.00, +0.50." in page and "have -40.00" in page
