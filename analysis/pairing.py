"""Two rows of a table beside each other, seed by seed: the only place where seeds are paired."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.clusters import (
    Values,
    clustered_interval,
    left_out,
    paired,
    paired_difference,
    teachers_of,
)
from analysis.errors import ResultsError
from analysis.format import gap_unit, level, plural, quantity
from analysis.frames import SweepFrames
from analysis.stats import Interval, Verdict, judge
from analysis.tables import row_values
from search_spaces.report_spec import DECIBEL, Row


@dataclass(frozen=True, slots=True)
class Scale:
    """Direction, unit and words of a comparison.

    Attributes:
        sign: ``sign * value`` is larger in the sense of ``more``.
        more: Word for the row with the larger value.
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
        found = clustered_interval(values)
        if self.unit in ("", DECIBEL):
            return level(found.mean, "")
        return quantity(found.mean, self.unit)


@dataclass(frozen=True, slots=True)
class Gain:
    """Difference of two rows, in the sense of a `Scale`.

    Attributes:
        interval: The paired difference; None if the rows share no seed.
        left_out: What the interval does not cover, as all runs share it; empty if nothing.
    """

    interval: Interval | None
    text: str
    left_out: str = ""

    def verdict(self, *, strict: bool) -> Verdict:
        """Return the verdict on "the first has more", or on "not less" if not strict."""
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
        raise ResultsError(f"no runs of {', '.join(missing)} with {metric}")
    return found


def side_by_side(rows: tuple[Row, Row], values: tuple[Values, Values]) -> tuple[Values, Values]:
    """Return the values of two rows: teachers beside those whom they taught.

    One teacher or baseline stands beside every seed.
    """
    (first, second), (ours, theirs) = rows, values
    return _spread(first, ours, theirs), _spread(second, theirs, ours)


def _spread(row: Row, values: Values, others: Values) -> Values:
    if row.role in ("teacher", "baseline") and len(values) == 1:
        ((one, value),) = values.items()
        return {replace(other, shares=one.shares): value for other in others}
    if row.role == "teacher":
        taught = {
            replace(other, shares=one.shares): value
            for one, value in values.items()
            for other in others
            if teachers_of(one) & teachers_of(other)
        }
        return taught or values
    return values


def gain(rows: tuple[Row, Row], values: tuple[Values, Values], scale: Scale) -> Gain:
    """Return by how much the first of two rows has more than the second."""
    ours, theirs = side_by_side(rows, values)
    difference = paired_difference(ours, theirs)
    names = f"{rows[0].label} against {rows[1].label}"
    if difference is None:
        return Gain(None, f"{names}: no common seeds")
    found = replace(difference, mean=scale.sign * difference.mean)
    word = scale.more if found.mean > 0.0 else scale.less if found.mean < 0.0 else "no different"
    size = scale.gap(replace(found, mean=abs(found.mean)))
    seeds = plural(found.count, "paired seed")
    if found.clusters > 1:
        seeds += f" in {found.clusters} clusters"
    if found.half_width is not None and found.half_width >= abs(found.mean) > 0.0:
        seeds += ", interval includes 0"
    means = " and ".join(map(scale.mean, (ours, theirs)))
    missing = left_out(paired(ours, theirs)) if found.half_width else ""
    return Gain(found, f"{names}: {size} {word} ({means}; {seeds})", missing)
