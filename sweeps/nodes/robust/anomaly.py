"""Which nodes are unlike the others, and how well that finds the hostile ones."""

from collections.abc import Mapping, Set

import numpy as np

from sweeps.nodes.privacy.membership import auc

CONSISTENT = 0.6745
"""Third quartile of the standard normal distribution: MAD over this is its standard deviation."""

MOST_ERROR = 1e9
"""Errors are counted up to this: a message holds no infinite number."""

LEAST_SPREAD = 1e-9
"""Scores that are nearer to each other count as equal."""


def anomaly_scores(errors: Mapping[str, float]) -> dict[str, float]:
    r"""Return how much worse each node is than the others, in robust standard deviations.

    .. math:: M_k = 0.6745 \, \frac{x_k - \mathrm{med}(x)}{\mathrm{MAD}(x)}, \quad
              x_k = \ln e_k

    Logarithms, since errors of honest nodes differ by factors. Only nodes that are worse than the
    median have positive scores. Iglewicz and Hoaglin, "How to detect and handle outliers", ASQC
    1993, take nodes above 3.5 for outliers.

    Args:
        errors: Error of every node on the probe set, at least 0.
    """
    names, tiny = list(errors), np.finfo(np.float64).tiny
    logs = np.log(np.maximum([bounded(errors[name]) for name in names], tiny))
    away = logs - np.median(logs)
    spread = max(float(np.median(np.abs(away))), LEAST_SPREAD)
    return dict(zip(names, (CONSISTENT * away / spread).tolist(), strict=True))


def bounded(error: float) -> float:
    """Return an error, or `MOST_ERROR` if it is larger or not a number."""
    return error if error < MOST_ERROR else MOST_ERROR


def detection_auc(scores: Mapping[str, float], hostile: Set[str]) -> float | None:
    """Return `auc` of the scores of hostile nodes over honest ones; None without both kinds."""
    of_hostile = np.array([score for name, score in scores.items() if name in hostile])
    of_honest = np.array([score for name, score in scores.items() if name not in hostile])
    if not (len(of_hostile) and len(of_honest)):
        return None
    return auc(of_hostile, of_honest)
