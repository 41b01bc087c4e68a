"""AdaGAN: any game, played again and again, each time for the rows that the mixture so far covers least."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.errors import UsageError
from gan_runner.losses.objective import Around
from gan_runner.losses.penalties import full
from gan_runner.losses.reweighting import Equal, Reweighting, Share, TheoryStar
from gan_runner.state import Clock, Logs, Nets, State, evaluating

CHUNK = 840
"""Rows that the classifier judges at once, a multiple of every pack up to 8."""

FIRST, KEPT = "first.", "component."
"""What the memory calls the beginning of every round, and the generators that are finished."""

MOST = 1e8
"""Where a density ratio stops, as the classifier is sure that a row is real."""


@dataclass(frozen=True)
class AdaGAN(Around):
    """Tolstikhin et al. (2017), Algorithm 1: G_t = (1 - beta_t) G_{t-1} + beta_t GAN(data, W_t), with W_1 uniform.

    All rounds are equally long. From the second on each begins with a classifier: a discriminator of the game's kind
    learns by its logistic loss to tell real rows from samples of the mixture, and gives every row its
    d = (1 - D) / D = dP_model / dP_data. From these come W_t and with it the rows of the game that follows. Both begin
    with networks as they were drawn at first but for the order of the numbers in each tensor, and with players that
    have forgotten. What a round ends with, by its moving average, is kept in memory: let the average's half-life be
    short against a round. The first coordinate of a latent chooses the component.

    Attributes:
        game: what is played; somebody must judge in it, and the player "discriminator" moves who does.
        rounds: how many components there will be (T).
        images: real images of a round, rounded up to whole steps; the last round goes on for as long as the run does.
        ratio: those of them that the classifier learns from.
        weights: d and beta_t to W_t.
        beta: t to the share of the component that is added.

    Raises:
        ValueError: `rounds` is below 1, or `ratio` not between 1 and `images`.
    """

    rounds: int = 10
    images: int = 76_800
    ratio: int = 25_600
    weights: Reweighting = field(default_factory=TheoryStar)
    beta: Share = field(default_factory=Equal)

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds={self.rounds} is below 1")
        if not 0 < self.ratio < self.images:
            raise ValueError(
                f"ratio={self.ratio} must lie between 1 and images={self.images}: the classifier's part of a round"
            )

    @property
    def scale(self) -> str:
        return ""  # those who judge are asked about one component, or about the mixture

    def reconstruct(self, s: State, x: Tensor) -> None:
        """Not through the mixture."""

    def likelihood(self, s: State, x: Tensor, samples: int) -> None:
        """Of one component it would not be the mixture's."""

    def law(self, s: State) -> None:
        """A mixture of several has none of theirs."""

    # -- time --------------------------------------------------------------------------------------

    def stage(self, seen: int) -> int:
        """What happens after `seen` images: 0, 2, 4, ... the games of the rounds, 1, 3, ... the classifiers between."""
        done = min(seen // self.images, self.rounds - 1)
        return 2 * done - (done > 0 and seen - done * self.images < self.ratio)

    def batches(self, clock: Clock) -> int:
        return 1 if self.stage(clock.seen) % 2 else self.game.batches(clock)

    def setup(self, s: State, rows: int) -> None:
        if "discriminator" not in self.players:
            raise UsageError("loss=adagan needs a game with a discriminator", "choose another loss.game", id="F59")
        self.game.setup(s, rows)
        s.memory |= {FIRST + name: t.detach().clone() for name, t in begun(s).items()}
        for name, t in s.nets["generator"].state_dict().items():
            s.memory[KEPT + name] = t.new_zeros(self.rounds - 1, *t.shape)
        device = next(s.nets.parameters()).device
        s.memory["alpha"] = torch.eye(1, self.rounds, dtype=torch.float64, device=device)[0]
        s.memory["stage"] = torch.zeros((), dtype=torch.int64)
        s.memory["weights"] = torch.full((rows,), 1 / rows, dtype=torch.float64)

    def weigh(self, s: State, source: Source) -> Tensor | None:
        now = self.stage(s.clock.seen)
        for stage in range(int(s.memory["stage"]) + 1, now + 1):
            self.open(s, stage, source)
        return s.memory["weights"] if now and now % 2 == 0 else None

    @torch.no_grad()
    def open(self, s: State, stage: int, source: Source) -> None:
        """End one stage and begin the next."""
        done = (stage + 1) // 2
        if stage % 2:
            for name, t in s.average["generator"].state_dict().items():
                s.memory[KEPT + name][done - 1].copy_(t)
        else:
            beta = self.beta(done + 1)
            s.memory["weights"].copy_(self.weights(self.ratios(s, source), beta))
            s.memory["alpha"].mul_(1 - beta)[done] = beta
        s.memory["stage"].fill_(stage)
        begin_anew(s)

    def ratios(self, s: State, source: Source) -> Tensor:
        """d (n,) of all real rows, float64 on the CPU: e^-logit is (1 - D) / D."""
        n, found = len(source), []
        with evaluating(s.nets.values()):
            for start in range(0, n, CHUNK):
                score = full(self.score(s.nets, source.take(torch.arange(start, start + CHUNK) % n)))
                found.append((-score.double()).exp().clamp(max=MOST).repeat_interleave(CHUNK // len(score)))
        return torch.cat(found)[:n].cpu()

    # -- one step ----------------------------------------------------------------------------------

    def prepare(self, s: State) -> tuple[int, Hashable]:
        stage = self.stage(s.clock.seen)
        return (stage + 1) // 2 if stage % 2 else 0, self.game.prepare(s)

    def step(self, s: State, x: Tensor, key: tuple[int, Hashable]) -> Logs:
        components, inner = key
        if not components:
            return self.game.step(s, x, inner)
        with torch.no_grad(), evaluating([s.nets["generator"]]):
            fake = self.mixture(s, self.latent(s, len(x)), components)
        return s.players["discriminator"].descend(self.ratio_loss, s.nets, x, fake)

    def ratio_loss(self, nets: Nets, real: Tensor, fake: Tensor) -> tuple[Tensor, Logs]:
        """The logistic loss of telling real (n, *shape) from fake; both share batch statistics, as they do later."""
        score_real, score_fake = full(self.score(nets, torch.cat([real, fake]))).chunk(2)
        loss = F.softplus(-score_real).mean() + F.softplus(score_fake).mean()
        return loss, {"ratio/loss": loss, "score/real": score_real, "score/fake": score_fake}

    def score(self, nets: Nets, x: Tensor) -> Tensor:
        score = self.judge(nets, x)
        assert score is not None
        return score

    # -- the mixture -------------------------------------------------------------------------------

    def latent(self, s: State, n: int) -> Tensor:
        """(n, 1 + latent): what chooses the component, standard normal like its neighbours, and the game's latent."""
        z = self.game.latent(s, n)
        return torch.cat([torch.randn(n, 1, device=z.device, dtype=z.dtype), z], 1)

    def generate(self, s: State, z: Tensor) -> Tensor:
        return self.mixture(s, z, (int(s.memory["stage"]) + 1) // 2)

    def mixture(self, s: State, z: Tensor, kept: int) -> Tensor:
        """Samples (n, *shape) of latents (n, 1 + latent), of the first `kept` components and of the one that learns."""
        chosen, z = component(s.memory["alpha"], z[:, 0]), z[:, 1:].contiguous()
        live = s.nets["generator"]
        x = self.game.generate(s, z)
        for k in range(kept):
            weights = {name.removeprefix(KEPT): t[k] for name, t in s.memory.items() if name.startswith(KEPT)}
            mine = (chosen == k).view(-1, *[1] * (x.dim() - 1))
            x = torch.where(mine, torch.func.functional_call(live, weights, z), x)
        return x


def component(alpha: Tensor, u: Tensor) -> Tensor:
    """Which component (n,) standard normal numbers (n,) choose, in proportion to alpha (T,)."""
    return torch.searchsorted(alpha.cumsum(0)[:-1], torch.special.ndtr(u.to(alpha.dtype)).contiguous(), right=True)


def begun(s: State) -> dict[str, Tensor]:
    """All that a game begins with, by name: the networks' tensors, and the memory."""
    return {name: t for name, t in s.tensors().items() if name.startswith(("nets.", "memory."))}


def begin_anew(s: State) -> None:
    """Networks, game and players as at step 0, every tensor of weights in another order.

    That is another draw of weights that are drawn independently within each tensor, as all initialisations here are
    but for those that come from data: they stay.
    """
    data = {f"{role}.{name}" for role, net in s.nets.items() for name in getattr(net, "begun", ())}
    weights = {f"nets.{name}" for name, _ in s.nets.named_parameters() if name not in data}
    now = begun(s)
    for name, first in s.memory.items():
        if name.startswith(FIRST):
            name = name.removeprefix(FIRST)
            now[name].copy_(shuffled(first) if name in weights else first)
    for role, net in s.average.items():
        net.load_state_dict(s.nets[role].state_dict())
    for player in s.players.values():
        player.forget()


def shuffled(x: Tensor) -> Tensor:
    """The same numbers in random order."""
    return x.flatten()[torch.randperm(x.numel()).to(x.device)].view_as(x)
