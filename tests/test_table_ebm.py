"""The page of energy-based models says what its runs found."""

from __future__ import annotations

import runpy

from tests.conftest import ROOT

script = runpy.run_path(str(ROOT / "scripts/table_ebm.py"))


def test_page() -> None:
    toys = [{"seed": seed, "steps": 3000, "density_kl": kl} for seed, kl in ((2, 0.3), (1, 0.1))]
    facts = {"gap": 0.02, "minutes": 12.3, "energy_real": -0.5, "energy_generated": -0.25, "auroc_digits": 0.97}
    facts["auroc_digits_framed"] = 0.6
    page = script["page"]([*toys, {"seed": 1, "size": 16, "steps": 2000, **facts}])
    lines = page.splitlines()
    assert "| 3,000 | 0.200 ± 0.14 | 0.100, 0.300 |" in lines and "Seeds 1, 2 choose" in page
    assert "| 1 | 16 | 2,000 | 12 | 0.02 | -0.5 | -0.25 | 0.970 | 0.600 |" in lines
