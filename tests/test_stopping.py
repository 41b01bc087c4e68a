"""Rules that end a run: what a discriminator proves, the two-sample test, and counts that survive an interruption."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_runner import train
from gan_runner.build import build
from gan_runner.datasets.spec import Source, Spec
from gan_runner.datasets.split import split
from gan_runner.draw import Draw
from gan_runner.errors import UsageError
from gan_runner.losses import fdivergences, payoffs
from gan_runner.losses.payoffs import NonSaturating, Smoothed
from gan_runner.losses.veegan import LogRatio
from gan_runner.metrics import stopping
from gan_runner.metrics.c2st import C2ST
from gan_runner.metrics.js import JS, accuracy, prove
from gan_runner.metrics.stopping import CALM, CHECKS, ENDED, KEPT, STEP, Half, Plateau
from gan_runner.pictures.figure import RIGHT
from gan_runner.pictures.stopping import LEFT, WIDTH, Stopping
from gan_runner.pictures.stopping import stopping as picture
from tests import short_runs
from tests.conftest import compose
from tests.short_runs import bits, run, saved, status
from tests.test_contract import play

ZERO = torch.zeros(1000, dtype=torch.float64)
QUICK = C2ST(hidden=16, steps=150)

# -- what scores are -------------------------------------------------------------------------------

PAYOFFS = [
    *(payoffs.Minimax(), payoffs.NonSaturating(), payoffs.Smoothed(), payoffs.LeastSquares(), payoffs.Hinge()),
    *(payoffs.Wasserstein(), payoffs.Relativistic(), LogRatio()),
    *(kind() for kind in fdivergences.FDivergence.__subclasses__()),
]


def slope(payoff: payoffs.Payoff, score: float, p: float, q: float) -> float:
    """How the discriminator's loss falls with the score where data has density p and the generator q."""
    at = torch.tensor([score], dtype=torch.float64, requires_grad=True)
    fixed = torch.zeros(1, dtype=torch.float64)
    loss = p * payoff.discriminator(at, fixed) + q * payoff.discriminator(fixed, at)
    return float(torch.autograd.grad(loss, at)[0])


@pytest.mark.parametrize("payoff", PAYOFFS, ids=lambda p: type(p).__name__)
def test_a_payoff_says_what_its_best_scores_are(payoff: payoffs.Payoff) -> None:
    """Logits are best at the middle plus log p/q; label smoothing bends them, but not at the middle.

    No other payoff says so, nor a paired one, whose scores are known up to a constant.
    """
    middle = getattr(payoff, "middle", 0.0)
    there = [abs(slope(payoff, middle + math.log(p / 0.5), p, 0.5)) < 1e-12 for p in (0.5, 0.2, 0.9)]
    if isinstance(payoff, Smoothed):
        there[1:] = [True, True]
    assert (getattr(payoff, "scale", "") == "logit") == (all(there) and not payoff.paired)
    assert (getattr(payoff, "scale", "") == "distance") == isinstance(payoff, payoffs.Wasserstein)


@pytest.mark.parametrize(("payoff", "D", "loss"), [(NonSaturating(), 0.5, 1.386294), (Smoothed(0.9), 0.45, 1.376278)])
def test_where_nobody_can_tell(payoff: payoffs.Payoff, D: float, loss: float) -> None:
    middle = torch.full((5,), getattr(payoff, "middle", 0.0), dtype=torch.float64)
    assert float(middle.sigmoid()[0]) == pytest.approx(D, abs=1e-12)
    assert float(payoff.discriminator(middle, middle)) == pytest.approx(loss, abs=5e-7)


# -- what a discriminator proves -------------------------------------------------------------------

SHIFTS = {0.5: 0.030311, 1.0: 0.111421, 2.0: 0.336831, 3.0: 0.526777}
"""Mean m of q = N(m, 1) -> JS from p = N(0, 1) in nats."""


def grid(m: float) -> tuple[Tensor, Tensor]:
    """Quantiles of N(0, 1) and of N(m, 1) in the place of samples: means over them are quadrature."""
    p = torch.special.ndtri((torch.arange(40_000, dtype=torch.float64) + 0.5) / 40_000)
    return p, p + m


@pytest.mark.parametrize("m", SHIFTS)
def test_the_best_discriminator_proves_the_distance(m: float) -> None:
    proven = prove(*(m * m / 2 - m * x for x in grid(m)))
    assert proven["js_lower_bound"] == pytest.approx(SHIFTS[m], abs=1e-4)
    assert proven["js_lower_bound_bits"] == pytest.approx(SHIFTS[m] / math.log(2), abs=2e-4)
    assert proven["tv_lower_bound"] == pytest.approx(math.erf(m / 2 / math.sqrt(2)), abs=1e-4)


@pytest.mark.parametrize("m", SHIFTS)
def test_no_discriminator_proves_more(m: float) -> None:
    """Random networks of all sizes around the best logit, and far from it."""
    g = torch.Generator().manual_seed(0)
    best = prove(*(m * m / 2 - m * x for x in grid(m)))
    for size in (0.01, 0.1, 1.0, 10.0):
        for _ in range(10):
            w, b, v = (torch.randn(8, dtype=torch.float64, generator=g) for _ in range(3))
            wrong = [size * (torch.outer(x, w) + b).tanh() @ v for x in grid(m)]
            for share in (1.0, 0.0):
                logits = [share * (m * m / 2 - m * x) + d for x, d in zip(grid(m), wrong, strict=True)]
                proven = prove(*logits)
                assert proven["js_lower_bound"] < best["js_lower_bound"]
                assert proven["tv_lower_bound"] <= best["tv_lower_bound"] + 1e-4


def test_a_constant_proves_nothing() -> None:
    proven = prove(ZERO, ZERO)
    assert proven["js_lower_bound"] == pytest.approx(0, abs=1e-12) and proven["tv_lower_bound"] == 0
    assert (proven["D_off"], proven["D_sd"], proven["D_accuracy"]) == (0, 0, 0.5)
    assert accuracy(torch.tensor([1.0, -1.0]), torch.tensor([-1.0, -1.0])) == 0.75


# -- the two-sample test ---------------------------------------------------------------------------


def source(n: int = 400, shift: float = 0.0, seed: int = 1) -> Source:
    """Nothing to train on, and n rows of a Gaussian in the plane held out."""
    rows = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) + shift
    held_out = Source(Spec((2,), "table"), rows)
    return Source(Spec((2,), "table"), rows[:0], held_out=held_out)


def test_the_p_value_is_the_tail_of_the_binomial() -> None:
    """60 of 100 unseen rows right: two standard deviations above 1/2."""
    first = torch.cat([torch.ones(30), -torch.ones(20)])  # real rows of the unseen half: 30 of 50 above zero
    real = torch.stack([torch.cat([torch.ones(25), -torch.ones(25), first]), torch.zeros(100)], 1)
    fake = torch.stack([torch.cat([torch.ones(25), -torch.ones(25), -first]), torch.zeros(100)], 1)

    class Known(C2ST):
        def learn(self, real: Tensor, fake: Tensor) -> nn.Module:
            return nn.Sequential(nn.Linear(2, 1, bias=False), nn.Flatten(0)).requires_grad_(False).apply(first_column)

    found, p_value = Known().test(real, fake, source())
    assert found == pytest.approx(0.6)
    assert p_value == pytest.approx(0.022750, abs=1e-6)


def first_column(part: nn.Module) -> None:
    if isinstance(part, nn.Linear):
        part.weight.copy_(torch.tensor([[1.0, 0.0]]))


def test_alike_is_alike_and_apart_is_apart() -> None:
    """Where nothing differs, half of the p-values are below a half; one standard deviation apart, the test is sure."""
    values = []
    for seed in range(24):
        g = torch.Generator().manual_seed(seed)
        values.append(QUICK.test(torch.randn(200, 2, generator=g), torch.randn(200, 2, generator=g), source())[1])
    low = sum(p < 0.5 for p in values)
    assert abs(low - 12) <= 6 and min(values) > 1e-3  # 2.4 standard deviations; one in 40 of the latter
    g = torch.Generator().manual_seed(0)
    assert QUICK.test(torch.randn(400, 2, generator=g), torch.randn(400, 2, generator=g) + 1, source())[1] < 1e-6


def test_the_test_repeats_itself_and_leaves_random_numbers_alone() -> None:
    a, b = source(seed=1).held_out, source(seed=2).held_out
    assert a is not None and b is not None
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = QUICK.test(a.data, b.data, source())
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert QUICK.test(a.data, b.data, source()) == first


# -- D = 1/2 ---------------------------------------------------------------------------------------


class Staged:
    """A draw whose samples and scores are written by hand; each call of `at` is a moment of the run."""

    def __init__(self, rule: Any, fake: Tensor, middle: float = 0.0):
        self.fake, self.rule = fake, rule
        self.objective = SimpleNamespace(scale=rule.scale, middle=middle)
        memory = {CHECKS: rule.memory(torch.device("cpu"))}
        self.state = SimpleNamespace(clock=SimpleNamespace(step=0), memory=memory)
        self.score: Callable[[Tensor], Tensor] = lambda x: torch.zeros(len(x))

    def __call__(self, n: int, *, live: bool = False) -> Tensor:
        assert live
        return self.fake[:n]

    def judge(self, x: Tensor) -> Tensor:
        return self.score(x) + self.objective.middle

    def interpolate(self, rows: int, columns: int) -> Tensor | None:
        return None

    def at(self, step: int, data: Source, score: Callable[[Tensor], Tensor] | None = None) -> str:
        self.state.clock.step, self.score = step, score or self.score
        return self.rule(self, data).stop


def wrong(x: Tensor) -> Tensor:
    return torch.full((len(x),), 0.5)


@pytest.mark.parametrize("middle", [0.0, Smoothed(0.9).middle, 1.0])
def test_a_dead_discriminator_does_not_end_a_run(middle: float) -> None:
    """It says 1/2 of everything, and passes; a fresh classifier tells Gaussians that are apart, not those alike."""
    rule, data = Half(every=10, patience=3, classifier=QUICK), source(600)
    apart, alike = (Staged(rule, source(600, shift, seed=7).held_out.data, middle) for shift in (2.0, 0.0))  # type: ignore[union-attr]
    assert [bool(apart.at(step, data)) for step in range(10, 60, 10)] == [False] * 5
    assert apart.state.memory[CHECKS][-5:, CALM].tolist() == [1] * 5
    assert [bool(alike.at(step, data)) for step in range(10, 40, 10)] == [False, False, True]
    assert apart.state.memory[CHECKS][-5:, ENDED].tolist() == [0] * 5
    assert alike.state.memory[CHECKS][-3:, ENDED].tolist() == [0, 0, 1]


def test_one_failure_starts_the_count_anew() -> None:
    rule, data = Half(every=10, patience=3, classifier=QUICK), source()
    draw = Staged(rule, source(seed=2).held_out.data)  # type: ignore[union-attr]
    passes = [True, True, False, True, True, True]
    said = [draw.at(10 * (i + 1), data, None if good else wrong) for i, good in enumerate(passes[:3])]
    draw.score = lambda x: torch.zeros(len(x))
    said += [draw.at(10 * (i + 1), data) for i in range(3, 6)]
    assert [bool(words) for words in said] == [False] * 5 + [True]
    assert "3 checks" in said[-1]


def test_looks_between_checks_count_for_nothing() -> None:
    """As the last look at a run whose budget is spent in between: going on must not depend on it."""
    rule, data = Half(every=10, patience=2, classifier=QUICK), source()
    draw = Staged(rule, source(seed=2).held_out.data)  # type: ignore[union-attr]
    assert [bool(draw.at(step, data)) for step in (10, 13, 17, 20)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("real", "fake", "passes"),
    [
        (ZERO, ZERO, True),
        (ZERO + 0.06, ZERO + 0.06, True),  # D = 0.515 of both, so the accuracy is 1/2
        (ZERO + 0.12, ZERO + 0.12, False),  # D = 0.53 of both
        (ZERO + 0.001, ZERO - 0.001, False),  # always right
        (ZERO - 0.001, ZERO + 0.001, False),  # always wrong
    ],
)
def test_what_passes(real: Tensor, fake: Tensor, passes: bool) -> None:
    assert Half().passes(real, fake) == passes


def test_the_spread_of_D_counts() -> None:
    """One real row in fifty is sure to be real: the mean is off by 0.005 and the accuracy by 0.005, the sd is 0.05."""
    sure = ZERO.clone()
    sure[:20] = 9
    proven = prove(sure, ZERO)
    assert proven["D_off"] < 0.02 < proven["D_sd"] and abs(proven["D_accuracy"] - 0.5) < 0.01
    assert not Half().passes(sure, ZERO)


@pytest.mark.parametrize("right", [521, 522, 523, 524])
def test_the_accuracy_must_be_in_the_interval(right: int) -> None:
    """Of 2,000 answers 95 % lie within 43.8 of a thousand."""
    real = torch.where(torch.arange(1000) < right, 1e-3, -1e-3).double()
    assert Half().passes(real, -real) == (2 * right - 1000 <= 43.8)


# -- a plateau -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "patience", "tolerance"), [(0.7, 3, 0.1), (0.9, 4, 0.05), (0.8, 2, 0.01)])
def test_an_estimate_that_decays_settles_when_its_moves_are_small(rate: float, patience: int, tolerance: float) -> None:
    rule, values = Plateau(patience=patience, tolerance=tolerance), rate ** torch.arange(200, dtype=torch.float64)
    first = next(t for t in range(1, 200) if rule.settled(values[:t]))
    # the mean from the k-th on is rate^k (1 - rate^patience) / (1 - rate) / patience, the next one rate^patience of it
    moved = (1 - rate**patience) ** 2 / (1 - rate) / patience
    assert first == math.ceil(math.log(tolerance / moved) / math.log(rate)) + 2 * patience


def test_neither_a_slope_nor_a_dead_critic_settles() -> None:
    steps = torch.arange(1.0, 201.0)
    assert not any(Plateau(patience=5, tolerance=1e-9).settled(steps[:t]) for t in range(1, 200))
    assert not any(Plateau(patience=5).settled(torch.zeros(t)) for t in range(1, 200))


def test_moves_are_measured_against_the_spread() -> None:
    """Two means of four estimates of spread sqrt(2 / 3), apart by less and by more than 2 sqrt(1 / 3) = 1.155."""
    here = torch.tensor([0.0, 1.0, 2.0, 1.0])
    rule = Plateau(patience=4, tolerance=1e-9)
    assert [rule.settled(torch.cat([here, here + move])) for move in (0, 1.15, -1.15, 1.16, -1.16)] == [True] * 3 + [
        False
    ] * 2


def test_the_plateau_is_that_of_the_held_out_estimate() -> None:
    rule, data = Plateau(every=1, patience=2, tolerance=0.1), source(396)
    for slopes, last in (([1.0, 1.1, 4.0, 4.1], ""), ([3.0, 3.1, 3.05, 2.9], "it is 2.9")):
        draw = Staged(rule, data.held_out.data + 1)  # type: ignore[union-attr]
        said = [draw.at(i + 1, data, lambda x, s=s: -s * x[:, 0]) for i, s in enumerate(slopes)]
        assert said[:3] == [""] * 3 and said[3].endswith(last) and bool(said[3]) == bool(last)
    assert JS()(draw, data).scalars["critic_estimate"] == pytest.approx(2.9, rel=1e-5)


def test_old_checks_fall_off() -> None:
    checks = Half().memory(torch.device("cpu"))
    for step in range(1, KEPT + 4):
        stopping.note(checks, step, math.nan, step != 50)
    assert checks[:, STEP].tolist() == list(range(4, KEPT + 4))
    assert stopping.streak(checks) == KEPT + 3 - 50
    assert checks.isfinite().all()


# -- held-out rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_held_out_rows_are_never_drawn(share: float) -> None:
    """Two epochs meet every training row and no other, and the two sides together are the data set."""
    settings = ["dataset=ring8", "dataset.n=200", "train.batch_size=50", "probes=none", "train.epochs=2"]
    whole, made = build(compose(*settings)), build(compose(*settings, f"train.held_out={share}"))
    assert whole.source.held_out is None and made.source.held_out is not None
    assert len(made.source.held_out) == round(200 * share)
    met: list[Tensor] = []
    program = made.program
    made.program = lambda x, key: (met.append(x), program(x, key))[1]  # type: ignore[assignment]
    play(made)
    seen, unseen, all_rows = (
        {tuple(r) for r in x.tolist()} for x in (torch.cat(met), made.source.held_out.data, whole.source.data)
    )
    assert len(all_rows) == 200 and seen | unseen == all_rows and not seen & unseen
    assert {tuple(r) for r in made.source.data.tolist()} == seen


def test_a_split_keeps_what_belongs_together() -> None:
    data = torch.arange(100.0)[:, None]
    truth = {"outlier": torch.arange(100) % 3 == 0, "scatter": torch.eye(1), "eps": torch.tensor(0.3)}
    made = split(Source(Spec((1,), "table"), data, labels=torch.arange(100), truth=truth, digest="d"), 0.3)
    for side in (made, made.held_out):
        assert side is not None and side.labels is not None
        assert side.labels.tolist() == side.data[:, 0].tolist()
        assert side.truth["outlier"].tolist() == [k % 3 == 0 for k in side.labels.tolist()]
        assert torch.equal(side.truth["scatter"], torch.eye(1)) and side.truth["eps"] == truth["eps"]
    assert made.held_out is not None and len({"d", made.digest, made.held_out.digest}) == 3
    assert split(made, 0.5) is made
    series = split(Source(Spec((1, 1), "series"), data[:, None]), 0.3)
    assert series.held_out is not None and series.held_out.data.flatten().tolist() == list(range(70, 100))


# -- whole runs ------------------------------------------------------------------------------------

STOPS = ["loss=wgan", "stop=plateau", "stop.every=1", "stop.patience=5", "stop.tolerance=100", "stop.n=24"]
ASIDE = "train.held_out=0.1"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_rule_completes_the_run() -> None:
    """Exit code 0, the reason wherever somebody might look, a checkpoint and a picture of that step."""
    assert run(*STOPS) == 0
    said = status()
    assert (said["state"], said["step"], said["exit_code"], said["resumable"]) == ("completed", 10, 0, False)
    assert "5 checks" in said["stopped"]
    assert saved()[-1] == 10 and Path("r/pictures/stopping.png").is_file()
    assert f"ends at step 10: {said['stopped']}" in Path("r/run.log").read_text()
    assert said["stopped"].encode() in b"".join(p.read_bytes() for p in Path("r/tb").iterdir())
    assert json.loads(Path("r/result.json").read_text())["step"] == 10
    assert run(*STOPS, "resume=r") == 0 and status()["step"] == 10


@pytest.mark.parametrize("pause", [3, 6, 7, 9])
def test_cut_off_in_the_middle_of_a_count_it_ends_at_the_same_step(pause: int) -> None:
    assert run(*STOPS, "run.dir=whole") == 0
    assert run(*STOPS, f"train.steps={pause}") == 0 and status()["step"] == pause
    assert run(*STOPS, "resume=r") == 0
    assert status()["step"] == 10 and "5 checks" in status()["stopped"]
    assert bits() == bits("whole")


def test_killed_between_its_last_checkpoint_and_its_last_word() -> None:
    run(*STOPS)
    ended, bit = status(), bits()
    Path("r/status.json").write_text(json.dumps({**ended, "state": "running", "exit_code": None}))
    assert run(*STOPS, "resume=r") == 0
    assert status()["step"] == 10 and status()["stopped"] == ended["stopped"] and bits() == bit


def test_a_rule_changes_nothing_but_the_end() -> None:
    """Going on without it leads to the bits of a run that never had it, and so does one that it never ends."""
    free = [*STOPS[:1], ASIDE]
    assert run(*free, "run.dir=whole") == 0
    run(*STOPS)
    assert run(*free, "resume=r") == 0 and status()["step"] == 12 and "stopped" not in status()
    assert run(*STOPS, "stop.tolerance=1e-9", "run.dir=never") == 0
    for place in ("r", "never"):
        kept = [x for x in bits(place) if not (isinstance(x, list) and len(x) == KEPT)]
        assert kept == bits("whole")


def test_a_rule_may_join_a_run() -> None:
    assert run("loss=wgan", ASIDE, "train.steps=4") == 0
    assert run(*STOPS, "stop.patience=3", "resume=r", "train.steps=12") == 0
    assert status()["step"] == 10  # checks at 5, 6, ... 10


def test_held_out_rows_may_not_change_in_mid_run() -> None:
    run("loss=wgan", "train.steps=4")
    assert "train.held_out" in str(short_runs.refusal(*STOPS, "resume=r"))


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("loss=wgan stop=half", ["half", "logits", "distances", "stop=plateau"]),
        ("loss=ns stop=plateau", ["plateau", "distances", "logits", "stop=half"]),
        ("loss=hinge stop=half", ["neither", "stop=none"]),
        ("loss=veegan model=veegan stop=half", ["neither", "stop=none"]),
        ("stop=half train.held_out=0", ["300", "train.held_out=0.1"][1:]),
        ("stop=half train.held_out=0.05", ["24", "keeps 15", "train.held_out=0.1"]),
        ("stop=half train.held_out=0.999", ["train.held_out=0.999"]),
        ("stop=half stop.every=0", ["every=0"]),
        ("stop=half stop.patience=0", ["patience=0"]),
        ("stop=half stop.patience=201", ["patience=201", "from 1 to 100"]),
        ("stop=half stop.tolerance=0", ["tolerance=0"]),
        ("stop=half stop.classifier.steps=0", ["steps=0"]),
        ("loss=wgan stop=plateau stop.patience=1", ["patience=1"]),
    ],
)
def test_refusals(line: str, words: list[str]) -> None:
    fault = train_fault(*line.split())
    assert all(word in fault for word in words), fault


def train_fault(*overrides: str) -> str:
    before = set(Path().iterdir())
    nets = [o for o in short_runs.TOY if not o.startswith("model.") or "model=veegan" not in overrides]
    with pytest.raises(Exception) as caught:
        train.train(compose(*nets, "train.steps=2", "run.dir=r", *overrides), [])
    assert set(Path().iterdir()) == before and "fix: " in str(caught.value)
    return str(caught.value)


# -- what looks ------------------------------------------------------------------------------------


def test_judging_is_done_in_evaluation_mode_and_leaves_no_trace() -> None:
    made = build(compose("dataset=ring8", "dataset.n=300", "++model.discriminator.dropout=0.5", "probes=none", ASIDE))
    draw = Draw(made.objective, made.state, made.source.device)
    x = made.source.take(torch.arange(260))
    before = {k: v.clone() for k, v in made.state.tensors().items()}
    assert torch.equal(draw.judge(x), draw.judge(x)) and draw.judge(x).shape == (260,)
    assert all(torch.equal(v, before[k]) for k, v in made.state.tensors().items())
    assert made.state.nets["discriminator"].training


def test_probes_by_themselves() -> None:
    """The discriminator and a fresh classifier as probes; without held-out rows the former proves nothing."""
    made = build(compose("dataset=ring8", "dataset.n=600", "probes=none", "train.batch_size=16", ASIDE))
    draw = Draw(made.objective, made.state, made.source.device)
    found = JS(n=50)(draw, made.source).scalars
    x, fake = (draw.judge(rows).double() for rows in (made.source.held_out.take(order(60)[:50]), draw(50, live=True)))  # type: ignore[union-attr]
    assert found == pytest.approx(prove(x, fake))
    apart = C2ST(n=60, steps=200)(draw, made.source).scalars
    assert apart["c2st_accuracy"] > 0.8 and apart["c2st_p_value"] < 1e-3
    with pytest.warns(UserWarning, match=r"train\.held_out"):
        assert not JS()(draw, replace(made.source, held_out=None)).scalars


@pytest.mark.parametrize(
    ("settings", "scale", "middle", "scores"),
    [
        ("model=mlp_packed", "logit", 0, 24),
        ("loss=wgan", "distance", 0, 48),
        ("loss=fgan_kl", "logit", 1, 48),
        ("loss=progressive loss.game.payoff._target_=gan_runner.losses.fdivergences.KL", "logit", 1, 48),
        ("loss=vgrow_kl", "logit", 0, 48),
        ("loss=hinge", "", 0, 0),
    ],
)
@pytest.mark.filterwarnings("ignore:loss=progressive")
def test_games_and_what_their_scores_are(settings: str, scale: str, middle: float, scores: int) -> None:
    """Packs have one score each; where scores are neither logits nor distances there is nothing to find."""
    made = build(
        compose("dataset=ring8", "dataset.n=500", "probes=none", "train.batch_size=16", ASIDE, *settings.split())
    )
    draw = Draw(made.objective, made.state, made.source.device)
    assert (made.objective.scale, made.objective.middle) == (scale, middle)
    assert bool(JS(n=50)(draw, made.source).scalars) == bool(scores)
    if scores:
        assert len(draw.judge(draw(48))) == scores


def order(n: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))


# -- the picture -----------------------------------------------------------------------------------


def marked(rgb: Tensor) -> list[bool]:
    """For the panels over time whether one of their columns is orange to a third of the height."""
    orange = rgb[..., 0].int() - rgb[..., 2].int() > 60
    return [bool((panel.float().mean(0) > 0.33).any()) for panel in orange.split(LEFT + WIDTH + RIGHT, 1)[::2]]


@pytest.mark.parametrize("logits", [True, False])
def test_the_stop_is_marked(logits: bool) -> None:
    checks = Half().memory(torch.device("cpu"))[:4].clone()
    for step in (10, 20, 30, 40):
        stopping.note(checks, step, 1 / step, False)
    real = fake = torch.linspace(-1, 1, 50)
    assert not any(marked(picture(checks, real, fake, logits)))
    checks[-1, ENDED] = 1
    assert marked(picture(checks, real, fake, logits)) == ([True, True] if logits else [True])


def test_without_a_rule_there_is_no_picture() -> None:
    made = build(compose("dataset=ring8", "dataset.n=300", "probes=none", ASIDE))
    assert not Stopping()(Draw(made.objective, made.state, made.source.device), made.source).pictures


def test_refused_settings_of_the_test() -> None:
    for wrong_settings in ({"n": 3}, {"hidden": 0}, {"steps": 0}):
        with pytest.raises(ValueError, match="="):
            C2ST(**wrong_settings)
    with pytest.raises(UsageError):
        compose("train.held_out=1")
