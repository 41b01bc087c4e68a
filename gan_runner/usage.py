"""What the command line says about itself: the groups and their options, and which key was meant."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_runner.config import HYDRA_1_3, config_dir, damaged, read_yaml
from gan_runner.errors import Fault, UsageError

FLAGS = (
    *("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--resolve", "--package", "-p", "--run", "-r"),
    *("--multirun", "-m", "--shell-completion", "-sc", "--config-path", "-cp", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--experimental-rerun", "--info", "-i"),
)
GROUPS = (
    *("dataset", "model", "loss", "optimizer", "schedule", "train", "probes", "stop", "watch", "experiment"),
    *("loss/game", "loss/method", "loss/sampler"),
)


def groups(args: Sequence[str] = ()) -> str:
    """Every group with one line per option: the first comment of its YAML."""
    lines = []
    for group in GROUPS:
        lines.append(f"\n{group}=")
        found = options(group, args)
        width = max(map(len, found), default=0)
        lines += [f"  {name:<{width}}  {headline(path)}" for name, path in sorted(found.items())]
    return "\n".join(lines)


def options(group: str, args: Sequence[str] = ()) -> dict[str, Path]:
    """Option name -> YAML file, the user's `--config-dir` included."""
    return {p.stem: p for root in roots(args) for p in (root / group).glob("*.yaml")}


def roots(args: Sequence[str]) -> list[Path]:
    """Folders of YAML groups: ours, and the user's."""
    found = [config_dir()]
    for i, arg in enumerate(args):
        if arg in ("--config-dir", "-cd") and i + 1 < len(args):
            found.append(Path(args[i + 1]))
        elif arg.startswith("--config-dir="):
            found.append(Path(arg.partition("=")[2]))
    return found


def headline(path: Path) -> str:
    """The first comment of a YAML file that is not a directive to Hydra."""
    for line in path.read_text().splitlines():
        if line.startswith("#") and not line.startswith("# @"):
            return line.lstrip("# ")
    return ""


# -- resuming --------------------------------------------------------------------------------------


def recall(args: list[str]) -> list[str]:
    """With `resume=DIR`, the overrides that run was started with, before those given now."""
    wanted = next((a.partition("=")[2] for a in args if a.startswith("resume=")), "")
    papers = Path(wanted.strip("'\"")) / "overrides.yaml"
    if wanted in ("", "auto", "null") or not os.path.isfile(papers):
        return args
    saved = read_yaml(papers) or []
    if not isinstance(saved, list):
        raise damaged(papers, "it is no list of overrides")
    said = {key(a) for a in args if not a.startswith("-")}
    unsafe = ("trust", "resume", "hydra", "run.", "sweep", "debug")
    again = [o for o in saved if isinstance(o, str) and key(o) not in said and not key(o).startswith(unsafe)]
    flags = [i for i, a in enumerate(args) if not a.startswith("-") and "=" in a]
    first = flags[0] if flags else len(args)
    return [*args[:first], *again, "hydra.mode=RUN", *args[first:]]  # it was one run, also of an experiment that sweeps


def key(override: str) -> str:
    """The key of an override, without its +, ++ or ~."""
    return override.lstrip("+~").partition("=")[0]


# -- errors ----------------------------------------------------------------------------------------


def check_options(args: Sequence[str]) -> None:
    """Refuse several options for one group, which Hydra would merge into a chimera without a word.

    Raises:
        UsageError: names the group and how to sweep over its options.
    """
    for arg in args:
        group, _, value = arg.partition("=")
        if group.lstrip("+") in GROUPS and value.startswith("["):
            raise several(group.lstrip("+"), value.strip("[]"))


def plain(args: Sequence[str]) -> list[str]:
    """Short and foreign spellings as ours: `data=FILE`, as in `score` and `evaluate`, is `dataset.path=FILE` here, and
    `+experiment=`, which Hydra's own pages write for groups that no defaults list names, is `experiment=`."""
    args = [a[1:] if a.startswith("+experiment=") else a for a in args]
    return [f"dataset.path={a.removeprefix('data=')}" if a.startswith("data=") else a for a in args]


def several(name: str, values: str) -> UsageError:
    one = values.split(",")[0]
    return UsageError(
        f"{name}={values} names more than one value", f"set {name}={one}, or sweep with -m {name}={values}", id="F60"
    )


def check_flags(args: Sequence[str]) -> None:
    """Refuse flags that Hydra does not have, in our own words.

    Raises:
        UsageError: names the flag and the nearest one.
    """
    for flag in (a.partition("=")[0] for a in args if a.startswith("-")):
        if flag not in FLAGS:
            near = difflib.get_close_matches(flag, FLAGS, 1)
            raise UsageError(f"unknown flag '{flag}'", f"did you mean {near[0]}?" if near else "see --help", id="F60")


def as_fault(error: Exception, args: Sequence[str]) -> Exception:
    """What Hydra and OmegaConf raise about the command line, as one line with the key and the remedy."""
    if isinstance(error, Fault):
        return error
    if not {type(error).__module__.split(".")[0], raised_in(error)} & {"hydra", "omegaconf", "yaml", "antlr4"}:
        return error
    text = re.sub(r"\s+", " ", f"{error} {error.__cause__ or ''}").strip()
    text = re.sub(
        r" See https://\S+ for details| Set the environment variable.*| (reference|object)_type=\S+", "", text
    )
    if found := re.search(r"Could not override '([\w.@/]+)'", text) or re.search(
        r"Key '([\w.]+)' (?:is )?not in", text
    ):
        full = re.search(r"full_key: ([\w.]+)", text)
        name = full.group(1) if full else found.group(1)
        return UsageError(f"unknown key '{name}'", meant(name, args), id="F60")
    if found := re.search(r"Could not (?:find|load) '([\w/.\-]+)/([^'/]*)'", text):
        group, option = found.groups()
        return UsageError(f"{group}={option} is not an option", closest_option(group, option, args), id="F60")
    if found := re.search(r"Could not delete from config. '([\w.]+)'|merging override ~([\w.]+)", text):
        name = found.group(1) or found.group(2)
        return UsageError(f"{name} cannot be deleted", f"give it a value with {name}=", id="F60")
    if text.startswith("Config group override must be"):
        said = next((a for a in args if key(a) in GROUPS and a.endswith("=null")), args[0])
        return UsageError(f"{said} is not an option", closest_option(key(said), "null", args), id="F60")
    if found := re.search(r"Value '(.*?)'.*? of type '\w+' could not be converted to (\w+).*?full_key: ([\w.]+)", text):
        value, wanted, name = found.groups()
        fix = f"write {name}={value[:-2]}" if wanted == "Integer" and value.endswith(".0") else "correct its value"
        return UsageError(f"{name}={value} is not of type {wanted.lower()}", fix, id="F61")
    if found := re.search(r"Ambiguous value for argument '([^'=]+)=([^']*)'", text):
        return several(*found.groups())
    if type(error).__name__ == "OverrideParseException":
        said = getattr(error, "override", "")
        return UsageError(
            f"'{said}' cannot be read as an override", "write key=value, quoted where the shell needs it", id="F60"
        )
    return UsageError(text[:300], "see python -m gan_runner --help", id="F60")


def raised_in(error: Exception) -> str:
    """The package whose code raised an error."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals["__name__"]).split(".")[0] if trace else ""


def closest_option(group: str, option: str, args: Sequence[str]) -> str:
    names = sorted(options(group, args))
    if not names:
        return f"choose a group from {', '.join(GROUPS)}"
    near = difflib.get_close_matches(option, names, 1, 0.5)
    return (f"did you mean {group}={near[0]}? " if near else "") + f"choose from {', '.join(names)}"


def meant(name: str, args: Sequence[str]) -> str:
    """The most similar key that exists, by its whole name or by its last part."""
    if name in GROUPS and (owners := owning(name, args)):
        group = name.rpartition("/")[0]
        return f"it goes with {' or '.join(f'{group}={owner}' for owner in owners)}"
    group, _, inner = name.partition(".")
    if group in GROUPS and (owners := sorted(k for k, path in options(group, args).items() if has(path, inner))):
        return f"it goes with {group}={', '.join(owners)}"
    keys = [*GROUPS, *all_keys(args)]
    near = [k for k in keys if k.startswith(name)] or difflib.get_close_matches(name, keys, 1, 0.6)
    last = name.split(".")[-1]
    by_last = [
        k for k in keys if k.split(".")[-1] in difflib.get_close_matches(last, [k.split(".")[-1] for k in keys], 1, 0.6)
    ]
    best = near or sorted(by_last, key=len)[:1]
    return f"did you mean '{best[0]}'?" if best else "see --cfg job for all keys"


def owning(name: str, args: Sequence[str]) -> list[str]:
    """The options of a group that have the group `name` inside it: those of loss for loss/game."""
    group, _, inner = name.rpartition("/")
    return [k for k, path in options(group, args).items() if re.search(rf"^ *- {inner}:", path.read_text(), re.M)]


def has(path: Path, name: str) -> bool:
    """Whether an option's file sets a key of that name at its top."""
    return bool(re.search(rf"^{re.escape(name)}:", path.read_text(), re.M))


def all_keys(args: Sequence[str]) -> list[str]:
    """Every key of the configuration with the group choices of the command line."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    GlobalHydra.instance().clear()
    mine = [f"'file://{path.absolute()}'" for path in roots(args)[1:]]
    search = [f"hydra.searchpath=[{','.join(mine)}]"] if mine else []
    choices = [a for a in args if key(a) in GROUPS and "," not in a]
    for chosen in ([*search, *choices], search):
        try:
            with initialize_config_dir(str(config_dir()), **({"version_base": "1.3"} if HYDRA_1_3 else {})):
                cfg: Any = OmegaConf.to_container(compose("config", overrides=chosen), resolve=False)
            return _walk(cfg)
        except Exception:  # the choices themselves may be what is wrong
            GlobalHydra.instance().clear()
    return []


def _walk(node: Any, prefix: str = "") -> list[str]:
    if not isinstance(node, dict):
        return []
    return [k for name, child in node.items() for k in (f"{prefix}{name}", *_walk(child, f"{prefix}{name}."))]
