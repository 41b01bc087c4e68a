"""Can anybody tell samples from data? The classifier two-sample test (Lopez-Paz & Oquab 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_runner.datasets.spec import KINDS, Source
from gan_runner.metrics import rows
from gan_runner.metrics.features import Features, Space
from gan_runner.metrics.js import accuracy
from gan_runner.metrics.probe import Draw, Findings

BATCH = 128
"""Rows of each side per step of the classifier."""


@dataclass(frozen=True)
class C2ST:
    """`c2st_accuracy`, of a fresh classifier that tells samples from held-out rows, and `c2st_p_value`; see `test`.

    Compares with training rows where none are held out. No floor stands beside it: of real rows the accuracy is 1/2.

    Args:
        every: steps between two calls.
        n: rows and samples; all real rows where there are fewer.
        features: where the classifier looks; at all numbers of a row if None.
        hidden: units of its two layers.
        steps: for which it learns.

    Raises:
        ValueError: `n` is below 4, or `hidden` or `steps` below 1.
    """

    every: int = 1000
    n: int = 2000
    features: Features | None = None
    hidden: int = 64
    steps: int = 500

    kinds: ClassVar[frozenset[str]] = KINDS
    against: ClassVar[str] = "unseen"

    def __post_init__(self) -> None:
        if self.n < 4:
            raise ValueError(f"n={self.n} is below 4: half of the rows train the classifier, half test it")
        if self.hidden < 1 or self.steps < 1:
            raise ValueError(f"hidden={self.hidden} and steps={self.steps} must be 1 or more")

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real = rows.some(rows.reference(source), self.n)
        found, p_value = self.test(real, draw(len(real)), source)
        return Findings({"c2st_accuracy": found, "c2st_p_value": p_value})

    def test(self, real: Tensor, fake: Tensor, source: Source) -> tuple[float, float]:
        """Accuracy on unseen halves of real and fake (n, *shape), and how likely so much is where both are alike.

        If they are, the accuracy of any classifier on m unseen rows of both sides is binomial, nearly
        N(1/2, 1 / (4 m)); the p-value is the upper tail, for nobody does worse than chance on purpose.
        """
        space = self.features(source) if self.features else Space(lambda x: x.flatten(1))
        real, fake = space(real), space(fake)
        half = len(real) // 2
        mean, sd = moments(real[:half], fake[:half])
        real, fake = ((x - mean) / sd for x in (real, fake))
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            net = self.learn(real[:half], fake[:half])
        with torch.no_grad():
            found = accuracy(*(net(x[half:]).double() for x in (real, fake)))
        z = (found - 0.5) * 2 * math.sqrt(2 * (len(real) - half))
        return found, 0.5 * math.erfc(z / math.sqrt(2))

    def learn(self, real: Tensor, fake: Tensor) -> nn.Module:
        """A fresh logistic classifier of rows (n, d), after its steps of Adam on as many of each side."""
        hidden = self.hidden
        net = nn.Sequential(
            *(nn.Linear(real.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()),
            *(nn.Linear(hidden, 1), nn.Flatten(0)),
        )
        optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
        for _ in range(self.steps):
            a, b = (x[torch.randint(len(x), (BATCH,))] for x in (real, fake))
            loss = F.softplus(-net(a)).mean() + F.softplus(net(b)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return net


def moments(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (d,) of all rows, the latter 1 where nothing varies."""
    both = torch.cat([real, fake])
    sd = both.std(0)
    return both.mean(0), sd.where(sd > 1e-6, 1.0)
