"""Two students on one node: trained one after the other, stored together, one runs at a time.

See `kdtasks.methods.beam_switch` for who answers when. A node pays for both students with memory
and for the one that runs with computation.
"""

from collections.abc import Generator

from kdtasks.methods import beam_job
from kdtasks.methods.beam_batches import Windows, conditions_of, windows_of
from kdtasks.methods.beam_job import Trained
from kdtasks.methods.beam_self_kd import numbered
from kdtasks.methods.beam_switch import Answers, Switch, choose, switch_scores
from kdtasks.models.beam_network import BeamNetwork
from kdtasks.seeding import seed_for
from kdtasks.task import Arrays, Outcome, Report, TeacherArtifact, prefixed
from kdtasks.tasks.beam_costs import student_cost, student_latency_ms
from kdtasks.tasks.beam_settings import BeamSettings
from kdtasks.tasks.beam_students import restored, student_job
from kdtasks.tensors import as_tensor, state_arrays

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
    settings: BeamSettings, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
) -> Generator[Report, None, Outcome]:
    """Train both students by the trial's method, and choose on validation who answers when.

    Epochs are numbered through; reports are of the student that is being trained.
    """
    students = students_of(settings)
    first = yield from _trained(students[0], 0, (train, val), teacher)
    second = yield from _trained(students[1], 1, (train, val), teacher)
    pair = first.network, second.network
    label_WT, condition_W = as_tensor(val["label"]), conditions_of(val)
    said = _said(students, pair, val)
    switch = choose(said, label_WT, condition_W)
    share = float(switch.second_runs(condition_W).double().mean())
    metrics = {
        **prefixed("val", switch_scores(switch, said, label_WT, condition_W)),
        **memory_cost(settings),
        **_running_cost(students, pair, share),
        "train_core_seconds": first.core_seconds + second.core_seconds,
        "teacher_forward_samples": 0.0,
    }
    weights = state_arrays(pair[0], FIRST) | state_arrays(pair[1], SECOND)
    return Outcome(metrics=metrics, weights={**weights, **switch.arrays()})


def _trained(
    own: BeamSettings, number: int, data: tuple[Arrays, Arrays], teacher: TeacherArtifact | None
) -> Generator[Report, None, Trained]:
    seen, judged = (_windows(own, split) for split in data)
    training = beam_job.train(student_job(own, seen, judged, teacher))
    trained = yield from numbered(training, number, 2)
    return trained


def _windows(own: BeamSettings, split: Arrays) -> Windows:
    return windows_of(split, own.student_model.sensors)


def _said(students: Students, pair: Pair, split: Arrays) -> Answers:
    first, second = (
        beam_job.run(network, _windows(own, split)).logits_WTC
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
    said = _said(students, networks_of(students, weights), split)
    return switch_scores(switch, said, as_tensor(split["label"]), conditions_of(split))


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
