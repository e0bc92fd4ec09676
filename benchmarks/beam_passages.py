"""Which distillation beats none in a finished beam-tracking sweep, by a bootstrap over passages.

Windows of a passage are much alike, so intervals over windows would be far too narrow, and those
over a few training seeds alone say nothing about other traffic. Here the students that a sweep has
kept are run once more on its test split. Trials that differ only in their seeds are one
arm; so are teachers, and those that have seen more or learnt otherwise are others. An arm and the
arm without distillation (same network, width and sensors; of several the best on validation) are
compared on the same passages: each resample draws passages with replacement, and seeds of either
arm likewise, and takes the difference of their mean top-2 accuracies.

Of a sweep over several folders of data each has a table of its own.

The test split decides nothing here: what stands in the arms was chosen before, on validation.

Example::

    python benchmarks/beam_passages.py ~/.kdsweep/beam-table2
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdtasks.beam_tracking.methods import job as beam_job
from kdtasks.beam_tracking.methods.batches import windows_of
from kdtasks.beam_tracking.settings import BeamSettings, resolve
from kdtasks.beam_tracking.students import restored
from kdtasks.beam_tracking.task import BeamTracking
from kdtasks.contract.params import Value
from kdtasks.contract.task import Arrays, ScenarioData, TeacherArtifact
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.metrics import best_beams, hits
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.identity import content_of, task_code, teacher_identity
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.teacher_cache import TeacherStore

TASK = BeamTracking()
TEACHER_SEEDS = ("seed", "teacher_seed")
NETWORK = ("model", "width", "sensors")
"""What an arm and the arm that it is compared with have in common."""

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Answers of one network on the test split, by passage and slot.

    Attributes:
        hits_PT: Windows whose best beam was among the first two.
        count_PT: Windows with a label.
    """

    hits_PT: Float
    count_PT: Float


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """Networks that differ only in their seeds.

    Attributes:
        name: For the table.
        network: What the arm without distillation has in common with it.
        distils: Whether it is compared with that one.
        validation: Mean top-2 accuracy over its seeds on the validation split [%].
        tallies: One per seed.
    """

    name: str
    network: tuple[Value | None, ...]
    distils: bool
    validation: float
    tallies: tuple[Tally, ...]


def tally(settings: BeamSettings, weights: Arrays, split: Arrays, *, teacher: bool) -> Tally:
    """Run a network on the test split and count by passage."""
    model = settings.teacher_model if teacher else settings.student_model
    windows = windows_of(split, model.sensors)
    logits = beam_job.run(restored(settings, weights, teacher=teacher), windows)[0].outputs
    known_WT = (windows.label_WT != IGNORED).double()
    hits_WT = hits(best_beams(logits, 2), windows.label_WT, k=2).double()
    _, place_W = torch.unique(windows.passage_W, return_inverse=True)
    shape = (int(place_W.max()) + 1, known_WT.shape[1])
    return Tally(
        hits_PT=torch.zeros(shape, dtype=torch.float64).index_add_(0, place_W, hits_WT).numpy(),
        count_PT=torch.zeros(shape, dtype=torch.float64).index_add_(0, place_W, known_WT).numpy(),
    )


def accuracies(arm: Arm, weight_RP: Float) -> Float:
    """Return the mean top-2 accuracy [%] by resample and seed, [R, S]."""
    shares = [(weight_RP @ one.hits_PT) / (weight_RP @ one.count_PT) for one in arm.tallies]
    accuracy_RS: Float = 100.0 * np.stack(shares, axis=1).mean(axis=2)
    return accuracy_RS


def drawn(accuracy_RS: Float, rng: np.random.Generator) -> Float:
    """Return the mean over seeds drawn with replacement, of each resample."""
    seed_RS = rng.integers(accuracy_RS.shape[1], size=accuracy_RS.shape)
    mean_R: Float = np.take_along_axis(accuracy_RS, seed_RS, axis=1).mean(axis=1)
    return mean_R


def arms_of(folder: SweepFolder, cache: Path | None) -> dict[str, list[Arm]]:
    """Return the arms of a sweep by the folder of their data; one data set at a time is in memory.

    What is made here, or was given to the whole sweep, has no name.
    """
    finished = [
        trial
        for trial in Ledger.open(folder.journal).trials()
        if trial.state is TrialState.COMPLETE and trial.config.get("topology", "none") == "none"
    ]
    by_data: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in finished:
        by_data[TASK.scenario_fingerprint(trial.config)].append(trial)
    found: dict[str, list[Arm]] = defaultdict(list)
    for trials in by_data.values():
        arms = found[str(trials[0].config.get("data_path", ""))]
        data = TASK.load_scenario(
            trials[0].config, cache_dir=cache or folder.scenarios, progress=lambda *_: None
        )
        arms += student_arms(trials, StudentStore(folder.weights), data.test)
        arms += teacher_arms(trials, TeacherStore(folder.teachers), data)
    return found


def student_arms(trials: list[TrialRecord], store: StudentStore, split: Arrays) -> Iterator[Arm]:
    """Yield the students of finished trials, those that differ in their seeds alone together."""
    groups = _grouped(trials)
    for members in groups.values():
        config = members[0].config
        yield Arm(
            name=_name(config),
            network=tuple(config.get(name) for name in NETWORK),
            distils=config["method"] != "vanilla",
            validation=fmean(t.metrics["val_top2"] for t in members),
            tallies=tuple(
                tally(resolve(t.config), store.get(t.number), split, teacher=False) for t in members
            ),
        )


def _grouped(trials: list[TrialRecord]) -> dict[str, list[TrialRecord]]:
    groups: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        kept = {name: v for name, v in trial.config.items() if name not in TEACHER_SEEDS}
        groups[json.dumps(kept, sort_keys=True)].append(trial)
    return groups


def teacher_arms(
    trials: list[TrialRecord], store: TeacherStore, data: ScenarioData
) -> Iterator[Arm]:
    """Yield the teachers of trials, those that differ in their seed alone together.

    Of self-distillation they are the generations before the students.
    """
    content, code = content_of(data), task_code(TASK.name)
    configs = {TASK.teacher_fingerprint(trial.config): trial.config for trial in trials}
    groups: dict[str | None, list[tuple[BeamSettings, TeacherArtifact]]] = defaultdict(list)
    for key, config in configs.items():
        artifact = None
        if key is not None:
            artifact = store.get(teacher_identity(TASK, key, content, code))
        if artifact is not None:
            alike = TASK.teacher_fingerprint({**config, "teacher_seed": 0})
            groups[alike].append((resolve(config), artifact))
    for members in groups.values():
        yield Arm(
            name=f"teacher {_teacher(members[0][0])}",
            network=(),
            distils=False,
            validation=fmean(artifact.metrics["val_top2"] for _, artifact in members),
            tallies=tuple(
                tally(settings, artifact.weights, data.test, teacher=True)
                for settings, artifact in members
            ),
        )


SHOWN = (
    "alpha",
    "temperature",
    "slot_lean",
    "relation_distance",
    "relation_angle",
    "learning_rate",
    "task_loss",
)


def _name(config: Mapping[str, Value]) -> str:
    """Return an arm's name: its student, its method, its teacher, and its numbers."""
    settings = resolve(config)
    taught = f" from {_teacher(settings)}" if settings.has_teacher else ""
    student = f"{settings.model} x{settings.width:g} {settings.method}{taught};"
    values = [
        f"{name}={config[name]:.3g}" if isinstance(config[name], float) else str(config[name])
        for name in SHOWN
        if name in config
    ]
    return " ".join([student, *values])


def _teacher(settings: BeamSettings) -> str:
    """Return what a teacher is called: its network, and what it has learnt from for how long."""
    width = "" if settings.teacher_width == 1.0 else f" x{settings.teacher_width:g}"
    seen = f", {settings.teacher_sees} passages" if settings.on_street else ""
    after = f", after {settings.generations - 1} others" if settings.generations > 1 else ""
    return f"{settings.teacher_model.name}{width}{seen}, {settings.teacher_epochs} epochs{after}"


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", type=Path, help="folder of a finished beam-tracking sweep")
    parser.add_argument("--cache", type=Path, help="of scenarios; default: the sweep's own")
    parser.add_argument("--resamples", type=int, default=4000)
    parser.add_argument("--json", type=Path, help="where to write the numbers too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sweep = SweepFolder(options.sweep.resolve())
    found = {path: table(arms, options) for path, arms in arms_of(sweep, options.cache).items()}
    for data, rows in found.items():
        if data:
            print(f"{data}:")
        for row in rows:
            gain = row["gain"] and "{:+5.1f} [{:+.1f}, {:+.1f}]".format(*row["gain"])
            accuracy = "{:4.1f} [{:.1f}, {:.1f}]".format(*row["top2"])
            print(f"{accuracy}  {gain or '':22} seeds {row['seeds']}  {row['arm']}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


def table(arms: list[Arm], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row per arm: accuracy and gain [%], each with its 95 % interval."""
    rng = np.random.default_rng(0)
    counts = [one.count_PT for arm in arms for one in arm.tallies]
    if not counts or any(not np.array_equal(count, counts[0]) for count in counts):
        raise SystemExit(f"{options.sweep}: trials are judged on different test splits, or none")
    number = len(counts[0])
    weight_RP = rng.multinomial(number, np.full(number, 1 / number), options.resamples).astype(
        float
    )
    whole_1P = np.ones((1, number))
    without = [arm for arm in arms if arm.network and not arm.distils]
    plain = {arm.network: arm for arm in sorted(without, key=lambda arm: arm.validation)}
    rows = []
    for arm in arms:
        mean, spread_R = accuracies(arm, whole_1P).mean(), drawn(accuracies(arm, weight_RP), rng)
        row: dict[str, Any] = {"arm": arm.name, "seeds": len(arm.tallies), "gain": None}
        row["top2"] = [float(mean), *_interval(spread_R)]
        base = plain.get(arm.network) if arm.distils else None
        if base is not None:
            gain_R = spread_R - drawn(accuracies(base, weight_RP), rng)
            gain = mean - accuracies(base, whole_1P).mean()
            row["gain"] = [float(gain), *_interval(gain_R)]
        rows.append(row)
    return sorted(rows, key=lambda row: -row["top2"][0])


def _interval(values_R: Float) -> list[float]:
    low, high = np.percentile(values_R, [2.5, 97.5])
    return [float(low), float(high)]


if __name__ == "__main__":
    sys.exit(main())
