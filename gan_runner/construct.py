"""From a YAML node to the object it describes: the only place that imports what YAML names, behind an allow-list."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from gan_runner.errors import Unsafe, UsageError

ROOMS: dict[str, tuple[str, ...]] = {
    "dataset": ("gan_runner.datasets",),
    "model": ("gan_runner.models", "torch.nn"),
    "loss": ("gan_runner.losses",),
    "optimizer": ("gan_runner.optimizers", "torch.optim"),
    "schedule": ("gan_runner.schedules",),
    "probes": ("gan_runner.metrics", "gan_runner.pictures", "gan_runner.datasets"),
    "stop": ("gan_runner.metrics",),
    "watch": ("gan_runner.watch",),
}
"""Config group -> the modules whose classes its YAML may name; `trust=[...]` adds the user's own."""


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
        known = {n.lower(): n for n in vars(module) if not n.startswith("_")}
        near = difflib.get_close_matches(attribute.lower(), known, 1)
        hint = f"did you mean {module_name}.{known[near[0]]}?" if near else f"look into {module_name}"
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
