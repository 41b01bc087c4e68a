"""key=value arguments of the commands that work on a run folder."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from gan_runner.errors import MissingInput, UsageError

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


def command(about: str | None, kind: type[T], act: Callable[[T], int]) -> None:
    """Run a command on the arguments of this process, or print what it is about, and exit with its code."""
    from gan_runner.__main__ import run_safely

    args = sys.argv[1:]
    if not args or {"-h", "--help"} & set(args):
        print(f"{about}\n{kind.__doc__}")
        return
    sys.exit(run_safely(lambda: act(parse(kind, args))))


def run_folder(run: str, checkpoint: str) -> Path:
    """The folder that `run=` names, of which `checkpoint=` can be asked.

    Raises:
        MissingInput: it is none.
        UsageError: there is no such checkpoint.
    """
    place = Path(run)
    if not (place / "manifest.json").is_file():
        raise MissingInput(f"run={run} is not a run folder: no manifest.json in it", "name a folder under outputs/")
    one_of("checkpoint", checkpoint, ("newest", "best"))
    return place


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a word that is none of those allowed.

    Raises:
        UsageError: it is not.
    """
    if value not in allowed:
        raise UsageError(f"{name}={value} is unknown", f"choose from {', '.join(allowed)}", id="F61")
