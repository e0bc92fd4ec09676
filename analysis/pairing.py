"""Two rows of a table beside each other, seed by seed: the only place where seeds are paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.errors import ResultsError
from analysis.format import gap_unit, level, plural, quantity
from analysis.frames import SweepFrames
from analysis.stats import Interval, Verdict, judge, mean_interval, paired_difference
from analysis.tables import row_values
from search_spaces.report_spec import DECIBEL, Row

Values = Mapping[int, float]
"""One metric of one row, by seed."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How a metric is compared and said.

    Attributes:
        sign: ``sign * value`` is larger in the sense of ``more``.
        unit: Unit of the metric.
        more: What a row with the larger one is.
        less: What a row with the smaller one is.
    """

    sign: float
    unit: str
    more: str = "better"
    less: str = "worse"

    def text(self, value: Interval) -> str:
        """Return a mean with interval and unit."""
        return quantity(value, self.unit)

    def gap(self, value: Interval) -> str:
        """Return a mean difference with interval and unit."""
        return quantity(value, gap_unit(self.unit))

    def mean(self, values: Values) -> str:
        """Return the mean alone, in decibels without the unit, which the difference has."""
        found = mean_interval(list(values.values()))
        if self.unit in ("", DECIBEL):
            return level(found.mean, "")
        return quantity(Interval(found.mean, None, found.count), self.unit)


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much one row has more than another, in the sense of a `Scale`.

    Attributes:
        interval: The paired difference; None if the rows share no seed.
        text: The same in words, with the numbers.
    """

    interval: Interval | None
    text: str

    def verdict(self, *, strict: bool) -> Verdict:
        """Return what the seeds say about "the first has more", or "not less" if not strict."""
        if self.interval is None:
            return Verdict.NOT_MEASURED
        return judge(self.interval, strict=strict)


def measured(frames: SweepFrames, rows: Sequence[Row], metric: str) -> list[Values]:
    """Return a metric of several rows.

    Raises:
        ResultsError: If a row was not measured, or two runs of one seed match it.
    """
    found: list[Values] = [row_values(frames, row, metric) for row in rows]
    missing = [row.label for row, values in zip(rows, found, strict=True) if not values]
    if missing:
        raise ResultsError(f"no runs of {', '.join(missing)}")
    return found


def side_by_side(rows: tuple[Row, Row], values: tuple[Values, Values]) -> tuple[Values, Values]:
    """Return the values of two rows; one teacher or baseline stands beside every seed."""
    (first, second), (ours, theirs) = rows, values
    return _spread(first, ours, theirs), _spread(second, theirs, ours)


def _spread(row: Row, values: Values, others: Values) -> Values:
    if row.role in ("teacher", "baseline") and len(values) == 1:
        return dict.fromkeys(others, next(iter(values.values())))
    return values


def gain(rows: tuple[Row, Row], values: tuple[Values, Values], scale: Scale) -> Gain:
    """Return by how much the first of two rows has more than the second."""
    ours, theirs = side_by_side(rows, values)
    difference = paired_difference(ours, theirs)
    names = f"{rows[0].label} against {rows[1].label}"
    if difference is None:
        return Gain(None, f"{names}: no common seeds")
    found = Interval(scale.sign * difference.mean, difference.half_width, difference.count)
    word = scale.more if found.mean > 0.0 else scale.less if found.mean < 0.0 else "no different"
    size = scale.gap(Interval(abs(found.mean), found.half_width, found.count))
    seeds = plural(found.count, "paired seed")
    if found.half_width is not None and found.half_width >= abs(found.mean) > 0.0:
        seeds += ", interval includes 0"
    means = " and ".join(map(scale.mean, (ours, theirs)))
    return Gain(found, f"{names}: {size} {word} ({means}; {seeds})")
