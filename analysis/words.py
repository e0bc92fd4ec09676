"""Checks a table's words, such as low and high, against its numbers."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from analysis.clusters import Values, clustered_interval, paired
from analysis.errors import ResultsError
from analysis.format import plural
from analysis.frames import SweepFrames
from analysis.pairing import Gain, Scale, gain, measured, side_by_side
from analysis.stats import Interval, Verdict
from search_spaces.report_spec import DECIBEL, Aspect, Column, Row, Table

AGREEMENT = {
    Verdict.HOLDS: "agrees",
    Verdict.ON_AVERAGE: "agrees on average only",
    Verdict.ONE_SEED: "agrees in one seed, no interval",
    Verdict.DOES_NOT_HOLD: "disagrees",
    Verdict.NOT_MEASURED: "not measured",
}
"""A verdict on words."""


@dataclass(frozen=True, slots=True)
class JudgedWords:
    """The paper's words on two rows in one aspect, and one metric of both.

    Attributes:
        paper: The paper's words on both rows.
        detail: The numbers, in words.
    """

    aspect: Aspect
    paper: str
    verdict: Verdict
    detail: str

    @property
    def agreement(self) -> str:
        """The verdict in words."""
        return AGREEMENT[self.verdict]


def judged_words(frames: SweepFrames, table: Table) -> list[JudgedWords]:
    """Return a statement for each aspect, metric and pair of rows that have words.

    Different words agree if the metric differs in their order, judged on paired seeds as a claim.
    Equal words agree if the rows are no further apart than the aspect's factor.
    """
    columns = {column.metric: column for column in table.columns}
    return [
        _judged(frames, aspect, columns[metric], pair)
        for aspect in table.aspects
        for pair in _pairs(aspect, table.rows)
        for metric in aspect.metrics
    ]


def agreement_summary(judged: Sequence[JudgedWords]) -> str:
    """Return how many agree, for example ``9 of 12 statements agree, 3 disagree``."""
    number = Counter(found.verdict for found in judged)
    parts = [f"{number[Verdict.HOLDS]} of {len(judged)} statements agree"]
    for verdict, words in (
        (Verdict.ON_AVERAGE, "only on average"),
        (Verdict.ONE_SEED, "in one seed, without an interval"),
        (Verdict.DOES_NOT_HOLD, "disagree"),
        (Verdict.NOT_MEASURED, "not measured"),
    ):
        if number[verdict]:
            parts.append(f"{number[verdict]} {words}")
    return ", ".join(parts)


def _pairs(aspect: Aspect, rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Yield every two rows with words, that with the word for less first."""
    rated = [row for row in rows if aspect.words and aspect.name in row.words]
    for first, second in combinations(rated, 2):
        order = [aspect.words.index(row.words[aspect.name]) for row in (first, second)]
        yield (first, second) if order[0] <= order[1] else (second, first)


def _judged(
    frames: SweepFrames, aspect: Aspect, column: Column, rows: tuple[Row, Row]
) -> JudgedWords:
    first, second = (row.words[aspect.name] for row in rows)
    labels = [row.label for row in rows]
    if first == second:
        paper = f"{first} for {labels[0]} and {labels[1]} alike"
    else:
        paper = f"{first} for {labels[0]}; {second} for {labels[1]}"
    try:
        values = measured(frames, rows, column.metric)
    except ResultsError as error:
        return JudgedWords(aspect, paper, Verdict.NOT_MEASURED, f"{column.label}: {error}")
    both = (values[0], values[1])
    scale = Scale(-1.0, column.unit, more="less", less="more")
    found = _alike(aspect, rows, both, scale) if first == second else gain(rows, both, scale)
    verdict = found.verdict(strict=first != second)
    return JudgedWords(aspect, paper, verdict, f"{column.label}: {found.text}")


def _alike(
    aspect: Aspect, rows: tuple[Row, Row], values: tuple[Values, Values], scale: Scale
) -> Gain:
    """Return how far two rows stay within the aspect's factor, in logarithms."""
    ours, theirs = side_by_side(rows, values)
    ratio = _log_ratio(ours, theirs, scale.unit)
    if ratio is None:
        return Gain(None, "no common seeds")
    apart = abs(ratio.mean)
    room = replace(ratio, mean=math.log(aspect.factor) - apart)
    means = " and ".join(map(scale.mean, (ours, theirs)))
    seeds = plural(ratio.count, "paired seed")
    if math.isinf(apart):
        size = "no ratio, as only one is 0 or their signs differ"
    elif apart == 0.0:
        size = "the same"
    else:
        size = f"{math.exp(apart):.3g} times apart"
    return Gain(room, f"{size} ({means}; {seeds}; alike up to {aspect.factor:g} times)")


def _log_ratio(ours: Values, theirs: Values, unit: str) -> Interval | None:
    """Return the logarithm of a ratio, averaged over common seeds; infinite where there is none."""
    pairs = paired(ours, theirs)
    if not pairs:
        return None
    if unit == DECIBEL:
        scale = math.log(10.0) / 10.0
        return clustered_interval({one: scale * (a - b) for one, (a, b) in pairs.items()})
    if all(a == b for a, b in pairs.values()):
        return Interval(0.0, 0.0 if len(pairs) > 1 else None, len(pairs))
    if any(a != b and a * b <= 0.0 for a, b in pairs.values()):
        return Interval(math.inf, None, len(pairs))
    logs = {one: math.log(abs(a) / abs(b)) if a != b else 0.0 for one, (a, b) in pairs.items()}
    return clustered_interval(logs)
