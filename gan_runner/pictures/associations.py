"""How the columns of a table go together, real against generated, numbers and categories alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.fidelity import association
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.correlations import correlations


@dataclass(frozen=True)
class Associations:
    """`associations`: the matrices of `fidelity.association` of real and of generated rows; nothing for one column.

    Args:
        every: steps between two calls.
        n: rows of each kind.
    """

    every: int = 10_000
    n: int = 5000

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if len(source.levels) == 1:
            return Findings()
        real, fake = (source.decode(x).cpu() for x in (rows.some(source, self.n), draw(self.n)))
        a, b = (association(x, source.levels) for x in (real, fake))
        return Findings(pictures={"associations": correlations(a, b, source.spec.names)})
