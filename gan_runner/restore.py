"""A trained model from its run folder alone: no data set, no code named by the folder outside the allow-list."""

from __future__ import annotations

from pathlib import Path

import torch

from gan_runner import checkpoint, config
from gan_runner.build import assemble, pick_device
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
    if not manifest.keys() >= {"spec", "data", "offset", "scale"}:
        raise config.damaged(place / "manifest.json", "it does not describe the data")
    shape, kind, classes, names = (manifest["spec"][k] for k in ("shape", "kind", "classes", "names"))
    spec = Spec(tuple(shape), kind, classes, tuple(names))
    device = pick_device(device_name)
    objective, state, _ = assemble(cfg, spec, device, [trust] if trust else [])
    objective.setup(state, manifest["data"]["rows"])
    if which == "best":
        _, saved, facts = checkpoint.best_saved(place / "ckpt")
    else:
        _, saved, facts = checkpoint.newest(place / "ckpt")
    state.load_state_dict(saved)
    offset, scale = (torch.tensor(manifest[k]) if manifest[k] else None for k in ("offset", "scale"))
    nothing = torch.empty(0, *spec.shape)
    source = Source(spec, nothing, manifest["data"]["name"], offset=offset, scale=scale, device=device)
    return source, Draw(objective, state, device, seed), facts["step"]
