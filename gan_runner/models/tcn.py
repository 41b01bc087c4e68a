"""Temporal convolutional networks that make and judge windows of returns (Quant GANs, Wiese et al. 2020, section 4).

A window of 2^(k+1) - 1 days, 127 in the paper, is as long as the receptive field of both networks, unless the
generator's is set: a block that looks at one day, and k blocks of two convolutions of two days each, dilated by 1, 2,
4, and so on. Convolutions are valid: they crop what they have no past for, so that a day never sees padding, nor a
later day.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from gan_runner.models import roles
from gan_runner.models.checks import choice, positive, share
from gan_runner.models.layers import chain, draw_weights

SLOPE, GAIN = 0.25, 0.6
"""PReLU's first slope, and what each convolution keeps of a signal at first: weights of the usual size would let blocks
fade, and the discriminator would need a hundred steps to see anything."""
PATHS, LONG = 64, 8192
"""Paths of fixed noise, and their days, that standardise a generator's returns outside training."""


def levels_of(spec: roles.Spec, model: str, field: int | None = None) -> int:
    """How many blocks of two days make a receptive field of so many days, or one as long as the data's windows.

    Raises:
        ValueError: there are no such windows, or no number of blocks does.
    """
    shape = tuple(spec.shape)
    if spec.kind != "series" or len(shape) != 2:
        raise ValueError(f"{model} makes windows of days; {shape} is none: choose dataset=sp500 or model=mlp")
    levels, window = 0, shape[1]
    for key, days in (("dataset.window", window), ("receptive_field", window if field is None else field)):
        levels = max(round(math.log2(max(days, 1) + 1)) - 1, 1)
        if field_of(levels) != days:
            raise ValueError(f"{model} sees 3, 7, ..., 63, 127 days, not {days}: set {key}={field_of(levels)}")
    return levels


def field_of(levels: int) -> int:
    """Days that the newest day of a TCN sees."""
    return 2 ** (levels + 1) - 1


class Block(nn.Module):
    """Two convolutions with PReLU: (n, inputs, time) -> what they make, and that plus its input, cropped to it.

    With stride 2 only every second day is made, up to the last. Dropout leaves out whole channels (Bai et al. 2018).
    """

    def __init__(self, inputs: int, width: int, days: int, dilation: int = 1, stride: int = 1, dropout: float = 0.0):
        super().__init__()
        drop = nn.Dropout1d(dropout) if dropout else nn.Identity()
        self.layers = chain(
            nn.Conv1d(inputs, width, days, dilation=dilation),
            nn.PReLU(),
            drop,
            nn.Conv1d(width, width, days, dilation=dilation, stride=stride),
            nn.PReLU(),
            drop,
        )
        self.beside = nn.Conv1d(inputs, width, 1) if inputs != width else nn.Identity()
        self.lost, self.stride = 2 * dilation * (days - 1), stride
        draw_weights(self.layers, initial)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        made = self.layers(x)
        return made, made + self.beside(x[..., self.lost :: self.stride])


def initial(weight: Tensor) -> None:
    nn.init.kaiming_normal_(weight, a=SLOPE).mul_(GAIN)


def newest(days: Tensor) -> Tensor:
    return days[..., -1:]


def mean(days: Tensor) -> Tensor:
    return days.mean(-1, keepdim=True)


POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {"newest": newest, "mean": mean}


class TCN(nn.Module):
    """(n, inputs, time) -> (n, width, time - 2^(levels + 1) + 2): the sum of what each block made of a day's past.

    Args:
        pooling: make one sum (n, width, 1) of one receptive field: of the newest day that each block made, or of the
            mean over its days. Each block then needs every second day that the block before it makes, which is a
            third of the work.
        dropout: share of channels that each convolution leaves out in training.

    Raises:
        ValueError: `pooling` is unknown.
    """

    def __init__(self, inputs: int, width: int, levels: int, pooling: str | None = None, dropout: float = 0.0):
        super().__init__()
        self.reduce = choice(POOLINGS, pooling=pooling) if pooling else None
        later = [{"stride": 2} if pooling else {"dilation": 2**k} for k in range(levels)]
        blocks = (Block(width, width, 2, **kind, dropout=dropout) for kind in later)
        self.blocks = nn.ModuleList([Block(inputs, width, 1, dropout=dropout), *blocks])

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.blocks:
            skip, x = block(x)
            skips.append(skip)
        reduce = self.reduce or (lambda skip: skip[..., -x.shape[-1] :])
        return torch.stack([reduce(skip) for skip in skips]).sum(0)


class PathGenerator(nn.Module):
    """Makes day t of a path of any length from the noise of day t and of `past` days before it.

    At the door noise is flat, (n, latent) with `channels` numbers a day, so that it is drawn, mixed and walked through
    like any other latents.

    Args:
        standard: bring returns to mean 0 and variance 1, which coded data have: in training by the batch's own
            moments, else by those of long paths of fixed noise. A game that need not look for mean and variance does
            not turn around them, and bears faster rates.
    """

    bound = None

    def __init__(self, spec: roles.Spec, channels: int, past: int, standard: bool):
        super().__init__()
        self.channels, self.past, self.days, self.standard = channels, past, spec.shape[1], standard
        self.latent = channels * (past + self.days)
        self.measured: tuple[Tensor, Tensor] | None = None

    def noise(self, n: int) -> Tensor:
        """(n, latent) draws from the prior, for windows as long as the data's."""
        return self.path_noise(n, self.days)

    def path_noise(self, n: int, days: int) -> Tensor:
        """(n, channels * (past + days)) draws, for paths of so many days."""
        weight = next(self.parameters())
        return torch.randn(n, self.channels * (self.past + days), device=weight.device, dtype=weight.dtype)

    def unflatten(self, z: Tensor) -> Tensor:
        """(n, channels, time): the noise of each day."""
        return z.unflatten(1, (self.channels, -1))

    def returns(self, z: Tensor) -> Tensor:
        """(n, columns, time) as the networks make them of noise (n, latent)."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> Self:
        self.measured = None  # by weights that may have moved
        return super().train(mode)

    @torch.no_grad()
    def lasting(self) -> tuple[Tensor, Tensor]:
        """The moments of long paths, measured once after each call of `eval`."""
        if self.measured is None:
            fixed, weight = torch.Generator().manual_seed(0), next(self.parameters())
            days = self.channels * (self.past + LONG)
            noise = (torch.randn(1, days, generator=fixed).to(weight) for _ in range(PATHS))
            self.measured = moments(torch.cat([self.returns(z) for z in noise]))
        return self.measured

    def level(self, returns: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """Mean and standard deviation by which such returns are standardised; 0 and 1 where they are not."""
        if not self.standard:
            return 0.0, 1.0
        return moments(returns) if self.training else self.lasting()

    def forward(self, z: Tensor) -> Tensor:
        returns = self.returns(z)
        mean, deviation = self.level(returns)
        return (returns - mean) / deviation


def moments(returns: Tensor) -> tuple[Tensor, Tensor]:
    """(1, columns, 1) mean and standard deviation of returns (n, columns, time)."""
    deviation, mean = torch.std_mean(returns, (0, 2), correction=0, keepdim=True)
    return mean, deviation


class Generator(PathGenerator):
    """Each return is a function of the noise of the last 127 days, unbounded (n, columns, time).

    Args:
        receptive_field: how many days those are; None: as many as a window has.

    Raises:
        ValueError: the data are not such windows, or an argument is not positive.
    """

    def __init__(
        self,
        spec: roles.Spec,
        channels: int = 3,
        width: int = 80,
        standard: bool = False,
        receptive_field: int | None = None,
    ):
        positive(channels=channels, width=width)
        levels = levels_of(spec, "tcn", receptive_field)
        super().__init__(spec, channels, field_of(levels) - 1, standard)
        self.net = nn.Sequential(TCN(channels, width, levels), nn.Conv1d(width, spec.shape[0], 1))

    def returns(self, z: Tensor) -> Tensor:
        return self.net(self.unflatten(z))


class BesideSizes(nn.Module):
    """(n, columns, time) -> (n, 2 * columns, time): what comes, and its absolute values."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.abs()], 1)


class Discriminator(roles.Discriminator):
    """Scores (n,) of windows: one receptive field, one linear map.

    Args:
        spectral_norm: divide each weight by its largest singular value, estimated by one power iteration per pass in
            training.
        sizes: look at |x| beside x, in which clusters of volatility are seen in half as many steps.
        pooling: judge by the newest day that each block made (the paper), or by the mean over its days, in which what
            takes few days is seen many times.
        hidden: neurons between that and the score; 0: none (the paper), which adds up what blocks and days say.
        dropout: share of channels that each convolution leaves out in training, so that it does not learn the few
            windows there are by heart; [0, 1).

    Raises:
        ValueError: the data are not such windows, `width` is not positive, `hidden` is negative, `pooling` is unknown,
            or `dropout` is no share.
    """

    def __init__(
        self,
        spec: roles.Spec,
        width: int = 80,
        spectral_norm: bool = False,
        sizes: bool = False,
        pooling: str = "newest",
        hidden: int = 0,
        dropout: float = 0.0,
    ):
        positive(width=width, hidden=hidden or 1)
        share(dropout=dropout)
        levels, columns = levels_of(spec, "tcn"), spec.shape[0] * (2 if sizes else 1)
        net = TCN(columns, width, levels, pooling, dropout)
        neurons = [nn.Linear(width, hidden), nn.PReLU()] if hidden else []
        trunk = chain(BesideSizes() if sizes else nn.Identity(), net, nn.Flatten(), *neurons)
        super().__init__(trunk, nn.Linear(hidden or width, 1))
        if spectral_norm:
            for layer in [m for m in self.modules() if isinstance(m, (nn.Conv1d, nn.Linear))]:
                parametrizations.spectral_norm(layer)
