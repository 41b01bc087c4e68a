"""Discriminators that judge samples by their company: minibatch discrimination and packing."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_runner.build import build
from gan_runner.datasets.spec import Spec
from gan_runner.errors import UsageError
from gan_runner.losses.adversarial import Adversarial
from gan_runner.losses.payoffs import Relativistic
from gan_runner.losses.penalties import GradientNorm
from gan_runner.models import dcgan, mlp, roles
from gan_runner.models.minibatch import MinibatchDiscrimination, closeness
from gan_runner.models.packing import Pack, pack_of
from tests.conftest import compose, option_names
from tests.test_contract import parity, play
from tests.test_models import TABLE, count, image

KERNELS: dict[str, Any] = {"kernels": 6, "dims": 3}
MINIBATCH = "model.discriminator.minibatch={kernels: 6, dims: 3}"
families = pytest.mark.parametrize(("family", "spec"), [(mlp, TABLE), (dcgan, image(3, 16))], ids=["mlp", "dcgan"])


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# -- minibatch discrimination ----------------------------------------------------------------------


def test_closeness_by_hand() -> None:
    """M = (0, 0), (1, 0), (0, 2): e^-1 + e^-2, e^-1 + e^-3, e^-2 + e^-3; with itself each has one more."""
    M = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]).unsqueeze(1)
    expected = torch.tensor([[0.503215], [0.417667], [0.185122]])
    torch.testing.assert_close(closeness(M), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(closeness(M, include_self=True), expected + 1, atol=1e-6, rtol=0)


def test_kernels_are_judged_one_by_one() -> None:
    M = torch.randn(5, 4, 3)
    for b in range(4):
        torch.testing.assert_close(closeness(M)[:, b], closeness(M[:, b : b + 1])[:, 0])


@pytest.mark.parametrize(("include_self", "expected"), [(False, 6.0), (True, 7.0)])
def test_identical_samples_are_as_close_as_can_be(include_self: bool, expected: float) -> None:
    layer = MinibatchDiscrimination(8, 5, 2, include_self)
    made = layer(torch.randn(1, 8).expand(7, 8))
    torch.testing.assert_close(made[:, 8:], torch.full((7, 5), expected))


def test_the_layer_adds_to_the_features_and_follows_the_order_of_the_batch() -> None:
    layer, f, order = MinibatchDiscrimination(8, 5, 2), torch.randn(7, 8), torch.randperm(7)
    made = layer(f)
    assert torch.equal(made[:, :8], f) and made.shape == (7, 13)
    torch.testing.assert_close(layer(f[order]), made[order])
    assert made[:, 8:].max() < 6 and made[:, 8:].min() >= 0


def test_columns_have_the_length_their_logarithm_says() -> None:
    """Weight normalisation: the length of `direction` means nothing, `log_length` is the log of the column's."""
    layer, f = MinibatchDiscrimination(8, 5, 2), torch.randn(4, 8)
    layer.log_length.data.uniform_(-1, 1)
    before = layer(f)
    columns = layer.direction / layer.direction.norm(dim=0) * layer.log_length.exp()
    torch.testing.assert_close(before[:, 8:], closeness((f @ columns).view(4, 5, 2)))
    layer.direction.data *= torch.rand(10) + 0.5
    torch.testing.assert_close(layer(f), before)
    assert layer.direction.norm(dim=0).max() > 1


def test_it_is_computed_in_full_precision() -> None:
    layer, f = MinibatchDiscrimination(8, 5, 2), torch.randn(4, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(f.bfloat16()).dtype == torch.float32


@families
def test_it_is_the_last_hidden_layer(family: Any, spec: Spec) -> None:
    D, plain = family.Discriminator(spec, minibatch=KERNELS), family.Discriminator(spec)
    x = torch.randn(4, *spec.shape)
    assert D.features(x).shape[1] == plain.features(x).shape[1] + 6 == D.head.in_features
    assert count(D) == count(plain) + plain.head.in_features * 18 + 18 + 6
    assert not torch.allclose(D.eval()(x)[:2], D(x[:2]), rtol=1e-4)
    torch.testing.assert_close(plain.eval()(x)[:2], plain(x[:2]), rtol=1e-3, atol=1e-6)


@families
def test_real_and_generated_batches_do_not_meet(family: Any, spec: Spec) -> None:
    """The discriminator's loss judges each batch in a pass of its own."""
    seen: list[int] = []
    D = family.Discriminator(spec, minibatch=KERNELS)
    D.trunk[-1].register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    real, fake = torch.randn(4, *spec.shape), torch.randn(4, *spec.shape)
    Adversarial(Relativistic()).discriminator_loss({"discriminator": D}, real, fake)
    assert seen == [4, 4]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("{kernels: 0, dims: 3}", "model.discriminator.minibatch.kernels=0 is not positive"),
        ("{kernels: 3, dims: -1}", "model.discriminator.minibatch.dims=-1 is not positive"),
        ("{kernel: 3}", "unexpected keyword argument 'kernel'"),
    ],
)
def test_wrong_minibatches_are_refused(value: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        built(f"model.discriminator.minibatch={value}")


# -- packing ---------------------------------------------------------------------------------------


def test_neighbours_share_a_pack() -> None:
    x = torch.arange(24).view(4, 3, 2)
    packed = Pack(2)(x)
    assert packed.shape == (2, 6, 2)
    assert torch.equal(packed[1], torch.cat([x[2], x[3]]))
    assert torch.equal(Pack(4)(x[..., 0])[0], x[..., 0].flatten())


@families
@pytest.mark.parametrize("pack", [2, 3])
def test_one_score_for_each_pack(family: Any, spec: Spec, pack: int) -> None:
    D = family.Discriminator(spec, pack=pack).eval()
    x = torch.randn(12, *spec.shape)
    assert D(x).shape == (12 // pack,) and pack_of(D) == pack
    changed = x.clone()
    changed[pack] += 1  # the first of the second pack
    different = (D(changed) != D(x)).tolist()
    assert different == [i == 1 for i in range(12 // pack)]


@families
def test_only_the_first_layer_grows(family: Any, spec: Spec) -> None:
    one, two, same = family.Discriminator(spec), family.Discriminator(spec, pack=2), family.Discriminator(spec, pack=1)
    first = next(one.parameters())
    assert count(two) - count(one) == first.numel()
    assert count(same) == count(one) and list(same.state_dict()) == list(one.state_dict())
    assert pack_of(one) == 1


class Sum(roles.Discriminator):
    """3 times the first entry of each sample plus 4 times the first of its neighbour."""

    def __init__(self) -> None:
        super().__init__(nn.Sequential(Pack(2)), nn.Linear(4, 1, bias=False))
        self.head.weight.data = torch.tensor([[3.0, 0.0, 4.0, 0.0]])


@pytest.mark.parametrize(("target", "expected"), [(1.0, 160.0), (0.0, 250.0)])
def test_a_penalty_is_about_the_whole_pack(target: float, expected: float) -> None:
    """The slope of a pack's score has length 5: 10 (5 - 1)^2 = 160 and 10 * 5^2 = 250."""
    x = torch.randn(6, 2)
    penalty = GradientNorm(at="real", target=target, weight=10.0)(Sum(), x, x)
    assert float(penalty.detach()) == pytest.approx(expected, rel=1e-5)


def built(*overrides: str, model: str = "mlp", batch: int = 16) -> Any:
    data = ["dataset=ring8", "dataset.n=200"] if model.startswith("mlp") else ["dataset=digits", "model.width=4"]
    short = ["probes=none", "train.steps=4", f"train.batch_size={batch}"]
    return build(compose(*data, f"model={model}", *short, *overrides))


@pytest.mark.parametrize(("batch", "fits"), [(12, True), (10, False), (2, False)])
def test_a_batch_that_packs_do_not_divide_is_refused(batch: int, fits: bool) -> None:
    if fits:
        assert pack_of(built("model.discriminator.pack=3", batch=batch).state.nets["discriminator"]) == 3
        return
    with pytest.raises(UsageError) as refused:
        built("model.discriminator.pack=3", batch=batch)
    line = f"train.batch_size={batch} does not divide into packs of 3 (model.discriminator.pack)"
    assert refused.value.what == line and refused.value.fix == f"set train.batch_size to {math.ceil(batch / 3) * 3}"
    assert refused.value.code == 2


def test_a_batch_of_one_pack_leaves_batch_norm_nothing() -> None:
    with pytest.raises(UsageError, match="leaves batch norm nothing to average") as refused:
        built("model.discriminator.pack=4", "model.discriminator.norm=batch", batch=4)
    assert refused.value.fix == "set train.batch_size to 8 or more"
    built("model.discriminator.pack=4", "model.discriminator.norm=batch", batch=8)


@pytest.mark.parametrize("pack", [0, -2])
def test_packs_of_nothing_are_refused(pack: int) -> None:
    with pytest.raises(UsageError, match=f"model.discriminator.pack={pack} is not positive"):
        built(f"model.discriminator.pack={pack}")


# -- downstream ------------------------------------------------------------------------------------

GAMES = ["ns", "r3gan", "wgan", "wgan_gp", "dragan", "feature_matching", "ns_historical"]


@pytest.mark.parametrize("loss", GAMES)
@pytest.mark.parametrize(("model", "extra"), [("mlp_packed", MINIBATCH), ("dcgan_packed", "train.precision=bf16")])
def test_every_kind_of_game_copes(loss: str, model: str, extra: str) -> None:
    """Penalties, pairs, features and bf16, on 8 scores of 16 samples; every parameter moves."""
    run = built(f"loss={loss}", extra, model=model)
    before = {k: v.detach().clone() for k, v in run.state.nets.named_parameters()}
    silent = play(run)
    for logs in silent.logs:
        assert logs["score/real"].shape == logs["score/fake"].shape == (8,)
        assert all(v.isfinite().all() for v in logs.values())
        assert run.objective.summary(logs)
    still = [k for k, v in run.state.nets.named_parameters() if torch.equal(v, before[k])]
    assert still in ([], ["discriminator.head.bias"])  # a critic's bias has no gradient


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["ns", "wgan_gp"])
@pytest.mark.parametrize("extra", ["model=mlp_packed", MINIBATCH])
def test_compiled_equals_eager(loss: str, extra: str) -> None:
    """With a larger eps: Adam divides by itself what is left of a gradient where all samples are far apart."""
    assert parity(loss, "compiled", extra, "optimizer.eps=1e-3") < 1e-12


def test_packed_models_are_options() -> None:
    assert {"mlp_packed", "dcgan_packed"} <= set(option_names("model"))


def penalty(D: nn.Module, x: Tensor) -> Tensor:
    return GradientNorm(at="real")(D, x, x)


@pytest.mark.parametrize("options", [{"minibatch": KERNELS}, {"pack": 2}, {"minibatch": KERNELS, "pack": 2}], ids=str)
def test_double_backward_agrees_with_finite_differences(options: dict[str, Any]) -> None:
    D = mlp.Discriminator(TABLE, [6], "silu", **options).double()
    x, names = torch.randn(4, 5, dtype=torch.float64), dict(D.named_parameters())

    def at(*values: Tensor) -> Tensor:
        bound = lambda x: torch.func.functional_call(D, dict(zip(names, values, strict=True)), (x,))  # noqa: E731
        return penalty(bound, x)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(at, tuple(p.detach().clone().requires_grad_() for p in names.values()))
