"""The paper's claims, judged on our seeds; what does not hold is said with its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from analysis.errors import ResultsError
from analysis.frames import SweepFrames
from analysis.fronts import TEST, VALIDATION
from analysis.pairing import Scale, Values, gain, measured
from analysis.stats import Interval, Verdict, mean_interval, weakest
from search_spaces.objectives import Objective
from search_spaces.report_spec import Claim, Row


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


def judged_claims(frames: SweepFrames) -> list[JudgedClaim]:
    """Return every claim of the study's report with its verdict."""
    rows = {row.id: row for table in frames.study.report.tables for row in table.rows}
    return [_judged(frames, rows, claim) for claim in frames.study.report.claims]


def _judged(frames: SweepFrames, known: Mapping[str, Row], claim: Claim) -> JudgedClaim:
    rows = [known[name] for name in claim.rows]
    try:
        values = measured(frames, rows, claim.metric)
    except ResultsError as error:
        return JudgedClaim(claim, Verdict.NOT_MEASURED, str(error))
    found = list(zip(rows, values, strict=True))
    scale = scale_of(frames, claim)
    if claim.kind == "interior":
        return _interior(claim, found, scale)
    if claim.kind == "apart":
        apart = [_apart(pair, scale) for pair in pairwise(found)]
        verdicts = [verdict for verdict, _ in apart]
        return JudgedClaim(claim, weakest(verdicts), "; ".join(text for _, text in apart))
    gains = [gain((a, b), (ours, theirs), scale) for (a, ours), (b, theirs) in pairwise(found)]
    verdicts = [one.verdict(strict=claim.kind == "order") for one in gains]
    return JudgedClaim(claim, weakest(verdicts), "; ".join(one.text for one in gains))


def _interior(claim: Claim, found: list[tuple[Row, Values]], scale: Scale) -> JudgedClaim:
    means = [mean_interval(list(values.values())) for _, values in found]
    best = max(range(len(found)), key=lambda index: scale.sign * means[index].mean)
    row, values = found[best]
    text = f"best is {row.label} with {scale.text(means[best])}"
    if best in (0, len(found) - 1):
        return JudgedClaim(claim, Verdict.DOES_NOT_HOLD, f"{text}, at the edge of the range")
    gains = [gain((row, end), (values, theirs), scale) for end, theirs in (found[0], found[-1])]
    verdict = weakest([one.verdict(strict=True) for one in gains])
    return JudgedClaim(claim, verdict, "; ".join([text, *(one.text for one in gains)]))


def _apart(
    pair: tuple[tuple[Row, Values], tuple[Row, Values]], scale: Scale
) -> tuple[Verdict, str]:
    """Return whether the first of two rows is better, and their own intervals do not overlap.

    That asks for more than a difference of paired seeds whose interval excludes 0.
    """
    (ours, theirs) = (mean_interval(list(values.values())) for _, values in pair)
    names = " and ".join(
        f"{row.label} {scale.text(mean)}"
        for (row, _), mean in zip(pair, (ours, theirs), strict=True)
    )
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
    """Return how a claim's metric is compared: less is better unless it or an objective says so."""
    objective = objective_of(frames, claim.metric)
    said = claim.direction or (objective.direction if objective else "minimize")
    sign = -1.0 if said == "minimize" else 1.0
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
    for objective in frames.study.objectives:
        if objective.metric.removeprefix(TEST).removeprefix(VALIDATION) == bare:
            return objective
    return None
