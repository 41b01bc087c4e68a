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
        capturable: keep rates and counters on the device, as compiled and captured programs need.

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
            settings["betas"] = tuple(settings["betas"])
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


class Quick(torch.optim.Optimizer):
    """Undecorated bookkeeping: as torch has it, the first call imports the whole compiler, which takes a second."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class QuickAdam(Quick, torch.optim.Adam): ...


class QuickAdamW(Quick, torch.optim.AdamW): ...


class QuickSGD(Quick, torch.optim.SGD): ...


class QuickRMSprop(Quick, torch.optim.RMSprop): ...


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015)."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    make = QuickAdam


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


class OptimisticDescent(Quick, torch.optim.Optimizer):
    """w' = w - lr (2 g_t - g_{t-1}); its state keeps g_{t-1} as `previous`, 0 before the first step."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float):
        super().__init__(params, {"lr": lr})

    def step(self, closure: None = None) -> None:
        rule(self)([p.grad for p in self.param_groups[0]["params"]])


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


# -- the same steps as plain functions -------------------------------------------------------------


def rule(optimizer: torch.optim.Optimizer) -> Callable[[Sequence[Tensor]], None]:
    """`optimizer.step` as a function of the gradients, over the same state.

    It does without the bookkeeping of torch's classes, which costs a small network more than the arithmetic, and
    torch.compile can follow it. For the compiler counters are float64, so that bias corrections agree with eager ones
    to the last digits of float64.

    Raises:
        ValueError: there is no such function for this class.
    """
    (group,) = optimizer.param_groups
    params: list[Tensor] = group["params"]
    fused = bool(group.get("fused"))
    common = {"weight_decay": group.get("weight_decay", 0.0), "maximize": False, "foreach": not fused}

    def slot(name: str) -> list[Tensor]:
        for p in params:
            optimizer.state[p].setdefault(name, torch.zeros_like(p, memory_format=torch.preserve_format))
        return [optimizer.state[p][name] for p in params]

    def steps() -> list[Tensor]:
        dtype = torch.float32 if fused else torch.float64
        for p in params:
            taken = float(optimizer.state[p].get("step", 0.0))
            optimizer.state[p]["step"] = torch.tensor(taken, dtype=dtype, device=p.device)
        return [optimizer.state[p]["step"] for p in params]

    if isinstance(optimizer, torch.optim.Adam):
        first, second, counters = slot("exp_avg"), slot("exp_avg_sq"), steps()
        common |= dict(zip(("beta1", "beta2"), group["betas"], strict=True)) | {"eps": group["eps"], "amsgrad": False}
        common |= {"capturable": group["capturable"], "decoupled_weight_decay": group["decoupled_weight_decay"]}

        def step(grads: Sequence[Tensor]) -> None:
            adam(params, list(grads), first, second, [], counters, lr=group["lr"], fused=fused, **common)

    elif isinstance(optimizer, torch.optim.RMSprop):
        squares, counters = slot("square_avg"), steps()
        common |= {"alpha": group["alpha"], "eps": group["eps"], "momentum": 0.0, "centered": False}
        common |= {"capturable": group["capturable"]}

        def step(grads: Sequence[Tensor]) -> None:
            rmsprop(params, list(grads), squares, [], [], counters, lr=group["lr"], **common)

    elif isinstance(optimizer, OptimisticDescent):
        previous = slot("previous")

        def step(grads: Sequence[Tensor]) -> None:
            foreseen = torch._foreach_sub(torch._foreach_mul([*grads], 2.0), previous)
            torch._foreach_sub_(params, torch._foreach_mul(foreseen, group["lr"]))
            torch._foreach_copy_(previous, [*grads])

    elif isinstance(optimizer, torch.optim.SGD):
        common |= {"momentum": group["momentum"], "dampening": 0, "nesterov": False}
        buffers: list[Tensor | None] = [*slot("momentum_buffer")] if group["momentum"] else [None] * len(params)

        def step(grads: Sequence[Tensor]) -> None:
            sgd(params, list(grads), buffers, lr=group["lr"], fused=fused, **common)

    else:
        raise ValueError(f"{type(optimizer).__name__} has no step as a plain function: choose train.program=eager")
    return step
