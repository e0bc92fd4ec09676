"""Repetitions that share a teacher or data are not independent: they count as one cluster."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from analysis.frames import PARAM
from analysis.stats import Interval, mean_interval

TEACHER, SCENARIO = "teacher", "scenario"
"""What runs can share: the part of an identity before the slash."""


@dataclass(frozen=True, order=True, slots=True)
class Repetition:
    """One of the runs that a mean is over.

    Attributes:
        seed: Of the student, or of the teacher if the run is one.
        data: Names and values of the seeds of its data.
        shares: Identities of its teacher and scenario, for example ``teacher/0123abcd``.
    """

    seed: int
    data: tuple[tuple[str, int], ...] = ()
    shares: frozenset[str] = field(default=frozenset(), compare=False)


Values: TypeAlias = Mapping[Repetition, float]
"""One metric of one row, by repetition."""


def repetitions(runs: Sequence[Mapping[str, Any]], role: str) -> list[Repetition]:
    """Return what identifies each run of one row, and what it shares with others.

    Teacher and scenario are known by their fingerprints. Runs without them (trials, and
    confirmations of earlier versions) are identified by the seeds of teacher and data instead.
    """
    known = role == "confirmation" and all(run.get("scenario_key") for run in runs)
    name = f"{PARAM}teacher_seed" if role == "teacher" else f"{PARAM}seed"
    found = []
    for run in runs:
        data = _data_seeds(run)
        scenario = run["scenario_key"] if known else str(data)
        teacher = run.get("teacher_key") if known else _teacher(run, role)
        shares = {f"{SCENARIO}/{scenario}"} | ({f"{TEACHER}/{teacher}"} if teacher else set())
        found.append(Repetition(int(run.get(name) or 0), data, frozenset(shares)))
    return found


def _data_seeds(run: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    students = (f"{PARAM}seed", f"{PARAM}teacher_seed")
    names = [n for n in run if n.startswith(PARAM) and n.endswith("_seed") and n not in students]
    return tuple((n.removeprefix(PARAM), int(run[n])) for n in sorted(names) if run[n] is not None)


def _teacher(run: Mapping[str, Any], role: str) -> str:
    if role == "teacher":
        return str(run.get("key")).removeprefix("teacher/")
    seed = run.get(f"{PARAM}teacher_seed")
    untaught = role == "baseline" or seed is None or run.get("taught") is False
    return "" if untaught else f"seed {seed}"


def teachers_of(one: Repetition) -> frozenset[str]:
    """Return the identities of the teachers among what a run shares."""
    return frozenset(name for name in one.shares if name.startswith(f"{TEACHER}/"))


def connected(shares: Sequence[frozenset[str]]) -> list[list[int]]:
    """Return the places of sets in groups: sets with a common element are in one, transitively."""
    groups: list[tuple[frozenset[str], list[int]]] = []
    for place, one in enumerate(shares):
        whole, members = one, [place]
        for group in [group for group in groups if group[0] & one]:
            groups.remove(group)
            whole, members = whole | group[0], group[1] + members
        groups.append((whole, sorted(members)))
    return sorted(members for _, members in groups)


def clusters(found: Collection[Repetition]) -> list[list[Repetition]]:
    """Return repetitions in clusters; those that share a teacher or scenario are in one.

    What all of them share is left out: the mean is then that of one teacher or one scenario,
    see `left_out`. If they share nothing else, they are one cluster.
    """
    ordered = sorted(found)
    common = frozenset.intersection(*(one.shares for one in ordered))
    own = [one.shares - common for one in ordered]
    if not any(own):
        return [ordered]
    return [[ordered[place] for place in group] for group in connected(own)]


def clustered_interval(values: Values) -> Interval:
    r"""Return the mean and its 95 % Student-t interval with clusters as units.

    .. math:: \bar x \pm t_{0.975,\,C-1}\, s / \sqrt{C}

    where :math:`\bar x` and s are mean and deviation of the means of the C clusters. A single
    cluster has the interval over its values, see `analysis.stats.mean_interval`.

    Raises:
        ValueError: If there are no values or one is not finite.
    """
    groups = clusters(values) if values else []
    if len(groups) < 2:
        return mean_interval(list(values.values()))
    means = [mean_interval([values[one] for one in group]).mean for group in groups]
    return replace(mean_interval(means), count=len(values), clusters=len(groups))


def left_out(found: Collection[Repetition]) -> str:
    """Return what all repetitions have in common, so that an interval does not cover others."""
    common = frozenset.intersection(*(one.shares for one in found))
    kinds = {identity.partition("/")[0] for identity in common}
    names = [f"one {kind}" for kind in (TEACHER, SCENARIO) if kind in kinds]
    if not names:
        return ""
    return f"{', '.join(names)}: the interval leaves {'both' if len(names) > 1 else 'it'} out"


def paired(first: Values, second: Values) -> dict[Repetition, tuple[float, float]]:
    """Return both values of the runs that two rows have in common.

    Runs belong together if they have the same seed; where a row has one on several data, also the
    same seeds of the data. A pair shares what either of its runs does.
    """
    unique = all(len({one.seed for one in row}) == len(row) for row in (first, second))

    def place(one: Repetition) -> Repetition:
        return Repetition(one.seed, () if unique else one.data)

    others = {place(one): one for one in second}
    return {
        replace(one, shares=one.shares | other.shares): (first[one], second[other])
        for one in sorted(first)
        if (other := others.get(place(one))) is not None
    }


def paired_difference(first: Values, second: Values) -> Interval | None:
    """Return the interval of ``first - second`` over the pairs that two rows have.

    Pairing removes what the seeds share (data order, initialisation), so that a small difference
    shows with few seeds. None if there is no pair.
    """
    pairs = paired(first, second)
    return clustered_interval({one: a - b for one, (a, b) in pairs.items()}) if pairs else None


def by_seed(values: Mapping[int, float]) -> Values:
    """Return values of runs of which nothing but the seed is known."""
    return {Repetition(seed): value for seed, value in values.items()}
