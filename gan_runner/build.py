"""From configuration to a run: data, networks, objective, optimizers, probes, and how long to train."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from gan_runner import program
from gan_runner.construct import construct
from gan_runner.datasets.spec import Source, Spec
from gan_runner.datasets.split import select, split
from gan_runner.errors import DataError, Unavailable, UsageError
from gan_runner.loop import Run
from gan_runner.losses.objective import Beginner, Generator, Objective
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Probe
from gan_runner.metrics.stopping import CHECKS, suit
from gan_runner.models.packing import pack_of
from gan_runner.state import Clock, State, evaluating
from gan_runner.watch.alarm import Alarm

SHOWN = 50_000
"""Real rows, at most, from which networks take their first values."""


def build(cfg: Mapping[str, Any]) -> Run:
    """Build a run from a plain, resolved configuration; nothing is written but data caches.

    Raises:
        UsageError: a setting or a combination cannot work; the message names the key and the remedy.
        DataError, MissingInput: the data cannot be used.
        Unavailable: the device is not there.
        Unsafe: YAML names code outside the allow-list.
    """
    train, trust = cfg["train"], cfg["trust"]
    device = pick_device(cfg["device"])
    configure_torch(train)
    source = load(cfg, trust)
    batch = train["batch_size"]
    if len(source) < batch:
        raise DataError(
            f"dataset {source.name} has {len(source)} rows, fewer than train.batch_size={batch}",
            f"set train.batch_size to at most {len(source)}",
            id="F51",
        )
    probes, track = build_probes(cfg["probes"], source.spec, trust)
    alarms = build_alarms(cfg["watch"], train["rollbacks"], trust)
    objective, state, layout = assemble(cfg, source.spec, device, trust)
    source = source.to(device)
    begin(state, source)
    objective.setup(state, len(source))
    if cfg["stop"] is not None:
        probes["stop"] = rule = construct(cfg["stop"], "stop", trust)
        suit(rule, objective.scale, source)
        state.memory[CHECKS] = rule.memory(device)
    steps, images = plan(train, objective, len(source))
    matmul = program.exactness(train["matmul"], device)
    return Run(
        source=source,
        objective=objective,
        state=state,
        program=program.make(train["program"], objective, state, train["precision"], matmul, layout),
        probes=probes,
        alarms=alarms,
        steps=steps,
        images=images,
        batch=batch,
        halflife=train["ema_halflife"],
        average_from=math.inf if train["average_from"] is None else images * train["average_from"],
        seed=cfg["seed"],
        track=track.lstrip("-") if track else None,
        falling=not (track or "").startswith("-"),
    )


def load(cfg: Mapping[str, Any], trust: Sequence[str]) -> Source:
    """The data, on the CPU, with the rows held out that the configuration wants held out."""
    source: Source = construct(cfg["dataset"], "dataset", trust)
    held_out, selection = cfg["train"]["held_out"], cfg["train"].get("selection", 0.0)  # older runs know no selection
    source = split(source, held_out) if held_out else source
    return select(source, selection) if selection else source


def assemble(
    cfg: Mapping[str, Any], spec: Spec, device: torch.device, trust: Sequence[str]
) -> tuple[Objective, State, torch.memory_format]:
    """The objective and the state at step 0 for data of this spec: all that sampling needs, too."""
    train = cfg["train"]
    objective: Objective = construct(cfg["loss"], "loss", trust)
    optimizer = construct(with_players(cfg["optimizer"]), "optimizer", trust)
    schedule = construct(cfg["schedule"], "schedule", trust)
    torch.manual_seed(cfg["seed"])
    nets = build_nets(cfg["model"], spec, objective, trust)
    check_nets(nets, spec, train["batch_size"], objective)
    layout = torch.channels_last if train["channels_last"] and spec.kind == "image" else torch.contiguous_format
    nets = {role: net.to(device).to(memory_format=layout) for role, net in nets.items()}

    def make(player: str, params: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return optimizer(player, params, tensor_rate=train["program"] != "eager")

    lagging = train["ema_halflife"] > 0 or train["average_from"] is not None
    return objective, State.create(nets, objective.players, objective.averaged, make, schedule, lagging), layout


@torch.no_grad()
def begin(state: State, source: Source) -> None:
    """Show networks that take their first values from data some real rows; the moving average starts there, too.

    Such a network has a method `begin(rows)`, with rows (n, *shape) in the scale of training, and names in `begun` the
    parameters that it sets.
    """
    for role, net in state.nets.items():
        if isinstance(net, Beginner):
            net.begin(rows.some(source, SHOWN))
            if role in state.average:
                state.average[role].load_state_dict(net.state_dict())


def plan(train: Mapping[str, Any], objective: Objective, rows: int) -> tuple[int, int]:
    """(iterations, rows of real data) of the whole run, from whichever budget was given."""
    images = train["images"] or (train["epochs"] and round(train["epochs"] * rows))
    steps = train["steps"] or train["default_steps"]
    clock = Clock()
    while clock.seen < images if images else clock.step < steps:
        clock.seen += train["batch_size"] * objective.batches(clock)
        clock.step += 1
    return clock.step, clock.seen


def pick_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the GPU when there is one.

    Raises:
        Unavailable: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise Unavailable(f"device={name}, but this machine has {count} CUDA devices", "set device=auto", id="F38")
    return device


def configure_torch(train: Mapping[str, Any]) -> None:
    """Process-wide settings; all of them are recorded in the run's manifest, since they change bits."""
    if train["threads"]:
        torch.set_num_threads(train["threads"])
    busy, cores = os.getloadavg()[0], os.cpu_count() or 1
    if torch.get_num_threads() > 1 and busy > cores / 2:  # threads that wait for each other's core slow down tenfold
        warnings.warn(f"this machine is busy (load {busy:.1f} on {cores} cores): try train.threads=1", stacklevel=2)
    if train["deterministic"] != torch.are_deterministic_algorithms_enabled():  # the call imports the whole compiler
        torch.use_deterministic_algorithms(train["deterministic"])
    torch.backends.cudnn.benchmark = not train["deterministic"]
    if train["program"] == "captured" and not torch.cuda.is_available():
        raise Unavailable(
            "train.program=captured needs a CUDA device", "set train.program=eager or train.program=compiled", id="F38"
        )


def with_players(node: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of single players, which stand beside the common ones in YAML, under one key."""
    players = {k: v for k, v in node.items() if isinstance(v, Mapping)}
    return {k: v for k, v in node.items() if k not in players} | {"players": players}


# -- networks ------------------------------------------------------------------------------------


def build_nets(
    model: Mapping[str, Any], spec: Spec, objective: Objective, trust: Sequence[str]
) -> dict[str, nn.Module]:
    """Every network the objective's players move, by role."""
    wanted = [role for roles in objective.players.values() for role in roles]
    offered = [role for role, node in model.items() if isinstance(node, Mapping) and "_target_" in node]
    missing = [role for role in wanted if role not in offered]
    if missing:
        raise UsageError(
            f"loss={type(objective).__name__} needs the roles {', '.join(wanted)}; model offers {', '.join(offered)}",
            f"choose a model with a {missing[0]}",
            id="F59",
        )
    return {role: construct(model[role], f"model.{role}", trust, spec) for role in wanted}


def check_nets(nets: Mapping[str, nn.Module], spec: Spec, batch: int, objective: Objective) -> None:
    """Refuse networks that cannot train: packs that do not divide a batch, batch norm over one, wrong shapes."""
    norms = nn.modules.batchnorm._BatchNorm
    mixing = [role for role, net in nets.items() if any(isinstance(m, norms) for m in net.modules())]
    if objective.per_sample and "discriminator" in mixing:
        warnings.warn(
            "batch norm in the discriminator mixes samples, but a gradient penalty is about single ones "
            "(Gulrajani et al. 2017, section 4): set discriminator_norm=none, or the model's own norm",
            stacklevel=2,
        )
    packs = {role: pack_of(net) for role, net in nets.items()}
    for role, pack in packs.items():
        if batch % pack:
            raise UsageError(
                f"train.batch_size={batch} does not divide into packs of {pack} (model.{role}.pack)",
                f"set train.batch_size to {-(-batch // pack) * pack}",
                id="F59",
            )
        if role in mixing and batch == pack:
            raise UsageError(
                f"train.batch_size={batch} leaves batch norm nothing to average",
                f"set train.batch_size to {2 * pack} or more",
                id="F58",
            )
    if "generator" not in nets:
        return
    generator = cast(Generator, nets["generator"])
    with evaluating(nets.values()), torch.no_grad(), torch.random.fork_rng(devices=[]):
        made = generator(generator.noise(2 * max(packs.values())))
        found = {"generator": (made.shape[1:], spec.shape)}
        if made.shape[1:] == spec.shape and (scores := objective.judge(nets, made)) is not None:
            found["discriminator"] = (scores.shape[1:], ())
    for what, (shape, expected) in found.items():
        if tuple(shape) != tuple(expected):
            raise UsageError(
                f"model.{what} makes {tuple(shape)} per sample, {tuple(expected)} is needed",
                "choose another model",
                id="F59",
            )


# -- probes --------------------------------------------------------------------------------------


def build_probes(node: Mapping[str, Any], spec: Spec, trust: Sequence[str]) -> tuple[dict[str, Probe], str | None]:
    """Probes by name and the tracked metric; each must understand the kind of data, and no two share a prefix."""
    chosen = {k: v for k, v in node.items() if isinstance(v, Mapping) and "_target_" in v}
    probes = {name: construct(v, "probes", trust, path=f"probes.{name}") for name, v in chosen.items()}
    for name, probe in probes.items():
        if spec.kind not in probe.kinds:
            raise UsageError(
                f"probes.{name} understands {', '.join(sorted(probe.kinds))} data, not {spec.kind}",
                f"set probes={spec.kind}",
                id="F59",
            )
    names: dict[tuple[type, str], str] = {}
    for name, probe in probes.items():
        if hasattr(probe, "prefix") and (other := names.setdefault((type(probe), probe.prefix), name)) != name:
            what = f"probes.{other} and probes.{name} would find numbers of the same names"
            raise UsageError(what, f"set +probes.{name}.prefix={name}_", id="F59")
    return probes, node.get("track")


def build_alarms(node: Mapping[str, Any] | None, rollbacks: int, trust: Sequence[str]) -> dict[str, Alarm]:
    """Alarms by name; one that is to roll back must be allowed to."""
    chosen = {k: v for k, v in (node or {}).items() if isinstance(v, Mapping)}
    alarms = {name: construct(v, "watch", trust, path=f"watch.{name}") for name, v in chosen.items()}
    for name, alarm in alarms.items():
        if alarm.policy == "rollback" and not rollbacks:
            what = f"watch.{name}.policy=rollback, but train.rollbacks=0 allows none"
            raise UsageError(what, "set train.rollbacks=3", id="F61")
    return alarms
