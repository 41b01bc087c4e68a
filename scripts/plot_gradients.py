"""`python scripts/plot_gradients.py [FOLDER]`: gradients.png, how the generator's gradient fares while D learns on.

A generator is trained on the embedded digits for a while and then left alone; a fresh discriminator learns to tell its
samples from real ones, and at intervals the gradients of both generator losses are measured (Arjovsky and Bottou 2017,
Figures 2 and 3): that of the saturating one vanishes, that of the "log D trick" does not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from gan_runner import optimizers
from gan_runner.datasets import draws
from gan_runner.datasets.images import digits
from gan_runner.datasets.spec import Source
from gan_runner.losses.adversarial import Adversarial
from gan_runner.losses.payoffs import Minimax, NonSaturating
from gan_runner.models import dcgan
from gan_runner.pictures import png
from gan_runner.pictures.curves import Curve, curves
from gan_runner.state import State

LOSSES = {"saturating, log(1 - D)": Minimax(), "non-saturating, -log D": NonSaturating()}
BATCH = 64


def fresh(source: Source, width: int, rate: float) -> State:
    """Both networks and players at their start."""
    nets = {
        "generator": dcgan.Generator(source.spec, width=width),
        "discriminator": dcgan.Discriminator(source.spec, width=width, norm="none"),
    }
    return State.create(nets, Adversarial.players, ("generator",), optimizers.Adam(rate, betas=(0.5, 0.999)))


def batch(source: Source, step: int) -> Tensor:
    return source.take(draws.rows(len(source), step * BATCH, BATCH, 0))


def gradients(
    source: Source, before: int, steps: int, every: int = 10, width: int = 16, rate: float = 2e-4
) -> dict[str, Curve]:
    """Loss -> (steps of the discriminator, norms of the generator's gradient), after `before` steps of a usual game."""
    torch.manual_seed(0)
    game, s = Adversarial(NonSaturating()), fresh(source, width, rate)
    for step in range(before):
        game.step(s, batch(source, step), 1)
    s.nets["discriminator"].load_state_dict(fresh(source, width, rate).nets["discriminator"].state_dict())
    s.players["discriminator"].forget()
    norms: dict[str, list[float]] = {name: [] for name in LOSSES}
    for step in range(steps):
        if step % every == 0:
            fake = game.sample_with_graph(s, 4 * BATCH)
            for name, payoff in LOSSES.items():
                loss = payoff.generator(fake.new_zeros(()), s.nets["discriminator"](fake))
                found = torch.autograd.grad(loss, s.players["generator"].params, retain_graph=True)
                norms[name].append(float(torch.stack([g.norm() for g in found]).norm()))
        with torch.no_grad():
            made = game.sample(s, BATCH)
        game.criticise(s, batch(source, before + step), made)
    at = torch.arange(0, steps, every).float()
    return {name: (at, torch.tensor(values)) for name, values in norms.items()}


def main() -> None:
    torch.set_num_threads(1)
    source = digits("")
    panels = {f"generator after {n} iterations": gradients(source, n, 400) for n in (50, 400)}
    out = Path(sys.argv[1] if sys.argv[1:] else ".") / "gradients.png"
    words = ("steps of a fresh discriminator", "norm of the generator's gradient")
    png.write(out, curves(panels, *words, logarithmic=True))
    print(out)


if __name__ == "__main__":
    main()
