"""How the rate of convergence of each method depends on its step: measured rates on the curves they must lie on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from gan_runner.pictures.figure import FAKE, INK, RULE, label, panels, render

COLOURS = (FAKE, INK, "#1c7ed6", "#2f9e44", "#ae3ec9")
HIGHEST = 1.3


def rates(
    games: Sequence[str],
    curves: Mapping[str, Sequence[tuple[Tensor, Tensor]]],
    points: Mapping[str, Sequence[tuple[Tensor, Tensor]]],
) -> Tensor:
    """The picture: a panel for each game, above the line at 1 of which a method diverges.

    Args:
        games: their names.
        curves: method -> for each game the steps (k,) and the rates (k,) in closed form.
        points: likewise, measured.
    """
    figure, axes = panels(1, len(games), 460, 420)
    for i, (ax, game) in enumerate(zip(axes, games, strict=True)):
        ax.axhspan(1, HIGHEST, color="#f1f3f5", zorder=0)
        ax.axhline(1, color=RULE, linewidth=1)
        ax.text(0.005, 1.005, "diverges", fontsize=8, color=INK, va="bottom")
        for (method, lines), colour in zip(curves.items(), COLOURS, strict=False):
            steps, exact = lines[i]
            ax.plot(steps.numpy(), exact.numpy(), color=colour, linewidth=1.3, label=method)
            at, found = points[method][i]
            ax.plot(at.numpy(), found.numpy(), "o", color=colour, markersize=4.5, markeredgecolor="white", mew=0.5)
            crossing = ((exact[1:] > 1) & (exact[:-1] <= 1)).nonzero()
            if len(crossing) and (exact < 1 - 1e-6).any():
                k = int(crossing[0])
                part = float((1 - exact[k]) / (exact[k + 1] - exact[k]))
                where = float(steps[k]) + part * float(steps[k + 1] - steps[k])
                ax.annotate(f"{where:.3f}", (where, 1), (-6, 5), textcoords="offset points", fontsize=8, color=colour,
                            ha="right")  # fmt: skip
        ax.set(xlim=(0, float(steps[-1])), ylim=(0, HIGHEST))
        label(ax, game, "step η", "factor of the distance from the saddle per step")
    axes[-1].legend(loc="lower left", fontsize=8, labelcolor=INK, edgecolor="none", title="closed form; dots: measured",
                    title_fontsize=8)  # fmt: skip
    return render(figure)
