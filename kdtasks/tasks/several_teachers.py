"""Several teachers of one server, trained from seeds of their own and kept as one artefact."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace

from kdtasks.collaboration import joined, parted
from kdtasks.task import Report, TeacherArtifact

Training = Generator[Report, None, TeacherArtifact]


def name_of(number: int) -> str:
    """Name a teacher within the artefact."""
    return f"teacher-{number}"


def train_all(train_one: Callable[[int], Training], count: int) -> Training:
    """Train teachers one after the other; numbers their epochs through.

    Metrics are means, except for ``train_core_seconds``, which is the sum.

    Args:
        train_one: Trains the teacher of a number, from 0.
        count: How many.
    """
    found = []
    for number in range(count):
        training = train_one(number)
        try:
            while True:
                report = next(training)
                yield replace(
                    report,
                    epoch=number * report.epochs + report.epoch,
                    epochs=count * report.epochs,
                )
        except StopIteration as stop:
            found.append(stop.value)
    return _together(found)


def _together(teachers: Sequence[TeacherArtifact]) -> TeacherArtifact:
    metrics = mean_metrics([teacher.metrics for teacher in teachers])
    metrics["train_core_seconds"] *= len(teachers)
    return TeacherArtifact(
        metrics=metrics,
        weights=joined({name_of(k): teacher.weights for k, teacher in enumerate(teachers)}),
        outputs=joined({name_of(k): teacher.outputs for k, teacher in enumerate(teachers)}),
    )


def mean_metrics(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every metric over several teachers."""
    return {name: sum(row[name] for row in metrics) / len(metrics) for name in metrics[0]}


def one_of(artifact: TeacherArtifact, number: int) -> TeacherArtifact:
    """Return one teacher of several."""
    name = name_of(number)
    return TeacherArtifact(
        metrics=artifact.metrics,
        weights=parted(artifact.weights)[name],
        outputs=parted(artifact.outputs).get(name, {}),
    )
