"""The rules of docs/claims.md a second time, in plain Python; nothing of the product is used."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import optimize, stats


@dataclass(frozen=True)
class Run:
    """One run of a row: its seeds, the fingerprints of what it was given, and its numbers."""

    seed: int
    street: int
    teacher: str
    scenario: str
    val: float
    test: float


def unit_means(things):
    """Means of clusters from (shared names, number) pairs; the numbers if there is one cluster."""
    everywhere = set.intersection(*({*names} for names, _ in things))
    label = list(range(len(things)))
    for _ in things:  # the smallest label of a cluster reaches its last member in so many steps
        for i, (names, _) in enumerate(things):
            for j, (others, _) in enumerate(things):
                if (set(names) & set(others)) - everywhere:
                    label[i] = label[j] = min(label[i], label[j])
    if all(set(names) == everywhere for names, _ in things) or len(set(label)) == 1:
        return [number for _, number in things]
    return [
        np.mean([n for (_, n), at in zip(things, label, strict=True) if at == c])
        for c in set(label)
    ]


def estimate(things):
    """Mean, its standard error and the degrees of freedom."""
    units = unit_means(things)
    error = float(np.std(units, ddof=1)) / len(units) ** 0.5 if len(units) > 1 else 0.0
    return float(np.mean(units)), error, len(units) - 1


def summed_up(things):
    """Mean and half-width; the half-width is None for one unit."""
    mean, error, freedom = estimate(things)
    return mean, float(stats.t.isf(0.025, freedom)) * error if freedom else None


def names_of(run):
    return {("teacher", run.teacher), ("scenario", run.scenario)} - {("teacher", "")}


def own(runs, split):
    return [(names_of(run), getattr(run, split)) for run in runs]


def differences(ours, theirs, sign):
    """Signed differences of runs that belong together, with what the two share with others."""
    repeated = any(len({run.seed for run in row}) < len(row) for row in (ours, theirs))
    return [
        (names_of(a) | names_of(b), sign * (a.test - b.test))
        for a in ours
        for b in theirs
        if a.seed == b.seed and (not repeated or a.street == b.street)
    ]


def better(ours, theirs, sign, strict):
    """Verdict and p-value of one comparison."""
    things = differences(ours, theirs, sign)
    if not things:
        return "not measured", 1.0
    mean, half = summed_up(things)
    if mean < 0 or (strict and mean == 0):
        return "does not hold", 1.0
    if half is None:
        return "holds in one seed, no interval", 1.0
    if half == 0:
        return "holds", 0.0
    p = float(stats.ttest_1samp(unit_means(things), 0.0).pvalue)
    return ("holds" if p < 0.05 else "holds on average, interval includes 0"), p


def apart(ours, theirs, sign):
    """Verdict and the level at which two intervals touch."""
    first, second = estimate(own(ours, "test")), estimate(own(theirs, "test"))
    gap = sign * (first[0] - second[0])
    if gap <= 0:
        return "does not hold", 1.0
    if 0 in (first[2], second[2]):
        return "holds in one seed, no interval", 1.0

    def overlap(level):
        return sum(stats.t.isf(level / 2, n) * error for _, error, n in (first, second)) - gap

    verdict = "holds" if overlap(0.05) < 0 else "does not hold"
    return verdict, 0.0 if overlap(1e-15) < 0 else float(optimize.brentq(overlap, 1e-15, 1.0))


WEAKEST_FIRST = (
    "does not hold",
    "not measured",
    "holds in one seed, no interval",
    "holds on average, interval includes 0",
    "holds",
)


def judge(kind, rows, sign):
    """Verdict alone and p-value of a claim about rows, each a list of runs."""
    if not all(rows):
        return "not measured", 1.0
    if kind == "interior":
        best = max(range(len(rows)), key=lambda i: sign * estimate(own(rows[i], "val"))[0])
        if best in (0, len(rows) - 1):
            return "does not hold", 1.0
        links = [better(rows[best], rows[end], sign, True) for end in (0, -1)]
    elif kind == "apart":
        links = [apart(a, b, sign) for a, b in pairwise(rows)]
    else:
        links = [better(a, b, sign, kind == "order") for a, b in pairwise(rows)]
    verdict = min((verdict for verdict, _ in links), key=WEAKEST_FIRST.index)
    return verdict, max(p for _, p in links)


def families(claims):
    """Families of claims, each the set of the tables that its rows are in."""
    groups = []
    for place, tables in enumerate(claims):
        joined = [group for group in groups if group[1] & tables]
        groups = [group for group in groups if group not in joined]
        members = sorted([place, *(one for group in joined for one in group[0])])
        groups.append((members, set(tables).union(*(group[1] for group in joined))))
    return [members for members, _ in groups]


def corrected(p_values):
    """Holm (1979): the k-th smallest times what is left, and never less than a smaller one's."""
    found = []
    for p in p_values:
        smaller = sorted(p_values)
        steps = [(len(smaller) - k) * q for k, q in enumerate(smaller) if q <= p]
        found.append(min(1.0, max(steps)))
    return found
