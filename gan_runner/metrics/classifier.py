"""A small classifier whose last hidden layer is a feature space, trained once per data set and kept in a file."""

from __future__ import annotations

import hashlib
import io
import math
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn

from gan_runner.datasets.spec import Source
from gan_runner.errors import StorageError
from gan_runner.metrics import rows
from gan_runner.metrics.features import PCA, Space

SIDE = 32
"""Images are averaged to this height and width at most, and to multiples of 4."""


@dataclass(frozen=True)
class Classifier:
    """The 128 features before the logits of a small convolutional net that was trained on the data's own labels.

    Training happens once, with a fixed seed, on the training rows; the weights are kept under `<root>/features`, the
    sha256 of the file in its name. The facts of the space are `feature_accuracy` on rows it has not seen, and
    `feature_digest`, the first 24 bits of that sha256: numbers compare only where it is the same.

    Where the data has no labels the space is `PCA()`, with a warning.

    Args:
        root: the data directory.
        steps: of training.
        batch: images in each.
        rate: the largest learning rate.
    """

    root: str
    steps: int = 1000
    batch: int = 128
    rate: float = 4e-3

    def __call__(self, source: Source) -> Space:
        if source.labels is None:
            warnings.warn(f"{source.name} has no labels: 64 principal components stand in for features", stacklevel=2)
            return PCA()(source)
        net, facts = self.trained(source)
        return Space(net.features, facts)

    def judge(self, source: Source) -> Callable[[Tensor], Tensor]:
        """Images (n, C, H, W) in the scale of training to classes (n,) int64."""
        net, _ = self.trained(source)
        logits = Space(net)
        return lambda images: logits(images).argmax(1)

    def trained(self, source: Source) -> tuple[Net, dict[str, float]]:
        """The net in evaluation mode, and the facts; of several processes one trains and the others wait.

        Raises:
            StorageError: `root` cannot be written.
        """
        assert source.labels is not None
        folder = Path(self.root).expanduser() / "features"
        recipe = f"{source.digest} {source.spec} {self.steps} {self.batch} {self.rate}".encode()
        key = hashlib.sha256(recipe + source.labels.cpu().numpy().tobytes()).hexdigest()[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f"{key}.lock"):
                content = find(folder, key) or keep(folder, key, train(source, self))
        except OSError as error:
            what = f"cannot keep the feature classifier in {folder}: {error.strerror or error}"
            raise StorageError(what, "set data_dir to a folder that can be written", id="F02") from error
        saved = torch.load(io.BytesIO(content), weights_only=True)
        with torch.device("meta"):  # initial weights would cost random numbers
            net = Net(source.spec.shape, source.spec.classes)
        net.load_state_dict(saved["net"], assign=True)
        digest = int(hashlib.sha256(content).hexdigest()[:6], 16)
        return net.to(source.device).eval(), {"feature_accuracy": saved["accuracy"], "feature_digest": float(digest)}


class Net(nn.Module):
    """conv32-conv64-pool-FC128-FC: the classifier of PacGAN (Lin et al. 2018) with a stride and batch norm, for speed.

    Args:
        shape: (C, H, W) of an image, at least 4 pixels wide and high.
        classes: number of logits.
    """

    def __init__(self, shape: tuple[int, ...], classes: int):
        super().__init__()
        channels, height, width = shape
        self.size = (min(height, SIDE) // 4 * 4, min(width, SIDE) // 4 * 4)
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, 32, 5, stride=2, padding=2), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(64 * math.prod(self.size) // 16, 128), nn.ReLU()),
        )
        self.head = nn.Sequential(nn.Dropout(0.25), nn.Linear(128, classes))

    def features(self, images: Tensor) -> Tensor:
        """The last hidden layer (n, 128) of images (n, C, H, W) in [-1, 1]."""
        small = F.adaptive_avg_pool2d(images.clamp(-1, 1), self.size)
        return self.body(small.contiguous(memory_format=torch.channels_last))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes)."""
        return self.head(self.features(images))


def train(source: Source, recipe: Classifier) -> bytes:
    """A file of trained weights and their accuracy; other random numbers of the process are left as they were."""
    print(f"training the feature classifier of {source.name}, once: ", end="", file=sys.stderr, flush=True)
    began, order = time.monotonic(), rows.shuffled(source)
    test = source.held_out
    if test is None or test.labels is None:  # then one row in six is kept from it
        test, unseen, order = source, order[: len(order) // 6], order[len(order) // 6 :]
    else:
        unseen = torch.arange(len(test))
    with torch.random.fork_rng([source.device] if source.device.type == "cuda" else []):
        torch.manual_seed(0)
        net = Net(source.spec.shape, source.spec.classes).to(source.device, memory_format=torch.channels_last)  # type: ignore
        descend(net, source, order, recipe)
    accuracy = score(net.eval(), test, unseen)
    print(f" {accuracy:.1%} right on unseen images, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    file = io.BytesIO()
    torch.save({"net": {k: v.cpu().contiguous() for k, v in net.state_dict().items()}, "accuracy": accuracy}, file)
    return file.getvalue()


def descend(net: Net, source: Source, order: Tensor, recipe: Classifier) -> None:
    """Adam under one cycle of the learning rate (Smith 2018), epoch after epoch over the rows in `order`."""
    assert source.labels is not None
    labels = source.labels.to(source.device)
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, recipe.steps)
    stream = (torch.randperm(len(order)) for _ in range(1 + recipe.steps * recipe.batch // len(order)))
    for step, index in enumerate(order[torch.cat(list(stream))].split(recipe.batch)[: recipe.steps]):
        if step % max(1, recipe.steps // 10) == 0:
            print(".", end="", file=sys.stderr, flush=True)
        optimizer.zero_grad()
        F.cross_entropy(net(source.take(index)), labels[index.to(labels.device)]).backward()
        optimizer.step()
        cycle.step()


def score(net: Net, source: Source, index: Tensor) -> float:
    """Share of the rows `index` whose class the net finds."""
    assert source.labels is not None
    logits, right = Space(net), 0
    for part in index.split(1024):
        right += int((logits(source.take(part)).argmax(1) == source.labels[part.to(source.labels.device)].cpu()).sum())
    return right / len(index)


def find(folder: Path, key: str) -> bytes | None:
    """The file kept under `key`, if its bytes are what was written; otherwise it is removed."""
    for path in folder.glob(f"{key}-*.pt"):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == path.stem.removeprefix(f"{key}-"):
            return content
        warnings.warn(f"{path} is damaged; the feature classifier is trained again", stacklevel=2)
        path.unlink()
    return None


def keep(folder: Path, key: str, content: bytes) -> bytes:
    """Write a file under `key` and its own sha256, whole or not at all; returns its content."""
    path = folder / f"{key}-{hashlib.sha256(content).hexdigest()}.pt"
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
    return content
