"""When is a game over? Rules that look at held-out rows now and then, and may end the run.

A rule is a probe with a memory: the table of its checks, which a checkpoint keeps. What it decides is a function of
that table alone, so that a run that was cut off in the middle of a count ends at the same step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import KINDS, Source
from gan_runner.errors import UsageError
from gan_runner.metrics.c2st import C2ST
from gan_runner.metrics.js import prove, scores, unseen
from gan_runner.metrics.probe import Draw, Findings

CHECKS = "stop.checks"
"""Name of the table in the state's memory."""
KEPT = 200
"""Rows of the table; older checks fall off."""
STEP, ESTIMATE, CALM, P_VALUE, ENDED = range(5)
"""Columns: the step, 0 where there was no check yet; the estimate; whether the check passed; the p-value, -1 where it
was not asked for; whether the run ended here."""
UNASKED = -1.0
FEWEST = 24
"""Held-out rows without which no rule can end a run."""


@dataclass(frozen=True)
class Rule(ABC):
    """A probe whose findings may have a reason to stop.

    Args:
        every: steps between two checks.
        n: held-out rows, and samples of the live generator.
        tolerance: what counts as no difference.
        patience: checks in succession.

    Attributes:
        scale: what scores must be for it; see `Objective.scale`.

    Raises:
        ValueError: a number is out of range: the rule could never stop, or never look.
    """

    every: int = 250
    n: int = 2000
    tolerance: float = 0.02
    patience: int = 5

    kinds: ClassVar[frozenset[str]] = KINDS
    scale: ClassVar[str]

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every={self.every} is below 1: give the steps between two checks")
        if not 1 <= self.patience <= KEPT // 2:
            raise ValueError(f"patience={self.patience} is not from 1 to {KEPT // 2}")
        if self.tolerance <= 0:
            raise ValueError(f"tolerance={self.tolerance} is not positive")
        if self.n < FEWEST:
            raise ValueError(f"n={self.n} is below {FEWEST}: too few rows to judge by")

    def memory(self, device: torch.device) -> Tensor:
        """The empty table of checks (KEPT, 5)."""
        empty = torch.zeros(KEPT, 5, dtype=torch.float64, device=device)
        empty[:, P_VALUE] = UNASKED
        return empty

    @abstractmethod
    def __call__(self, draw: Draw, source: Source) -> Findings: ...


def suit(rule: Rule, scale: str, source: Source) -> None:
    """Refuse a rule that does not understand the data or scores of this scale, or has no unseen rows to look at."""
    what = f"the rule stop={type(rule).__name__.lower()}"
    if source.spec.kind not in rule.kinds:
        raise UsageError(f"{what} does not understand {source.spec.kind} data", "set stop=none", id="F59")
    if rule.scale != scale:
        found = f"are {scale}s" if scale else "are neither logits nor distances"
        fitting = {"logit": "half", "distance": "plateau"}.get(scale, "none")
        what = f"{what} reads {rule.scale}s; the scores of this loss {found}"
        raise UsageError(what, f"set stop={fitting}", id="F59")
    if (few := len(source.held_out or ())) < FEWEST:
        raise UsageError(
            f"{what} judges by {FEWEST} or more rows that training never sees; dataset {source.name} keeps {few} back",
            f"set train.held_out={max(0.1, math.ceil(100 * FEWEST / (len(source) + few)) / 100):g}",
            id="F59",
        )


@dataclass(frozen=True)
class Half(Rule):
    """Ends the run where D = 1/2 everywhere, unless D is merely dead.

    A check passes if on held-out rows and samples of the live generator mean |D - 1/2| and the standard deviation of D
    are below `tolerance`, and the accuracy is within the binomial 95 % interval of 1/2. After `patience` passes in
    succession a fresh classifier tries the same rows; if it cannot tell either, the run ends. With label smoothing D is
    counted from where p = q.

    Args:
        classifier: the two-sample test.
        level: of the test: p-values above it let the run end.
    """

    classifier: C2ST = field(default_factory=C2ST)
    level: float = 0.05

    scale: ClassVar[str] = "logit"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real, fake = unseen(draw, source, self.n)
        judged = scores(draw, real, fake)
        proven = prove(*judged)
        step, checks = draw.state.clock.step, draw.state.memory[CHECKS]
        if step % self.every:  # a last look at a run that ends in between counts for nothing
            return Findings(proven)
        note(checks, step, proven["js_lower_bound"], self.passes(*judged))
        found = Findings(proven | {"stop_streak": streak(checks)})
        if found.scalars["stop_streak"] < self.patience:
            return found
        right, p_value = self.classifier.test(real, fake, source)
        found.scalars |= {"stop_c2st_accuracy": right, "stop_c2st_p_value": p_value}
        checks[-1, P_VALUE] = p_value
        if p_value > self.level:
            checks[-1, ENDED] = 1
            found.stop = (
                f"D = 1/2 within {self.tolerance:g} in {self.patience} checks on held-out rows, "
                f"and a fresh classifier cannot tell (accuracy {right:.3f}, p = {p_value:.2f})"
            )
        return found

    def passes(self, real: Tensor, fake: Tensor) -> bool:
        """The verdict of one check on logits of real rows and samples."""
        proven = prove(real, fake)
        chance = 1.96 / (2 * math.sqrt(len(real) + len(fake)))
        flat = max(proven["D_off"], proven["D_sd"]) < self.tolerance
        return flat and abs(proven["D_accuracy"] - 0.5) <= chance


@dataclass(frozen=True)
class Plateau(Rule):
    """Ends the run where the critic's held-out estimate of the Wasserstein distance no longer moves.

    That is when the mean of the last `patience` estimates differs from that of as many before them by less than two
    standard errors, taken from their spread, or by less than `tolerance` times the largest estimate there was. A critic
    that has always said 0 is taken for a dead one.

    Args:
        patience: checks in a mean, 2 or more.
    """

    patience: int = 10

    scale: ClassVar[str] = "distance"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience < 2:
            raise ValueError(f"patience={self.patience} is below 2: one estimate does not move")

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real, fake = scores(draw, *unseen(draw, source, self.n))
        estimate = float(real.mean() - fake.mean())
        step, checks = draw.state.clock.step, draw.state.memory[CHECKS]
        found = Findings({"critic_estimate": estimate})
        if step % self.every:
            return found
        note(checks, step, estimate, False)
        known = checks[checks[:, STEP] > 0, ESTIMATE]
        if self.settled(known):
            checks[-1, CALM] = checks[-1, ENDED] = 1
            found.stop = (
                f"the critic's estimate on held-out rows has not moved between the last {self.patience} checks and the "
                f"{self.patience} before them; it is {estimate:.4g}"
            )
        return found

    def settled(self, estimates: Tensor) -> bool:
        """The verdict on all estimates (k,) so far."""
        if len(estimates) < 2 * self.patience:
            return False
        before, after = estimates[-2 * self.patience :].view(2, -1)
        moved = float((after.mean() - before.mean()).abs())
        error = math.sqrt(float(before.var() + after.var()) / self.patience)
        return moved < max(2 * error, self.tolerance * float(estimates.abs().max()))


def note(checks: Tensor, step: int, estimate: float, calm: bool) -> None:
    """Write a check into the last row, in place; the first falls off."""
    row = checks.new_tensor([step, estimate, calm, UNASKED, 0.0])
    checks.copy_(torch.cat([checks[1:], row.nan_to_num()[None]]))


def streak(checks: Tensor) -> int:
    """How many checks up to the last have passed in succession."""
    calm = checks[:, CALM].flip(0)
    return int(calm.cumprod(0).sum())
