"""The state: what a step touches, what the moving average follows, what a checkpoint brings back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_runner import optimizers, parallel, program, schedules
from gan_runner.build import build
from gan_runner.losses import adversarial, payoffs
from gan_runner.optimizers import Adam
from gan_runner.state import Clock, Factors, Logs, Player, State
from tests.conftest import compose


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.latent, self.net = 2, nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    def noise(self, n: int) -> Tensor:
        return torch.randn(n, self.latent)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


class Discriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.net = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Flatten(0))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x)


ADAM = optimizers.Adam(1e-2)


def state(optimizer: optimizers.Optimizer = ADAM, schedule: schedules.Schedule | None = None) -> State:
    torch.manual_seed(0)
    nets = {"generator": Generator(), "discriminator": Discriminator()}
    return State.create(nets, adversarial.Adversarial.players, ("generator",), optimizer, schedule)


ORDERS = [adversarial.Adversarial, adversarial.Reusing, adversarial.Simultaneous]


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_player_moves_its_own_networks_alone(player: str) -> None:
    s, game = state(), adversarial.Adversarial(payoffs.NonSaturating())
    before = copy.deepcopy(s.nets.state_dict())
    loss: Callable = getattr(game, f"{player}_loss")
    s.players[player].descend(loss, s.nets, torch.randn(16, 2), game.sample_with_graph(s, 16))
    for name, value in s.nets.named_parameters():
        assert torch.equal(value, before[name]) != name.startswith(player), name


@pytest.mark.parametrize("order", ORDERS)
def test_every_parameter_moves(order: type[adversarial.Adversarial]) -> None:
    s = state()
    before = {k: v.clone() for k, v in s.nets.named_parameters()}
    for _ in range(3):
        order(payoffs.NonSaturating()).step(s, torch.randn(16, 2), 1)
    for name, value in s.nets.named_parameters():
        assert not torch.equal(value, before[name]), name


def test_a_generator_that_repeats_looks_at_fresh_noise_each_time() -> None:
    """n_critic discriminator steps, then three of the generator, all against the discriminator where it then stands."""
    s, seen = state(optimizers.SGD(1e-2)), []

    class Spy(payoffs.Wasserstein):
        def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
            seen.append(("discriminator", fake.detach()))
            return super().discriminator(real, fake)

        def generator(self, real: Tensor, fake: Tensor) -> Tensor:
            seen.append(("generator", fake.detach()))
            return super().generator(real, fake)

    game = adversarial.Repeating(Spy(), n_critic=2, n_generator=3)
    game.step(s, torch.randn(8, 2), 2)
    assert [who for who, _ in seen] == ["discriminator"] * 2 + ["generator"] * 3
    scores = [scores for _, scores in seen]
    assert all(len(x) == 4 for x in scores) and not torch.equal(scores[2], scores[3])
    with pytest.raises(ValueError, match="n_generator=0"):
        adversarial.Repeating(Spy(), n_generator=0)


def test_n_critic_steps_see_fresh_data_each() -> None:
    s, seen = state(), []
    game = adversarial.Adversarial(payoffs.Wasserstein(), n_critic=5)
    descend = s.players["discriminator"].descend
    s.players["discriminator"].descend = lambda loss, nets, real, fake: (  # type: ignore[method-assign]
        seen.append(real),
        descend(loss, nets, real, fake),
    )[1]
    x = torch.randn(5 * 4, 2)
    game.step(s, x, game.prepare(s))
    assert len(seen) == 5
    assert torch.equal(torch.cat(seen), x)


def test_critic_warmup_counts() -> None:
    """25 iterations of 100, then 5, and 100 again in every 500th (the authors' code)."""
    game = adversarial.Adversarial(payoffs.Wasserstein(), n_critic=5, warmup=adversarial.CriticWarmup())
    counts = [game.batches(Clock(step=t)) for t in (0, 24, 25, 499, 500, 501, 1000)]
    assert counts == [100, 100, 5, 5, 100, 5, 100]


def test_simultaneous_gradients_are_taken_before_either_step() -> None:
    """The generator's gradient uses the discriminator as it was: equal to computing it on a copy first."""
    s, x = state(optimizers.SGD(0.1)), torch.randn(16, 2)
    game = adversarial.Simultaneous(payoffs.NonSaturating())
    twin = copy.deepcopy(s.nets)
    torch.manual_seed(5)
    fake = twin["generator"](torch.randn(16, 2))
    loss = payoffs.NonSaturating().generator(torch.zeros(16), twin["discriminator"](fake))
    expected = torch.autograd.grad(loss, list(twin["generator"].parameters()))
    before = weights(s.nets["generator"])
    torch.manual_seed(5)
    game.step(s, x, 1)
    moved = (before - weights(s.nets["generator"])) / 0.1
    torch.testing.assert_close(moved, torch.cat([g.flatten() for g in expected]), rtol=1e-3, atol=1e-6)


def test_reusing_judges_and_teaches_the_same_fakes() -> None:
    """One generator pass an iteration, where the alternating order needs two."""
    passes = {}
    for order in (adversarial.Adversarial, adversarial.Reusing):
        s, count = state(), []
        s.nets["generator"].register_forward_hook(lambda *_, count=count: count.append(1))
        order(payoffs.NonSaturating()).step(s, torch.randn(16, 2), 1)
        passes[order.__name__] = len(count)
    assert passes == {"Adversarial": 2, "Reusing": 1}


def test_only_paired_payoffs_score_real_samples_for_the_generator() -> None:
    for payoff, expected in ((payoffs.NonSaturating(), 3), (payoffs.Relativistic(), 4)):
        s = state()
        adversarial.Adversarial(payoff).step(s, torch.randn(8, 2), 1)
        assert s.nets["discriminator"].calls == expected


def test_moving_average_has_the_stated_half_life() -> None:
    """After `halflife` images at a standstill, half of the distance is left."""
    s = state()
    s.clock.step = 10**9  # the ramp at the start is over
    with torch.no_grad():
        for p in s.average.parameters():
            p.zero_()
        for p in s.nets["generator"].parameters():
            p.fill_(1.0)
    for _ in range(10):
        s.tick(500, 100, halflife=1000)  # five critic batches count once
    for p in s.average.parameters():
        torch.testing.assert_close(p, torch.full_like(p, 0.5))


@pytest.mark.parametrize(
    ("words", "shared"),
    [(["train.ema_halflife=0"], True), (["train.ema_halflife=0", "train.average_from=0.5"], False), ([], False)],
)
def test_an_average_without_a_past_is_the_network(words: list[str], shared: bool) -> None:
    """It shares its memory but takes no gradients; whatever a checkpoint says, the network's own weights are loaded."""
    s = build(compose("dataset=ring8", "probes=none", *words)).state
    mine, live = s.average["generator"], s.nets["generator"]
    assert (next(mine.parameters()).data_ptr() == next(live.parameters()).data_ptr()) == shared
    assert not any(p.requires_grad for p in mine.parameters()) and all(p.requires_grad for p in live.parameters())
    saved, first = copy.deepcopy(s.state_dict()), weights(live)
    with torch.no_grad():
        for p in live.parameters():
            p.add_(1.0)
    assert torch.equal(weights(mine), weights(live)) == shared
    s.tick(64, 64, halflife=0)
    assert torch.equal(weights(mine), weights(live))
    saved["average"] = {name: torch.zeros_like(t) for name, t in saved["average"].items()}
    s.load_state_dict(saved)
    assert torch.equal(weights(live), first) and torch.equal(weights(mine), first if shared else 0 * first)


def test_moving_average_copies_buffers() -> None:
    s = state()
    s.nets["generator"].train()(torch.randn(64, 2) + 5)
    s.tick(64, 64, 1000)
    for mine, live in zip(s.average.buffers(), s.nets["generator"].buffers(), strict=True):
        assert torch.equal(mine, live)


EACH = pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.Adam(1e-2, betas=(0.5, 0.9), eps=1e-6),
        optimizers.Adam(1, betas=(0, 0.9)),  # as `optimizer.lr=1 optimizer.betas=[0,0.9]` brings them
        optimizers.AdamW(1e-2),
        optimizers.SGD(1e-2),
        optimizers.SGD(1e-2, momentum=0.9),
        optimizers.RMSprop(1e-3, alpha=0.9),
    ],
    ids=lambda o: f"{type(o).__name__}{getattr(o, 'momentum', '') or ''}",
)


@EACH
@pytest.mark.parametrize("loaded", [False, True], ids=["fresh", "loaded"])
def test_a_plain_rule_is_the_step_of_torch(optimizer: optimizers.Optimizer, loaded: bool) -> None:
    """The same bits under a falling rate, also over moments that a checkpoint brought."""
    torch.manual_seed(0)
    mine, theirs = (nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)) for _ in range(2))
    ours, torchs = optimizer("generator", [mine]), optimizer("generator", [theirs])
    if loaded:
        for p, o in ((mine, ours), (theirs, torchs)):
            p.grad = torch.full_like(p, 0.3)
            o.step()
        ours.load_state_dict(copy.deepcopy(torchs.state_dict()))
    move = ours.rule()  # type: ignore[attr-defined]
    for t in range(5):
        gradient = torch.randn(3, 4)
        ours.param_groups[0]["lr"] = torchs.param_groups[0]["lr"] = 1e-2 / (1 + t)
        theirs.grad = gradient.clone()
        torchs.step()
        with torch.no_grad():
            move([gradient.clone()])
        assert torch.equal(mine, theirs)
    moments, expected = (o.state_dict()["state"].get(0, {}) for o in (ours, torchs))
    assert all(torch.equal(moments[k], v.to(moments[k].dtype)) for k, v in expected.items() if v is not None)


@dataclass(frozen=True)
class Nesterov(optimizers.Optimizer):
    """What a user may write: a class of torch, with settings of its own."""

    make = torch.optim.SGD

    def implementation(self, params: list[nn.Parameter], tensor_rate: bool) -> dict[str, Any]:
        return {"momentum": 0.9, "nesterov": True}


def test_an_optimizer_of_the_user_steps_as_it_is() -> None:
    game, x = adversarial.Adversarial(payoffs.Hinge()), torch.randn(16, 2)
    by_program, by_hand = state(Nesterov(0.1)), state(Nesterov(0.1))
    run = program.make("eager", game, by_program, "fp32", "highest", torch.contiguous_format)
    for t in range(3):
        torch.manual_seed(t)
        run(x, 1)
        torch.manual_seed(t)
        game.step(by_hand, x, 1)
    assert all(torch.equal(v, by_hand.tensors()[k]) for k, v in by_program.tensors().items())
    compiled = program.make("compiled", game, state(Nesterov(0.1)), "fp32", "highest", torch.contiguous_format)
    with pytest.raises(ValueError, match=r"SGD has no step that can be compiled: choose train\.program=eager"):
        compiled(x, 1)


def test_coarse_products_are_for_steps_alone() -> None:
    seen = []

    class Asks:
        def step(self, s: State, x: Tensor, key: Hashable) -> Logs:
            seen.append(torch.get_float32_matmul_precision())
            return {} if len(seen) == 1 else {"no": x @ x}

    run = program.make("eager", Asks(), state(optimizers.SGD(0.1)), "fp32", "medium", torch.contiguous_format)
    run(torch.randn(4, 2), 1)
    assert seen == ["medium"] and torch.get_float32_matmul_precision() == "highest"
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        run(torch.randn(4, 2), 1)
    assert seen == ["medium"] * 2 and torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(
    ("device", "has", "found"),
    [
        ("cpu", {"cpu_name": "Intel Xeon", "amx_tile": False}, "highest"),
        ("cpu", {"cpu_name": "Intel Xeon", "amx_tile": True}, "medium"),
        ("cpu", {"cpu_name": "AMD EPYC", "amx_tile": False}, "medium"),
        ("cpu", {}, "highest"),
        ("cuda", {}, "medium"),
    ],
)
def test_fast_products_are_coarse_where_that_pays(
    monkeypatch: pytest.MonkeyPatch, device: str, has: dict, found: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert program.exactness("fast", torch.device(device)) == found
    assert program.exactness("high", torch.device(device)) == "high"


@EACH
def test_a_state_comes_back_whole(optimizer: optimizers.Optimizer) -> None:
    game, x = adversarial.Adversarial(payoffs.Hinge()), torch.randn(16, 2)
    a, b = state(optimizer), state(optimizer)
    for t in range(6):
        torch.manual_seed(t)
        game.step(a, x, 1)
        a.tick(16, 16, 100)
        if t == 2:
            saved = copy.deepcopy(a.state_dict())
    b.load_state_dict(saved)
    for t in range(3, 6):
        torch.manual_seed(t)
        game.step(b, x, 1)
        b.tick(16, 16, 100)
    assert a.clock == b.clock
    assert all(torch.equal(v, b.tensors()[k]) for k, v in a.tensors().items())


def test_loading_keeps_the_configured_rate() -> None:
    a, b = state(optimizers.Adam(1e-2)), state(optimizers.Adam(5e-3))
    b.load_state_dict(a.state_dict())
    assert [p.rate for p in b.players.values()] == [5e-3, 5e-3]


def test_rates_of_single_players() -> None:
    s = state(optimizers.Adam(1e-2, players={"discriminator": {"lr": 4e-2}}), schedules.Linear())
    for player in s.players.values():
        player.set_rate(50, 100)
    assert {k: p.rate for k, p in s.players.items()} == {"discriminator": 2e-2, "generator": 5e-3}


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (schedules.Constant(), [1, 1, 1]),
        (schedules.Linear(), [1, 0.5, 0]),
        (schedules.Linear(start=0.5, end=0.5), [1, 1, 0.5]),
        (schedules.Cosine(), [1, 0.5, 0]),
        (schedules.Cosine(end=0.5, images=50), [1, 0.5, 0.5]),
        (schedules.Steps(at=(0.5, 0.75), factor=0.1), [1, 0.1, 0.01]),
        (schedules.Exponential(halflife=25), [1, 0.25, 0.0625]),
        (schedules.Exponential(halflife=25, end=0.1), [1, 0.25, 0.1]),
    ],
)
def test_schedules(schedule: schedules.Schedule, values: list[float]) -> None:
    assert [schedule(seen, 100) for seen in (0, 50, 100)] == pytest.approx(values)


@pytest.mark.parametrize("lr", [-1.0, 0.0, float("nan"), float("inf")])
def test_rates_that_cannot_be(lr: float) -> None:
    with pytest.raises(ValueError, match="lr"):
        optimizers.Adam(lr)
    with pytest.raises(ValueError, match=r"discriminator\.lr"):
        optimizers.Adam(1e-3, players={"discriminator": {"lr": lr}})


def along(make: Callable[[list[nn.Parameter]], torch.optim.Optimizer], fast: bool, whole: bool) -> Player:
    """A player after three steps along gradients of a matrix and a vector, the former in factors or multiplied out."""
    torch.manual_seed(0)
    net = nn.Linear(3, 4).double()
    player = Player([net], make(list(net.parameters())))
    if fast:
        player.move = player.optimizer.rule()  # type: ignore[attr-defined]
    for _ in range(3):
        u, v, w, x, b = (torch.randn(*shape, dtype=torch.float64) for shape in ((5, 4), (5, 3), (2, 4), (2, 3), (4,)))
        matrix = -0.2 * torch.einsum("na,nb->ab", u, v) + 0.5 * torch.einsum("na,nb->ab", w, x)
        player.apply([matrix if whole else Factors([(-0.2, u, v), (0.5, w, x)]), b])
    return player


MAKERS = {
    "sgd": lambda params: optimizers.SGD(0.1)("rbm", params),
    "decayed": lambda params: optimizers.QuickSGD(params, 0.1, weight_decay=0.5),
    "momentum": lambda params: optimizers.SGD(0.1, momentum=0.9)("rbm", params),
    "adam": lambda params: optimizers.Adam(0.1)("rbm", params),
    "compiled": lambda params: optimizers.SGD(0.1)("rbm", params, tensor_rate=True),
    "torch": lambda params: torch.optim.SGD(params, lr=0.1),
}


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(("name", "fast"), [(name, fast) for name in MAKERS for fast in (False, True)][:-1])
def test_factors_are_the_matrix_that_they_make(
    name: str, fast: bool, ranks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To every optimizer, to the average over ranks and to whoever looks at the gradient of the last step."""
    monkeypatch.setattr(parallel, "world", lambda: ranks)
    monkeypatch.setattr(parallel, "mean", lambda grads: grads if ranks == 1 else [g / 2 for g in grads])
    whole, factors = (along(MAKERS[name], fast, whole) for whole in (True, False))
    left = factors.params[0].grad is None
    assert left == (name == "sgd" and fast and ranks == 1)  # it alone never makes the matrix
    torch.testing.assert_close(factors.params, whole.params)
    torch.testing.assert_close(factors.gradient_norm(), whole.gradient_norm())
    torch.testing.assert_close(factors.gradients(), [p.grad for p in whole.params])


def test_gradient_norm_is_that_of_the_last_step() -> None:
    net = nn.Linear(2, 1, bias=False)
    player = Player([net], torch.optim.SGD(net.parameters(), lr=0.1))
    player.apply([torch.tensor([[3.0, 4.0]])])
    assert float(player.gradient_norm()) == 5.0


def test_a_gradient_reaches_its_own_weight_however_it_lies_in_memory() -> None:
    net = torch.nn.Linear(2, 3, bias=False)
    player, before = Player([net], Adam(lr=0.5)("player", net.parameters())), net.weight.detach().clone()
    signs = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    player.apply([signs.T.contiguous().T])
    torch.testing.assert_close(net.weight.detach(), before - 0.5 * signs)
