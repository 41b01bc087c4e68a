"""Networks of single papers: their layers, how they start, and what they must leave unchanged."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from gan_runner.datasets.spec import Spec
from gan_runner.models import dcgan, improved, pairs_dcgan, r3gan, vgrow
from gan_runner.models.roles import UniformGenerator
from tests.test_models import WEIGHTED, count, image, of

SMALL: dict[Any, tuple[dict[str, Any], dict[str, Any]]] = {
    vgrow: ({"latent": 3, "width": 4}, {"width": 4}),
    improved: ({"latent": 3, "width": 8}, {"width": 4, "minibatch": {"kernels": 3, "dims": 2}}),
    r3gan: ({"latent": 3, "width": 8, "group": 4}, {"width": 8, "group": 4}),
}
every_family = pytest.mark.parametrize("family", SMALL, ids=lambda f: f.__name__.split(".")[-1])


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def pair(family: Any, spec: Spec) -> tuple[Any, Any]:
    g, d = SMALL[family]
    return family.Generator(spec, **g), family.Discriminator(spec, **d)


@every_family
@pytest.mark.parametrize("size", [8, 32, 64])
def test_samples_have_the_shape_of_the_data_and_one_logit_each(family: Any, size: int) -> None:
    G, D = pair(family, image(3, size))
    x = G(G.noise(4))
    assert x.shape == (4, 3, size, size) and D(x).shape == (4,) and D.features(x).dim() == 2
    with pytest.raises(ValueError, match="choose model=mlp"):
        pair(family, image(1, 28))


@every_family
def test_gradients_reach_every_parameter_and_copies_agree(family: Any) -> None:
    """After one step, since R3GAN's blocks begin as the identity."""
    G, D = pair(family, image(1, 16))
    params = [*G.parameters(), *D.parameters()]
    optimizer = torch.optim.SGD(params, 0.01)
    for _ in range(2):
        optimizer.zero_grad()
        D(G(G.noise(8))).square().mean().backward()
        optimizer.step()
    for net in (G, D):
        for name, p in net.named_parameters():
            assert p.grad is not None and p.grad.abs().max() > 0, name
    G.eval()
    z = G.noise(3)
    assert torch.equal(copy.deepcopy(G)(z), G(z))


@every_family
def test_a_penalty_on_the_slope_agrees_with_finite_differences(family: Any) -> None:
    _, D = pair(family, image(1, 8))
    D.double().eval()
    params = list(D.parameters())
    with torch.no_grad():
        for p in params:
            p.mul_(2).add_(0.1 * torch.randn_like(p))
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)

    def penalty() -> torch.Tensor:
        at = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(D(at).sum(), at, create_graph=True)
        return slope.square().sum().log()

    grads = torch.autograd.grad(penalty(), params, allow_unused=True, materialize_grads=True)
    direction = [torch.randn_like(p) for p in params]
    step, ends = 1e-6, []
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(params, direction, strict=True):
                p.add_(sign * step * d)
        ends.append(float(penalty().detach()))
    expected = sum(float((g * d).sum()) for g, d in zip(grads, direction, strict=True))
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=1e-3) and abs(expected) > 1e-8


# -- variational gradient flow -----------------------------------------------------------------------


def test_vgrow_restrains_every_weight_and_has_no_convolution_with_a_bias() -> None:
    """16 x 16 pixels need two doublings: two convolutions and a shortcut each, one to paint, one full layer."""
    G, D = pair(vgrow, image(1, 16))
    assert (len(of(WEIGHTED, G)), len(of(WEIGHTED, D))) == (1 + 2 * 3 + 1, 3 + 3 + 2 + 2 + 1)
    for _ in range(40):
        D(G(G.noise(2)))
    for layer in of(WEIGHTED, G.eval()) + of(WEIGHTED, D.eval()):
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.01)
        assert layer.parametrizations.weight[0].n_power_iterations == 5
        assert (layer.bias is None) == isinstance(layer, nn.Conv2d)
    drawn = torch.cat(
        [m.parametrizations.weight.original.flatten() for m in of(nn.Conv2d, vgrow.Generator(image(1, 16)))]
    )
    assert drawn.std().item() == pytest.approx(0.02, rel=0.01)
    assert len(of(nn.BatchNorm2d, G)) == 2 and not of(nn.BatchNorm2d, D)


def test_vgrow_sums_over_a_quarter_of_the_size() -> None:
    D = vgrow.Discriminator(image(1, 32), width=4)
    assert D.trunk[:-1](torch.zeros(1, 1, 32, 32)).shape == (1, 4, 8, 8)
    maps = torch.rand(1, 4, 8, 8)
    assert torch.allclose(D.trunk[-1](maps), maps.sum((2, 3)))


# -- Salimans et al. ---------------------------------------------------------------------------------


def test_improved_latents_are_the_papers_up_to_a_shift_that_batch_norm_removes() -> None:
    G = improved.Generator(image(3, 32), width=16)
    assert isinstance(G, UniformGenerator) and G.reach == 0.5
    z = G.noise(64)
    assert torch.allclose(G(z), G(z + 0.5), atol=1e-4)


def test_improved_has_nine_convolutions_with_weight_norm_noise_and_dropout() -> None:
    G, D = improved.Generator(image(3, 32)), improved.Discriminator(image(3, 32))
    layers = of(nn.Conv2d, D)
    assert [m.out_channels for m in layers] == [96] * 3 + [192] * 6
    assert [m.kernel_size[0] for m in layers] == [3] * 7 + [1] * 2 and [m.stride[0] for m in layers].count(2) == 2
    for layer in [*layers, D.head, list(G.net)[-2]]:
        length = layer.parametrizations.weight.original0
        direction = layer.parametrizations.weight.original1
        dims = [d for d in range(direction.dim()) if length.shape[d] == 1]
        assert torch.allclose(layer.weight.pow(2).sum(dims, keepdim=True).sqrt(), length.abs(), rtol=1e-4)
    assert len(list(G.net)[-2].parametrizations.weight.original0.flatten()) == 3  # a length for each colour
    assert [m.p for m in of(nn.Dropout, D)] == [0.5, 0.5] and of(improved.Noise, D)[0].sd == 0.2
    x = torch.zeros(2, 3, 32, 32)
    noise = of(improved.Noise, D)[0]
    assert noise(x).std().item() == pytest.approx(0.2, rel=0.05) and torch.equal(noise.eval()(x), x)


# -- R3GAN -------------------------------------------------------------------------------------------


def test_r3gan_is_the_authors_preset_without_class_embeddings() -> None:
    """Their 20,781,952 and 21,280,512 parameters embed 10 classes in 64 and in 768 numbers."""
    with torch.device("meta"):
        G, D = r3gan.Generator(image(3, 32)), r3gan.Discriminator(image(3, 32))
    assert count(G) + 10 * 64 + 768 * 64 == 20_781_952
    assert count(D) - 768 + 10 * 768 + 768 * 768 == 21_280_512


def test_r3gan_begins_as_its_shortcuts() -> None:
    """Each block is the identity at the start, its other weights scaled by (blocks)^(-1/4) (Fixup, m = 3)."""
    G, _ = pair(r3gan, image(3, 32))
    blocks = of(r3gan.Block, G)
    x = torch.randn(2, 8, 4, 4)
    assert len(blocks) == 8 and all(torch.equal(block(x), x) for block in blocks)
    wide = r3gan.Block(128, 16, depth=8)
    gain = math.sqrt(2 / 1.04) * 8**-0.25
    first, _, middle, _, last = wide.residual
    assert first.weight.std().item() == pytest.approx(gain / math.sqrt(128), rel=0.02)
    assert middle.weight.std().item() == pytest.approx(gain / math.sqrt(16 * 9), rel=0.02)
    assert middle.groups == 16 and last.weight.abs().max() == 0


def test_r3gan_resizes_without_changing_what_is_constant_or_linear() -> None:
    up, down = r3gan.Resize(up=True), r3gan.Resize(up=False)
    ramp = torch.arange(8.0).expand(1, 2, 8, 8)
    assert torch.allclose(
        up(ramp)[..., 1:-1, 1:-1], (torch.arange(16.0) / 2 - 0.25).expand(1, 2, 16, 16)[..., 1:-1, 1:-1]
    )
    halved = (2 * torch.arange(4.0) + 0.5).expand(1, 2, 4, 4)  # in the middle of two pixels, as what is enlarged
    assert torch.allclose(down(ramp)[..., 1:-1, 1:-1], halved[..., 1:-1, 1:-1])
    a, b = torch.randn(1, 2, 8, 8), torch.randn(1, 2, 16, 16)
    assert torch.allclose((up(a) * b).sum(), 4 * (a * down(b)).sum(), rtol=1e-4)  # each is the other's transpose


def test_r3gan_names_groups_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="group=5 does not divide"):
        r3gan.Generator(image(3, 32), width=8, group=5)


# -- VEEGAN ------------------------------------------------------------------------------------------


def test_pairs_of_images_see_what_dcgan_sees() -> None:
    """The reconstructor is affine in DCGAN's features; the joint score depends on both halves of a pair."""
    spec = image(3, 16)
    F = pairs_dcgan.Reconstructor(spec, latent=5, width=4, sd=0.5).eval()
    x, z = torch.randn(6, 3, 16, 16), torch.randn(6, 5)
    trunk, affine = F.net[0], F.net[1]
    mean, sd = F.density(x)
    assert mean.shape == (6, 5) and torch.equal(sd, torch.full((6, 5), 0.5))
    assert torch.allclose(mean, affine(trunk(x))) and of(nn.Linear, affine)[0].in_features == 8 * 4 * 4
    assert count(trunk) == count(dcgan.Discriminator(spec, 4).trunk)
    D = pairs_dcgan.JointDiscriminator(spec, latent=5, width=4, hidden=[7]).eval()
    assert D(x, z).shape == (6,) and D.features(x, z).shape == (6, 7)
    for other in (D(x.flip(0), z), D(x, z.flip(0))):
        assert not torch.allclose(other, D(x, z))
