"""VEEGAN: a reconstructor maps samples back to latents, so that no mode can be left out unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor

from gan_runner.losses.adversarial import Adversarial, require_parts
from gan_runner.losses.payoffs import Logistic
from gan_runner.losses.penalties import full
from gan_runner.state import Logs, Nets, State


class Reconstructor(Protocol):
    """p(z | x), what the role "reconstructor" promises."""

    def __call__(self, x: Tensor) -> Tensor:
        """Latents (n, latent) drawn for samples (n, *shape)."""
        ...

    def density(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of p(z | x), each (n, latent)."""
        ...

    def log_likelihood(self, z: Tensor, x: Tensor) -> Tensor:
        """log p(z | x) (n,) up to a constant."""
        ...


class LogRatio(Logistic):
    """The discriminator's logit is log p/q of a pair; the generator raises it, as KL(q || p) asks (eq. 3)."""

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return -fake.mean()


class Term(Protocol):
    def __call__(self, nets: Nets, real: Tensor, fake: Tensor, z: Tensor) -> Tensor:
        """A weighted part (0-d) of the loss of generator and reconstructor; `fake` is made from `z`, with its graph."""
        ...


@dataclass(frozen=True)
class Reconstruction:
    """weight * E -log p(z | G(z)): latents must be found again (Algorithm 1: d(z, x_g), for both networks)."""

    weight: float = 1.0

    def __call__(self, nets: Nets, real: Tensor, fake: Tensor, z: Tensor) -> Tensor:
        return -self.weight * full(cast(Reconstructor, nets["reconstructor"]).log_likelihood(z, fake)).mean()


@dataclass(frozen=True)
class ReconstructorGame:
    """weight * E D(F(x), x): the reconstructor plays against the discriminator too, as the authors' code does."""

    weight: float = 1.0

    def __call__(self, nets: Nets, real: Tensor, fake: Tensor, z: Tensor) -> Tensor:
        return self.weight * full(nets["joint_discriminator"](real, nets["reconstructor"](real))).mean()


@dataclass(frozen=True)
class Veegan(Adversarial):
    """Srivastava et al. (2017), Algorithm 1, with real pairs scored high as everywhere here.

    The discriminator tells pairs of a real sample and its reconstructed latent from pairs of a generated sample and
    the latent it was made from. Generator and reconstructor move together; the reconstructor's gradient comes from
    `terms` alone, since the payoff's pair does not pass through it.

    Attributes:
        terms: added to the loss of generator and reconstructor, logged under their names.
    """

    terms: Mapping[str, Term] = field(default_factory=dict)

    players: ClassVar = {"discriminator": ("joint_discriminator",), "generator": ("generator", "reconstructor")}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_parts("terms", self.terms)
        if self.penalties or self.extras:
            raise ValueError("penalties=..., extras=...: VEEGAN's discriminator sees pairs; leave both empty")

    @property
    def scale(self) -> str:
        return ""  # its logits are about pairs

    def step(self, s: State, x: Tensor, key: int) -> Logs:
        for real in x.chunk(key):
            with torch.no_grad():
                z = self.latent(s, len(real))
                fake, found = self.generate(s, z), s.nets["reconstructor"](real)
            logs = s.players["discriminator"].descend(self.pair_loss, s.nets, real, found, fake, z)
            for constrain in self.constraints.values():
                constrain(s.players["discriminator"])
        return logs | s.players["generator"].descend(self.cycle_loss, s.nets, real, self.latent(s, len(real)))

    def pair_loss(self, nets: Nets, real: Tensor, found: Tensor, fake: Tensor, z: Tensor) -> tuple[Tensor, Logs]:
        """The discriminator's payoff on pairs (real, found) and (fake, z)."""
        D = nets["joint_discriminator"]
        score_real, score_fake = full(D(real, found)), full(D(fake, z))
        loss = self.payoff.discriminator(score_real, score_fake)
        return loss, {"discriminator/loss": loss, "score/real": score_real, "score/fake": score_fake}

    def cycle_loss(self, nets: Nets, real: Tensor, z: Tensor) -> tuple[Tensor, Logs]:
        """The generator's payoff on its pairs, plus the terms."""
        fake = nets["generator"](z)
        score = full(nets["joint_discriminator"](fake, z))
        loss = self.payoff.generator(score, score)
        logs = {"generator/loss": loss}
        for name, term in self.terms.items():
            logs[f"generator/{name}"] = part = term(nets, real, fake, z)
            loss = loss + part
        return loss, logs

    def reconstruct(self, s: State, x: Tensor) -> Tensor:
        return self.generate(s, s.nets["reconstructor"](x))

    def judge(self, nets: Nets, x: Tensor) -> Tensor:
        likeliest, _ = cast(Reconstructor, nets["reconstructor"]).density(x)
        return nets["joint_discriminator"](x, likeliest)
