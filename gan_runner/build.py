"""From configuration to objects: the only place that imports what YAML names, behind an allow-list."""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import os
import re
import types
import typing
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

import torch
from torch import nn

from gan_runner import program
from gan_runner.datasets.spec import Source, Spec
from gan_runner.datasets.split import split
from gan_runner.errors import DataError, Unavailable, Unsafe, UsageError
from gan_runner.loop import Run
from gan_runner.losses.objective import Generator, Objective
from gan_runner.metrics.probe import Probe
from gan_runner.metrics.stopping import CHECKS, Rule
from gan_runner.models.packing import pack_of
from gan_runner.state import Clock, State

ROOMS: dict[str, tuple[str, ...]] = {
    "dataset": ("gan_runner.datasets",),
    "model": ("gan_runner.models", "torch.nn"),
    "loss": ("gan_runner.losses",),
    "optimizer": ("gan_runner.optimizers", "torch.optim"),
    "schedule": ("gan_runner.schedules",),
    "probes": ("gan_runner.metrics", "gan_runner.pictures"),
    "stop": ("gan_runner.metrics",),
}
"""Config group -> the modules whose classes its YAML may name; `trust=[...]` adds the user's own."""

FEWEST = 24
"""Held-out rows without which no rule can end a run."""


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
    source: Source = construct(cfg["dataset"], "dataset", trust)
    source = split(source, train["held_out"]) if train["held_out"] else source
    batch = train["batch_size"]
    if len(source) < batch:
        raise DataError(
            f"dataset {source.name} has {len(source)} rows, fewer than train.batch_size={batch}",
            f"set train.batch_size to at most {len(source)}",
            id="F51",
        )
    probes, track = build_probes(cfg["probes"], source.spec, trust)
    objective, state, layout = assemble(cfg, source.spec, device, trust)
    objective.setup(state, len(source))
    if cfg["stop"] is not None:
        probes["stop"] = rule = build_rule(cfg["stop"], objective, source, trust)
        state.memory[CHECKS] = rule.memory(device)
    steps, images = plan(train, objective, len(source))
    return Run(
        source=source.to(device),
        objective=objective,
        state=state,
        program=program.make(train["program"], objective, state, train["precision"], layout),
        probes=probes,
        steps=steps,
        images=images,
        batch=batch,
        halflife=train["ema_halflife"],
        seed=cfg["seed"],
        track=track.lstrip("-") if track else None,
        falling=not (track or "").startswith("-"),
    )


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

    return objective, State.create(nets, objective.players, objective.averaged, make, schedule), layout


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
    torch.set_float32_matmul_precision(train["matmul"])
    if train["deterministic"] != torch.are_deterministic_algorithms_enabled():  # the call imports the whole compiler
        torch.use_deterministic_algorithms(train["deterministic"])
    torch.backends.cudnn.benchmark = not train["deterministic"]
    if train["program"] == "captured" and not torch.cuda.is_available():
        raise Unavailable(
            "train.program=captured needs a CUDA device", "set train.program=eager or train.program=compiled", id="F38"
        )


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
    for net in nets.values():
        net.eval()
    generator = cast(Generator, nets["generator"])
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        made = generator(generator.noise(2 * max(packs.values())))
        found = {"generator": (made.shape[1:], spec.shape)}
        if made.shape[1:] == spec.shape and (scores := objective.judge(nets, made)) is not None:
            found["discriminator"] = (scores.shape[1:], ())
    for net in nets.values():
        net.train()
    for what, (shape, expected) in found.items():
        if tuple(shape) != tuple(expected):
            raise UsageError(
                f"model.{what} makes {tuple(shape)} per sample, {tuple(expected)} is needed",
                "choose another model",
                id="F59",
            )


# -- probes --------------------------------------------------------------------------------------


def build_probes(node: Mapping[str, Any], spec: Spec, trust: Sequence[str]) -> tuple[dict[str, Probe], str | None]:
    """Probes by name and the tracked metric; a probe must understand the kind of data."""
    chosen = {k: v for k, v in node.items() if isinstance(v, Mapping) and "_target_" in v}
    probes = {name: construct(v, "probes", trust, path=f"probes.{name}") for name, v in chosen.items()}
    for name, probe in probes.items():
        if spec.kind not in probe.kinds:
            raise UsageError(
                f"probes.{name} understands {', '.join(sorted(probe.kinds))} data, not {spec.kind}",
                f"set probes={spec.kind}",
                id="F59",
            )
    return probes, node.get("track")


def build_rule(node: Mapping[str, Any], objective: Objective, source: Source, trust: Sequence[str]) -> Rule:
    """The rule that may end the run; it must understand the data and the scores, and have unseen rows to look at."""
    rule: Rule = construct(node, "stop", trust)
    what = f"the rule stop={type(rule).__name__.lower()}"
    if source.spec.kind not in rule.kinds:
        raise UsageError(f"{what} does not understand {source.spec.kind} data", "set stop=none", id="F59")
    if rule.scale != objective.scale:
        found = f"are {objective.scale}s" if objective.scale else "are neither logits nor distances"
        fitting = {"logit": "half", "distance": "plateau"}.get(objective.scale, "none")
        what = f"{what} reads {rule.scale}s; the scores of this loss {found}"
        raise UsageError(what, f"set stop={fitting}", id="F59")
    if (few := len(source.held_out or ())) < FEWEST:
        raise UsageError(
            f"{what} judges by {FEWEST} or more rows that training never sees; dataset {source.name} keeps {few} back",
            f"set train.held_out={max(0.1, math.ceil(100 * FEWEST / (len(source) + few)) / 100):g}",
            id="F59",
        )
    return rule


# -- construction --------------------------------------------------------------------------------


def with_players(node: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of single players, which stand beside the common ones in YAML, under one key."""
    players = {k: v for k, v in node.items() if isinstance(v, Mapping)}
    return {k: v for k, v in node.items() if k not in players} | {"players": players}


def construct(node: Any, group: str, trust: Sequence[str] = (), *args: Any, path: str | None = None) -> Any:
    """The object that a YAML node describes: `_target_` is called with `args` and the other keys.

    Raises:
        Unsafe: the target is outside the group's room and `trust`.
        UsageError: no such class, an unknown or missing argument, a wrong type, or a value that it refuses.
    """
    path = path or group
    if isinstance(node, Mapping):
        made = {k: construct(v, group, trust, path=f"{path}.{k}") for k, v in node.items() if k != "_target_"}
        if "_target_" not in node:
            return made
        target = resolve(str(node["_target_"]), group.split(".")[0], path, trust)
        check_arguments(target, made, path, len(args))
        try:
            return target(*args, **made)
        except (ValueError, TypeError) as error:
            raise refused(path, error, target) from error
    if isinstance(node, (list, tuple)):
        return [construct(v, group, trust, path=f"{path}.{i}") for i, v in enumerate(node)]
    return node


def refused(path: str, error: Exception, target: Any) -> UsageError:
    """A constructor's complaint as a fault; one that begins with "argument=value" is about that key."""
    text = str(error)
    if re.match(r"[\w.]+=", text):
        return UsageError(f"{path}.{text}", "correct its value", id="F61")
    return UsageError(f"{path}: {text}", f"see {target.__module__}.{target.__qualname__}", id="F59")


def resolve(name: str, group: str, path: str, trust: Sequence[str]) -> Any:
    """The class or function called `name`, if the group may use it: checked before import and on what was found."""
    rooms = (*ROOMS[group], *trust)

    def inside(module: str) -> bool:
        return any(module == room or module.startswith(room + ".") for room in rooms)

    module_name, _, attribute = name.rpartition(".")
    refusal = Unsafe(
        f"{path}._target_={name} is outside {', '.join(rooms)}",
        f"name a class of {ROOMS[group][0]}, or add 'trust=[{module_name or name}]' if the code is yours",
        id="F64",
    )
    if not inside(module_name) or attribute.startswith("_"):
        raise refusal
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"{path}._target_={name}: {error}", "correct the name", id="F60") from error
    target = getattr(module, attribute, None)
    if target is None:
        near = difflib.get_close_matches(attribute, [n for n in vars(module) if not n.startswith("_")], 1)
        hint = f"did you mean {module_name}.{near[0]}?" if near else f"look into {module_name}"
        raise UsageError(f"{path}._target_={name} does not exist", hint, id="F60")
    if not callable(target) or not inside(getattr(target, "__module__", "") or ""):
        raise refusal
    return target


def check_arguments(target: Any, made: Mapping[str, Any], path: str, positional: int) -> None:
    """Names and simple types of the arguments, so that a wrong value is named by its key."""
    signature = inspect.signature(target)
    known = list(signature.parameters)[positional:]
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values())
    for name in made:
        if name not in known and not open_ended:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(known)}"
            raise UsageError(f"unknown key '{path}.{name}'", hint, id="F60")
    hints = type_hints(target)
    for name, value in made.items():
        if not fits(value, hints.get(name, Any)):
            wanted = getattr(hints[name], "__name__", str(hints[name]))
            raise UsageError(f"{path}.{name}={value} is not of type {wanted}", "correct its value", id="F61")


def type_hints(target: Any) -> dict[str, Any]:
    """Annotations of the constructor, also where a dataclass inherits its fields."""
    if is_dataclass(target):
        found: dict[str, Any] = {}
        for base in reversed(target.__mro__):  # type: ignore[union-attr]
            found |= typing.get_type_hints(base) if base is not object else {}
        return {f.name: found[f.name] for f in fields(target)}
    try:
        return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except NameError:  # an annotation that exists for type checkers only
        return {}


def fits(value: Any, hint: Any) -> bool:
    """Whether a YAML value can stand where `hint` is annotated; only plain types are judged."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return any(fits(value, option) for option in typing.get_args(hint))
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool):
        return isinstance(value, hint)
    if typing.get_origin(hint) in (tuple, list, Sequence) or hint in (tuple, list):
        return isinstance(value, (list, tuple))
    return True
