"""torch's optimizers under one signature: settings for all players, and for single ones where they differ."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd


@dataclass(frozen=True)
class Optimizer:
    """Makes each player's optimizer: `optimizer(player, parameters)`.

    Attributes:
        lr: learning rate of every player.
        players: player -> settings that differ for it, such as {"discriminator": {"lr": 4e-4}} (TTUR).

    Raises:
        ValueError: a setting is out of range; the message names it.
    """

    lr: float
    players: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    make: ClassVar[type[torch.optim.Optimizer]]

    def __post_init__(self) -> None:
        for player, settings in {"": {}, **self.players}.items():
            check({**self.settings(), **settings}, f"{player}." if player else "")

    def settings(self) -> dict[str, Any]:
        """Keyword arguments for torch, without those of single players."""
        return {k: v for k, v in vars(self).items() if k != "players"}

    def __call__(
        self, player: str, params: Iterable[nn.Parameter], *, tensor_rate: bool = False
    ) -> torch.optim.Optimizer:
        """An optimizer for `player`; with `tensor_rate` the learning rate is a tensor that programs can read."""
        params = list(params)
        settings = {**self.settings(), **self.players.get(player, {})}
        if "betas" in settings:
            settings["betas"] = tuple(map(float, settings["betas"]))
        if tensor_rate:
            settings["lr"] = torch.tensor(float(settings["lr"]), dtype=torch.float64)
        return self.make(params, **settings, **self.implementation(params, tensor_rate))

    def implementation(self, params: list[nn.Parameter], tensor_rate: bool) -> dict[str, Any]:
        """The fastest implementation torch has."""
        return {"foreach": True, "capturable": True} if tensor_rate else {"fused": True}


def check(settings: Mapping[str, Any], where: str) -> None:
    """Refuse what torch would accept and training would not survive; torch itself lets an infinite rate pass."""
    for name, value in settings.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        low_open = name in ("lr", "eps")
        below_one = name in ("betas", "momentum", "alpha")
        for v in values:
            fits = math.isfinite(v) and (v > 0 if low_open else v >= 0) and (v < 1 or not below_one)
            if not fits:
                allowed = "above 0" if low_open else "in [0, 1)" if below_one else "0 or above"
                raise ValueError(f"{where}{name}={value} must be finite and {allowed}")
        if name == "betas" and len(values) != 2:
            raise ValueError(f"{where}betas={value} must be two numbers")


# -- torch's optimizers, and their steps as plain functions ----------------------------------------

Move = Callable[[Sequence[Tensor]], None]
"""One step along gradients, in the order of the parameters."""


class Quick(torch.optim.Optimizer):
    """An optimizer whose step is also a plain function, and whose bookkeeping does not import torch's compiler.

    As torch decorates it, the first call of that bookkeeping imports the whole compiler, which takes a second.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    @property
    def adds(self) -> bool:
        """Whether a step only adds multiples of the gradients, so that its rule takes them in factors, too."""
        return False

    def rule(self) -> Move:
        """`step` as a function of the gradients, over the same state; to be asked for anew once a state was loaded.

        It does without what a small network pays more for than for the arithmetic, and torch.compile can follow it.
        """
        raise NotImplementedError

    @property
    def group(self) -> dict[str, Any]:
        """The settings and parameters; here there is one group."""
        return self.param_groups[0]

    def common(self, *names: str) -> dict[str, Any]:
        """Settings as torch's functions want them: what all of them share, and those called `names`."""
        fused = bool(self.group.get("fused"))
        shared = {"weight_decay": self.group["weight_decay"], "maximize": self.group["maximize"], "foreach": not fused}
        return shared | {name: self.group[name] for name in names}

    def slot(self, name: str) -> list[Tensor]:
        """The tensors kept under a name for each parameter, zeros before the first step."""
        for p in self.group["params"]:
            self.state[p].setdefault(name, torch.zeros_like(p, memory_format=torch.preserve_format))
        return [self.state[p][name] for p in self.group["params"]]

    def steps(self) -> list[Tensor]:
        """Counters; float64 where the compiler needs it, so that it agrees with eager to the last digits of float64."""
        dtype = torch.float32 if self.group.get("fused") else torch.float64
        for p in self.group["params"]:
            taken = float(self.state[p].get("step", 0.0))
            self.state[p]["step"] = torch.tensor(taken, dtype=dtype, device=p.device)
        return [self.state[p]["step"] for p in self.group["params"]]


class QuickAdam(Quick, torch.optim.Adam):
    def rule(self) -> Move:
        group, params = self.group, self.group["params"]
        first, second, counters = self.slot("exp_avg"), self.slot("exp_avg_sq"), self.steps()
        common = self.common("eps", "amsgrad", "capturable", "fused", "decoupled_weight_decay")
        beta1, beta2 = group["betas"]

        def step(grads: Sequence[Tensor]) -> None:
            lr = group["lr"]
            adam(params, list(grads), first, second, [], counters, lr=lr, beta1=beta1, beta2=beta2, **common)

        return step


class CappedAdam(QuickAdam):
    """Adam of gradients of which no entry is larger than 3 sqrt(v) + 0.1, v being Adam's second moment of those before.

    So a step is never much larger than its parameter is used to (Du & Mordatch 2019, in their code). Before the first
    step nothing is known, and nothing capped.
    """

    def step(self, closure: None = None) -> None:
        self.rule()([p.grad for p in self.group["params"]])

    def rule(self) -> Move:
        descend, memory = super().rule(), self.group["betas"][1]
        second, counters = self.slot("exp_avg_sq"), [self.state[p]["step"] for p in self.group["params"]]

        def step(grads: Sequence[Tensor]) -> None:
            capped = []
            for g, v, taken in zip(grads, second, counters, strict=True):
                known = v / (1 - memory**taken).to(v.dtype)  # 0 / 0 before the first step
                most = (3 * known.sqrt() + 0.1).nan_to_num(nan=math.inf)
                capped.append(g.clamp(-most, most))
            descend(capped)

        return step


class QuickAdamW(QuickAdam, torch.optim.AdamW): ...


class QuickSGD(Quick, torch.optim.SGD):
    @property
    def adds(self) -> bool:
        plain = not any(self.group[name] for name in ("momentum", "weight_decay", "maximize"))
        return plain and not isinstance(self.group["lr"], Tensor)

    def rule(self) -> Move:
        group, params = self.group, self.group["params"]
        buffers: list[Tensor | None] = [*self.slot("momentum_buffer")] if group["momentum"] else [None] * len(params)
        common = self.common("momentum", "dampening", "nesterov", "fused")

        def step(grads: Sequence[Any]) -> None:
            lr = group["lr"]
            if all(isinstance(g, Tensor) for g in grads):
                return sgd(params, list(grads), buffers, lr=lr, **common)
            for p, g in zip(params, grads, strict=True):
                p.add_(g, alpha=-lr) if isinstance(g, Tensor) else g.add_to(p, -lr)

        return step


class QuickRMSprop(Quick, torch.optim.RMSprop):
    def rule(self) -> Move:
        group, params = self.group, self.group["params"]
        squares, counters = self.slot("square_avg"), self.steps()
        common = self.common("alpha", "eps", "momentum", "centered", "capturable")

        def step(grads: Sequence[Tensor]) -> None:
            rmsprop(params, list(grads), squares, [], [], counters, lr=group["lr"], **common)

        return step


class OptimisticDescent(Quick):
    """w' = w - lr (2 g_t - g_{t-1}); its state keeps g_{t-1} as `previous`, 0 before the first step."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float):
        super().__init__(params, {"lr": lr})

    def step(self, closure: None = None) -> None:
        self.rule()([p.grad for p in self.group["params"]])

    def rule(self) -> Move:
        group, params, previous = self.group, self.group["params"], self.slot("previous")

        def step(grads: Sequence[Tensor]) -> None:
            foreseen = torch._foreach_sub(torch._foreach_mul([*grads], 2.0), previous)
            torch._foreach_sub_(params, torch._foreach_mul(foreseen, group["lr"]))
            torch._foreach_copy_(previous, [*grads])

        return step


# -- what YAML names -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015)."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    make = QuickAdam


@dataclass(frozen=True)
class Capped(Adam):
    """Adam of gradients that are capped; see `CappedAdam`."""

    make = CappedAdam


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    weight_decay: float = 0.01
    make = QuickAdamW


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent, with momentum if asked (Polyak 1964)."""

    momentum: float = 0.0
    make = QuickSGD

    def implementation(self, params: list[nn.Parameter], tensor_rate: bool) -> dict[str, Any]:
        return {"foreach": True} if tensor_rate else {"fused": True}


@dataclass(frozen=True)
class Optimistic(Optimizer):
    """Optimistic gradient descent (Daskalakis et al. 2018, eq. 4): each step foresees the next gradient's change."""

    make = OptimisticDescent

    def implementation(self, params: list[nn.Parameter], tensor_rate: bool) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Hinton 2012); torch has no fused form of it."""

    alpha: float = 0.99
    eps: float = 1e-8
    make = QuickRMSprop

    def implementation(self, params: list[nn.Parameter], tensor_rate: bool) -> dict[str, Any]:
        return {"foreach": True, "capturable": tensor_rate}
