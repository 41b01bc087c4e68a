"""PNG files, written fast and whole."""

from __future__ import annotations

import io
import os
from pathlib import Path

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
