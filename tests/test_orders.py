"""Orders of play on real networks: against hand-written algorithms, explicit Jacobians, and the toys they share."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from gan_runner import optimizers
from gan_runner.datasets.spec import Spec
from gan_runner.losses import adversarial, orders, payoffs
from gan_runner.losses.constraints import ClipWeights, Simplex
from gan_runner.losses.games import Dirac
from gan_runner.losses.penalties import GradientNorm
from gan_runner.losses.saddle import Saddle
from gan_runner.models.mlp import Discriminator, Generator
from gan_runner.state import Player, State, pull

TABLE = Spec((2,), "table")
SGD, ADAM = optimizers.SGD(0.1), optimizers.Adam(0.01)
TOGETHER = [adversarial.Simultaneous, adversarial.Extragradient, adversarial.Consensus]


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def state(optimizer: optimizers.Optimizer = SGD) -> State:
    torch.manual_seed(0)
    nets = {
        "generator": Generator(TABLE, 2, [8], activation="tanh"),
        "discriminator": Discriminator(TABLE, [8], activation="tanh"),
    }
    return State.create(nets, adversarial.Adversarial.players, ("generator",), optimizer)


def step(game: adversarial.Adversarial, s: State, x: Tensor, seed: int = 5) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return game.step(s, x, 1)


def flat(nets: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in nets.parameters()])


def gradients(game: adversarial.Adversarial, nets: nn.ModuleDict, real: Tensor, z: Tensor) -> dict[str, list[Tensor]]:
    """F, each player's part by itself, on networks that no player moves."""
    fake = nets["generator"](z)
    found = {}
    for role in ("discriminator", "generator"):
        loss, _ = getattr(game, f"{role}_loss")(nets, real, fake)
        found[role] = list(torch.autograd.grad(loss, [*nets[role].parameters()], retain_graph=True))
    return found


def latents(n: int = 16, seed: int = 5) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn(n, 2)


@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
def test_extragradient_is_gidels_algorithm(optimizer: optimizers.Optimizer) -> None:
    """Three steps by hand: moments see both gradients, weights go back before the second step (ExtraAdam)."""
    s, game = state(optimizer), adversarial.Extragradient(payoffs.NonSaturating())
    twin = copy.deepcopy(s.nets)
    kinds = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}
    movers = {r: kinds[type(optimizer).__name__](twin[r].parameters(), lr=optimizer.lr) for r in twin}
    for t in range(3):
        x, z = torch.randn(16, 2), latents(seed=t)
        start = copy.deepcopy(twin.state_dict())
        for again in (False, True):
            found = gradients(game, twin, x, z)
            if again:
                twin.load_state_dict(start)
            for role, grads in found.items():
                for p, g in zip(twin[role].parameters(), grads, strict=True):
                    p.grad = g
                movers[role].step()
        step(game, s, x, t)
    torch.testing.assert_close(flat(s.nets), flat(twin), rtol=0, atol=1e-12)


def test_consensus_adds_the_transposed_jacobian_times_the_field() -> None:
    """Against J, written out column by column."""
    s, game, x, z = state(), adversarial.Consensus(payoffs.NonSaturating(), gamma=0.7), torch.randn(16, 2), latents()
    twin = copy.deepcopy(s.nets)
    names = [n for role in ("discriminator", "generator") for n, _ in twin.named_parameters() if n.startswith(role)]
    shapes = [dict(twin.named_parameters())[n].shape for n in names]

    def inner(weights: dict[str, Tensor], role: str) -> dict[str, Tensor]:
        return {n.removeprefix(f"{role}."): t for n, t in weights.items() if n.startswith(role)}

    def losses(weights: dict[str, Tensor], role: str) -> Tensor:
        def judge(v: Tensor) -> Tensor:
            return torch.func.functional_call(twin["discriminator"], inner(weights, "discriminator"), v)

        fake = torch.func.functional_call(twin["generator"], inner(weights, "generator"), z)
        return getattr(game.payoff, role)(judge(x), judge(fake))

    def field(w: Tensor) -> Tensor:
        pieces = w.split([shape.numel() for shape in shapes])
        weights = {n: piece.view(shape) for n, piece, shape in zip(names, pieces, shapes, strict=True)}
        found: list[Tensor] = []
        for role in ("discriminator", "generator"):
            own = {n: t for n, t in weights.items() if n.startswith(role)}
            slopes = torch.func.grad(lambda own, role=role: losses({**weights, **own}, role))(own)
            found += [slopes[n].flatten() for n in own]
        return torch.cat(found)

    params = dict(twin.named_parameters())
    w = torch.cat([params[n].detach().flatten() for n in names])
    F, J = field(w), torch.func.jacrev(field)(w)
    step(game, s, x)
    moved = dict(s.nets.named_parameters())
    now = torch.cat([moved[n].detach().flatten() for n in names])
    torch.testing.assert_close(now, w - 0.1 * (F + 0.7 * J.T @ F), rtol=0, atol=1e-12)


@pytest.mark.parametrize("penalty", [{}, {"r1": GradientNorm(at="real", target=0.0, weight=1.0)}])
def test_consensus_without_weight_is_simultaneous(penalty: dict) -> None:
    ends = []
    for game in (
        adversarial.Simultaneous(payoffs.NonSaturating(), penalty),
        adversarial.Consensus(payoffs.NonSaturating(), penalty, gamma=0.0),
    ):
        s = state(ADAM)
        for t in range(3):
            logs = step(game, s, torch.ones(16, 2) * t, t)
        ends.append(torch.cat([flat(s.nets), *(logs[k].flatten() for k in sorted(logs))]))
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-14)


def test_consensus_averages_the_field_over_ranks_before_it_is_pulled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """J^T of this rank on F of all: averaged by the step that follows, it is that of the whole batch."""
    a, b = nn.Parameter(torch.tensor([2.0])), nn.Parameter(torch.tensor([3.0]))
    players = [Player([nn.ParameterList([p])], torch.optim.SGD([p], lr=1.0)) for p in (a, b)]
    F = [[2 * a + b], [2 * b - a]]
    everyone = [torch.tensor([10.0]), torch.tensor([-1.0])]
    monkeypatch.setattr("gan_runner.parallel.mean", lambda tensors: everyone)
    found = pull(players, F)
    assert [float(g) for (g,) in found] == [2 * 10 + 1, 10 - 2]


@pytest.mark.parametrize("order", TOGETHER)
def test_constraints_hold_after_every_move(order: type[adversarial.Simultaneous]) -> None:
    """Also after the trial step of extragradient: the second look must be inside the box."""
    looked = []

    class Watching(payoffs.Wasserstein):
        def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
            looked.append(float(flat(s.nets["discriminator"]).abs().max()))
            return super().discriminator(real, fake)

    s = state(optimizers.SGD(5.0))
    game = order(Watching(), constraints={"clip": ClipWeights(0.05)})
    step(game, s, torch.randn(16, 2))
    step(game, s, torch.randn(16, 2))
    assert max(looked[1:]) <= 0.05 + 1e-12 and len(looked) == (4 if order is adversarial.Extragradient else 2)
    assert float(flat(s.nets["discriminator"]).abs().max()) <= 0.05 + 1e-12


def test_one_pass_of_the_generator_per_look() -> None:
    for order, passes in zip(TOGETHER, (1, 2, 1), strict=True):
        s, count = state(), []
        s.nets["generator"].register_forward_hook(lambda *_, count=count: count.append(1))
        step(order(payoffs.NonSaturating()), s, torch.randn(16, 2))
        assert len(count) == passes


@pytest.mark.parametrize("order", TOGETHER)
def test_no_critic_steps_where_players_look_together(order: type[adversarial.Simultaneous]) -> None:
    with pytest.raises(ValueError, match="n_critic=2"):
        order(payoffs.NonSaturating(), n_critic=2)
    with pytest.raises(ValueError, match="warmup="):
        order(payoffs.NonSaturating(), warmup=adversarial.CriticWarmup())


def test_gamma_is_refused_below_zero() -> None:
    for make in (orders.Consensus, lambda gamma: adversarial.Consensus(payoffs.Minimax(), gamma=gamma)):
        with pytest.raises(ValueError, match="gamma=-1"):
            make(gamma=-1.0)


# -- the same game twice -------------------------------------------------------------------------


class Theta(nn.Module):
    """A generator that makes one number, whatever the latent."""

    def __init__(self, value: float):
        super().__init__()
        self.point = nn.Parameter(torch.tensor([value]))

    def noise(self, n: int) -> Tensor:
        return torch.zeros(n, 1)

    def forward(self, z: Tensor) -> Tensor:
        return self.point.expand(len(z), 1)


class Psi(Theta):
    def forward(self, x: Tensor) -> Tensor:
        return (self.point * x).squeeze(1)


class Number(Theta):
    def forward(self) -> Tensor:
        return self.point


PAIRS = [
    (adversarial.Simultaneous, orders.Simultaneous(), {}),
    (adversarial.Extragradient, orders.Extragradient(), {}),
    (adversarial.Consensus, orders.Consensus(0.3), {"gamma": 0.3}),
]


@pytest.mark.parametrize("optimizer", [SGD, optimizers.Optimistic(0.1), ADAM], ids=["sgd", "optimistic", "adam"])
@pytest.mark.parametrize("payoff", [payoffs.Minimax(), payoffs.NonSaturating(), payoffs.Wasserstein()])
@pytest.mark.parametrize(("game", "order", "settings"), PAIRS)
def test_dirac_gan_is_the_same_as_a_gan_and_as_a_game(game, order, settings, payoff, optimizer) -> None:
    """Data at 0, D = psi x, R1: 20 steps of the networks' game and of the closed formula end in the same point."""
    gan = game(payoff, {"r1": GradientNorm(at="real", target=0.0, weight=0.25)}, **settings)
    s = State.create({"generator": Theta(0.8), "discriminator": Psi(0.4)}, gan.players, ("generator",), optimizer)
    toy = Saddle(Dirac(payoff, penalty=0.5), order)
    t = State.create({"x": Number(0.8), "y": Number(0.4)}, toy.players, toy.averaged, optimizer)
    toy.setup(t, 1)
    for _ in range(20):
        gan.step(s, torch.zeros(4, 1), 1)
        toy.step(t, torch.zeros(4, 1), None)
    torch.testing.assert_close(flat(s.nets["generator"]), flat(t.nets["x"]), rtol=0, atol=1e-12)
    torch.testing.assert_close(flat(s.nets["discriminator"]), flat(t.nets["y"]), rtol=0, atol=1e-12)
    assert float(flat(s.nets).abs().max()) > 0.01


# -- optimism and the simplex --------------------------------------------------------------------


def test_optimistic_steps_by_hand() -> None:
    """w - lr (2 g_t - g_{t-1}), g before the first step 0; the state keeps the last gradient."""
    w = nn.Parameter(torch.tensor([1.0, -2.0]))
    player = Player([nn.ParameterList([w])], optimizers.Optimistic(0.5)("x", [w]))
    grads = [torch.tensor([1.0, 0.0]), torch.tensor([3.0, 4.0]), torch.tensor([-1.0, 2.0])]
    expected, last = w.detach().clone(), torch.zeros(2)
    for fast in (False, True):
        for g in grads:
            player.apply([g])
            expected, last = expected - 0.5 * (2 * g - last), g
            assert torch.equal(w.detach(), expected)
            assert torch.equal(player.optimizer.state_dict()["state"][0]["previous"], g)
        if not fast:
            player.move = player.optimizer.rule()  # type: ignore[attr-defined]


def test_projection_is_the_nearest_probability_vector() -> None:
    """The conditions of optimality: max(p - tau, 0) that sums to 1; and what is on the simplex stays."""
    for n in (1, 2, 3, 7):
        for seed in range(20):
            p = nn.Parameter(3 * torch.randn(n, generator=torch.Generator().manual_seed(seed)))
            before = p.detach().clone()
            player = Player([nn.ParameterList([p])], torch.optim.SGD([p], lr=1.0))
            Simplex()(player)
            after = p.detach()
            assert float(after.min()) >= 0 and abs(float(after.sum()) - 1) < 1e-12
            tau = (before - after)[after > 0]
            assert float(tau.max() - tau.min()) < 1e-12
            assert (before[after == 0] <= tau.max() + 1e-12).all()
            Simplex()(player)
            torch.testing.assert_close(p.detach(), after, rtol=0, atol=1e-15)
