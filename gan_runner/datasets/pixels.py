"""One image file of any size and mode -> a square of uint8 pixels."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

RESIZING = "antialiased bicubic (Pillow)"


class Unreadable(Exception):
    """Why a file gives no picture."""


def picture(data: bytes, size: int, channels: int, crop: int | None = None, megapixels: float = 64) -> np.ndarray:
    """Decode an image: turn it as its EXIF says, cut the centre square, resize.

    Resizing is Pillow's antialiased bicubic, as clean-fid recommends (Parmar et al. 2022). Transparent pixels are
    laid on white; 16-bit grey is scaled from 0..65535 and floating point from 0..1; of an animation the first frame
    is taken.

    Args:
        data: the file's bytes.
        size: height and width of the result in pixels.
        channels: 1 for grey, 3 for RGB.
        crop: side of the centre square in pixels of the original; the whole shorter side if None.
        megapixels: the largest image that is decoded, judged by its header.

    Returns:
        (channels, size, size) uint8.

    Raises:
        Unreadable: the bytes are no image, are damaged, or claim to be larger than `megapixels`.
    """
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > megapixels * 1e6:
            raise Unreadable(f"has {image.width * image.height / 1e6:.0f} megapixels, more than {megapixels:g}")
        image = on_white(eight_bit(ImageOps.exif_transpose(image)))
        image = image.convert("L" if channels == 1 else "RGB")
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise Unreadable(reason(error, data)) from error
    side = min(crop or image.width, image.width, image.height)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)


def eight_bit(image: Image.Image) -> Image.Image:
    """An image of 16-bit grey (0..65535) or floating point (0..1) as 8-bit grey; others unchanged."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    white = 1 if image.mode == "F" else 65535
    values = np.asarray(image, dtype=np.float64)
    if not (values.min() >= 0 and values.max() <= white):
        raise Unreadable(f"has values of mode {image.mode} outside 0 to {white}")
    return Image.fromarray((values * (255 / white)).round().astype(np.uint8))


def on_white(image: Image.Image) -> Image.Image:
    """A transparent image laid on white; others unchanged."""
    if not image.has_transparency_data:
        return image
    paint = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", paint.size, "white"), paint)


def reason(error: Exception, data: bytes) -> str:
    """What is wrong with a file, in a few words."""
    if not data:
        return "is empty"
    if isinstance(error, Image.UnidentifiedImageError):
        return "is no image"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return "claims to be too large (a decompression bomb?)"
    return f"is damaged ({' '.join(str(error).split()) or type(error).__name__})"
