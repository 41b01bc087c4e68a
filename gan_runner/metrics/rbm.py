"""How likely data are under a Boltzmann machine: exactly where one side is small, by annealing where none is."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import KINDS, Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings

ENUMERATED = 20
"""Units whose states are counted one by one: 2^20 of them take a second or two."""
AT_ONCE = 1 << 14
"""States held in memory together."""


class Machine(Protocol):
    """What is asked of a machine; see `gan_runner.models.rbm`."""

    binary: bool
    W: Tensor
    b: Tensor
    c: Tensor
    a: Callable[[Tensor], Tensor]
    encode: Callable[[Tensor], Tensor]
    begin: Callable[[Tensor], None]
    log_density: Callable[[], float]
    log_sum: Callable[[Tensor], Tensor]
    mean: Callable[[Tensor], Tensor]
    draw: Callable[[Tensor], Tensor]
    hide: Callable[[Tensor], Tensor]
    inputs: Callable[[Tensor], Tensor]
    field: Callable[[Tensor], Tensor]
    free_energy: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Likelihood:
    """`log_likelihood` of rows that training never saw, in nats, and `log_z`, the log of the partition function.

    log Z is exact where either side has at most 20 units that can be counted; elsewhere it comes of annealed importance
    sampling, and `log_z_error` is three of its standard deviations. Beside it: `log_likelihood_train` of as many
    training rows, `log_likelihood_independent` of units without weights, and `pseudo_likelihood` where units are
    binary. Grey pixels are made binary once, in the same way in each call. Finds nothing where there is no machine.

    Args:
        every: steps between two calls.
        n: rows.
        temperatures: between units without weights and the machine, where log Z is not exact.
        chains: that are annealed.
        bits: units of which the pseudo-likelihood is estimated; all where there are not as many.
    """

    every: int = 0
    n: int = 2000
    temperatures: int = 14_500
    chains: int = 100
    bits: int = 100

    kinds: ClassVar[frozenset[str]] = KINDS
    against: ClassVar[str] = "unseen"

    @torch.no_grad()
    def __call__(self, draw: Draw, source: Source) -> Findings:
        found = machine(draw)
        if found is None:
            return Findings()
        seen, unseen = rows.some(source, self.n), rows.some(rows.reference(source), self.n)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            v, w = found.encode(unseen), found.encode(seen)
            m, free = double(found), independent(found, seen)
            log_z, error = (exact(m), 0.0) if countable(m) else annealed(found, free.b, self.temperatures, self.chains)
            scalars = {"log_z": log_z, "log_z_error": error}
            for name, by, states, constant in (
                ("log_likelihood", m, v, log_z),
                ("log_likelihood_train", m, w, log_z),
                ("log_likelihood_independent", double(free), v, exact_independent(free)),
            ):
                scalars[name] = found.log_density() - constant - float(by.free_energy(states.double()).mean())
            if m.binary:
                scalars["pseudo_likelihood"] = pseudo_likelihood(m, v.double(), self.bits)
        return Findings(scalars)


def machine(draw: Draw) -> Any:
    """The run's machine by the moving average of its weights; None where there is none."""
    nets = draw.state.averaged().nets
    return dict(nets.items()).get("rbm")


def double(m: Any) -> Any:
    """The same machine in float64."""
    return copy.deepcopy(m).double()


def independent(m: Any, data: Tensor) -> Any:
    """The machine without weights whose visible units have the means of rows (n, *shape)."""
    free = copy.deepcopy(m)
    free.W.zero_()
    free.c.zero_()
    free.begin(data)
    return free


# -- the partition function ------------------------------------------------------------------------


def countable(m: Machine) -> bool:
    """Whether the states of one side are few enough to count."""
    return len(m.c) <= ENUMERATED or (m.binary and len(m.b) <= ENUMERATED)


def exact(m: Machine) -> float:
    """log Z over the states of the smaller side."""
    return over_visible(m) if m.binary and len(m.b) < len(m.c) else over_hidden(m)


def over_hidden(m: Machine) -> float:
    """log Z = log sum_h exp(c'h) sum_v exp(a(v) + (b + W h)'v)."""
    parts = [h @ m.c + m.log_sum(m.field(h)) for h in states(m.c)]
    return float(torch.cat(parts).logsumexp(0))


def over_visible(m: Machine) -> float:
    """log Z = log sum_v exp(-F(v)), of binary v."""
    return float(torch.cat([-m.free_energy(v) for v in states(m.b)]).logsumexp(0))


def exact_independent(m: Machine) -> float:
    """log Z of a machine without weights."""
    return float(m.log_sum(m.b[None].double()) + F.softplus(m.c.double()).sum())


def states(like: Tensor) -> Iterator[Tensor]:
    """All binary states of len(like) units, some at a time: (some, units)."""
    digits = torch.arange(len(like), device=like.device)
    for first in range(0, 1 << len(like), AT_ONCE):
        numbers = torch.arange(first, min(first + AT_ONCE, 1 << len(like)), device=like.device)
        yield ((numbers[:, None] >> digits) & 1).to(like.dtype)


def annealed(m: Machine, base: Tensor, temperatures: int = 14_500, chains: int = 100) -> tuple[float, float]:
    """(log Z, three standard deviations) by annealed importance sampling (Salakhutdinov and Murray 2008, section 4).

    Chains walk from units without weights in the fields `base` (visible,) to the machine, while weights and hidden
    biases grow from 0. The weights of the chains are summed in float64; their spread says how far to trust the mean,
    as long as no chain has yet missed a mode that matters.
    """
    schedule = inverse_temperatures(temperatures).tolist()
    v = m.draw(m.mean(base).expand(chains, -1))
    log_w = torch.zeros(chains, dtype=torch.float64, device=v.device)
    for before, beta in pairwise(schedule):
        inputs, tilt = m.inputs(v), v @ (m.b - base)
        log_w += (beta - before) * tilt + (F.softplus(beta * inputs) - F.softplus(before * inputs)).double().sum(1)
        h = m.hide((beta * inputs).sigmoid())
        v = m.draw(m.mean((1 - beta) * base + beta * m.field(h)))
    log_mean = float(log_w.logsumexp(0)) - math.log(chains)
    ratio = (log_w - log_mean).exp()
    start = len(m.c) * math.log(2) + float(m.log_sum(base[None].double()))
    return start + log_mean, 3 * float(ratio.std()) / math.sqrt(chains)


def inverse_temperatures(n: int) -> Tensor:
    """n from 0 to 1, closer together towards 1: of 14,500, 500 to 0.5, 4,000 to 0.9 and 10,000 from there on."""
    first, second = max(n * 500 // 14_500, 1), max(n * 4000 // 14_500, 1)
    parts = [(0, 0.5, first), (0.5, 0.9, second), (0.9, 1, max(n - first - second, 1))]
    steps = [torch.linspace(low, high, k + 1, dtype=torch.float64)[1:] for low, high, k in parts]
    return torch.cat([torch.zeros(1, dtype=torch.float64), *steps])


# -- what needs no partition function --------------------------------------------------------------


def pseudo_likelihood(m: Machine, v: Tensor, bits: int) -> float:
    """Mean over binary rows v (n, visible) of sum_i log p(v_i | the others), in nats; of `bits` units i, scaled up."""
    inputs = m.inputs(v)
    asleep = F.softplus(inputs).sum(1)
    chosen = torch.randperm(v.shape[1], device=v.device)[:bits]
    found = torch.zeros_like(asleep)
    for i in chosen.tolist():
        flip = 1 - 2 * v[:, i]
        rise = -flip * m.b[i] - (F.softplus(inputs + flip[:, None] * m.W[i]).sum(1) - asleep)
        found += F.logsigmoid(rise)
    return float(found.mean()) * v.shape[1] / len(chosen)
