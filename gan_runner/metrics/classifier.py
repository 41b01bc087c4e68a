"""A small classifier whose last hidden layer is a feature space, trained once per data set and kept in a file."""

from __future__ import annotations

import hashlib
import io
import math
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.features import PCA, Space
from gan_runner.metrics.kept import kept

SIDE = 32
"""Images are averaged to this height and width at most, and to multiples of 4."""


@dataclass(frozen=True)
class Classifier:
    """The 128 features before the logits of a small convolutional net that was trained on the data's own labels.

    Training happens once, with a fixed seed, on the training rows; the weights are kept under `<root>/features`. The
    facts of the space are `feature_accuracy` on rows it has not seen, and `feature_digest`, the first 24 bits of the
    sha256 of its weights: numbers compare only where it is the same.

    Where the data has no labels the space is `PCA()`, with a warning.

    Args:
        root: the data directory.
        steps: of training, at least.
        epochs: over the training rows, at least.
        batch: images in each step.
        rate: the largest learning rate.
        smoothing: share of each label that is spread over all classes (Szegedy et al. 2016, section 7).
    """

    root: str
    steps: int = 1000
    epochs: int = 6
    batch: int = 128
    rate: float = 4e-3
    smoothing: float = 0.05

    def __call__(self, source: Source) -> Space:
        if source.labels is None:
            warnings.warn(f"{source.name} has no labels: 64 principal components stand in for features", stacklevel=2)
            return PCA()(source)
        net, digest, facts = self.trained(source)
        return Space(net.features, digest, facts)

    def judge(self, source: Source) -> Callable[[Tensor], Tensor]:
        """Images (n, C, H, W) in the scale of training to classes (n,) int64."""
        logits = self.logits(source)
        return lambda images: logits(images).argmax(1)

    def logits(self, source: Source) -> Space:
        """Images (n, C, H, W) in the scale of training, or a stream of them, to logits (n, classes)."""
        net, digest, facts = self.trained(source)
        return Space(net, f"{digest} logits", facts)

    def trained(self, source: Source) -> tuple[Net, str, dict[str, float]]:
        """The net in evaluation mode, the sha256 of its file, and the facts.

        Raises:
            StorageError: `root` cannot be written.
        """
        assert source.labels is not None
        steps = max(self.steps, math.ceil(self.epochs * len(source) / self.batch))
        split = "all" if tested(source) else "five in six"
        recipe = f"{source.digest} {split} {source.spec} {steps} {self.batch} {self.rate} {self.smoothing}".encode()
        recipe += source.labels.cpu().numpy().tobytes()
        content = kept(self.root, recipe, "the feature classifier", lambda: train(source, replace(self, steps=steps)))
        saved = torch.load(io.BytesIO(content), weights_only=True)
        with torch.device("meta"):  # initial weights would cost random numbers
            net = Net(source.spec.shape, source.spec.classes)
        net.load_state_dict(saved["net"], assign=True)
        weights = [saved["net"][name].numpy().tobytes() for name in sorted(saved["net"])]
        digest = hashlib.sha256(b"".join(weights)).hexdigest()
        facts = {"feature_accuracy": saved["accuracy"], "feature_digest": float(int(digest[:6], 16))}
        return net.to(source.device).eval(), digest, facts


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


def tested(source: Source) -> Source | None:
    """The rows held out, where their classes are known."""
    return source.held_out if source.held_out is not None and source.held_out.labels is not None else None


def train(source: Source, recipe: Classifier) -> bytes:
    """A file of trained weights and their accuracy; other random numbers of the process are left as they were."""
    print(f"training the feature classifier of {source.name}, once: ", end="", file=sys.stderr, flush=True)
    began, order = time.monotonic(), rows.shuffled(source)
    if test := tested(source):
        unseen = torch.arange(len(test))
    else:  # then one row in six is kept from it
        test, unseen, order = source, order[: len(order) // 6], order[len(order) // 6 :]
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
        logits = net(source.take(index))
        F.cross_entropy(logits, labels[index.to(labels.device)], label_smoothing=recipe.smoothing).backward()
        optimizer.step()
        cycle.step()


def score(net: Net, source: Source, index: Tensor) -> float:
    """Share of the rows `index` whose class the net finds."""
    assert source.labels is not None
    logits, right = Space(net), 0
    for part in index.split(1024):
        right += int((logits(source.take(part)).argmax(1) == source.labels[part.to(source.labels.device)].cpu()).sum())
    return right / len(index)
