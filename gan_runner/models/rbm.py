"""Restricted Boltzmann machines: hidden units that see the data alone, never each other (Smolensky 1986; Hinton 2002).

E(v, h) = -a(v) - b'v - c'h - v'W h with binary h; a(v) = 0 for binary v, and -|v|^2 / 2 for Gaussian v.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import positive

LEAST = 1e-6
"""The smallest scale of a column."""

ASLEEP = -4.0
"""Where hidden biases start over Gaussian units (Hinton 2012, section 8.1): all awake, they push these too far."""
BENT = 40.0
"""Beyond it log(1 + e^x) is x, in float64 too."""


class RBM(nn.Module):
    """What machines with any kind of visible units share: W (visible, hidden), b (visible,), c (hidden,).

    Visible states v are (n, visible) rows of their own scale, into which `encode` brings samples; hidden states h are
    (n, hidden) of 0 and 1. Nothing here takes gradients: learning has them in closed form.

    Args:
        hidden: how many hidden units.
        spread: standard deviation of the first weights; null draws them between -+sqrt(6 / (visible + hidden)).

    Raises:
        ValueError: `hidden` is not positive, or `spread` is negative.
    """

    binary: bool
    begun: tuple[str, ...] = ("b",)

    def __init__(self, spec: roles.Spec, hidden: int = 500, spread: float | None = 0.01):
        super().__init__()
        positive(hidden=hidden)
        if spread is not None and not spread >= 0:
            raise ValueError(f"spread={spread} is negative: set spread to 0 or more, or to null")
        self.shape, visible = tuple(spec.shape), math.prod(spec.shape)
        self.W = nn.Parameter(torch.empty(visible, hidden))
        nn.init.xavier_uniform_(self.W) if spread is None else nn.init.normal_(self.W, 0, spread)
        self.b = nn.Parameter(torch.zeros(visible))
        self.c = nn.Parameter(torch.zeros(hidden))

    # -- what depends on the visible units ---------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """Visible states of samples (n, *shape)."""
        raise NotImplementedError

    def expect(self, x: Tensor) -> Tensor:
        """Means (n, visible) of the visible states of samples; the states themselves where nothing is random."""
        return self.encode(x)

    def decode(self, v: Tensor) -> Tensor:
        """Samples (n, *shape) of visible states or their means."""
        raise NotImplementedError

    def a(self, v: Tensor) -> Tensor:
        """(n,): the part of -E that no parameter moves."""
        raise NotImplementedError

    def log_density(self) -> float:
        """log |dv / dx|: what a log-likelihood of v gains in the scale of samples."""
        return 0.0

    def log_sum(self, field: Tensor) -> Tensor:
        """log of the sum, or the integral, of exp(a(v) + field'v) over all v: (n,) of fields (n, visible)."""
        raise NotImplementedError

    def mean(self, field: Tensor) -> Tensor:
        """Means of v in fields (n, visible)."""
        raise NotImplementedError

    def draw(self, mean: Tensor) -> Tensor:
        """Draws of v of means (n, visible)."""
        raise NotImplementedError

    def code(self, h: Tensor) -> Tensor:
        """(n, latent): all of the randomness that a sample is made of, given its hidden states."""
        raise NotImplementedError

    def show(self, z: Tensor) -> Tensor:
        """The samples (n, *shape) of codes (n, latent)."""
        raise NotImplementedError

    def begin(self, rows: Tensor) -> None:
        """Set b, and the scale of v where it has one, so that without weights every unit has the mean of its data."""
        raise NotImplementedError

    # -- what does not -----------------------------------------------------------------------------

    def inputs(self, v: Tensor) -> Tensor:
        """Logits (n, hidden) of p(h | v)."""
        return torch.mm(v, self.W).to(self.W.dtype).add_(self.c)

    def hide(self, share: Tensor) -> Tensor:
        """Draws of h by their probabilities (n, hidden)."""
        return coins(share)

    def field(self, h: Tensor) -> Tensor:
        """Natural parameters (n, visible) of p(v | h)."""
        return torch.mm(h, self.W.T).to(self.W.dtype).add_(self.b)

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h) (n,)."""
        return -self.a(v) - v @ self.b - (self.inputs(v) * h).sum(1)

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log sum_h exp(-E(v, h)) (n,)."""
        return self.free(v, self.inputs(v))

    def free(self, v: Tensor, inputs: Tensor) -> Tensor:
        """F(v) (n,) where the logits (n, hidden) of h are known already."""
        return -self.a(v) - v @ self.b - softplus(inputs).sum(1)

    def gibbs(self, v: Tensor, steps: int) -> Tensor:
        """Visible states after `steps` times h ~ p(h | v), v ~ p(v | h)."""
        for _ in range(steps):
            h = self.hide(self.inputs(v).sigmoid_())
            v = self.draw(self.mean(self.field(h)))
        return v


class Bernoulli(RBM):
    """Binary visible units; a pixel from -1 to 1 is a coin that falls on 1 with probability (x + 1) / 2.

    Each look at an image throws its coins anew (dynamic binarisation). A sample shows probabilities: the mean of the
    last visible states given their hidden ones.

    Raises:
        ValueError: the data are no images.
    """

    binary = True

    def __init__(self, spec: roles.Spec, hidden: int = 500, spread: float | None = 0.01):
        if spec.kind != "image":
            raise ValueError(f"binary units are for images; {tuple(spec.shape)} is a {spec.kind}: choose model=rbm")
        super().__init__(spec, hidden, spread)

    def encode(self, x: Tensor) -> Tensor:
        return uniforms(x, -1.0).lt_(x).flatten(1)

    def expect(self, x: Tensor) -> Tensor:
        return (x.flatten(1) + 1) / 2

    def decode(self, v: Tensor) -> Tensor:
        return (2 * v - 1).view(-1, *self.shape)

    def a(self, v: Tensor) -> Tensor:
        return torch.zeros_like(v[:, 0])

    def log_sum(self, field: Tensor) -> Tensor:
        return F.softplus(field).sum(1)

    def mean(self, field: Tensor) -> Tensor:
        return field.sigmoid()

    def draw(self, mean: Tensor) -> Tensor:
        return coins(mean)

    def code(self, h: Tensor) -> Tensor:
        return 2 * h - 1  # never 0, so that there is an angle between any two

    def show(self, z: Tensor) -> Tensor:
        return self.decode(self.mean(self.field((z + 1) / 2)))

    def begin(self, rows: Tensor) -> None:
        """Set b to the logits of the mean pixels (Hinton 2012, section 8), these kept off 0 and 1."""
        share = self.expect(rows).mean(0)
        self.b.copy_(((share + 0.05) / 1.1).logit())


class Cut(Bernoulli):
    """Binary visible units whose data are not drawn: pixels above the middle grey are 1.

    For images that are black and white already, and for comparisons with programs that draw no coins for their data.
    """

    def encode(self, x: Tensor) -> Tensor:
        return x.flatten(1).clone().gt_(0)  # in place, since a mask of truths would have to be converted

    def expect(self, x: Tensor) -> Tensor:
        return self.encode(x)


class Gaussian(RBM):
    """Gaussian visible units, v ~ N(b + W h, 1), for data of any range.

    `begin` finds each column's mean and scale; v is what is left of them, in units of `sd` scales. Then 1 + (what W
    explains) is 1 / sd^2: the smaller `sd`, the finer the detail, and the more hidden units it takes.

    Args:
        sd: what no hidden unit explains of a column, in its standard deviations, above 0 and up to 1.

    Raises:
        ValueError: `sd` is out of range.
    """

    binary = False
    location: Tensor
    scale: Tensor

    def __init__(self, spec: roles.Spec, hidden: int = 500, spread: float | None = 0.01, sd: float = 0.3):
        super().__init__(spec, hidden, spread)
        if not 0 < sd <= 1:
            raise ValueError(f"sd={sd} is not a share: set sd above 0 and to at most 1")
        nn.init.constant_(self.c, ASLEEP)
        self.sd = sd
        self.register_buffer("location", torch.zeros_like(self.b))
        self.register_buffer("scale", torch.ones_like(self.b))

    def encode(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.location) / self.scale

    def decode(self, v: Tensor) -> Tensor:
        return (self.location + self.scale * v).view(-1, *self.shape)

    def a(self, v: Tensor) -> Tensor:
        return -0.5 * v.square().sum(1)

    def log_density(self) -> float:
        return -float(self.scale.double().log().sum())

    def log_sum(self, field: Tensor) -> Tensor:
        return 0.5 * (field.square() + math.log(2 * math.pi)).sum(1)

    def mean(self, field: Tensor) -> Tensor:
        return field

    def draw(self, mean: Tensor) -> Tensor:
        return mean + torch.randn_like(mean)

    def code(self, h: Tensor) -> Tensor:
        noise = torch.randn(len(h), len(self.b), device=h.device, dtype=h.dtype)
        return torch.cat([2 * h - 1, noise], 1)

    def show(self, z: Tensor) -> Tensor:
        signs, noise = z.split([len(self.c), len(self.b)], 1)
        return self.decode(self.field((signs + 1) / 2) + noise)

    def begin(self, rows: Tensor) -> None:
        """Set location and scale to those of the columns, so that b is 0."""
        flat = rows.flatten(1)
        self.location.copy_(flat.mean(0))
        self.scale.copy_(self.sd * flat.std(0, correction=0).clamp(min=LEAST))
        self.b.zero_()


def suited(spec: roles.Spec, hidden: int = 500, spread: float | None = 0.01, sd: float = 0.3) -> RBM:
    """The machine whose visible units suit the data: binary for images, Gaussian for all else, where `sd` counts."""
    return Bernoulli(spec, hidden, spread) if spec.kind == "image" else Gaussian(spec, hidden, spread, sd)


def coins(share: Tensor) -> Tensor:
    """0 or 1 for each probability, 1 with this probability."""
    return uniforms(share).lt_(share)


def uniforms(like: Tensor, low: float = 0.0) -> Tensor:
    """Numbers from `low` to below 1 in 2^24 steps, as fine as those of `torch.rand`, for half of its random bits.

    Each has its first 15 bits for itself; the last 9 are common to all. So each is uniform, and the events "below p"
    and "below q" of two of them have a covariance of at most 2^-32, where independent ones have 0.
    """
    words = torch.ops.aten.random_(like.new_empty(-(-like.numel() // 4), dtype=torch.int64))  # of 63 bits
    own = words.bitwise_and_(0x7FFF7FFF7FFF7FFF).view(torch.int16)[: like.numel()].view(like.shape)
    common = torch.randint(2**9, (), dtype=like.dtype, device=like.device)
    step = (1 - low) * 2.0**-24
    return own.to(like.dtype).mul_(2**9 * step).add_(common * step + low)


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x) to within a rounding of 1 or of x, three times as fast as torch's, whose tail is exact."""
    return x.clamp(max=BENT).exp().add(1).log().maximum(x)
