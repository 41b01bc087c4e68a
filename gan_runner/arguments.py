"""key=value arguments of the commands that work on a run folder."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from gan_runner.errors import UsageError

T = TypeVar("T")


def parse(kind: type[T], args: Sequence[str]) -> T:
    """A dataclass of settings from `key=value` words, typed by its defaults.

    Raises:
        UsageError: an unknown key, a missing one or a value of the wrong type.
    """
    known: dict[str, Any] = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for arg in args:
        name, equals, text = arg.partition("=")
        if not equals or name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean '{near[0]}='?" if near else f"choose from {', '.join(f'{k}=' for k in known)}"
            raise UsageError(f"unknown argument '{arg}'", hint, id="F60")
        wanted = int if "int" in str(known[name].type) else str
        try:
            values[name] = wanted(text)
        except ValueError as error:
            raise UsageError(
                f"{name}={text} is not of type {wanted.__name__}", f"give {name} a number", id="F61"
            ) from error
    missing = [k for k, f in known.items() if f.default is MISSING and k not in values]
    if missing:
        raise UsageError(f"{missing[0]}= is missing", f"give {missing[0]}=...", id="F60")
    return kind(**values)
