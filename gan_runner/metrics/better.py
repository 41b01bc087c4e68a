"""Which way metrics improve; docs/metrics.md says what they mean."""

from __future__ import annotations

import re
from typing import Literal

LOWER = re.compile(
    r"(\w+_)?(frechet|kid)|chamfer|(sliced_)?wasserstein(_mean|_max)?|(correlation|association|acf|acf_abs)_error"
    r"|location_error|scatter_error(_operator)?|(ks|tv)_(mean|max)|(emd|dy)_\d+|acf|acf_abs|acf_square|leverage|unseen_emd"
    r"|rho_(ks|mean_error)|lambda_1_error|cophenetic_error|degree_(max|slope)_error|reconstruction_error"
    r"|reverse_kl|stacked_kl|density_kl|class_(kl|js)|swd(_\d+)?|distance|duality_gap"
)
HIGHER = re.compile(
    r"(\w+_)?(precision|density|recall|coverage)|classifier_score|recognised|parzen|log_likelihood(_train|_\d+)?|pseudo_likelihood|modes|stacked_modes"
    r"|high_quality|tstr_\w+|facts_held|auroc_\w+|average_precision_\w+|precision_\w+|f1_\w+"
)


def better(metric: str) -> Literal["lower", "higher", ""]:
    """Nothing where a metric has another goal, such as 1 or what real rows score, and where nobody knows.

    Squared distances that may come out negative (`kid`) are of things that are not: lower is better on average.
    """
    name = metric.removesuffix("_held_out")
    if LOWER.fullmatch(name):
        return "lower"
    return "higher" if HIGHER.fullmatch(name) else ""
