"""The page of energy-based models says what its runs found."""

from __future__ import annotations

import runpy

from tests.conftest import ROOT

script = runpy.run_path(str(ROOT / "scripts/table_ebm.py"))


def test_page() -> None:
    toys = [{"seed": seed, "steps": 3000, "density_kl": kl} for seed, kl in ((2, 0.3), (1, 0.1))]
    facts = {"gap": 0.02, "minutes": 12.3, "energy_real": -0.5, "energy_generated": -0.25, "size": 16, "steps": 2000}
    facts |= {"recognised": 0.704, "frechet": 9.876}
    values = {"energy": (0.9, 0.4, 0.8), "neighbours": (1.0, 0.95, 0.85)}
    for score, each in values.items():
        facts |= {f"auroc_{score}_{n}": v for n, v in zip(("digits", "digits_framed", "disguised"), each, strict=True)}
    page = script["page"]([*toys, {**facts, "seed": 4, "auroc_energy_digits": 0.7}, {**facts, "seed": 3}])
    lines = page.splitlines()
    assert "| 3,000 | 0.200 ± 0.14 | 0.100, 0.300 |" in lines and "Seeds 1, 2 choose" in page
    assert "| 3 | 16 | 2,000 | 12 | 70 | 9.88 | 0.02 | -0.5 | -0.25 |" in lines and "seeds 3, 4, then each seed" in page
    assert "| energy | 0.800: 0.900, 0.700 | 0.400: 0.400, 0.400 | 0.800: 0.800, 0.800 |" in lines
    assert "| **neighbours** | 1.000: 1.000, 1.000 | 0.950: 0.950, 0.950 | 0.850: 0.850, 0.850 |" in lines
