"""Laws of the networks of Quant GANs: who may see whose noise, and paths of any length from one function."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_runner.datasets.spec import Spec
from gan_runner.models import svnn, tcn
from gan_runner.models.tcn import TCN

WINDOW = Spec((1, 127), "series")
SHORT = Spec((2, 15), "series")


@pytest.fixture(autouse=True)
def doubles():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def seen_by(function, z: Tensor) -> Tensor:
    """(days made, days of noise): whether day t of what a function makes of noise (channels, time) feels day s."""
    jacobian = torch.autograd.functional.jacobian(lambda x: function(x.flatten()[None])[0].sum(0), z)
    return jacobian.abs().sum(1) > 0


def band(days: int, noise: int, first: int, last: int) -> Tensor:
    """Ones where s - t is from `first` to `last`, counted from the first day of noise that day 0 could see."""
    gap = torch.arange(noise)[None] - torch.arange(days)[:, None]
    return (gap >= first) & (gap <= last)


FIELDS = pytest.mark.parametrize("spec, field", [(SHORT, None), (WINDOW, None), (SHORT, 31), (SHORT, 7)])


@FIELDS
def test_a_day_sees_its_own_noise_and_that_of_a_receptive_field_before(spec: Spec, field: int | None) -> None:
    """Causality and the receptive field at once: 127 days exactly, none of them later."""
    days, seen = spec.shape[1], field or spec.shape[1]
    G = tcn.Generator(spec, width=3, receptive_field=field).eval()
    z = G.unflatten(G.noise(1))[0]
    assert z.shape == (3, seen - 1 + days)
    assert torch.equal(seen_by(G, z), band(days, seen - 1 + days, 0, seen - 1))


@pytest.mark.parametrize("kind", [svnn.Generator, svnn.ConstrainedGenerator])
@FIELDS
def test_volatility_and_drift_see_the_days_before_alone_and_the_innovation_its_own(
    kind: type, spec: Spec, field: int | None
) -> None:
    days, seen = spec.shape[1], field or spec.shape[1]
    G = kind(spec, width=3, receptive_field=field).eval()
    z = G.unflatten(G.noise(1))[0]
    assert z.shape == (3, seen + days)
    before, own = band(days, seen + days, 0, seen - 1), band(days, seen + days, seen, seen)
    for part, expected in zip(range(3), (before, before, own), strict=True):
        assert torch.equal(seen_by(lambda x, part=part: G.parts(x)[part], z), expected)
    assert (G.parts(G.noise(9))[0] >= 0).all()


KINDS = pytest.mark.parametrize("kind", [tcn.Generator, svnn.Generator, svnn.ConstrainedGenerator])


@KINDS
@pytest.mark.parametrize("standard", [False, True])
def test_a_long_path_is_made_by_the_function_that_makes_windows(kind: type, standard: bool) -> None:
    G = kind(SHORT, width=3, standard=standard).eval()
    z = G.path_noise(2, 100)
    path, days = G(z), SHORT.shape[1]
    assert path.shape == (2, 2, 100)
    for first in (0, 1, 41, 85):
        noise = G.unflatten(z)[..., first : first + G.past + days]
        torch.testing.assert_close(G(noise.flatten(1)), path[..., first : first + days], rtol=1e-12, atol=1e-12)


@KINDS
def test_standard_returns_have_mean_0_and_variance_1_in_any_mode_and_by_any_weights(kind: type) -> None:
    G = kind(SHORT, width=3, standard=True)
    z = G.noise(50)
    assert standardised(G(z)) and not standardised(G.eval()(z))
    plain = kind(SHORT, width=3).eval()
    for scale in (1.0, 5.0):
        for mine, other in zip(G.parameters(), plain.parameters(), strict=True):
            other.data.copy_(mine.data.mul_(scale))
        G.eval()
        path = G.path_noise(20, 20_000)
        made, raw = G(path), plain(path)
        assert torch.equal(raw, plain.returns(path)), "not standardised unless asked for"
        assert standardised(made, 0.02) and not standardised(raw, 0.1)
        for column in range(2):
            both = torch.stack([made[:, column].flatten(), raw[:, column].flatten()])
            assert torch.corrcoef(both)[0, 1] > 1 - 1e-9, "an affine map, the same for every day"
        torch.testing.assert_close(G(z)[:3], G(z[:3]), msg="samples do not depend on their company")


def standardised(returns: Tensor, within: float = 1e-9) -> bool:
    deviation, mean = torch.std_mean(returns, (0, 2), correction=0)
    return bool(mean.abs().max() < within and (deviation - 1).abs().max() < within)


def test_noise_is_flat_at_the_door_and_as_long_as_windows_need() -> None:
    assert tcn.Generator(WINDOW, width=2).noise(4).shape == (4, 3 * 253)
    assert svnn.Generator(WINDOW, width=2).noise(4).shape == (4, 3 * 254)


@pytest.mark.parametrize("newest", [False, True])
def test_what_is_cropped_is_the_past(newest: bool) -> None:
    """Convolutions that pass each day's own values on: block k makes 2^k times them, all blocks 2^(levels + 1) - 1."""
    net = TCN(4, 4, levels=3, pooling="newest" if newest else None)
    for layer in net.modules():
        if isinstance(layer, nn.Conv1d):
            layer.weight.data.zero_()[..., -1].copy_(torch.eye(4))
        elif isinstance(layer, nn.PReLU):
            layer.weight.data.fill_(1)
    x = torch.randn(2, 4, 15 if newest else 40)
    made = net(x)
    torch.testing.assert_close(made, 15 * x[..., -made.shape[-1] :])


@pytest.mark.parametrize("levels", [1, 3, 6])
def test_the_newest_day_is_that_of_the_dilated_network(levels: int) -> None:
    """The discriminator leaves out three quarters of the days and loses nothing."""
    short, dense = TCN(2, 5, levels, "newest"), TCN(2, 5, levels)
    dense.load_state_dict(short.state_dict())
    for p in short.parameters():
        p.data.mul_(1.5)
    dense.load_state_dict(short.state_dict())
    x = torch.randn(4, 2, 2 ** (levels + 1) - 1)
    assert dense(x).shape == (4, 5, 1)
    torch.testing.assert_close(short(x), dense(x), rtol=1e-12, atol=1e-12)


def test_means_are_over_all_days_that_a_block_made() -> None:
    """By its first block alone, a network that takes means does not see the order of days; by the others it does."""
    net, x = TCN(2, 5, 3, "mean"), torch.randn(4, 2, 15)
    mixed = x[..., torch.randperm(15)]
    assert net(x).shape == (4, 5, 1) and not torch.allclose(net(x), net(mixed))
    first, _ = net.blocks[0](x)
    for block in net.blocks[1:]:
        block.layers.register_forward_hook(lambda _, __, made: torch.zeros_like(made))
    torch.testing.assert_close(net(x), net(mixed))
    torch.testing.assert_close(net(x), first.mean(-1, keepdim=True))


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="pooling=sum is not one of newest, mean"):
        tcn.Discriminator(SHORT, pooling="sum")


def test_dropout_leaves_out_whole_channels_after_each_convolution_in_training() -> None:
    D, seen = tcn.Discriminator(SHORT, width=40, dropout=0.3), []
    for block in D.trunk[0].blocks:
        second = [layer for layer in block.layers if isinstance(layer, nn.Conv1d)][1]
        second.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        block.register_forward_hook(lambda _, __, made: seen.append(made[0]))
    x = torch.randn(60, 2, 15)
    D(x)
    gone = [(made == 0).double().mean(2) for made in seen]
    assert len(gone) == 2 * 4
    for share in gone:
        assert set(share.unique().tolist()) == {0.0, 1.0} and abs(float(share.mean()) - 0.3) < 0.05
    D.eval()
    assert torch.equal(D(x), D(x))


def test_hidden_neurons_bend_what_blocks_and_days_say_before_the_score() -> None:
    D, x = tcn.Discriminator(SHORT, width=4, pooling="mean", hidden=6), torch.randn(5, 2, 15)
    net, _, within, _ = D.trunk
    neurons = nn.functional.leaky_relu(within(net(x)[..., 0]), tcn.SLOPE)
    assert neurons.shape == (5, 6)
    torch.testing.assert_close(D(x), D.head(neurons)[:, 0])


@pytest.mark.parametrize(("wrong", "named"), [({"dropout": 1.0}, r"dropout=1\.0"), ({"hidden": -1}, "hidden=-1")])
def test_a_discriminator_that_cannot_be_built_is_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        tcn.Discriminator(SHORT, **wrong)


@pytest.mark.parametrize("pooling", ["newest", "mean"])
def test_the_discriminator_sees_every_day_of_a_window(pooling: str) -> None:
    D = tcn.Discriminator(WINDOW, width=4, pooling=pooling)
    x = torch.randn(3, 1, 127, requires_grad=True)
    (slope,) = torch.autograd.grad(D(x).sum(), x)
    assert D(x).shape == (3,) and D.features(x).shape == (3, 4) and (slope != 0).all()


def test_sizes_are_shown_beside_the_window() -> None:
    """A discriminator that hears of sizes alone cannot tell a window from its mirror image."""
    D = tcn.Discriminator(SHORT, width=5, sizes=True)
    x = torch.randn(3, 2, 15)
    assert D(x).shape == (3,) and not torch.allclose(D(x), D(-x))
    for layer in (D.trunk[1].blocks[0].layers[0], D.trunk[1].blocks[0].beside):
        layer.weight.data[:, :2] = 0
    torch.testing.assert_close(D(x), D(-x))


def test_spectral_norm_bounds_each_layer() -> None:
    D = tcn.Discriminator(WINDOW, width=4, spectral_norm=True)
    for _ in range(50):
        D(torch.randn(2, 1, 127))
    D.eval()
    layers = [m for m in D.modules() if isinstance(m, (nn.Conv1d, nn.Linear))]
    assert len(layers) == 2 * 7 + 1 + 1
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=1e-3)


def test_sizes_are_those_of_the_paper() -> None:
    """Seven blocks of 80 channels, three of noise; 50 channels where volatility is made."""
    blocks = 3 * 80 + 80 + 80 * 80 + 80 + 2 + 3 * 80 + 80 + 6 * (2 * (2 * 80 * 80 + 80) + 2)
    assert sum(p.numel() for p in tcn.Generator(WINDOW).parameters()) == blocks + 81
    assert svnn.ConstrainedGenerator(WINDOW).net[0].blocks[1].layers[0].weight.shape == (50, 50, 2)


@pytest.mark.parametrize("standard", [False, True])
def test_prices_are_martingales_under_the_risk_neutral_measure(standard: bool) -> None:
    """E exp(R - r) = 1 for each day and for sums, within Monte-Carlo error; the trained drift would not do."""
    G = svnn.ConstrainedGenerator(Spec((1, 7), "series"), width=6, standard=standard).eval()
    for p in G.net[1].parameters():
        p.data.mul_(4)
    with torch.no_grad():
        z = G.noise(60_000)
        R = svnn.RiskNeutral(G, [0.3], rate=0.02)(z)[:, 0]
        sigma = 0.3 * G.parts(z)[0][:, 0]
        if standard:
            sigma = sigma / G.lasting()[1][0, 0]
    assert float(sigma.std()) > 0.05, "volatility varies"

    def off(gain: Tensor) -> float:
        return abs(float(gain.mean()) - 1) / float(gain.std()) * math.sqrt(len(gain))

    for days in (1, 3, 7):
        assert off((R[:, :days] - 0.02).sum(1).exp()) < 4
    flipped = G.unflatten(z[:100]).clone()
    flipped[:, 0, -1] *= -1
    with torch.no_grad():
        moved = svnn.RiskNeutral(G, [0.3])(flipped.flatten(1)) - svnn.RiskNeutral(G, [0.3])(z[:100])
        torch.testing.assert_close(
            moved, 0.3 * (G(flipped.flatten(1)) - G(z[:100])), msg="the volatility of the returns"
        )
    half_corrected = R - 0.02 + sigma.square() / 4
    assert off(half_corrected[:, :3].sum(1).exp()) > 8, "the test has power"


@pytest.mark.parametrize("shape", [(1, 64), (1, 126), (2, 2)])
def test_windows_of_other_lengths_are_refused_with_the_nearest(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"set dataset\.window=(63|127|3)"):
        tcn.Generator(Spec(shape, "series"))


@pytest.mark.parametrize("field, nearest", [(128, 127), (0, 3), (500, 511)])
def test_other_receptive_fields_are_refused_with_the_nearest(field: int, nearest: int) -> None:
    for make in (tcn.Generator, svnn.Generator, svnn.ConstrainedGenerator):
        with pytest.raises(ValueError, match=rf"not {field}: set receptive_field={nearest}$"):
            make(WINDOW, receptive_field=field)


@pytest.mark.parametrize("spec", [Spec((1, 8, 8), "image"), Spec((4,), "table")])
def test_other_data_are_refused(spec: Spec) -> None:
    for make in (tcn.Generator, tcn.Discriminator, svnn.Generator):
        with pytest.raises(ValueError, match="makes windows of days"):
            make(spec)


def test_each_column_needs_an_innovation() -> None:
    with pytest.raises(ValueError, match="channels=1 is fewer than the 2 columns"):
        svnn.ConstrainedGenerator(SHORT, channels=1)
