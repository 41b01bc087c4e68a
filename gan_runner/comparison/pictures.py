"""Pictures of runs as parts of a page: inside it, and no larger than they must be."""

from __future__ import annotations

import base64
import io
from pathlib import Path

SAMPLES = ("samples", "scatter", "paths", "marginals")
"""What shows a run's samples, the first that there is."""
SIDE = 720
"""Pixels of the longer side at most."""


def samples(place: Path) -> Path | None:
    """The file that shows the samples of a run."""
    files = (place / "pictures" / f"{name}.png" for name in SAMPLES)
    return next((file for file in files if file.exists()), None)


def inline(file: Path) -> str:
    """A picture as a `data:` URL, grey where it has no colours; "" where it cannot be read."""
    from PIL import Image

    try:
        picture = Image.open(file).convert("RGB")
    except OSError:
        return ""
    red, green, blue = picture.split()
    picture = red if red.tobytes() == green.tobytes() == blue.tobytes() else picture
    if max(picture.size) > SIDE:
        picture.thumbnail((SIDE, SIDE))
    data = io.BytesIO()
    picture.save(data, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
