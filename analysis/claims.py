"""Claims about rows, judged on repetitions and corrected for their number; see docs/claims.md."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from analysis.clusters import Values, clustered_interval, connected
from analysis.distillation import SPENT, differs, gflop
from analysis.errors import ResultsError
from analysis.format import plural
from analysis.frames import SweepFrames
from analysis.fronts import TEST, VALIDATION
from analysis.pairing import Gain, Scale, gain, measured
from analysis.stats import LEVEL, Interval, Verdict, holm, p_value, p_value_apart, weakest
from analysis.tables import row_values
from search_spaces.objectives import Objective
from search_spaces.report_spec import Claim, Row


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedClaim:
    """A claim and its verdict.

    Attributes:
        alone: The verdict as if it were the only claim.
        detail: The numbers, in words, with intervals that are not corrected.
        gains: Paired differences that a claim rests on, positive in its favour.
        p_value: Smallest level at which it holds alone; 1 if it was not tested.
        p_corrected: The same after Holm's correction for its family.
        family: Number of claims about the same tables.
    """

    claim: Claim
    alone: Verdict
    detail: str
    gains: tuple[Interval, ...] = ()
    p_value: float = 1.0
    p_corrected: float = 1.0
    family: int = 1

    @property
    def verdict(self) -> Verdict:
        """The verdict with the correction."""
        if self.alone is Verdict.HOLDS and self.p_corrected >= LEVEL:
            return Verdict.ALONE
        return self.alone

    @property
    def statement(self) -> str:
        """The verdict in words."""
        if self.verdict is Verdict.ALONE:
            return f"{Verdict.ALONE} for {plural(self.family, 'claim')}"
        return self.verdict

    @property
    def plain(self) -> dict[str, Any]:
        """The claim as plain data; corrected intervals exclude 0 exactly if the claim holds."""
        level = LEVEL * self.p_value / self.p_corrected if self.p_corrected else LEVEL
        gains = [asdict(one) | {"half_width_corrected": one.width_at(level)} for one in self.gains]
        return {
            "id": self.claim.id,
            "text": self.claim.text,
            "verdict": self.statement,
            "verdict_alone": self.alone.value,
            "p_value": self.p_value,
            "p_corrected": self.p_corrected,
            "family": self.family,
            "gains": gains,
            "detail": self.detail,
        }


def judged_claims(frames: SweepFrames) -> list[JudgedClaim]:
    """Return every claim of the study's report with its verdict.

    Holm's correction is over a family: claims with rows in one table, and, as a claim with rows in
    two tables joins these, over all tables so joined. A claim that could not be tested counts.
    """
    report = frames.study.report
    rows = {row.id: row for table in report.tables for row in table.rows}
    tables = {row.id: table.id for table in report.tables for row in table.rows}
    found = [
        replace(
            one, detail="; ".join(filter(None, [one.detail, _efforts(frames, rows, one.claim)]))
        )
        for one in (_judged(frames, rows, claim) for claim in report.claims)
    ]
    for family in connected([frozenset(tables[row] for row in c.rows) for c in report.claims]):
        corrected = holm([found[place].p_value for place in family])
        for place, value in zip(family, corrected, strict=True):
            found[place] = replace(found[place], p_corrected=value, family=len(family))
    return found


def _efforts(frames: SweepFrames, known: Mapping[str, Row], claim: Claim) -> str:
    """Return what training took if a claim about quality compares unequal efforts; else empty."""
    if not claim.metric.startswith((TEST, VALIDATION)):
        return ""
    taken: dict[str, float] = {}
    for row in (known[name] for name in claim.rows):
        if row.role not in ("trial", "confirmation"):
            continue
        with suppress(ResultsError):
            if values := row_values(frames, row, SPENT):
                taken[row.label] = sum(values.values()) / len(values)
    if len(taken) < 2 or not differs(min(taken.values()), max(taken.values())):
        return ""
    effort = frames.study.effort
    even = effort is not None and effort.regime == "plateau"
    what = "each to a plateau" if even else "not at equal effort"
    return f"{what}: " + ", ".join(f"{label} {gflop(value)}" for label, value in taken.items())


def _judged(frames: SweepFrames, known: Mapping[str, Row], claim: Claim) -> JudgedClaim:
    rows, scale = [known[name] for name in claim.rows], scale_of(frames, claim)
    try:
        found = list(zip(rows, measured(frames, rows, claim.metric), strict=True))
        if claim.kind == "interior":
            return _interior(frames, claim, found, scale)
    except ResultsError as error:
        return JudgedClaim(claim=claim, alone=Verdict.NOT_MEASURED, detail=str(error))
    if claim.kind == "apart":
        return _apart(claim, found, scale)
    gains = [gain((a, b), (ours, theirs), scale) for (a, ours), (b, theirs) in pairwise(found)]
    return _chain(claim, gains, strict=claim.kind == "order")


def _chain(claim: Claim, gains: Sequence[Gain], *, strict: bool, text: str = "") -> JudgedClaim:
    """Return the verdict on a claim that holds if all of several gains are shown.

    No correction is needed for these: the largest of their p-values is one of the claim (Berger
    1982, Multiparameter Hypothesis Testing and Acceptance Sampling).
    """
    tested = [one.interval for one in gains if one.interval is not None]
    whole = len(tested) == len(gains)
    notes = sorted({one.left_out for one in gains if one.left_out})
    return JudgedClaim(
        claim=claim,
        alone=weakest([one.verdict(strict=strict) for one in gains]),
        detail="; ".join(filter(None, [text, *(one.text for one in gains), *notes])),
        gains=tuple(tested),
        p_value=max(p_value(one, strict=strict) for one in tested) if whole else 1.0,
    )


def _interior(
    frames: SweepFrames, claim: Claim, found: list[tuple[Row, Values]], scale: Scale
) -> JudgedClaim:
    """Return whether the row that validation chooses beats both ends of the range on test."""
    rows = [row for row, _ in found]
    bare = claim.metric.removeprefix(TEST)
    chooses = bare if bare == claim.metric else VALIDATION + bare
    known = [clustered_interval(values) for values in measured(frames, rows, chooses)]
    best = max(range(len(rows)), key=lambda index: scale.sign * known[index].mean)
    row, values = found[best]
    text = f"{chooses} chooses {row.label} with {scale.text(known[best])}"
    if chooses != claim.metric:
        text += f", {scale.text(clustered_interval(values))} on test"
    if best in (0, len(rows) - 1):
        text += ", at the edge of the range"
        return JudgedClaim(claim=claim, alone=Verdict.DOES_NOT_HOLD, detail=text)
    gains = [gain((row, end), (values, theirs), scale) for end, theirs in (found[0], found[-1])]
    return _chain(claim, gains, strict=True, text=text)


def _apart(claim: Claim, found: list[tuple[Row, Values]], scale: Scale) -> JudgedClaim:
    """Return whether each row is better than the next, and their own intervals do not overlap.

    That is stricter than a paired difference whose interval excludes 0.
    """
    means = [(row, clustered_interval(values)) for row, values in found]
    verdicts, texts = zip(*(_gap(pair, scale) for pair in pairwise(means)), strict=True)
    p_values = [
        p_value_apart(*(replace(mean, mean=scale.sign * mean.mean) for _, mean in pair))
        for pair in pairwise(means)
    ]
    return JudgedClaim(
        claim=claim, alone=weakest(verdicts), detail="; ".join(texts), p_value=max(p_values)
    )


def _gap(
    pair: tuple[tuple[Row, Interval], tuple[Row, Interval]], scale: Scale
) -> tuple[Verdict, str]:
    ours, theirs = (mean for _, mean in pair)
    names = " and ".join(f"{row.label} {scale.text(mean)}" for row, mean in pair)
    if scale.sign * (ours.mean - theirs.mean) <= 0.0:
        return Verdict.DOES_NOT_HOLD, f"{names}: not better"
    upper, lower = (ours, theirs) if scale.sign > 0.0 else (theirs, ours)
    if upper.low is None or lower.high is None:
        return Verdict.ONE_SEED, f"{names}: a single seed has no interval"
    gap = scale.gap(Interval(abs(upper.low - lower.high), None, min(ours.count, theirs.count)))
    if upper.low > lower.high:
        return Verdict.HOLDS, f"{names}: intervals {gap} apart"
    return Verdict.DOES_NOT_HOLD, f"{names}: intervals overlap by {gap}"


def scale_of(frames: SweepFrames, claim: Claim) -> Scale:
    """Return the scale of a claim's metric: less is better unless it or an objective differs."""
    objective = objective_of(frames, claim.metric)
    direction = claim.direction or (objective.direction if objective else "minimize")
    sign = -1.0 if direction == "minimize" else 1.0
    if objective is not None:
        return Scale(sign, objective.unit)
    units = [
        column.unit
        for table in frames.study.report.tables
        for column in table.columns
        if column.metric == claim.metric and column.unit
    ]
    return Scale(sign, units[0] if units else "")


def objective_of(frames: SweepFrames, metric: str) -> Objective | None:
    """Return the objective that a metric belongs to, on whichever split it was measured."""
    bare = metric.removeprefix(TEST).removeprefix(VALIDATION)
    names = {bare, TEST + bare, VALIDATION + bare}
    return next((goal for goal in frames.study.objectives if goal.metric in names), None)
