"""The run's own knobs, typed; and the checks that need no torch."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf

from gan_runner.errors import MissingInput, UsageError

HYDRA_1_3 = hydra.__version__.startswith("1.3.")
"""Hydra 1.4 renames a function, drops `version_base` and wants to be told which classes it may call by name."""


@dataclass
class Train:
    """How long and how: exactly one of steps, epochs and images, or none of them for `default_steps`."""

    steps: int | None = None  # iterations, of one generator update each
    epochs: float | None = None  # passes over the data
    images: int | None = None  # rows of real data
    minutes: float | None = None  # of training itself, after which a run ends that is not at its last step yet
    default_steps: int = MISSING
    batch_size: int = MISSING
    ema_halflife: float = MISSING  # images, one batch a step, in which the moving average forgets half
    average_from: float | None = None  # share of the run after which all steps weigh alike in the average
    precision: str = "fp32"  # fp32 | bf16 (autocast; penalties stay in fp32)
    program: str = "eager"  # eager | compiled | captured (CUDA graph)
    channels_last: bool = True  # memory layout of image networks
    matmul: str = "highest"  # highest | high | medium, as torch names them, | fast: whichever is here; in steps alone
    threads: int = 0  # CPU threads; 0 means all cores, or this job's share of them in a sweep
    patience: int | None = None  # steps without a better probes.track, after which a run ends
    held_out: float = 0.0  # share of the rows that training never sees, where the data set keeps none itself
    selection: float = 0.0  # share of the other rows that looks judge by; evaluate then judges by those held out
    deterministic: bool = False  # torch.use_deterministic_algorithms
    log_every: int = MISSING  # steps between two rows of metrics.jsonl
    checkpoint_every: int = MISSING  # steps
    checkpoint_keep: int = 2  # newest ones kept, besides the best
    rollbacks: int = 0  # times to go on from an older checkpoint, with other random numbers, when training goes wrong


@dataclass
class RunFolder:
    root: str = "outputs"
    name: str = MISSING
    dir: str | None = None  # an explicit folder instead of root/name/time
    preflight: bool = True  # check disk space before training


@dataclass
class Config:
    """All knobs. Groups are plain YAML, checked when their objects are built."""

    seed: int = 0
    device: str = "auto"  # auto | cpu | cuda | cuda:<index>
    resume: str | None = None  # auto | a run folder
    resume_force: list[str] = field(default_factory=list)  # settings that may differ from the resumed run's
    train: Train = field(default_factory=Train)
    run: RunFolder = field(default_factory=RunFolder)
    sweep: str = MISSING
    data_dir: str = MISSING  # caches and downloads
    discriminator_norm: str = MISSING  # batch | instance | group | layer | none, for models that have a choice
    trust: list[str] = field(default_factory=list)  # further modules whose classes YAML may name
    strict: bool = False  # a failing probe stops the run
    debug: bool = False  # show tracebacks
    dataset: Any = MISSING
    model: Any = MISSING
    loss: Any = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING
    probes: Any = MISSING
    stop: Any = MISSING
    watch: Any = MISSING


def job_name(overrides: str, number: int) -> str:
    """A sweep job's folder: its overrides, shortened and hashed where a file system would not take them."""
    text = re.sub(r"[^\w=,.+\-]", "_", overrides)
    if text == overrides and len(text) <= 100:
        return text or f"job{number}"
    return text[:80] + "-" + hashlib.sha256(overrides.encode()).hexdigest()[:12]


def register() -> None:
    """Make the schema and the resolver known to Hydra."""
    ConfigStore.instance().store(name="schema", node=Config)
    resolvers: Any = OmegaConf
    add = resolvers.register_new_resolver if HYDRA_1_3 else resolvers.register_resolver
    add("job_name", job_name, replace=True)


POSITIVE = (lambda v: v > 0, "above 0")
NOT_NEGATIVE = (lambda v: v >= 0, "0 or above")


def one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda v: v in names), "one of " + ", ".join(names)


RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda v: 0 <= v < 2**63, "from 0 to 2^63 - 1"),
    "device": (lambda v: re.fullmatch(r"auto|cpu|cuda(:\d+)?", v) is not None, "auto, cpu, cuda or cuda:<index>"),
    "train.steps": POSITIVE,
    "train.epochs": POSITIVE,
    "train.images": POSITIVE,
    "train.minutes": POSITIVE,
    "train.default_steps": POSITIVE,
    "train.batch_size": POSITIVE,
    "train.ema_halflife": NOT_NEGATIVE,
    "train.average_from": (lambda v: 0 <= v < 1, "a share in [0, 1)"),
    "train.precision": one_of("fp32", "bf16"),
    "train.program": one_of("eager", "compiled", "captured"),
    "train.matmul": one_of("highest", "high", "medium", "fast"),
    "train.threads": NOT_NEGATIVE,
    "train.log_every": POSITIVE,
    "train.checkpoint_every": POSITIVE,
    "train.checkpoint_keep": (lambda v: v >= 2, "2 or above: one good checkpoint must survive a damaged newest one"),
    "train.rollbacks": NOT_NEGATIVE,
    "train.patience": POSITIVE,
    "train.held_out": (lambda v: 0 <= v < 1, "a share in [0, 1)"),
    "train.selection": (lambda v: 0 <= v < 1, "a share in [0, 1)"),
    "discriminator_norm": one_of("batch", "instance", "group", "layer", "none"),
}


def check(cfg: DictConfig) -> None:
    """Refuse keys that were added but mean nothing, values out of range and budgets given twice.

    Raises:
        UsageError: names the key, its value and what is allowed.
    """
    for prefix, node, kind in (("", cfg, Config), ("train.", cfg.train, Train), ("run.", cfg.run, RunFolder)):
        for name in node.keys() - {"hydra", *(f.name for f in fields(kind))}:
            raise UsageError(f"unknown key '{prefix}{name}'", "see --cfg job for all keys", id="F60")
    for group in ("dataset", "model", "loss", "optimizer", "schedule", "probes", "stop", "watch"):
        if OmegaConf.is_missing(cfg, group):
            raise UsageError(f"{group} is missing", f"choose one with {group}=", id="F60")
    for key, (fits, allowed) in RANGES.items():
        value = OmegaConf.select(cfg, key)
        if value is None:
            continue
        if (isinstance(value, float) and not math.isfinite(value)) or not fits(value):
            raise UsageError(f"{key}={value} is out of range", f"choose {allowed}", id="F61")
    if cfg.train.patience is not None and not OmegaConf.select(cfg, "probes.track"):
        fix = "name a metric that a probe finds: probes.track=frechet, or -precision where more is better"
        raise UsageError("train.patience waits for a better probes.track, and there is none", fix, id="F59")
    given = [k for k in ("steps", "epochs", "images") if cfg.train[k] is not None]
    if len(given) > 1:
        both = " and ".join(f"train.{k}" for k in given)
        raise UsageError(f"{both} both say how long to train", "give exactly one of them", id="F61")


FREE = re.compile(
    r"(train\.(steps|epochs|images|minutes|patience|default_steps|log_every|checkpoint_\w+|rollbacks|threads|program|precision|channels_last|matmul)"
    r"|schedule\..*|optimizer\.(\w+\.)?lr|probes\..*|dataset\.(root|path|download)"
    r"|loss\..*weight|discriminator_norm)"
)
"""Settings that a resumed run may change without being told to."""

BITS = ("train.threads", "train.program", "train.precision", "train.channels_last", "train.matmul")
"""Free settings that change the last bits of results."""


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as {"a.b.c": value}; lists as JSON text."""
    if not isinstance(node, dict):
        return {prefix[:-1]: json.dumps(node) if isinstance(node, list) else node}
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= flatten(value, f"{prefix}{key}.")
    return flat


def recipe(cfg: dict[str, Any]) -> dict[str, Any]:
    """The settings that decide what is trained, flat: what a checkpoint must agree with."""
    kept = {k: cfg[k] for k in ("seed", "train", "dataset", "model", "loss", "optimizer", "schedule")}
    return flatten(kept)


def fingerprint(cfg: dict[str, Any]) -> str:
    """Short digest of the recipe without its free settings: equal for runs that may continue each other."""
    fixed = {k: v for k, v in recipe(cfg).items() if not FREE.fullmatch(k)}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:16]


def read(place: Path) -> dict[str, Any]:
    """The configuration of a run folder, as data: nothing in it is resolved or imported."""
    loaded = read_yaml(place / "config.yaml")
    if not isinstance(loaded, dict) or not {"train", "model", "loss"} <= loaded.keys():
        raise damaged(place / "config.yaml", "it is no configuration")
    return {str(k): v for k, v in loaded.items()}


def read_yaml(path: Path) -> Any:
    """Plain data from a YAML file of a run folder.

    Raises:
        MissingInput: it is not there, is no YAML, or is larger than 1 MB.
    """
    try:
        if path.stat().st_size > 1_000_000:
            raise damaged(path, "it is larger than 1 MB")
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, why: str) -> MissingInput:
    return MissingInput(f"{path} is damaged: {why}", "restore the run folder", kept="the run folder", id="F04")


def askable(place: Path, cfg: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Nodes of the probes that a run can be asked, by name: its own, those that its data bring, `probes=evaluation`.

    Data that are not ours bring those of their kind.
    """
    said = [o for o in read_yaml(place / "overrides.yaml") or [] if re.match(r"\+?(dataset|experiment)=", o)]
    target, brought = preset(said, cfg["data_dir"])
    if target != cfg["dataset"].get("_target_"):
        _, brought = preset([f"probes={kind}"], cfg["data_dir"])
    _, further = preset(["probes=evaluation"], cfg["data_dir"])
    found = {**brought, **cfg["probes"]}
    found |= {name: node for name, node in further.items() if name not in found}
    return {name: node for name, node in found.items() if isinstance(node, Mapping)}


def preset(overrides: list[str], data_dir: str) -> tuple[str | None, dict[str, Any]]:
    """(class of the dataset, resolved probes) that overrides bring; nothing where they name what is not ours."""
    register()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), **({"version_base": "1.3"} if HYDRA_1_3 else {})):
            cfg: Any = compose("config", overrides=overrides)
    except HydraException:
        return None, {}
    cfg.data_dir = data_dir
    return cfg.dataset.get("_target_"), OmegaConf.to_container(cfg.probes, resolve=True)  # type: ignore[return-value]


def config_dir() -> Path:
    """The folder of YAML groups: inside the package when installed from a wheel, beside it in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "configs", here.parent / "configs"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no configs/config.yaml in {here} or {here.parent}")
