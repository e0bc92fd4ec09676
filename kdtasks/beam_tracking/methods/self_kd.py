"""Self-distillation: generations of one network, each taught by the answers of the one before."""

from collections.abc import Callable, Generator
from dataclasses import replace

from kdtasks.beam_tracking.methods.job import TeacherOutputs, Trained
from kdtasks.contract.task import Report

ALPHA = 0.5
"""Weight of the distillation term between generations, before the student's own."""

TEMPERATURE = 3.0
"""Softening temperature between generations; this and the weight are those of Table II's code."""

TrainOne = Callable[[int, TeacherOutputs | None], Generator[Report, None, Trained]]
"""Trains a generation, from 0, on labels and what the one before says."""

Ask = Callable[[Trained], TeacherOutputs]
"""Asks a generation about the training windows."""


def train_generations(
    train_one: TrainOne, ask: Ask, count: int
) -> Generator[Report, None, tuple[Trained, TeacherOutputs]]:
    """Train generations one after the other; numbers their epochs through.

    The first has labels only.

    Returns:
        The last generation, its CPU time that of all of them, and what it says.
    """
    teacher_outputs: TeacherOutputs | None = None
    spent = 0.0
    for number in range(count):
        training = train_one(number, teacher_outputs)
        trained = yield from numbered(training, number, count)
        spent += trained.core_seconds
        teacher_outputs = ask(trained)
    assert teacher_outputs is not None, "there is at least one generation"
    return replace(trained, core_seconds=spent), teacher_outputs


def numbered(
    training: Generator[Report, None, Trained], number: int, count: int
) -> Generator[Report, None, Trained]:
    """Number the epochs of a training through, as that of ``count`` equally long ones in a row."""
    while True:
        try:
            report = next(training)
        except StopIteration as stop:
            trained: Trained = stop.value
            return trained
        done = number * report.epochs + report.epoch
        yield replace(report, epoch=done, epochs=count * report.epochs)
