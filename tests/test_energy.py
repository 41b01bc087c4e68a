"""Energy-based models: the objective, its replay buffer, frozen chains, networks, presets, and what probes say."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_runner.build import build
from gan_runner.datasets.spec import Source, Spec
from gan_runner.draw import Draw
from gan_runner.errors import UsageError
from gan_runner.losses.chains import Langevin
from gan_runner.losses.energy import EnergyModel, Gaussian, Uniform, walk
from gan_runner.losses.replay import KEPT, ROWS, InPlace, Replay, decode, encode
from gan_runner.metrics.disguises import framed
from gan_runner.metrics.energy import LearnedDensity, Outsiders, log_mixture
from gan_runner.models import ebm
from gan_runner.optimizers import Adam, Capped
from gan_runner.pictures.energy import Strip
from gan_runner.state import Player
from tests.conftest import compose
from tests.test_contract import differing, make, play

GREY, POINTS = Spec((1, 16, 16), "image"), Spec((2,), "table")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# -- the objective ---------------------------------------------------------------------------------


class Sums(nn.Module):
    """Scores that are known: w times the sum of a row."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x.sum(1)


def test_the_loss_by_hand() -> None:
    """Scores 2, 4 of real and -6, 0 of chains: -3 - 3 + alpha (10 + 18)."""
    real, fake = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[-3.0, 0.0], [0.0, 0.0]])
    loss, logs = EnergyModel(weight=0.1).loss({"energy": Sums()}, real, fake)
    assert loss.item() == pytest.approx(-6 + 2.8)
    assert logs["score/real"].tolist() == [2, 4] and logs["score/fake"].tolist() == [-6, 0]
    told = EnergyModel().summary({name: t.detach() for name, t in logs.items()})
    assert told == {"E_real": -3, "E_fake": 3, "E_gap": 6}


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_a_step_lowers_the_energy_of_data_against_that_of_chains(weight: float) -> None:
    net = ebm.Mlp(POINTS)
    player = Player([net], Adam(1e-3)("energy", net.parameters()))
    real, fake = torch.randn(64, 2) + 2, torch.randn(64, 2) - 2
    gaps = []
    for _ in range(2):
        logs = player.descend(EnergyModel(weight=weight).loss, {"energy": net}, real, fake)
        gaps.append(float(logs["score/fake"].mean() - logs["score/real"].mean()))
    assert gaps[1] < gaps[0]


def test_its_gradient_is_that_of_the_likelihood() -> None:
    """E = -theta x on {-1, 1}: d log p(real) / d theta = mean real - E_p x, where chains are exact draws from p."""
    net = Sums()
    real = torch.tensor([[1.0], [1.0], [-1.0], [1.0]])
    states, p = torch.tensor([[1.0], [-1.0]]), (2 * torch.tensor([1.0, -1.0])).softmax(0)
    fake = states[torch.multinomial(p, 400_000, replacement=True)]
    exact = -(real.mean() - torch.tanh(torch.tensor(2.0)))
    (found,) = torch.autograd.grad(EnergyModel(weight=0.0).loss({"energy": net}, real, fake)[0], net.w)
    assert float(found) == pytest.approx(float(exact), abs=4e-3)


@pytest.mark.parametrize(("blur", "spread"), [(Gaussian(0.3), 0.3), (Uniform(0.3), 0.3 / math.sqrt(3))])
def test_noise_on_real_rows_is_as_large_as_it_says(blur: Any, spread: float) -> None:
    assert float(blur(torch.zeros(50_000)).std()) == pytest.approx(spread, rel=0.02)


# -- chains under a network ------------------------------------------------------------------------


def test_chains_leave_the_network_as_it_was() -> None:
    """In training, under spectral norm and dropout: no parameter, gradient, mode or power iteration changes."""
    net = ebm.Resnet(GREY, width=4).train()
    before = copy.deepcopy(net.state_dict())
    descent = Langevin(steps=3, size=1.0, sd=0.0)
    start = net.start(net.noise(4))
    ends = [walk({"energy": net}, descent, start).x for _ in range(2)]
    assert torch.equal(*ends) and not torch.equal(ends[0], start)
    assert all(p.grad is None and p.requires_grad for p in net.parameters()) and net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    net(start)
    moved = [k for k, v in net.state_dict().items() if not torch.equal(v, before[k])]
    assert moved and all(k.endswith(("_u", "_v")) for k in moved)


def test_chains_go_down_and_stay_in_their_box() -> None:
    net = ebm.Conv(GREY, width=4)
    start = net.start(net.noise(32))
    far = walk({"energy": net}, Langevin(steps=20, size=1e4, sd=0.3), start).x
    assert float(far.abs().max()) == 1
    near = walk({"energy": net}, Langevin(steps=20, size=1.0, sd=0.0), start).x
    assert (net(near) > net(start)).all()


def test_the_settings_of_du_and_mordatch_are_theirs_for_pixels_from_0_to_1() -> None:
    """60 moves of pixels p by -10 clip(dE/dp, 0.01), which ours are in x = 2 p - 1."""
    torch.set_default_dtype(torch.float64)
    node = compose("experiment=ebm_du_mordatch")["loss"]["sampler"]
    net = ebm.Conv(GREY, width=4)
    for p in net.parameters():
        p.data.mul_(1.5)
    start = net.start(net.noise(3))
    ours = walk({"energy": net}, Langevin(node["steps"], node["size"], sd=0.0, clip=node["clip"]), start).x
    pixels = (start + 1) / 2
    for _ in range(60):
        pixels.requires_grad_()
        (slope,) = torch.autograd.grad(-net(2 * pixels - 1).sum(), pixels)
        pixels = (pixels - 10 * slope.clamp(-0.01, 0.01)).detach().clamp(0, 1)
    torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(ours, 2 * pixels - 1)
    assert Langevin(**{k: v for k, v in node.items() if k != "_target_"}).spread == 2 * 0.005


def test_a_sample_is_the_end_of_the_way_of_its_chain() -> None:
    run = build(compose("dataset=digits", "loss=ebm", "model=ebm_conv", "model.width=4", "loss.moves=6", "probes=none"))
    z, found = run.objective.latent(run.state, 5), []
    for looks in ([0, 2, 6], [6]):
        torch.manual_seed(1)
        found.append(run.objective.way(run.state, z, looks))  # type: ignore[attr-defined]
    torch.manual_seed(1)
    made = run.objective.generate(run.state, z)
    assert torch.equal(found[0][0], run.state.nets["energy"].start(z))  # type: ignore[operator]
    assert torch.equal(found[0][2], found[1][0]) and torch.equal(found[1][0], made)
    draw = Draw(run.objective, run.state, run.source.device)
    (picture,) = Strip(n=2, columns=4)(draw, run.source).pictures.values()
    assert picture.shape[1] > 1.8 * picture.shape[0]


# -- the replay buffer -----------------------------------------------------------------------------


def rows(*numbers: float) -> Tensor:
    return torch.tensor(numbers)[:, None]


def test_the_queue_forgets_the_oldest_first() -> None:
    memory: dict[str, Tensor] = {}
    queue = Replay(capacity=5, restart=0.0)
    queue.setup(memory, rows(0, 0, 0, 0, 0), None)
    for numbers in ((1, 2), (3, 4), (5, 6)):
        queue.keep(memory, torch.zeros(2, dtype=torch.int64), rows(*numbers), None)
    assert memory[ROWS].flatten().tolist() == [6, 2, 3, 4, 5] and int(memory[KEPT]) == 6


def test_until_there_is_something_to_go_on_from_chains_begin_anew() -> None:
    memory: dict[str, Tensor] = {}
    queue = Replay(capacity=1000, restart=0.0)
    queue.setup(memory, torch.full((1000, 1), 7.0), None)
    assert queue.starts(memory, torch.full((64, 1), 3.0), None)[1].unique().tolist() == [3]
    queue.keep(memory, torch.zeros(64, dtype=torch.int64), torch.full((64, 1), 5.0), None)
    index, start = queue.starts(memory, torch.full((500, 1), 3.0), None)
    assert start.unique().tolist() == [5] and index.unique().tolist() == list(range(64))


def test_as_many_chains_begin_anew_as_asked() -> None:
    """Within four standard deviations of the binomial, and the others evenly from the ten rows that there are."""
    n, share, memory = 40_000, 0.05, dict[str, Tensor]()
    queue = Replay(capacity=n, restart=share)
    queue.setup(memory, torch.zeros(n, 1), None)
    queue.keep(memory, torch.zeros(10, dtype=torch.int64), torch.ones(10, 1), None)
    index, start = queue.starts(memory, torch.zeros(n, 1), None)
    assert float((start == 0).sum()) == pytest.approx(n * share, abs=4 * math.sqrt(n * share * (1 - share)))
    assert float((index.bincount(minlength=10) - n / 10).abs().max()) < 4 * math.sqrt(n * 0.09)


def test_persistent_chains_come_back_to_their_own_places() -> None:
    memory: dict[str, Tensor] = {}
    own = InPlace(capacity=50, restart=0.0)
    own.setup(memory, torch.arange(50.0)[:, None], None)
    index, start = own.starts(memory, torch.full((20, 1), -1.0), None)
    assert torch.equal(start[:, 0], index.float()) and len(index.unique()) == 20
    own.keep(memory, index, start + 100, None)
    expected = torch.arange(50.0)
    expected[index] += 100
    assert torch.equal(memory[ROWS][:, 0], expected)


def test_bytes_come_back_as_they_were_written() -> None:
    """All 256 levels, whatever noise undoes their rounding; and that noise fills the width of a level."""
    levels = torch.arange(256, dtype=torch.uint8)[:, None].expand(256, 400)
    read = decode(levels, 1.0)
    assert torch.equal(encode(read, 1.0), levels) and read.abs().max() <= 1
    assert float(read[100].std()) == pytest.approx(1 / 127.5 / math.sqrt(12), rel=0.1)
    x = 2 * torch.rand(1000) - 1
    assert float((decode(encode(x, 1.0), 1.0) - x).abs().max()) <= 1 / 127.5


def test_images_are_kept_as_bytes_and_tables_as_they_are() -> None:
    for data, dtype in (("digits", torch.uint8), ("ring8", torch.float32)):
        run = build(compose(f"dataset={data}", "loss=ebm", "loss.replay.capacity=100", "probes=none"))
        assert run.state.memory[ROWS].dtype == dtype
        assert run.state.memory[ROWS].shape == (100, *run.source.spec.shape)


@pytest.mark.parametrize("loss", ["ebm", "ebm_langevin"])
def test_a_batch_larger_than_the_buffer_is_refused(loss: str) -> None:
    run = make(loss, "loss.replay.capacity=15")
    with pytest.raises(UsageError, match=r"set loss\.replay\.capacity to 16"):
        play(run, until=1)


@pytest.mark.parametrize("part", [ROWS, KEPT])
@pytest.mark.parametrize("loss", ["ebm", "ebm_langevin"])
def test_a_checkpoint_without_the_buffer_is_noticed(loss: str, part: str) -> None:
    """The mutants of exact resume; persistent chains need no count of what was written."""
    whole, first, second, other = (make(loss, "loss.sampler.steps=3") for _ in range(4))
    play(whole)
    play(first, until=27)
    saved = [copy.deepcopy(first.state.state_dict()) for _ in range(2)]
    saved[1]["memory"][part] = other.state.memory[part].clone()
    for run, state in zip((second, other), saved, strict=True):
        run.state.load_state_dict(state)
        play(run)
    assert differing(whole, second) == []
    counted = (loss, part) == ("ebm_langevin", KEPT)
    assert differing(whole, other) == [f"memory.{KEPT}"] if counted else differing(whole, other)


# -- networks and optimizers -----------------------------------------------------------------------


@pytest.mark.parametrize(("size", "channels", "parameters"), [(32, 1, 76_993), (28, 1, 76_993), (16, 3, 65_505)])
def test_the_convolutions_are_those_of_the_book(size: int, channels: int, parameters: int) -> None:
    net = ebm.Conv(Spec((channels, size, size), "image"))
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net(torch.randn(3, channels, size, size)).shape == (3,)


def test_all_weights_but_the_last_have_norm_one() -> None:
    """In the sense of matrices, after some passes; the last is free."""
    net = ebm.Resnet(GREY, width=4).train()
    for _ in range(50):
        net(torch.randn(2, 1, 16, 16))
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    norms = [float(torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2)) for m in layers]
    assert norms == pytest.approx([1.0] * len(layers), abs=0.02) and len(layers) == 15
    assert not hasattr(net.head, "parametrizations")


def test_a_prior_adds_the_energy_of_its_gaussian_where_there_is_no_box() -> None:
    free, bound = ebm.Mlp(POINTS, prior=None), ebm.Mlp(POINTS, prior=0.5)
    bound.load_state_dict(free.state_dict())
    x = torch.randn(5, 2)
    torch.testing.assert_close(free(x) - bound(x), 2 * x.square().sum(1))
    assert ebm.Mlp(GREY, prior=0.5).prior is None


def test_a_zoom_is_of_the_networks_inputs_alone() -> None:
    plain, near = ebm.Mlp(POINTS), ebm.Mlp(POINTS, zoom=5.0)
    near.load_state_dict(plain.state_dict())
    x = torch.randn(5, 2)
    torch.testing.assert_close(near(x) - plain(5 * x), (25 - 1) * x.square().sum(1) / 8)


def test_chains_of_images_begin_uniformly_in_their_box() -> None:
    net = ebm.Conv(GREY, width=4)
    x = net.start(net.noise(500)).flatten()
    assert float(x.square().mean()) == pytest.approx(1 / 3, rel=0.01)
    assert torch.histc(x, 10, -1, 1).div(len(x)).sub(0.1).abs().max() < 0.005


@pytest.mark.parametrize("kind", ["Conv", "Resnet"])
def test_networks_of_images_refuse_tables(kind: str) -> None:
    with pytest.raises(ValueError, match="choose model=ebm"):
        getattr(ebm, kind)(POINTS)


def test_a_sudden_gradient_moves_no_more_than_the_cap_lets_it() -> None:
    """After gradients of 1 the second moment is 1, and 1000 acts as 3.1; before anything is known nothing is capped."""
    found = []
    for kind, last in ((Capped, 1000.0), (Adam, 3.1), (Adam, 1000.0)):
        p = nn.Parameter(torch.zeros(1))
        move = kind(1e-2, betas=(0.0, 0.999))("energy", [p]).rule()
        with torch.no_grad():
            for g in (*[1.0] * 10, last):
                move([torch.tensor([g])])
        found.append(p.item())
    assert found[0] == pytest.approx(found[1], rel=1e-5) and abs(found[2] - found[1]) > 1e-3


# -- what probes say -------------------------------------------------------------------------------


def judged(source: Source, score: Any, made: Tensor | None = None) -> Any:
    class Known:
        objective = state = None

        def __call__(self, n: int, *, live: bool = False) -> Tensor:
            assert made is not None
            return made[:n]

        def judge(self, x: Tensor) -> Tensor:
            return score(source.decode(x) if source.spec.kind == "table" else x)

    return Known()


def test_the_divergence_of_known_densities() -> None:
    """0 for the truth plus any constant; |m|^2 / (2 sd^2) for the same Gaussian elsewhere."""
    source = build(compose("dataset=gmm", "dataset.modes=1", "dataset.n=500", "probes=none")).source
    modes, sd = source.truth["modes"].double(), float(source.truth["sd"])
    probe = LearnedDensity(mesh=300)
    for shift, expected in ((0.0, 0.0), (1.0, 1 / (2 * sd**2))):
        draw = judged(source, lambda x, m=shift: 5 + log_mixture(x.double(), modes + torch.tensor([m, 0.0]), sd))
        found = probe(draw, source)
        assert found.scalars["density_kl"] == pytest.approx(expected, abs=1e-3)
        assert found.pictures["learned_density"].float().std() > 5


def test_strangers_are_ranked_by_their_energies() -> None:
    """Energies are sums of pixels: bright rows are stranger than dark ones; a set of other channels is left out."""

    def images(value: int, channels: int = 1, size: int = 8) -> Source:
        noise = torch.randint(0, 20, (200, channels, size, size), dtype=torch.uint8)
        return Source(Spec((channels, size, size), "image"), noise + value)

    source = images(100)
    others = {"bright": images(200, size=4), "dark": images(0), "same": images(100), "colour": images(0, 3)}
    draw = judged(source, lambda x: -x.flatten(1).sum(1), source.take(torch.arange(200)))
    found = Outsiders(others)(draw, source)
    auroc = {name.removeprefix("auroc_energy_"): value for name, value in found.scalars.items()}
    assert auroc["bright"] == 1 and auroc["dark"] == 0
    assert auroc["same"] == pytest.approx(0.5, abs=0.1) and "colour" not in auroc
    assert auroc["bright_framed"] == 0, "most of it is black"
    assert found.scalars["energy_real"] == pytest.approx(found.scalars["energy_generated"], rel=0.01)
    assert found.pictures["strangers_energy"].shape[2] == 3


def test_frames_are_black_around_what_was_there() -> None:
    x = torch.ones(2, 1, 10, 10)
    made = framed(x, (16, 16))
    assert made.shape == (2, 1, 16, 16) and torch.equal(made[:, :, 3:13, 3:13], x)
    assert float(made.sum()) == 2 * (100 - 156)


def test_paths_are_not_asked_of_who_has_no_generator() -> None:
    run = make("ebm")
    assert Draw(run.objective, run.state, run.source.device).paths(2, 10) is None


@pytest.mark.slow
def test_the_learned_density_is_near_the_mixtures() -> None:
    run = build(compose("experiment=ebm_toy", "seed=1"))
    play(run)
    found = LearnedDensity()(Draw(run.objective, run.state, run.source.device), run.source)
    assert found.scalars["density_kl"] < 0.1
