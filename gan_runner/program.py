"""How a step is executed: eagerly, compiled as one graph, or replayed as one CUDA graph. Eager is the truth."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import count
from typing import Any, Protocol

import torch
from torch import Tensor

from gan_runner.optimizers import Quick
from gan_runner.state import Logs, State


class Directs(Protocol):
    def step(self, s: State, x: Tensor, key: Hashable) -> Logs: ...


class Program(Protocol):
    def __call__(self, x: Tensor, key: Hashable) -> Logs:
        """One iteration on real rows x; `key` selects among the shapes an iteration can take."""
        ...


def make(
    name: str, objective: Directs, state: State, precision: str, matmul: str, layout: torch.memory_format
) -> Program:
    """The program called eager, compiled or captured."""
    kind = {"eager": Eager, "compiled": Compiled, "captured": Captured}[name]
    return kind(objective, state, precision, matmul, layout)


def exactness(matmul: str, device: torch.device) -> str:
    """Torch's name of how fine products of float32 are; for `fast`, of the one that is the fastest on a device.

    That is medium on GPUs, on processors with units for bf16 (AMX), and on AMD's, where torch then goes by a library
    that is faster there and no coarser. On others that library is slower than the one it takes by itself.
    """
    if matmul != "fast":
        return matmul
    has = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch
    suits = device.type != "cpu" or has.get("amx_tile") or "AMD" in has.get("cpu_name", "")
    return "medium" if suits else "highest"


@contextmanager
def products(precision: str) -> Iterator[None]:
    """Inside, products of float32 are as fine as asked; outside they are exact, since figures are made there."""
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


class Eager:
    """Runs the step as it is written."""

    def __init__(self, objective: Directs, state: State, precision: str, matmul: str, layout: torch.memory_format):
        self.objective = objective
        self.state = replace(state, clock=None)  # a step cannot read the clock
        self.half = precision == "bf16"
        self.matmul = matmul
        self.layout = layout
        self.fresh = True

    def __call__(self, x: Tensor, key: Hashable) -> Logs:
        if self.fresh:  # not earlier: loading a checkpoint replaces the optimizers' tensors
            self.settle()
            self.fresh = False
        with products(self.matmul):
            return self.run(x.contiguous(memory_format=self.layout), key)

    def settle(self) -> None:
        """Prepare the players for their first step."""
        for player in self.state.players.values():
            if isinstance(player.optimizer, Quick):  # a user's own optimizer steps as it is
                player.move = player.optimizer.rule()

    def run(self, x: Tensor, key: Hashable) -> Logs:
        return self.step(x, key)

    def step(self, x: Tensor, key: Hashable) -> Logs:
        # no cache of cast weights: players step in between, and a cached copy would be stale
        cast = torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False) if self.half else nullcontext()
        with cast:
            return self.objective.step(self.state, x, key)


OWNERS = count()
"""A number for each compiled program of this process."""


class Compiled(Eager):
    """Compiles the whole iteration - both players' gradients, penalties and optimizers - into one graph.

    Compiling the discriminator alone cannot work: its gradient penalty needs a double backward.
    """

    def __init__(self, *args: Any):
        super().__init__(*args)
        import torch._dynamo
        import torch._inductor.config

        torch._dynamo.config.trace_autograd_ops = True
        torch._dynamo.config.recompile_limit = 64  # one graph per key and run of a process
        torch._inductor.config.fallback_random = True  # the numbers that eager would draw
        # A state keeps its structure for life, so most of the hundreds of guards are idle, and they cost a toy a fifth
        # of its step. Those on the arguments and on torch's own modes stay; `owner` keeps the runs of a process apart.
        few: Any = {"guard_filter_fn": lambda all: [g.name in ("", "x", "owner") or g.name[:3] == "key" for g in all]}
        self.whole = torch.compile(self.owned_step, fullgraph=True, dynamic=False, options=few)
        self.owner = next(OWNERS)

    def run(self, x: Tensor, key: Hashable) -> Logs:
        return self.whole(x, key, self.owner)

    def owned_step(self, x: Tensor, key: Hashable, owner: int) -> Logs:
        assert owner == self.owner  # to read it is what makes it a guard
        return self.step(x, key)

    def settle(self) -> None:
        for player in self.state.players.values():
            if not isinstance(player.optimizer, Quick):
                name = type(player.optimizer).__name__
                raise ValueError(f"{name} has no step that can be compiled: choose train.program=eager")
            player.move = player.optimizer.rule()
            for p in player.params:
                p.grad = torch.zeros_like(p)  # what a second step finds, so that it needs no second graph


class Captured(Eager):
    """Captures the whole iteration once per key as a CUDA graph and replays it.

    A replay reads a static batch, the default generator's seed, and rates that are tensors; it writes static logs,
    which are copied before the next replay.
    """

    WARMUP = 3

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.graphs: dict[tuple[Hashable, torch.Size], tuple[torch.cuda.CUDAGraph, Tensor, Logs]] = {}

    def run(self, x: Tensor, key: Hashable) -> Logs:
        name = (key, x.shape)
        if name not in self.graphs:
            self.graphs[name] = self.capture(x, key)
        graph, static, logs = self.graphs[name]
        static.copy_(x)
        graph.replay()
        return {k: v.clone() for k, v in logs.items()}

    def capture(self, x: Tensor, key: Hashable) -> tuple[torch.cuda.CUDAGraph, Tensor, Logs]:
        """Warm up on a side stream, record, then put the state and the random seed back as they were."""
        seed = torch.cuda.initial_seed()
        before = {name: t.clone() for name, t in self.state.tensors().items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(self.WARMUP):
                self.step(x, key)
        torch.cuda.current_stream().wait_stream(side)
        static, graph = x.clone(memory_format=torch.preserve_format), torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logs = self.step(static, key)
        for name, tensor in self.state.tensors().items():
            tensor.copy_(before[name]) if name in before else tensor.zero_()  # what warming up allocated starts at 0
        torch.cuda.manual_seed(seed)
        return graph, static, logs
