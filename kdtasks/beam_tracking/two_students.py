"""Two students on one node: trained one after the other, stored together, one runs at a time.

A node needs memory for both students, and computes the one that runs.

Nguyen et al., section III, describe such nodes (camera by day, radar or positions at night) and
give no rule; the one here is ours. The condition of a window is taken as known: a node knows day
from night by its clock or by the brightness of its pictures.

Shape suffixes in this file: W = windows of a split, T = predicted slots, C = beams.
"""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kdtasks.beam_tracking.methods import job as beam_job
from kdtasks.beam_tracking.methods.batches import Windows, windows_of
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.beam_tracking.settings import BeamSettings
from kdtasks.beam_tracking.students import restored, student_job
from kdtasks.beam_tracking.workload import effort_of, student_cost, student_latency_ms
from kdtasks.contract.errors import DataError
from kdtasks.contract.task import Arrays, Outcome, Report, TeacherArtifact, prefixed
from kdtasks.learning.jobs import numbered, train
from kdtasks.learning.labels import IGNORED
from kdtasks.learning.random import seed_for
from kdtasks.learning.tensors import as_tensor, state_arrays
from kdtasks.sensing.beams.format import CONDITIONS
from kdtasks.sensing.beams.metrics import best_beams, hits, scores_of
from kdtasks.sensing.beams.window_tensors import conditions_of

SWITCH = "switch"
"""Array that holds a switch: the student of each condition, and the best single one."""

Logits = tuple[Tensor, Tensor]
"""Logits [W, T, C] of the first and of the second student for the same windows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """Which student runs in which condition; 0 is the first, 1 the second.

    Attributes:
        by_condition: The student of each of `CONDITIONS`, in their order.
        single: The student that is best alone; it runs where no condition is known.
    """

    by_condition: tuple[int, ...]
    single: int

    def second_runs(self, condition_W: Tensor) -> Tensor:
        """Return whether the second student runs, [W]."""
        runs_W = torch.full_like(condition_W, self.single, dtype=torch.bool)
        for number, student in zip(CONDITIONS.values(), self.by_condition, strict=True):
            runs_W[condition_W == number] = bool(student)
        return runs_W

    def logits(self, both_logits: Logits, condition_W: Tensor) -> Tensor:
        """Return the logits of the student that runs, [W, T, C]."""
        return torch.where(
            self.second_runs(condition_W)[:, None, None], both_logits[1], both_logits[0]
        )

    def arrays(self) -> Arrays:
        """Return the switch as it is stored with the weights."""
        return {SWITCH: np.array([*self.by_condition, self.single], np.int8)}

    @classmethod
    def of(cls, arrays: Arrays) -> "Switch":
        """Return the switch that is stored with weights.

        Raises:
            DataError: If there is none, or it is none of ours.
        """
        stored = arrays[SWITCH].tolist() if SWITCH in arrays else None
        if stored is None or len(stored) != len(CONDITIONS) + 1 or not set(stored) <= {0, 1}:
            raise DataError(
                f"{SWITCH}={stored}: weights of two students hold {len(CONDITIONS) + 1} numbers, "
                "0 for the first and 1 for the second; these are weights of another trial"
            )
        return cls(by_condition=tuple(stored[:-1]), single=stored[-1])


def choose(both_logits: Logits, label_WT: Tensor, condition_W: Tensor) -> Switch:
    """Choose the student of each condition: the one with the higher mean top-2 accuracy.

    A slot weighs in a condition by its share of the slot's labels in the split. That makes the
    node's mean top-2 accuracy over slots the sum of what is chosen from, so that on the windows
    chosen by no single student is better; with labels everywhere it is the plain mean.

    Of equals, and in conditions without a label, the student that is better over all windows
    answers; of equals over all windows, the first.

    Args:
        both_logits: Logits of both students on the validation split.
        label_WT: Index of the best beam, or `IGNORED`.
        condition_W: Condition of each window.

    Raises:
        DataError: If a logit is not finite: a network diverged.
    """
    first_W, second_W = (_worth(logits_WTC, label_WT) for logits_WTC in both_logits)
    ahead_W = second_W - first_W
    single = int(ahead_W.sum() > 0.0)
    leads = [float(ahead_W[condition_W == number].sum()) for number in CONDITIONS.values()]
    chosen = tuple(single if lead == 0.0 else int(lead > 0.0) for lead in leads)
    return Switch(by_condition=chosen, single=single)


def _worth(logits_WTC: Tensor, label_WT: Tensor) -> Tensor:
    """Return what each window adds to the sum over slots of the top-2 accuracy, [W]."""
    count_T = (label_WT != IGNORED).sum(0).clamp(min=1)
    hits_WT = hits(best_beams(logits_WTC, 2), label_WT, k=2)
    return (hits_WT.double() / count_T).sum(-1)


def switch_scores(
    switch: Switch, both_logits: Logits, label_WT: Tensor, condition_W: Tensor
) -> dict[str, float]:
    """Return the scores of a node with two students.

    Those of `scores_of` [%]; ``top2_single`` [%], the mean top-2 accuracy of the student that was
    best alone when the switch was made; and for each condition whether the second student runs,
    ``second_night`` = 1, or the first, 0.
    """
    found = scores_of(switch.logits(both_logits, condition_W), label_WT, condition_W)
    found["top2_single"] = scores_of(both_logits[switch.single], label_WT, condition_W)["top2"]
    runs = zip(CONDITIONS, switch.by_condition, strict=True)
    return found | {f"second_{name}": float(student) for name, student in runs}


FIRST, SECOND = "first.", "second."
"""What names of weights begin with."""

Students = tuple[BeamSettings, BeamSettings]
"""The settings of a trial for each of its students, as if it were alone."""

Pair = tuple[BeamNetwork, BeamNetwork]


def students_of(settings: BeamSettings) -> Students:
    """Return the settings of each student.

    The first is that of a trial without a second one, to the bit. The second draws from streams of
    its own, which follow from the trial's seed.
    """
    assert settings.second_model, "a trial with two students"
    alone = {"second_model": "", "second_width": 0.0}
    second = {
        "model": settings.second_model,
        "width": settings.second_width or settings.width,
        "seed": seed_for(settings.seed, "second student"),
    }
    return (
        settings.model_copy(update=alone),
        settings.model_copy(update={**alone, **second}),
    )


def memory_cost(settings: BeamSettings) -> dict[str, float]:
    """Return what both students take together; the rest depends on which of them runs when."""
    first, second = (student_cost(own) for own in students_of(settings))
    return {name: first[name] + second[name] for name in ("params", "model_bytes")}


def train_pair(
    settings: BeamSettings, seen: Arrays, val: Arrays, teacher: TeacherArtifact | None
) -> Generator[Report, None, Outcome]:
    """Train both students by the trial's method, and choose on validation which runs when.

    Epochs are numbered through; reports are of the student that is being trained.
    """
    students = students_of(settings)
    first, spent = yield from _trained(students[0], 0, (seen, val), teacher)
    second, more = yield from _trained(students[1], 1, (seen, val), teacher)
    pair = first, second
    label_WT, condition_W = as_tensor(val["label"]), conditions_of(val)
    both_logits = _logits_of_both(students, pair, val)
    switch = choose(both_logits, label_WT, condition_W)
    share = float(switch.second_runs(condition_W).double().mean())
    metrics = {
        **prefixed("val", switch_scores(switch, both_logits, label_WT, condition_W)),
        **memory_cost(settings),
        **_running_cost(students, pair, share),
        **{name: value + more[name] for name, value in spent.items()},
        "teacher_forward_samples": 0.0,
    }
    weights = state_arrays(pair[0], FIRST) | state_arrays(pair[1], SECOND)
    return Outcome(metrics=metrics, weights={**weights, **switch.arrays()})


def _trained(
    own: BeamSettings, number: int, data: tuple[Arrays, Arrays], teacher: TeacherArtifact | None
) -> Generator[Report, None, tuple[BeamNetwork, dict[str, float]]]:
    """Return a trained student and the effort of its training."""
    seen, judged = (_windows(own, split) for split in data)
    job, runner = student_job(own, seen, judged, teacher)
    trained = yield from numbered(train(job), number=number, count=2)
    return trained.network, effort_of(own, trained, runner.passes)


def _windows(own: BeamSettings, split: Arrays) -> Windows:
    return windows_of(split, own.student_model.sensors)


def _logits_of_both(students: Students, pair: Pair, split: Arrays) -> Logits:
    first, second = (
        beam_job.run(network, _windows(own, split))[0].outputs
        for own, network in zip(students, pair, strict=True)
    )
    return first, second


def _running_cost(students: Students, pair: Pair, share: float) -> dict[str, float]:
    """Return the mean costs of a window, of which the second student has a share."""
    names = ("macs", "thop_operations", "energy_uj")
    first, second = (
        {**student_cost(own), "latency_ms": student_latency_ms(own, network)}
        for own, network in zip(students, pair, strict=True)
    )
    return {n: (1.0 - share) * first[n] + share * second[n] for n in (*names, "latency_ms")}


def evaluate_pair(settings: BeamSettings, weights: Arrays, split: Arrays) -> dict[str, float]:
    """Return the scores of a node on a split, see `switch_scores`.

    Raises:
        DataError: If the weights are not those of two such students.
    """
    students, switch = students_of(settings), Switch.of(weights)
    both_logits = _logits_of_both(students, networks_of(students, weights), split)
    return switch_scores(switch, both_logits, as_tensor(split["label"]), conditions_of(split))


def networks_of(students: Students, weights: Arrays) -> Pair:
    """Return the trained networks.

    Raises:
        DataError: If the weights are not those of two such students.
    """
    first, second = (
        restored(own, _part(weights, prefix), teacher=False)
        for own, prefix in zip(students, (FIRST, SECOND), strict=True)
    )
    return first, second


def _part(weights: Arrays, prefix: str) -> Arrays:
    return {
        name.removeprefix(prefix): array
        for name, array in weights.items()
        if name.startswith(prefix)
    }
