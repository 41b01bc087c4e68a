"""Packing: several samples are judged at once, so that their variety counts (PacGAN, Lin et al. 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from gan_runner.models.checks import positive


class Pack(nn.Module):
    """The first layer of a packed discriminator: samples (n, c, ...) to packs (n / samples, samples * c, ...).

    Neighbours share a pack, all real or all generated, joined along columns or channels; there is one score per pack.

    Args:
        samples: how many samples a score is about; n must be a multiple of it.
    """

    def __init__(self, samples: int):
        super().__init__()
        self.samples = samples

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (-1, self.samples)).flatten(1, 2)


def packing(pack: int) -> nn.Module:
    """The layer that packs by `pack`; by 1, one that does nothing.

    Raises:
        ValueError: `pack` is not positive.
    """
    positive(pack=pack)
    return Pack(pack) if pack > 1 else nn.Identity()


def pack_of(net: nn.Module) -> int:
    """How many samples one score of a network is about."""
    return next((m.samples for m in net.modules() if isinstance(m, Pack)), 1)
