"""What each method of distillation gains over none, at equal size."""

from dataclasses import dataclass, replace

from analysis.clusters import paired_difference
from analysis.distillation import Pair, gain_of, pairs_by_kind
from analysis.frames import SweepFrames
from analysis.scores import Score, both
from analysis.stats import Interval, Verdict, judge


@dataclass(frozen=True, slots=True)
class MethodGain:
    """The best student of a method beside the best one without a teacher.

    Attributes:
        kind: Topology and method.
        ours: Of the student with a teacher.
        theirs: Of the one without.
        gain: Difference over common seeds, more is better; without an interval if there is but one.
        verdict: On "distillation gains".
    """

    kind: str
    pair: Pair
    ours: Score
    theirs: Score
    gain: Interval
    verdict: Verdict


def method_gains(frames: SweepFrames) -> list[MethodGain]:
    """Return the gain of every method that had a teacher, the largest first."""
    found = [_gain(frames, kind, pair) for kind, pair in pairs_by_kind(frames).items()]
    return sorted(found, key=lambda one: -one.gain.mean)


def _gain(frames: SweepFrames, kind: str, pair: Pair) -> MethodGain:
    ours, theirs = both(frames, pair.taught, pair.plain)
    difference = paired_difference(ours.by_seed, theirs.by_seed)
    if difference is None:
        difference = Interval(ours.interval.mean - theirs.interval.mean, None, 1)
    mean = gain_of(frames.study.objectives[0], difference.mean)
    gain = replace(difference, mean=mean)
    return MethodGain(kind, pair, ours, theirs, gain, judge(gain, strict=True))
