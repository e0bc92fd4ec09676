"""The paper's claims, judged on our seeds; what does not hold is said with its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from analysis.errors import ResultsError
from analysis.format import fixed, plural, with_unit
from analysis.format import interval as interval_text
from analysis.frames import SweepFrames
from analysis.fronts import TEST, VALIDATION
from analysis.stats import Interval, Verdict, judge, mean_interval, paired_difference, weakest
from analysis.tables import row_values
from search_spaces.objectives import Objective
from search_spaces.report_spec import Claim, Row

Values = Mapping[int, float]
"""One metric of one row, by seed."""


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """A claim and what the measurements say.

    Attributes:
        claim: The claim.
        verdict: What the measurements say.
        detail: The numbers, in words.
    """

    claim: Claim
    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class _Gain:
    """How much better one row is than another; positive = better."""

    interval: Interval | None
    text: str

    def verdict(self, *, strict: bool) -> Verdict:
        if self.interval is None:
            return Verdict.NOT_MEASURED
        return judge(self.interval, strict=strict)


def judged_claims(frames: SweepFrames) -> list[JudgedClaim]:
    """Return every claim of the study's report with its verdict."""
    rows = {row.id: row for table in frames.study.report.tables for row in table.rows}
    return [_judged(frames, rows, claim) for claim in frames.study.report.claims]


def _judged(frames: SweepFrames, rows: Mapping[str, Row], claim: Claim) -> JudgedClaim:
    measured: dict[str, Values] = {}
    for name in claim.rows:
        try:
            measured[name] = row_values(frames, rows[name], claim.metric)
        except ResultsError as error:
            return JudgedClaim(claim, Verdict.NOT_MEASURED, str(error))
    missing = [rows[name].label for name in claim.rows if not measured[name]]
    if missing:
        return JudgedClaim(claim, Verdict.NOT_MEASURED, f"no runs of {', '.join(missing)}")
    scale = _Scale.of(frames, claim.metric)
    if claim.kind == "interior":
        return _interior(claim, rows, measured, scale)
    pairs = list(pairwise(claim.rows))
    gains = [_gain(rows[a], rows[b], measured[a], measured[b], scale) for a, b in pairs]
    verdicts = [gain.verdict(strict=claim.kind == "order") for gain in gains]
    return JudgedClaim(claim, weakest(verdicts), "; ".join(gain.text for gain in gains))


def _interior(
    claim: Claim, rows: Mapping[str, Row], measured: Mapping[str, Values], scale: "_Scale"
) -> JudgedClaim:
    means = {name: mean_interval(list(measured[name].values())) for name in claim.rows}
    best = max(claim.rows, key=lambda name: scale.sign * means[name].mean)
    found = f"best is {rows[best].label} with {scale.text(means[best])}"
    edges = (claim.rows[0], claim.rows[-1])
    if best in edges:
        return JudgedClaim(claim, Verdict.DOES_NOT_HOLD, f"{found}, at the edge of the range")
    gains = [_gain(rows[best], rows[e], measured[best], measured[e], scale) for e in edges]
    verdict = weakest([gain.verdict(strict=True) for gain in gains])
    return JudgedClaim(claim, verdict, "; ".join([found, *(gain.text for gain in gains)]))


@dataclass(frozen=True, slots=True)
class _Scale:
    """Sign and unit of a metric: ``sign * value`` is larger when better."""

    sign: float
    unit: str

    @classmethod
    def of(cls, frames: SweepFrames, metric: str) -> "_Scale":
        objective = objective_of(frames, metric)
        if objective is None:
            return cls(-1.0, "")
        return cls(-1.0 if objective.direction == "minimize" else 1.0, objective.unit)

    def text(self, value: Interval) -> str:
        return with_unit(interval_text(value), self.unit)


def objective_of(frames: SweepFrames, metric: str) -> Objective | None:
    """Return the objective that a metric belongs to, on whichever split it was measured.

    A metric that belongs to none is taken as a cost: less is better.
    """
    bare = metric.removeprefix(TEST).removeprefix(VALIDATION)
    for objective in frames.study.objectives:
        if objective.metric.removeprefix(TEST).removeprefix(VALIDATION) == bare:
            return objective
    return None


def _gain(first: Row, second: Row, ours: Values, theirs: Values, scale: _Scale) -> _Gain:
    # One teacher or baseline stands beside every seed of the students.
    ours, theirs = _spread(first, ours, theirs), _spread(second, theirs, ours)
    difference = paired_difference(ours, theirs)
    names = f"{first.label} against {second.label}"
    if difference is None:
        return _Gain(None, f"{names}: no common seeds")
    gain = Interval(scale.sign * difference.mean, difference.half_width, difference.count)
    word = "better" if gain.mean > 0.0 else "worse" if gain.mean < 0.0 else "no different"
    size = Interval(abs(gain.mean), gain.half_width, gain.count)
    seeds = plural(gain.count, "paired seed")
    if gain.half_width is not None and gain.half_width >= abs(gain.mean) > 0.0:
        seeds += ", interval includes 0"
    means = " and ".join(fixed(mean_interval(list(v.values())).mean) for v in (ours, theirs))
    return _Gain(gain, f"{names}: {scale.text(size)} {word} ({means}; {seeds})")


def _spread(row: Row, values: Values, others: Values) -> Values:
    if row.role in ("teacher", "baseline") and len(values) == 1:
        return dict.fromkeys(others, next(iter(values.values())))
    return values
