"""PNG files, written fast and whole, and films of them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor


def encode(rgb: Tensor) -> bytes:
    """The PNG of a picture uint8 (height, width, 3), compressed fast rather than well."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(rgb.cpu().contiguous().numpy()).save(file, "png", compress_level=1)
    return file.getvalue()


def write(path: str | Path, rgb: Tensor) -> None:
    """Write a picture uint8 (height, width, 3); whoever looks at `path` sees the old file or the new one, never a part.

    Raises:
        OSError: it cannot be written.
    """
    unfinished = Path(path).with_suffix(".tmp")
    unfinished.write_bytes(encode(rgb))
    os.replace(unfinished, path)


def read(path: str | Path) -> Tensor:
    """A picture, uint8 RGB (height, width, 3).

    Raises:
        OSError: it cannot be read.
    """
    import numpy as np
    from PIL import Image

    return torch.from_numpy(np.array(Image.open(path).convert("RGB")))


def animate(frames: Sequence[Path], path: Path, seconds: float = 0.2) -> None:
    """Write pictures of one size as an endless GIF, each shown for `seconds` and the last one five times as long.

    Raises:
        OSError: a picture cannot be read, or the film cannot be written.
    """
    from PIL import Image

    images = [Image.open(frame).convert("RGB").quantize() for frame in frames]
    times = [round(1000 * seconds)] * (len(images) - 1) + [round(5000 * seconds)]
    unfinished = path.with_suffix(".tmp")
    images[0].save(unfinished, "gif", save_all=True, append_images=images[1:], duration=times, loop=0)
    os.replace(unfinished, path)
