"""Refusals of networks that cannot be built: each says what can, and which model could."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from gan_runner.models.roles import Spec

T = TypeVar("T")

SIZES = (8, 16, 32, 64, 128)


def square_image(spec: Spec, model: str, sizes: Sequence[int] = SIZES) -> tuple[int, int]:
    """(channels, size) of square images of one of `sizes`, the powers of two from 8 to 128 unless it is given.

    Raises:
        ValueError: `spec` describes something else.
    """
    shape = tuple(spec.shape)
    if len(shape) == 3 and shape[1] == shape[2] and shape[2] in sizes:
        return shape[0], shape[2]
    nearest = min(sizes, key=lambda size: abs(size - max(shape[-2:])))
    names = ", ".join(map(str, sizes[:-1]))
    raise refusal(shape, f"{model} makes square images of {names} or {sizes[-1]} px", nearest)


def quartered_image(spec: Spec, model: str) -> tuple[int, int, int]:
    """(channels, height / 4, width / 4) of images whose sides are multiples of 4.

    Raises:
        ValueError: `spec` describes something else.
    """
    shape = tuple(spec.shape)
    if len(shape) == 3 and shape[1] % 4 == shape[2] % 4 == 0:
        return shape[0], shape[1] // 4, shape[2] // 4
    raise refusal(shape, f"{model} makes images whose sides are multiples of 4", -(-max(shape[-2:]) // 4) * 4)


def refusal(shape: tuple[int, ...], makes: str, size: int) -> ValueError:
    remedy = f"set dataset.size={size} or choose model=mlp" if len(shape) == 3 else "choose model=mlp"
    return ValueError(f"{makes}; {shape} is not: {remedy}")


def positive(**arguments: int) -> None:
    """Each argument is at least 1.

    Raises:
        ValueError: one is not.
    """
    for name, value in arguments.items():
        if value < 1:
            raise ValueError(f"{name}={value} is not positive: set {name} to 1 or more")


def share(**arguments: float) -> None:
    """Each argument is in [0, 1).

    Raises:
        ValueError: one is not.
    """
    for name, value in arguments.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value} is not a share: set {name} to 0 or more and below 1")


def choice(options: Mapping[str, T], **argument: str) -> T:
    """What the one argument names: `choice(NORMS, norm="batch")`.

    Raises:
        ValueError: it names none of the options.
    """
    ((name, value),) = argument.items()
    if value not in options:
        raise ValueError(f"{name}={value} is not one of {', '.join(options)}")
    return options[value]
