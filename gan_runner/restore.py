"""A trained model from its run folder alone: no data set, no code named by the folder outside the allow-list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gan_runner import checkpoint, config
from gan_runner.build import assemble, pick_device
from gan_runner.construct import construct
from gan_runner.datasets.coding import Affine
from gan_runner.datasets.spec import Source, Spec
from gan_runner.draw import Draw
from gan_runner.folder import read_json


def restore(place: Path, which: str, seed: int, device_name: str, trust: str = "") -> tuple[Source, Draw, int]:
    """(a source without rows that decodes, the draw, the checkpoint's step) of a run folder.

    Raises:
        MissingInput: there is no good checkpoint.
        Unsafe: the folder's configuration names code outside the allow-list and `trust`.
    """
    manifest, cfg = read_json(place / "manifest.json"), config.read(place)
    if not manifest.keys() >= {"spec", "data"}:
        raise config.damaged(place / "manifest.json", "it does not describe the data")
    shape, kind, classes, names = (manifest["spec"][k] for k in ("shape", "kind", "classes", "names"))
    groups = tuple(manifest["spec"].get("groups", ()))  # older runs kept none
    spec = Spec(tuple(shape), kind, classes, tuple(names), groups)
    device = pick_device(device_name)
    trusted = [trust] if trust else []
    objective, state, _ = assemble(cfg, spec, device, trusted)
    objective.setup(state, manifest["data"]["rows"])
    if which == "best":
        _, saved, facts = checkpoint.best_saved(place / "ckpt")
    else:
        _, saved, facts = checkpoint.newest(place / "ckpt")
    state.load_state_dict(saved)
    nothing, coding = torch.empty(0, *spec.shape), construct(coding_of(manifest), "dataset", trusted, path="coding")
    source = Source(spec, nothing, manifest["data"]["name"], coding=coding, device=device)
    return source, Draw(objective, state, device, seed), facts["step"]


def coding_of(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The node of the data's coding; older runs kept an offset and a scale."""
    if manifest.get("offset") and manifest.get("scale"):
        return Affine(manifest["offset"], manifest["scale"]).describe()
    return manifest.get("coding")
