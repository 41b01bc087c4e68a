"""Networks that grow: what a new resolution adds, and its layers in closed form."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from gan_runner.datasets.spec import Spec
from gan_runner.models.equalised import BatchDeviation, Conv2d, Linear, PixelNorm
from gan_runner.models.growing import Discriminator, Generator, reduce, widths

SMALL = {"features": 6, "base": 64}


def pair(size: int = 32, channels: int = 3) -> tuple[Generator, Discriminator]:
    torch.manual_seed(0)
    spec = Spec((channels, size, size), "image")
    G, D = Generator(spec, latent=5, **SMALL), Discriminator(spec, **SMALL)
    with torch.no_grad():
        for p in [*G.parameters(), *D.parameters()]:
            p.add_(0.1 * torch.randn_like(p))  # no bias at 0
    return G, D


def opening(net: nn.Module, level: int) -> None:
    """A resolution at the moment it opens: its weight is 0, but its blocks are asked."""
    net.grow(level + 1.0)
    net.level = level


# -- growth --------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_resolution_that_opens_changes_not_one_bit(level: int) -> None:
    G, D = pair()
    z, x = torch.randn(8, 5), torch.randn(8, 3, 32, 32)
    G.grow(level + 1.0), D.grow(level + 1.0)
    image, score = G(z), D(x)
    opening(G, level), opening(D, level)
    assert torch.equal(G(z), image)
    assert torch.equal(D(x), score)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_settled_resolution_is_independent_of_the_one_before(level: int) -> None:
    """At whole lod the old 1 x 1 convolutions may be anything; a little before, they count."""
    G, D = pair()
    z, x = torch.randn(8, 5), torch.randn(8, 3, 32, 32)
    for lod, same in ((float(level), True), (level + 0.25, False)):
        for net in (G, D):
            net.grow(lod)
        before = G(z), D(x)
        others = copy.deepcopy(G), copy.deepcopy(D)
        for layer in (others[0].paint[G.doublings - 1], others[1].read[D.doublings - 1]):
            for p in layer.parameters():
                p.data.mul_(-3).add_(1)
        assert torch.equal(before[0], others[0](z)) is same
        assert torch.equal(before[1], others[1](x)) is same


@pytest.mark.parametrize("net", [0, 1], ids=["generator", "discriminator"])
def test_fading_is_linear_from_the_old_to_the_new(net: int) -> None:
    """A quarter into the fade (lod = 1.75) three quarters of the old are left, in images and in 8 x 8 feature maps."""
    grown = pair()[net]
    seen: list[Tensor] = []
    if net == 0:
        x = torch.randn(4, 5)
        look = lambda: grown(x)  # noqa: E731
    else:
        x = torch.randn(4, 3, 32, 32)
        grown.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        look = lambda: (grown(x), seen[-1])[1]  # noqa: E731
    opening(grown, 1)
    old = look()
    grown.grow(1.0)
    new = look()
    grown.grow(1.75)
    torch.testing.assert_close(look(), 0.75 * old + 0.25 * new)
    assert not torch.allclose(old, new)


@pytest.mark.parametrize("size", [4, 8, 16, 32, 64, 128])
def test_images_are_of_full_size_and_made_of_equal_squares(size: int) -> None:
    G, D = pair(size, channels=1)
    assert G.levels == D.levels == math.log2(size) - 1
    for lod in range(G.levels):
        G.grow(lod), D.grow(lod)
        image = G(torch.randn(4, 5))
        assert image.shape == (4, 1, size, size) and D(image).shape == (4,)
        coarse = image[..., :: 2**lod, :: 2**lod]
        assert torch.equal(image, coarse.repeat_interleave(2**lod, 2).repeat_interleave(2**lod, 3))
        assert coarse.shape[3] == 4 or not torch.equal(coarse[..., ::2, ::2], coarse[..., 1::2, 1::2])


def test_the_discriminator_sees_the_average_of_each_square_and_no_more() -> None:
    _, D = pair()
    D.grow(2.0)
    x, detail = torch.randn(4, 3, 32, 32), torch.randn(4, 3, 32, 32)
    detail -= reduce(detail, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(D(x + detail), D(x))
    assert not torch.allclose(D(x + 1), D(x))
    torch.testing.assert_close(reduce(x, 3), x.unfold(2, 8, 8).unfold(3, 8, 8).mean((4, 5)))


def test_sleeping_blocks_have_no_gradient_and_waking_ones_have() -> None:
    G, D = pair()
    for lod, asleep in ((3.0, {0, 1, 2}), (1.5, {2}), (0.0, set())):
        for net, x in ((G, torch.randn(4, 5)), (D, torch.randn(4, 3, 32, 32))):
            net.zero_grad(set_to_none=True)
            net.grow(lod)
            net(x).square().sum().backward()
            silent = {k for k in range(3) if all(p.grad is None for p in net.blocks[k].parameters())}
            assert silent == asleep, (type(net).__name__, lod)


def test_loading_finds_the_level() -> None:
    """What a checkpoint holds is enough, also inside other modules and after a copy."""
    old, _ = pair()
    old.grow(1.25)
    fresh = nn.ModuleDict({"generator": pair()[0]})
    fresh = copy.deepcopy(fresh)
    fresh.load_state_dict({f"generator.{k}": v for k, v in old.state_dict().items()})
    z = torch.randn(4, 5)
    assert fresh["generator"].level == 1
    assert torch.equal(fresh["generator"](z), old(z))


def test_the_published_widths() -> None:
    """nf(stage) = min(8192 / 2^stage, 512), stage 1 at 4 x 4."""
    assert widths(128, 512, 8192) == [512, 512, 512, 512, 256, 128]
    assert widths(32, 32, 256) == [32, 32, 32, 16]
    assert min(widths(128, 512, 1)) == 1


def test_the_published_sizes() -> None:
    spec = Spec((3, 32, 32), "image")
    with torch.device("meta"):
        count = [sum(p.numel() for p in net(spec).parameters()) for net in (Generator, Discriminator)]
    dense, conv, last, rgb = (512 + 1) * 512 * 16, (512 * 9 + 1) * 512, (513 * 9 + 1) * 512, 512 * 3
    assert count[0] == dense + 7 * conv + 4 * (rgb + 3) == 20_727_308
    assert count[1] == 4 * (rgb + 512) + 6 * conv + last + dense - 15 * 512 + 513 == 20_726_785


@pytest.mark.parametrize("wrong", [{"features": 0}, {"base": 0}])
def test_wrong_settings_are_named(wrong: dict[str, int]) -> None:
    for net in (Generator, Discriminator):
        with pytest.raises(ValueError, match=next(iter(wrong)) + "=0"):
            net(Spec((1, 8, 8), "image"), **wrong)


@pytest.mark.parametrize("shape", [(2,), (3, 28, 28), (3, 16, 32), (3, 256, 256)])
def test_other_shapes_are_refused_with_the_sizes_that_work(shape: tuple[int, ...]) -> None:
    for net in (Generator, Discriminator):
        with pytest.raises(ValueError, match="growing makes square images of 4, 8, 16, 32, 64 or 128 px"):
            net(Spec(shape, "image"))


# -- layers --------------------------------------------------------------------------------------


def test_pixel_norm_of_three_and_four() -> None:
    expected = torch.tensor([[0.848528, 1.131371]])
    torch.testing.assert_close(PixelNorm()(torch.tensor([[3.0, 4.0]])), expected)
    maps = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(2, 2, 3, 5)
    torch.testing.assert_close(PixelNorm()(maps), expected.view(1, 2, 1, 1).expand(2, 2, 3, 5))
    assert PixelNorm()(torch.zeros(1, 2)).isfinite().all()


def test_deviation_of_0_2_4_6_is_the_root_of_5() -> None:
    x = torch.tensor([0.0, 2.0, 4.0, 6.0]).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    shown = BatchDeviation(4)(x)
    assert shown.shape == (4, 4, 2, 2) and torch.equal(shown[:, :3], x)
    torch.testing.assert_close(shown[:, 3], torch.full((4, 2, 2), 2.236068))


def test_deviation_is_averaged_over_channels_and_positions_within_groups() -> None:
    x = torch.randn(8, 3, 2, 5)
    shown = BatchDeviation(4)(x)[:, 3]
    for first in range(2):
        members = x[first::2]
        expected = members.std(0, correction=0).mean()
        torch.testing.assert_close(shown[first::2], expected.expand(4, 2, 5))


def test_deviation_takes_batches_that_its_group_does_not_divide() -> None:
    """Six samples make two groups of three, seven stand alone and show next to nothing."""
    x = torch.randn(6, 1, 1, 1)
    torch.testing.assert_close(BatchDeviation(4)(x)[1, 1, 0, 0], x[1::2].std(0, correction=0).squeeze())
    torch.testing.assert_close(BatchDeviation(4)(torch.randn(7, 1, 1, 1))[:, 1], torch.full((7, 1, 1), 1e-4))
    assert BatchDeviation(4)(torch.randn(2, 1, 1, 1)).shape == (2, 2, 1, 1)


@pytest.mark.parametrize(
    ("layer", "fan_in", "gain"),
    [
        (lambda: Linear(400, 300), 400, math.sqrt(2)),
        (lambda: Linear(400, 300, gain=math.sqrt(2) / 4), 400, math.sqrt(2) / 4),
        (lambda: Conv2d(50, 200), 450, math.sqrt(2)),
        (lambda: Conv2d(300, 200, kernel=1, gain=1), 300, 1.0),
    ],
)
def test_stored_weights_are_standard_and_used_ones_have_std_gain_over_root_fan_in(layer, fan_in, gain) -> None:
    torch.manual_seed(0)
    made = layer()
    assert float(made.weight.detach().std()) == pytest.approx(1, rel=0.02)
    assert float((made.weight * made.scale).detach().std()) == pytest.approx(gain / math.sqrt(fan_in), rel=0.02)
    assert not made.bias.any()
    # what it computes is the plain layer with the scaled weight
    x = torch.randn(5, fan_in) if isinstance(made, nn.Linear) else torch.randn(5, made.in_channels, 4, 4)
    plain = copy.deepcopy(made)
    plain.__class__ = type(made).__mro__[1]
    plain.weight.data.mul_(made.scale)
    torch.testing.assert_close(made(x), plain(x))
    with torch.no_grad():
        made.bias.fill_(1.5)
    torch.testing.assert_close(made(x), plain(x) + 1.5)  # biases are used unscaled


def test_scores_start_at_unit_scale_and_images_too() -> None:
    """Equalised weights keep the size of signals: neither vanishes nor explodes through thirteen layers."""
    torch.manual_seed(0)
    spec = Spec((3, 32, 32), "image")
    G, D = Generator(spec, features=64), Discriminator(spec, features=64)
    image = G(torch.randn(32, 512))
    assert 0.3 < float(image.detach().std()) < 3
    assert 0.1 < float(D(torch.randn(32, 3, 32, 32)).detach().square().mean().sqrt()) < 10
