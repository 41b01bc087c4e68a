"""`python scripts/plot_critics.py [FOLDER]`: critics.png, a discriminator and critics between two distant Gaussians.

Each learns to tell N(-2, 1/2) from N(2, 1/2) until it is nearly optimal (Arjovsky et al. 2017, Figure 2): the
discriminator is flat where the samples are and teaches nothing; critics fall from the real to the generated numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from gan_runner import optimizers
from gan_runner.datasets.spec import Spec
from gan_runner.losses.adversarial import Adversarial
from gan_runner.losses.constraints import ClipWeights
from gan_runner.losses.payoffs import NonSaturating, Wasserstein
from gan_runner.losses.penalties import GradientNorm
from gan_runner.models import mlp
from gan_runner.pictures import png
from gan_runner.pictures.curves import Curve, curves
from gan_runner.state import State

REAL, FAKE, SD = -2.0, 2.0, 0.5
LAMBDA = 1.5
"""On the line a critic of slope s costs W s + LAMBDA (|s| - 1)^2, W = 4, least at s = -(1 + W / 2 LAMBDA). Above
W / 2 one that begins to rise is held by the penalty and never falls.
"""
GAMES = {
    "discriminator, D(x)": Adversarial(NonSaturating()),
    "critic with clipped weights": Adversarial(Wasserstein(), constraints={"clip": ClipWeights(0.1)}),
    "critic with gradient penalty": Adversarial(Wasserstein(), {"gradient_penalty": GradientNorm(weight=LAMBDA)}),
}


def scores(game: Adversarial, x: Tensor, steps: int = 1500) -> Tensor:
    """D(x) (k,) of a discriminator, the raw score of a critic, after so many steps on fresh numbers of both kinds."""
    torch.manual_seed(0)
    nets = {
        "generator": mlp.Generator(Spec((1,), "table"), latent=1, hidden=[]),
        "discriminator": mlp.Discriminator(Spec((1,), "table"), hidden=[64, 64], activation="tanh"),
    }
    s = State.create(nets, game.players, ("generator",), optimizers.Adam(2e-3, betas=(0.0, 0.9)))
    for _ in range(steps):
        game.criticise(s, REAL + SD * torch.randn(256, 1), FAKE + SD * torch.randn(256, 1))
    with torch.no_grad():
        found = game.judge(s.nets, x[:, None])
    return found.sigmoid() if isinstance(game.payoff, NonSaturating) else found


def main() -> None:
    torch.set_num_threads(1)
    x = torch.linspace(-4, 4, 161)
    drawn: dict[str, Curve] = {}
    for name, game in GAMES.items():
        score = scores(game, x)
        drawn[name] = (x, (score - score.min()) / (score.max() - score.min()))
    for name, mean in (("real", REAL), ("generated", FAKE)):
        drawn[name] = (x, torch.distributions.Normal(mean, SD).log_prob(x).exp())
    out = Path(sys.argv[1] if sys.argv[1:] else ".") / "critics.png"
    png.write(out, curves({"densities, and scores drawn from 0 to 1": drawn}, "x", room=0.5))
    print(out)


if __name__ == "__main__":
    main()
