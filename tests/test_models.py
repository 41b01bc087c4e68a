"""Networks: what they can make, how large they are, how they start, and that gradients reach all of them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_runner.datasets.spec import Spec
from gan_runner.models import dcgan, dcgan_tf, infogan, maxout, mlp, resnet, wgan_gp
from gan_runner.models.layers import MAP_NORMS, VECTOR_NORMS, Maxout, chain, map_norm, vector_norm

TABLE, SERIES = Spec((5,), "table"), Spec((2, 12), "series")


def image(channels: int, height: int, width: int | None = None) -> Spec:
    return Spec((channels, height, width or height), "image")


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def of(kind: Any, net: nn.Module) -> list[Any]:
    """The layers of a kind, in order."""
    return [m for m in net.modules() if isinstance(m, kind)]


CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
WEIGHTED = (nn.Linear, *CONVOLUTIONS)

SMALL: dict[Any, tuple[dict[str, Any], dict[str, Any]]] = {
    mlp: ({"latent": 3, "hidden": [7, 6]}, {"hidden": [7, 6]}),
    maxout: ({"latent": 3, "width": 8}, {"units": 6, "pieces": 3}),
    dcgan: ({"latent": 3, "width": 2}, {"width": 2}),
    dcgan_tf: ({"latent": 3}, {}),
    infogan: ({"latent": 3}, {}),
    resnet: ({"latent": 3, "width": 1}, {"width": 1}),
    wgan_gp: ({"latent": 3}, {}),
}
"""Every family with small arguments of its generator and discriminator."""

SQUARES = [image(c, s) for c in (1, 3) for s in (8, 16, 28, 32, 64, 128)]
OTHERS = [image(2, 20, 12), image(1, 30), TABLE, SERIES]
POWERS = [s for s in SQUARES if s.shape[1] != 28]
MAKES = {
    mlp: SQUARES + OTHERS,
    maxout: SQUARES + [image(2, 20, 12), image(1, 30)],
    dcgan: POWERS,
    dcgan_tf: SQUARES + [image(2, 20, 12)],
    infogan: SQUARES + [image(2, 20, 12)],
    resnet: POWERS,
    wgan_gp: SQUARES + [image(2, 20, 12)],
}


def pair(family: Any, spec: Spec, **discriminator: Any) -> tuple[Any, Any]:
    g, d = SMALL[family]
    return family.Generator(spec, **g), family.Discriminator(spec, **d, **discriminator)


def name(value: Any) -> str | None:
    if isinstance(value, Spec):
        return "x".join(map(str, value.shape))
    return value.__name__.split(".")[-1] if hasattr(value, "__name__") else None


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


every_family = pytest.mark.parametrize("family", SMALL, ids=name)


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "spec", "generator", "discriminator"),
    [
        (maxout, image(1, 28), 2_503_984, 1_231_441),
        (dcgan, image(3, 64), 3_576_704, 2_765_568),
        (dcgan, image(1, 64), 3_574_656, 2_763_520),
        (dcgan_tf, image(1, 28), 2_305_472, 212_865),
        (wgan_gp, image(1, 28), 1_554_177, 1_030_145),
        (resnet, image(3, 32), 4_276_739, 1_053_825),
        (resnet, image(3, 64), 12_220_675, 10_141_441),
    ],
    ids=name,
)
def test_parameters_are_as_many_as_published(family: Any, spec: Spec, generator: int, discriminator: int) -> None:
    assert (count(family.Generator(spec)), count(family.Discriminator(spec))) == (generator, discriminator)


def test_keras_counts_the_running_statistics_too() -> None:
    state = dcgan_tf.Generator(image(1, 28)).state_dict()
    assert sum(t.numel() for key, t in state.items() if "num_batches" not in key) == 2_330_944


def test_infogan_has_the_parameters_of_its_layers() -> None:
    full = 64 * 1024 + 1024 + 2 * 1024 + 1024 * 6272 + 6272 + 2 * 6272
    assert count(infogan.Generator(image(1, 28))) == full + 128 * 64 * 16 + 64 + 2 * 64 + 64 * 16 + 1
    halved = 16 * 64 + 64 + 64 * 128 * 16 + 128 + 2 * 128
    assert count(infogan.Discriminator(image(1, 28))) == halved + 6272 * 1024 + 1024 + 2 * 1024 + 1024 + 1


def test_spectral_norm_adds_no_parameters() -> None:
    assert count(resnet.Discriminator(image(3, 32), spectral_norm=True)) == 1_053_825


def test_mlp_widths_are_those_listed() -> None:
    huber = Spec((50,), "table")
    assert [m.weight.shape for m in of(nn.Linear, mlp.Generator(huber, 50, [100]))] == [(100, 50), (50, 100)]
    D = mlp.Discriminator(huber, [100, 25])
    assert [m.weight.shape for m in of(nn.Linear, D)] == [(100, 50), (25, 100), (1, 25)]


@pytest.mark.parametrize(("size", "maps"), [(8, [4]), (32, [16, 8, 4]), (128, [64, 32, 16, 8, 4])])
def test_dcgan_halves_its_maps_towards_the_image(size: int, maps: list[int]) -> None:
    G, D = dcgan.Generator(image(1, size), width=4), dcgan.Discriminator(image(1, size), width=4)
    assert [(m.in_channels, m.out_channels) for m in of(CONVOLUTIONS, G)] == list(pairwise([*maps, 1]))
    assert [(m.out_channels, m.in_channels) for m in reversed(of(CONVOLUTIONS, D))] == list(pairwise([*maps, 1]))


# -- shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "spec"), [(f, s) for f, specs in MAKES.items() for s in specs], ids=name)
def test_samples_have_the_shape_of_the_data_and_one_logit_each(family: Any, spec: Spec) -> None:
    with torch.device("meta"):  # shapes without numbers: InfoGAN has 270 million parameters at 128 px
        G, D = pair(family, spec)
    z = G.noise(2)
    x = G(z)
    assert z.shape == (2, G.latent)
    assert x.shape == (2, *spec.shape)
    assert D(x).shape == (2,)
    assert D.features(x).dim() == 2


@every_family
def test_what_it_cannot_make_it_refuses_with_a_remedy(family: Any) -> None:
    for spec in SQUARES + OTHERS:
        if spec in MAKES[family]:
            continue
        for make, arguments in zip((family.Generator, family.Discriminator), SMALL[family], strict=True):
            with pytest.raises(ValueError, match=r"choose model=mlp$"):
                make(spec, **arguments)


def test_the_remedy_names_the_nearest_size() -> None:
    with pytest.raises(ValueError) as refused:
        dcgan.Generator(image(1, 28))
    makes, remedy = str(refused.value).split("; ")
    assert makes == "dcgan makes square images of 8, 16, 32, 64 or 128 px"
    assert remedy == "(1, 28, 28) is not: set dataset.size=32 or choose model=mlp"
    with pytest.raises(ValueError, match=r"multiples of 4; \(1, 30, 30\) is not: set dataset.size=32 or choose"):
        infogan.Discriminator(image(1, 30))
    with pytest.raises(ValueError, match=r"px; \(5,\) is not: choose model=mlp"):
        resnet.Generator(TABLE)


@pytest.mark.parametrize(
    ("make", "arguments", "named"),
    [
        (mlp.Generator, {"latent": 0}, "latent=0"),
        (mlp.Generator, {"hidden": [8, 0]}, "hidden=0"),
        (mlp.Discriminator, {"dropout": 1.0}, "dropout=1.0"),
        (mlp.Discriminator, {"activation": "sine"}, "activation=sine is not one of leaky_relu, relu"),
        (mlp.Discriminator, {"norm": "instance"}, "norm=instance is not one of batch, group, layer, none"),
        (maxout.Generator, {"width": -1}, "width=-1"),
        (maxout.Discriminator, {"pieces": 0}, "pieces=0"),
        (dcgan.Generator, {"width": 0}, "width=0"),
        (dcgan.Discriminator, {"width": 0}, "width=0"),
        (dcgan.Discriminator, {"norm": "spectral"}, "norm=spectral is not one of batch, instance, group, layer, none"),
        (dcgan_tf.Generator, {"latent": -3}, "latent=-3"),
        (dcgan_tf.Discriminator, {"dropout": -0.1}, "dropout=-0.1"),
        (infogan.Generator, {"latent": 0}, "latent=0"),
        (infogan.Discriminator, {"norm": "instance"}, "norm=instance is not one of batch, group, layer, none"),
        (resnet.Generator, {"latent": 0}, "latent=0"),
        (resnet.Discriminator, {"width": 0}, "width=0"),
        (resnet.Discriminator, {"pooling": "max"}, "pooling=max is not one of sum, mean"),
    ],
)
def test_arguments_out_of_range_are_named(make: Any, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make(image(1, 16), **arguments)


@every_family
def test_images_stay_within_the_scale_of_training(family: Any) -> None:
    G, _ = pair(family, image(3, 8))
    of(WEIGHTED, G)[-1].weight.data.mul_(1e6)
    x = G(G.noise(50))
    assert x.max() == 1
    assert x.min() == -1


def test_tables_and_series_are_unbounded() -> None:
    for spec in (TABLE, SERIES):
        G = mlp.Generator(spec, latent=3, hidden=[])
        z = G.noise(50)
        shift = G(torch.zeros_like(z))
        assert torch.allclose(G(1000 * z) - shift, 1000 * (G(z) - shift), rtol=1e-3, atol=1e-2)


def test_same_padding_gives_7_14_28() -> None:
    G, D = dcgan_tf.Generator(image(1, 28)), dcgan_tf.Discriminator(image(1, 28))
    for layer, before, after in zip(of(CONVOLUTIONS, G), (7, 7, 14), (7, 14, 28), strict=True):
        assert layer(torch.zeros(1, layer.in_channels, before, before)).shape[2:] == (after, after)
    sides, x = [], torch.zeros(1, 1, 28, 28)
    for layer in list(D.trunk)[:-1]:
        x = layer(x)
        sides.append(x.shape[-1])
    assert sides == [31, 14, 14, 14, 17, 7, 7, 7]
    corner = torch.zeros(1, 1, 28, 28)
    corner[..., -1, -1] = 1
    assert torch.equal(D.trunk[0](corner).nonzero()[0, 2:], torch.tensor([28, 28]))  # Keras pads 1 before, 2 after


def test_wgan_gp_halves_28_to_4_as_tensorflow_pads_and_doubles_it_back() -> None:
    G, D = wgan_gp.Generator(image(1, 28)), wgan_gp.Discriminator(image(1, 28))
    for layer, before, after in zip(of(CONVOLUTIONS, G), (4, 7, 14), (7, 14, 28), strict=True):
        assert layer(torch.zeros(1, layer.in_channels, before, before)).shape[2:] == (after, after)
    assert [m.padding for m in of(nn.ZeroPad2d, D)] == [(1, 2, 1, 2), (1, 2, 1, 2), (2, 2, 2, 2)]
    assert not of(nn.modules.batchnorm._NormBase, G) + of(nn.modules.batchnorm._NormBase, D)
    z = G.noise(4)
    assert torch.allclose((G(z) + 1) / 2, G.net(z).sigmoid(), atol=1e-6)
    drawn = [layer.weight.std().item() for net in (D, G) for layer in of((nn.Linear, *CONVOLUTIONS), net)]
    assert drawn == pytest.approx([0.0970, 0.0408, 0.0289, 0.0221, 0.0218, 0.0289, 0.0408, 0.0970], rel=0.03)


# -- priors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "reach", "variance"),
    [
        (mlp, None, 1.0),
        (maxout, math.sqrt(3), 1.0),
        (dcgan, 1.0, 1 / 3),
        (dcgan_tf, None, 1.0),
        (infogan, 1.0, 1 / 3),
        (resnet, None, 1.0),
        (wgan_gp, None, 1.0),
    ],
    ids=name,
)
def test_latents_follow_the_prior_of_the_paper(family: Any, reach: float | None, variance: float) -> None:
    G, _ = pair(family, image(1, 8))
    z = G.noise(40_000)
    assert z.mean().abs() < 0.02
    assert z.var().item() == pytest.approx(variance, rel=0.02)
    if reach:
        assert 0.999 * reach < z.abs().max() <= reach
    else:
        assert z.abs().max() > 3.5
    torch.manual_seed(1)
    first = G.noise(2)
    torch.manual_seed(1)
    assert torch.equal(first, G.noise(2))
    assert G.double().noise(2).dtype == torch.float64


# -- weights at the start --------------------------------------------------------------------------


def test_dcgan_starts_from_narrow_gaussians() -> None:
    for net in (dcgan.Generator(image(3, 64)), dcgan.Discriminator(image(3, 64))):
        for layer in of(WEIGHTED, net):
            tolerance = max(0.05, 4 / math.sqrt(2 * layer.weight.numel()))
            assert layer.weight.std().item() == pytest.approx(0.02, rel=tolerance)
            assert layer.bias is None
        gains = torch.cat([m.weight for m in of(nn.BatchNorm2d, net)])
        assert gains.std().item() == pytest.approx(0.02, rel=0.1)
        assert gains.mean().item() == pytest.approx(1, abs=0.003)


def test_maxout_and_tutorial_start_from_uniform_weights() -> None:
    for net, reach in ((maxout.Generator(image(1, 28)), 0.05), (maxout.Discriminator(image(1, 28)), 0.005)):
        for layer in of(nn.Linear, net):
            assert 0.95 * reach < layer.weight.abs().max() <= reach
            assert layer.bias.abs().max() == 0
    widest = of(CONVOLUTIONS, dcgan_tf.Discriminator(image(1, 28)))[1].weight
    assert widest.abs().max().item() == pytest.approx(math.sqrt(6 / (25 * (64 + 128))), rel=1e-3)  # Glorot's bound


def test_resnet_starts_as_sngan() -> None:
    D = resnet.Discriminator(image(3, 32))
    residual, shortcut = D.trunk[1].residual, D.trunk[1].shortcut
    for conv, area, gain in ((of(CONVOLUTIONS, residual)[0], 9, math.sqrt(2)), (of(CONVOLUTIONS, shortcut)[0], 1, 1)):
        bound = gain * math.sqrt(6 / (area * 2 * 128))
        assert conv.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
        assert conv.bias.abs().max() == 0


@pytest.mark.parametrize(("family", "slope"), [(mlp, 0.2), (dcgan, 0.2), (infogan, 0.2), (dcgan_tf, 0.3)], ids=name)
def test_leaks_are_the_papers(family: Any, slope: float) -> None:
    assert {m.negative_slope for net in pair(family, image(1, 32)) for m in of(nn.LeakyReLU, net)} == {slope}


def test_infogan_starts_from_narrow_gaussians() -> None:
    for net in (infogan.Generator(image(1, 28)), infogan.Discriminator(image(1, 28))):
        for layer in of(nn.Linear, net):
            assert layer.bias.abs().max() == 0
            if layer.weight.numel() > 10_000:
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_dropout_is_where_the_papers_have_it() -> None:
    assert [m.p for m in of(nn.Dropout, maxout.Discriminator(image(1, 28)))] == [0.2, 0.5, 0.5]
    assert [m.p for m in of(nn.Dropout, dcgan_tf.Discriminator(image(1, 28)))] == [0.3, 0.3]
    assert [m.p for m in of(nn.Dropout, mlp.Discriminator(TABLE, dropout=0.4))] == [0.4, 0.4]
    assert not of(nn.Dropout, mlp.Discriminator(TABLE))


def test_the_tutorial_normalises_as_keras() -> None:
    norms = of(nn.modules.batchnorm._BatchNorm, dcgan_tf.Generator(image(1, 28)))
    assert [(m.num_features, m.eps, m.momentum) for m in norms] == [(n, 1e-3, 0.01) for n in (256 * 7 * 7, 128, 64)]


# -- normalisation ---------------------------------------------------------------------------------


def test_dcgan_normalises_all_but_output_and_input() -> None:
    kinds = [type(m) for m in dcgan.Generator(image(3, 64), width=2).net]
    stage = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [nn.Linear, nn.Unflatten, nn.BatchNorm2d, nn.ReLU, *stage * 3, nn.ConvTranspose2d, nn.Tanh]
    kinds = [type(m) for m in dcgan.Discriminator(image(3, 64), width=2).trunk]
    assert kinds == [nn.Conv2d, nn.LeakyReLU, *[nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 3, nn.Flatten]


@pytest.mark.parametrize(
    ("family", "norm"),
    [
        (f, n)
        for f in (dcgan, infogan, resnet)
        for n in MAP_NORMS
        if n != "batch" and (f is not infogan or n in VECTOR_NORMS)
    ],
    ids=name,
)
def test_without_batch_norm_samples_are_judged_one_by_one(family: Any, norm: str) -> None:
    _, D = pair(family, image(1, 16), norm=norm)
    x = torch.randn(6, 1, 16, 16)
    assert torch.allclose(D(x)[:2], D(x[:2]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", [dcgan, infogan], ids=name)
def test_batch_norm_judges_by_the_company(family: Any) -> None:
    _, D = pair(family, image(1, 16), norm="batch")
    x = torch.randn(6, 1, 16, 16)
    assert not torch.allclose(D(x)[:2], D(x[:2]), rtol=1e-3)


def test_norms_are_taken_over_their_own_axes() -> None:
    x = torch.randn(8, 32, 6, 6) * torch.arange(1.0, 33).view(-1, 1, 1)
    expected = {
        "batch": functional.batch_norm(x, None, None, training=True),
        "instance": functional.instance_norm(x),
        "group": functional.group_norm(x, 2),
        "layer": functional.layer_norm(x, (32, 6, 6)),
    }
    for norm, y in expected.items():
        assert torch.allclose(map_norm(norm, 32)(x), y, atol=1e-5), norm
    assert torch.equal(chain(map_norm("none", 32))(x), x)
    v = x[:, :, 0, 0]
    assert vector_norm("batch", 32)(v).mean(0).abs().max() < 1e-5
    assert vector_norm("layer", 32)(v).mean(1).abs().max() < 1e-5


@pytest.mark.parametrize("width", [1, 6, 24, 50])
def test_norms_take_any_width(width: int) -> None:
    assert {vector_norm(n, width)(torch.randn(4, width)).shape for n in VECTOR_NORMS} == {(4, width)}
    assert {map_norm(n, width)(torch.randn(4, width, 3, 3)).shape for n in MAP_NORMS} == {(4, width, 3, 3)}


def test_spectral_norm_brings_the_largest_singular_value_to_1() -> None:
    D = resnet.Discriminator(image(3, 16), width=4, spectral_norm=True)
    with torch.no_grad():
        for _ in range(100):
            D(torch.randn(2, 3, 16, 16))
    layers = of(WEIGHTED, D.eval())
    assert len(layers) == 3 + 2 + 2 + 2 + 1  # the first block's shortcut has a weight, and the head counts
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.01)
    plain = resnet.Discriminator(image(3, 16), width=4)
    assert all(torch.linalg.matrix_norm(m.weight.flatten(1), 2) > 1.05 for m in of(CONVOLUTIONS, plain))


# -- what layers compute ---------------------------------------------------------------------------


def test_maxout_is_the_largest_piece() -> None:
    layer = Maxout(4, 3, 5)
    x = torch.randn(7, 4)
    W, b = layer.affine.weight.view(3, 5, 4), layer.affine.bias.view(3, 5)
    pieces = torch.stack([x @ W[:, k].T + b[:, k] for k in range(5)])
    assert torch.allclose(layer(x), pieces.max(0).values, atol=1e-6)


def test_maxout_nets_see_pixels_from_0_to_1() -> None:
    D = maxout.Discriminator(image(1, 4), units=6, pieces=3).eval()
    assert torch.equal(D.features(-torch.ones(2, 1, 4, 4)), torch.zeros(2, 6))  # black pixels and no bias yet
    G = maxout.Generator(image(1, 4), latent=3, width=8)
    z = G.noise(4)
    assert torch.allclose((G(z) + 1) / 2, G.net(z).sigmoid(), atol=1e-6)


def test_sum_pooling_is_mean_pooling_times_the_area() -> None:
    for size, area in ((16, 64), (32, 64), (64, 4)):
        _, total = pair(resnet, image(1, size), pooling="sum")
        _, mean = pair(resnet, image(1, size), pooling="mean")
        mean.load_state_dict(total.state_dict())
        _, default = pair(resnet, image(1, size))
        default.load_state_dict(total.state_dict())
        x = torch.randn(2, 1, size, size)
        assert torch.equal(default(x), total(x))
        assert torch.allclose(total.features(x), area * mean.features(x), rtol=1e-4)


def test_residual_shortcuts_commute_with_resizing() -> None:
    x = torch.randn(2, 6, 8, 8)
    up = resnet.double(6, 4).shortcut
    assert torch.allclose(up(x), up[0](up[1](x)), atol=1e-5)
    down = resnet.block(6, 4, "none", halve=True).shortcut
    assert torch.allclose(down(x), down[0](down[1](x)), atol=1e-5)


def test_a_block_adds_its_shortcut() -> None:
    block = resnet.block(6, 6, "none", halve=False)
    x = torch.randn(2, 6, 8, 8)
    before = x.clone()
    of(CONVOLUTIONS, block.residual)[-1].weight.data.zero_()
    assert torch.equal(block(x), before)
    assert torch.equal(x, before)  # an activation in place would have changed what the shortcut sees


@every_family
def test_the_logit_is_linear_in_the_features(family: Any) -> None:
    _, D = pair(family, image(1, 16))
    x = torch.randn(3, 1, 16, 16)
    D.eval()
    assert torch.allclose(D(x), D.head(D.features(x)).squeeze(1))
    assert isinstance(D.head, nn.Linear)
    assert D.head.in_features == D.features(x).shape[1]


def test_mlp_features_are_the_last_hidden_layer() -> None:
    D = mlp.Discriminator(TABLE, hidden=[7, 3], norm="batch")
    assert D.features(torch.randn(4, 5)).shape == (4, 3)
    affine = mlp.Discriminator(TABLE, hidden=[])
    a, b = torch.randn(2, 4, 5)
    assert torch.allclose(affine((a + b) / 2), (affine(a) + affine(b)) / 2, atol=1e-6)


# -- gradients -------------------------------------------------------------------------------------


JUDGES: list[tuple[Any, dict[str, Any]]] = [
    *[(family, {"norm": norm}) for family in (mlp, dcgan, infogan, resnet) for norm in ("layer", "none")],
    *[(maxout, {}), (dcgan_tf, {}), (wgan_gp, {}), (resnet, {"spectral_norm": True})],
]
every_judge = pytest.mark.parametrize(
    ("family", "options"), JUDGES, ids=lambda v: name(v) or "-".join(map(str, v.values()))
)


@every_judge
def test_gradients_reach_every_parameter(family: Any, options: dict[str, Any]) -> None:
    G, D = pair(family, image(1, 16), **options)
    D(G(G.noise(8))).square().mean().backward()
    for net in (G, D):
        for key, p in net.named_parameters():
            assert p.grad is not None and p.grad.abs().max() > 0, key


def penalty(D: nn.Module, x: Tensor) -> Tensor:
    """WGAN-GP's term at x."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


@every_judge
def test_double_backward_agrees_with_finite_differences(family: Any, options: dict[str, Any]) -> None:
    _, D = pair(family, image(1, 8), **options)
    D.double().eval()
    params = list(D.parameters())
    with torch.no_grad():
        for p in params:
            p.mul_(3)  # away from a flat start
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    grads = torch.autograd.grad(penalty(D, x), params, allow_unused=True, materialize_grads=True)
    direction = [torch.randn_like(p) for p in params]
    expected = sum((g * d).sum() for g, d in zip(grads, direction, strict=True))
    step, ends = 1e-7, []
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(params, direction, strict=True):
                p.add_(sign * step * d)
        ends.append(penalty(D, x).detach())
    found = (ends[0] - ends[1]) / (2 * step)
    assert math.isfinite(found)
    assert found.abs() > 1e-6
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)


@every_judge
def test_a_game_traces_as_one_graph(family: Any, options: dict[str, Any]) -> None:
    G, D = pair(family, image(1, 16), **options)
    G.eval(), D.eval()
    torch.manual_seed(0)

    def scores() -> Tensor:
        return D(G(G.noise(3)))

    expected = scores()
    torch.manual_seed(0)
    torch._dynamo.reset()
    traced = torch.compile(scores, fullgraph=True, backend="eager")
    assert torch.equal(traced(), expected)
