"""Data-free students of a finished LiDAR sweep: shares of their teachers, and intervals.

Every student is compared with the teacher of its own data: its mean top-5 accuracy on the test
split over that of the teacher. A student without a teacher is compared with that of ``--teacher``.
Trials that differ only in their seeds are one arm. Means have 95 % Student-t intervals over
seeds; seeds have traffic, teachers and inits of their own only if the study makes them so, as
``lidar-ablation`` does, on one street. Each data-free arm is then set beside the controls of the
same teacher: whether the two intervals overlap, and the difference of paired seeds.

Nothing is trained and nothing is chosen here: the numbers are those that the sweep has recorded.

Example::

    python benchmarks/lidar_share.py ~/.kdsweep/lidar-ablation
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.clusters import by_seed, paired_difference
from analysis.stats import Interval, mean_interval
from kdtasks.contract.params import Params, Value
from kdtasks.lidar_beam.task import LidarBeam
from sweeps.common.records import JobRecord
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder

TASK = LidarBeam()
SCORE = "test_top5"
SEEDS = ("seed", "data_seed", "site_seed", "teacher_seed")
STREET = ("scenario", "data_path", "data_seed", "site_seed", "distractors", "max_distractors")
LEAST_MEAN, LEAST_WORST = 90.0, 85.0
"""Required shares of the teacher [%]: on average over seeds, and of the worst seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """Students that differ only in their seeds.

    Attributes:
        name: What sets it apart from other arms.
        method: The method.
        teacher: Model of the teachers that they are compared with.
        generator: Family of the generator, if the method has one.
        top5: Mean top-5 accuracy on the test split by seed [%].
        share: The same over that of the teacher, by seed [%].
    """

    name: str
    method: str
    teacher: str
    generator: str
    top5: Mapping[int, float]
    share: Mapping[int, float]


def arms_of(jobs: Sequence[JobRecord], teacher: str) -> list[Arm]:
    """Return the arms of a sweep, best first.

    Args:
        jobs: Its teachers and confirmations.
        teacher: Model of the teacher that students without one are compared with.

    Raises:
        SystemExit: If a student has no teacher to be compared with, or two of them.
    """
    teachers = _teachers(jobs)
    groups: dict[str, list[JobRecord]] = defaultdict(list)
    for job in jobs:
        if job.kind == "confirmation" and SCORE in job.metrics:
            kept = {name: value for name, value in job.params.items() if name not in SEEDS}
            groups[json.dumps(kept, sort_keys=True)].append(job)
    usual = _usual([members[0].params for members in groups.values()])
    arms = []
    for members in groups.values():
        params = members[0].params
        top5, share = {}, {}
        for job in members:
            seed = int(job.params.get("seed", 0))
            top5[seed] = job.metrics[SCORE]
            share[seed] = 100.0 * top5[seed] / _teacher_of(job.params, teachers, teacher)
        arms.append(
            Arm(
                name=_name(params, usual),
                method=str(params["method"]),
                teacher=str(params.get("teacher", teacher)),
                generator=str(params.get("generator", "")),
                top5=top5,
                share=share,
            )
        )
    return sorted(arms, key=lambda arm: -mean_interval(list(arm.top5.values())).mean)


def _teachers(jobs: Sequence[JobRecord]) -> dict[tuple[str, str], list[float]]:
    """Return the scores of the teachers by street and model."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for job in jobs:
        if job.kind == "teacher" and SCORE in job.metrics:
            found[_street(job.params), str(job.params["teacher"])].append(job.metrics[SCORE])
    return found


def _street(params: Params) -> str:
    return json.dumps([params.get(name) for name in STREET])


def _teacher_of(
    params: Params, teachers: Mapping[tuple[str, str], list[float]], model: str
) -> float:
    key = (_street(params), str(params.get("teacher", model)))
    scores = teachers.get(key, [])
    if len(scores) != 1:
        raise SystemExit(
            f"{len(scores)} teachers {key[1]} on the street of a student with method "
            f"{params['method']}: each needs exactly one; see --teacher"
        )
    return scores[0]


def _usual(every: Sequence[Params]) -> dict[str, Value]:
    """Return of each parameter the value that most arms have."""
    counts: dict[str, dict[Value, int]] = defaultdict(lambda: defaultdict(int))
    for params in every:
        for name, value in params.items():
            counts[name][value] += 1
    return {name: max(found, key=lambda value: found[value]) for name, found in counts.items()}


def _name(params: Params, usual: Mapping[str, Value]) -> str:
    values = [
        f"{name}={value}"
        for name, value in params.items()
        if name not in SEEDS and name != "method" and value != usual[name]
    ]
    return " ".join([str(params["method"]), *values])


def lines_of(arms: Sequence[Arm]) -> Iterator[str]:
    """Yield a table of all arms, and what data-free arms are beside their controls."""
    yield f"{'top-5 [%]':>22}  {'of the teacher [%]':>22}  {'worst':>6}  seeds  arm"
    for arm in arms:
        top5, share = _mean(arm.top5), _mean(arm.share)
        each = " ".join(f"{arm.share[seed]:.1f}" for seed in sorted(arm.share))
        yield (
            f"{_text(top5):>22}  {_text(share):>22}  {min(arm.share.values()):6.1f}  "
            f"{share.count:5}  {arm.name} ({each})"
        )
    for arm in arms:
        if arm.method == "datafree":
            yield from _beside(arm, arms)


def _beside(arm: Arm, arms: Sequence[Arm]) -> Iterator[str]:
    mean, worst = _mean(arm.share).mean, min(arm.share.values())
    enough = mean >= LEAST_MEAN and worst >= LEAST_WORST
    yield ""
    yield (
        f"{arm.name}: {mean:.1f} % of its teacher on average, {worst:.1f} % in the worst of "
        f"{len(arm.share)} seeds; {LEAST_MEAN:g} and {LEAST_WORST:g} "
        f"{'reached' if enough else 'not reached'}"
    )
    for other in arms:
        if other.method != "datafree" and _controls(other, arm):
            yield f"  beside {other.name}: {_apart(arm, other)}"


def _controls(other: Arm, arm: Arm) -> bool:
    same_family = other.method != "untrained" or other.generator == arm.generator
    return other.teacher == arm.teacher and same_family


def _apart(arm: Arm, other: Arm) -> str:
    ours, theirs = _mean(arm.top5), _mean(other.top5)
    paired = paired_difference(by_seed(arm.top5), by_seed(other.top5))
    difference = "no common seeds" if paired is None else f"{_text(paired, '+')} points paired"
    if None in (ours.low, theirs.low):
        return f"{difference}; a single seed has no interval"
    overlap = max(ours.low, theirs.low) <= min(ours.high, theirs.high)
    return f"{difference}; intervals {'overlap' if overlap else 'do not overlap'}"


def _mean(values: Mapping[int, float]) -> Interval:
    return mean_interval([values[seed] for seed in sorted(values)])


def _text(value: Interval, sign: str = "") -> str:
    mean = f"{value.mean:{sign}.1f}"
    return mean if value.low is None else f"{mean} [{value.low:{sign}.1f}, {value.high:{sign}.1f}]"


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", type=Path, help="folder of a finished sweep of lidar-beam")
    parser.add_argument("--teacher", default="gru", help="of students that have none; default: gru")
    options = parser.parse_args()
    ledger = Ledger.open(SweepFolder(options.sweep.resolve()).journal)
    arms = arms_of(ledger.jobs(), options.teacher)
    if not arms:
        raise SystemExit(f"{options.sweep}: no student was judged on the test split yet")
    print("\n".join(lines_of(arms)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
