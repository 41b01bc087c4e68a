"""The features of the FID that papers report: Inception v3 as torch-fidelity has it, where its weights are at hand."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.errors import DataError, MissingInput, Unavailable
from gan_runner.metrics.features import Space

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""The file of torch-fidelity's releases, and how its cache calls it."""


@dataclass(frozen=True)
class Inception:
    """The 2,048 features before the logits of the network of FID (Heusel et al. 2017), run by torch-fidelity.

    Images become 8-bit, grey ones three equal channels; the network enlarges them to 299x299 as TensorFlow 1 did.
    Nothing is ever downloaded. The fact of the space is `feature_digest`, the first 24 bits of the weights' sha256.

    Args:
        weights: the file; if None, the one that torch-fidelity has left in the cache of torch.hub.

    Raises:
        MissingInput: there is no such file.
        Unavailable: torch-fidelity is not installed.
    """

    weights: str | None = None

    def __post_init__(self) -> None:
        if not self.path.is_file():
            fix = f"put {WEIGHTS} of torch-fidelity's releases there, name it by `weights`, or choose other features"
            raise MissingInput(f"weights={self.path}: Inception's weights are not there", fix, id="F52")
        try:
            import torch_fidelity  # noqa: F401
        except ImportError as error:
            what = "Inception is run by the package torch-fidelity, which is missing"
            raise Unavailable(what, "pip install torch-fidelity", id="F50") from error

    @property
    def path(self) -> Path:
        return Path(self.weights or Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS).expanduser()

    def __call__(self, source: Source) -> Space:
        """The space, whatever the data.

        Raises:
            DataError: the file does not hold this network's weights.
        """
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        content = self.path.read_bytes()
        try:
            torch.load(io.BytesIO(content), weights_only=True)  # torch-fidelity would run what a pickle says
            net = FeatureExtractorInceptionV3("inception", ["2048"], io.BytesIO(content)).to(source.device)
        except Exception as error:
            what = f"weights={self.path} are not torch-fidelity's Inception: {str(error).splitlines()[0]}"
            raise DataError(what, f"put {WEIGHTS} of torch-fidelity's releases there", id="F51") from error
        digest = hashlib.sha256(content).hexdigest()

        def embed(images: Tensor) -> Tensor:
            pixels = source.decode(images)
            return net(pixels.expand(-1, 3, -1, -1))[0]

        return Space(embed, digest, {"feature_digest": float(int(digest[:6], 16))})
