"""Everything that changes during a run, and nothing that does not: a checkpoint *is* the State."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gan_runner import parallel
from gan_runner.schedules import Constant, Schedule

Logs = dict[str, Tensor]
"""Detached, on the device, named "player/quantity": 0-d numbers are averaged over an interval, 1-d scores pooled."""
LossFn = Callable[..., tuple[Tensor, Logs]]
"""(nets, *tensors) -> (loss, logs), pure."""
MakeOptimizer = Callable[[str, Iterable[nn.Parameter]], torch.optim.Optimizer]
"""(player, parameters) -> its optimizer."""


class Nets(Protocol):
    """Networks by role: a `ModuleDict` or a plain dict."""

    def __getitem__(self, role: str, /) -> nn.Module: ...


@dataclass
class Clock:
    """Iterations taken, and rows of real data consumed: the unit of time of schedules and moving averages."""

    step: int = 0
    seen: int = 0


@dataclass(frozen=True)
class Factors:
    """The gradient of a matrix (a, b), not multiplied out: the sum of scale * left' @ right over its terms.

    Attributes:
        terms: (scale, left (n, a), right (n, b)) each, left and right never to be written to again.
    """

    terms: Sequence[tuple[float, Tensor, Tensor]]

    def add_to(self, matrix: Tensor, scale: float) -> Tensor:
        """Add `scale` times this to `matrix` (a, b) in place, and return that."""
        for share, left, right in self.terms:
            matrix.addmm_(left.T, right, alpha=scale * share)
        return matrix

    def whole(self) -> Tensor:
        """The matrix (a, b) itself."""
        (_, left, right), *_ = self.terms
        return self.add_to(left.new_zeros(left.shape[1], right.shape[1]), 1.0)


class Player:
    """Networks that move together, and the optimizer that moves them. It alone takes gradients and steps."""

    def __init__(self, nets: Sequence[nn.Module], optimizer: torch.optim.Optimizer, schedule: Schedule | None = None):
        self.params: list[Tensor] = [p for net in nets for p in net.parameters()]
        self.optimizer = optimizer
        self.schedule = schedule or Constant()
        self.move: Callable[[Sequence[Any]], None] = self._step  # a program may put a faster form here
        self.factors: list[tuple[Tensor, Factors]] = []  # of the last step, until somebody asks for its gradients
        self.base_lr = float(optimizer.param_groups[0]["lr"])

    def descend(self, loss: LossFn, nets: Nets, *inputs: Tensor) -> Logs:
        """One optimizer step down `loss(nets, *inputs)`; returns its logs."""
        grads, logs = self.gradient(loss, nets, *inputs)
        self.apply(grads)
        return logs

    def gradient(
        self, loss: LossFn, nets: Nets, *inputs: Tensor, create_graph: bool = False
    ) -> tuple[Sequence[Tensor], Logs]:
        """The gradient for this player's parameters alone: no other network's weights are differentiated.

        With `create_graph` it can itself be differentiated, by any player's parameters; see `pull`.
        """
        value, logs = loss(nets, *inputs)
        grads = torch.autograd.grad(
            value, self.params, create_graph=create_graph, allow_unused=True, materialize_grads=True
        )
        return grads, {name: t.detach() for name, t in logs.items()}

    def apply(self, grads: Sequence[Tensor | Factors]) -> None:
        """One optimizer step along gradients, averaged over the ranks; factors stay so where a step only adds them."""
        if parallel.world() > 1 or not getattr(self.optimizer, "adds", False):  # torch's own do not say whether
            grads = parallel.mean([g if isinstance(g, Tensor) else g.whole() for g in grads])
        grads = [laid(g, p) if isinstance(g, Tensor) else g for g, p in zip(grads, self.params, strict=True)]
        pairs = list(zip(self.params, grads, strict=True))
        for p, g in pairs:
            p.grad = g if isinstance(g, Tensor) else None
        self.factors = [(p, g) for p, g in pairs if isinstance(g, Factors)]
        with torch.no_grad():
            self.move(grads)

    def _step(self, grads: Sequence[Tensor | Factors]) -> None:
        self.gradients()
        self.optimizer.step()

    def gradients(self) -> list[Tensor]:
        """Those of the last step, each as its parameter's `grad`, where factors are put only now; at first none."""
        for p, factors in self.factors:
            p.grad = factors.whole()
        self.factors = []
        return [p.grad for p in self.params if p.grad is not None]

    def set_rate(self, seen: int, total: int) -> None:
        """Write the scheduled learning rate; a rate that is a tensor keeps its place in memory."""
        rate = self.base_lr * self.schedule(seen, total)
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate

    def forget(self) -> None:
        """Set the optimizer's moments and counters to 0, in place."""
        for memory in self.moments:
            memory.zero_()

    @property
    def moments(self) -> list[Tensor]:
        """All that the optimizer remembers, counters included."""
        return [t for slots in self.optimizer.state.values() for t in slots.values() if isinstance(t, Tensor)]

    @property
    def rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def gradient_norm(self) -> Tensor:
        """Euclidean norm (0-d) of the gradient of the last step."""
        return torch.stack(torch._foreach_norm(self.gradients())).norm()


def laid(g: Tensor, like: Tensor) -> Tensor:
    """g with its numbers in memory as those of `like` are: torch's fused optimizers walk through both side by side."""
    return g if g.stride() == like.stride() else torch.empty_like(like).copy_(g)


def pull(players: Sequence[Player], grads: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """J^T F, the gradient of |F|^2 / 2 for each player, where F joins the players' gradients and J is its Jacobian.

    F is averaged over the ranks first; averaging J^T F, as a step will, then makes it that of the whole batch.

    Args:
        grads: F, each player's with its graph.
    """
    whole = [g for parts in grads for g in parts if g.requires_grad]
    params = [p for player in players for p in player.params]
    average = parallel.mean([g.detach() for g in whole])
    found = iter(torch.autograd.grad(whole, params, average, allow_unused=True, materialize_grads=True))
    return [[next(found) for _ in player.params] for player in players]


@dataclass
class State:
    """Networks by role, the moving average of those that make samples, players, memory and clock."""

    nets: nn.ModuleDict
    average: nn.ModuleDict
    players: dict[str, Player]
    memory: dict[str, Tensor] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def create(
        cls,
        nets: Mapping[str, nn.Module],
        players: Mapping[str, Sequence[str]],
        averaged: Sequence[str],
        optimizer: MakeOptimizer,
        schedule: Schedule | None = None,
        lagging: bool = True,
    ) -> State:
        """A state at step 0: `players` says who moves which roles, `averaged` which roles make samples.

        An average that is not `lagging`, whose half-life is 0, shares the memory of the weights, which costs nothing.
        """
        roles = nn.ModuleDict(dict(nets))
        average = nn.ModuleDict({role: copy.deepcopy(roles[role]) for role in averaged}).requires_grad_(False).eval()
        if not lagging:
            for role, net in average.items():
                for mine, live in zip(net.parameters(), roles[role].parameters(), strict=True):
                    mine.data = live.data
        made = {}
        for name, moved in players.items():
            params = [p for role in moved for p in roles[role].parameters()]
            made[name] = Player([roles[role] for role in moved], optimizer(name, params), schedule)
        return cls(roles, average, made)

    @torch.no_grad()
    def tick(self, rows: int, batch: int, halflife: float, since: float = math.inf) -> None:
        """Advance the clock by one step of `rows` rows, and the moving average with it.

        The weight of the past halves every `halflife` images, at first every 5 % of these (StyleGAN2-ADA). A step
        counts one batch here, whatever its critic steps consumed: the average is over generator updates. Once more
        than `since` rows are seen, all rows since then weigh alike. Buffers (batch-norm statistics) are averages
        already and are copied.
        """
        self.clock.step += 1
        self.clock.seen += rows
        past = 0.5 ** (batch / max(min(halflife, 0.05 * self.clock.step * batch), 1e-8))
        if self.clock.seen > since:
            past = max(1 - rows / (self.clock.seen - since), 0.0)
        params, targets, buffers, copies = self._pairs
        if params:
            torch._foreach_lerp_(params, targets, 1 - past)
        if buffers:
            torch._foreach_copy_(buffers, copies)

    @cached_property
    def _pairs(self) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Tensors of the average beside those they follow; found once, since modules are slow to walk."""
        live = [self.nets[role] for role in self.average]
        pairs = zip(self.average.parameters(), (p.detach() for net in live for p in net.parameters()), strict=True)
        apart = [(mine, theirs) for mine, theirs in pairs if mine.data_ptr() != theirs.data_ptr()]
        return (
            [mine for mine, _ in apart],
            [theirs for _, theirs in apart],
            list(self.average.buffers()),
            [b for net in live for b in net.buffers()],
        )

    def averaged(self) -> State:
        """The same state seen through its moving averages, for making samples."""
        return replace(self, nets=nn.ModuleDict({**self.nets, **self.average}), players={})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that a checkpoint keeps, by a name a person can read."""
        found = {f"nets.{k}": v for k, v in self.nets.state_dict().items()}
        found |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        found |= {f"memory.{k}": v for k, v in self.memory.items()}
        for name, player in self.players.items():
            for index, slots in player.optimizer.state_dict()["state"].items():
                found |= {f"players.{name}.{index}.{k}": v for k, v in slots.items() if isinstance(v, Tensor)}
        return found

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain types only, so that `torch.load(weights_only=True)` reads it back."""
        return {
            "nets": self.nets.state_dict(),
            "average": self.average.state_dict(),
            "players": {name: player.optimizer.state_dict() for name, player in self.players.items()},
            "memory": dict(self.memory),
            "clock": asdict(self.clock),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Put a saved state back in place; the learning rate stays the configured one."""
        self.average.load_state_dict(saved["average"])
        self.nets.load_state_dict(saved["nets"])  # last: an average that shares this memory is these weights
        for name, player in self.players.items():
            player.optimizer.load_state_dict(self._with_own_rate(player, saved["players"][name]))
        for name, tensor in self.memory.items():
            tensor.copy_(saved["memory"][name])
        self.clock.step, self.clock.seen = saved["clock"]["step"], saved["clock"]["seen"]

    @staticmethod
    def _with_own_rate(player: Player, saved: Mapping[str, Any]) -> dict[str, Any]:
        """A saved optimizer state under the configured settings: changing `optimizer.lr` on resume has effect."""
        own = player.optimizer.state_dict()["param_groups"]
        return {"state": saved["state"], "param_groups": own}


@contextmanager
def evaluating(nets: Iterable[nn.Module]) -> Iterator[None]:
    """Networks in evaluation mode, and afterwards back in the mode each had."""
    modes = [(net, net.training) for net in nets]
    for net, _ in modes:
        net.eval()
    try:
        yield
    finally:
        for net, training in modes:
            net.train(training)
