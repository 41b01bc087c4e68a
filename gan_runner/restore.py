"""A trained model from its run folder alone: no data set, no code named by the folder outside the allow-list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gan_runner import checkpoint, config
from gan_runner.build import assemble, load, pick_device
from gan_runner.construct import construct
from gan_runner.datasets.coding import Affine
from gan_runner.datasets.spec import Source, Spec
from gan_runner.draw import Draw
from gan_runner.errors import DataError
from gan_runner.folder import CHECKPOINTS, read_json

Facts = dict[str, Any]
"""The manifest of a checkpoint."""


def restore(place: Path, which: str, seed: int, device_name: str, trust: str = "") -> tuple[Source, Draw, int]:
    """(a source without rows that decodes, the draw, the checkpoint's step) of a run folder.

    Raises:
        MissingInput: there is no good checkpoint.
        Unsafe: the folder's configuration names code outside the allow-list and `trust`.
    """
    source, draw = blank(place, seed, device_name, trust)
    return source, draw, learn(draw, place, which)["step"]


def blank(place: Path, seed: int, device_name: str, trust: str = "") -> tuple[Source, Draw]:
    """A source without rows that decodes, and the draw from a run that has learned nothing yet."""
    manifest, cfg = papers(place)
    shape, kind, classes, names = (manifest["spec"][k] for k in ("shape", "kind", "classes", "names"))
    groups = tuple(manifest["spec"].get("groups", ()))  # older runs kept none
    spec = Spec(tuple(shape), kind, classes, tuple(names), groups)
    device, trusted = pick_device(device_name), [trust] if trust else []
    nothing, coding = torch.empty(0, *spec.shape), construct(coding_of(manifest), "dataset", trusted, path="coding")
    source = Source(spec, nothing, manifest["data"]["name"], coding=coding, device=device)
    return source, untrained(cfg, spec, manifest["data"]["rows"], seed, device, trusted)


def with_rows(place: Path, which: str, seed: int, device_name: str, trust: str = "") -> tuple[Source, Draw, Facts]:
    """(the source with the rows of training and those held out, the draw, the checkpoint's manifest) of a run folder.

    Held out are those that no look in training has seen either, where the run kept such rows.

    Raises:
        DataError: the data are not those of training any more.
        Fault: as of `restore`, and of the data set.
    """
    manifest, cfg = papers(place)
    device, trusted = pick_device(device_name), [trust] if trust else []
    torch.set_num_threads(cfg["train"]["threads"] or torch.get_num_threads())
    source = load(cfg, trusted)
    source = replace(source, held_out=source.reported or source.held_out).to(device)
    if source.digest != manifest["data"]["digest"]:
        what = f"dataset {source.name} has other rows than {place} was trained on"
        raise DataError(what, "bring back the old ones, or train on these", kept="the run folder", id="F51")
    draw = untrained(cfg, source.spec, len(source), seed, device, trusted)
    return source, draw, learn(draw, place, which)


def papers(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest and the configuration of a run folder."""
    manifest = read_json(place / "manifest.json")
    if not manifest.keys() >= {"spec", "data"}:
        raise config.damaged(place / "manifest.json", "it does not describe the data")
    return manifest, config.read(place)


def untrained(
    cfg: Mapping[str, Any], spec: Spec, rows: int, seed: int, device: torch.device, trusted: Sequence[str]
) -> Draw:
    """The draw from a run at step 0."""
    objective, state, _ = assemble(cfg, spec, device, trusted)
    objective.setup(state, rows)
    return Draw(objective, state, device, seed)


def learn(draw: Draw, place: Path, which: str) -> Facts:
    """Load a checkpoint, the newest, the best, or that of a step, such as step-00012000; returns its manifest."""
    folder = place / CHECKPOINTS
    if which == "newest":
        _, saved, facts = checkpoint.newest(folder)
    elif which == "best":
        _, saved, facts = checkpoint.best_saved(folder)
    else:
        saved, facts = checkpoint.load(folder / which)
    draw.state.load_state_dict(saved)
    return facts


def coding_of(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The node of the data's coding; older runs kept an offset and a scale."""
    if manifest.get("offset") and manifest.get("scale"):
        return Affine(manifest["offset"], manifest["scale"]).describe()
    return manifest.get("coding")
