"""The contract of a task, checked by running it as the engine does.

For authors of tasks: ``kdsweep check TASK``, or one line in a test of their own::

    def test_contract(tmp_path):
        assert not broken_laws("my_package.module:MyTask", {"epochs": 1}, tmp_path)

Each promise of `contract.task.KDTask` is a law, checked on one trial: its data, its teacher, its
student three times, and its evaluation.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.contract.params import Params
from kdtasks.contract.task import (
    Arrays,
    KDTask,
    Outcome,
    Report,
    ScenarioData,
    TeacherArtifact,
    digest,
    prefixed,
)
from sweeps.common.events import floats, work_failed
from sweeps.common.returned_values import wrong_scenario
from sweeps.ledger.student_weights import StudentStore
from sweeps.nodes.task_process import open_task
from sweeps.nodes.topologies.catalog import collaborative
from sweeps.nodes.transport import in_process
from sweeps.plan.contract_identity import identity_laws
from sweeps.plan.contract_static import (
    Finding,
    UnfitError,
    class_laws,
    differing,
    differing_numbers,
    needed,
    not_finite,
    parameter_laws,
    read_only,
    reference_laws,
    tried,
    wrong_reports,
)
from sweeps.workers.jobs import train_student, train_teacher

T = TypeVar("T")

Laws = Generator[Finding, None, T]
"""Findings, one per law, and what the next laws need; a law that cannot be checked raises."""


def broken_laws(task: str, params: Params, cache_dir: Path) -> list[str]:
    """Return the laws that a task breaks, one sentence each; empty if it keeps all.

    Args:
        task: Its name, or ``package.module:Class``.
        params: Parameters of a trial that is trained in seconds.
        cache_dir: Where slow data are kept.

    Raises:
        ConfigError: If there is no such task, or it takes no such parameters.
    """
    found = check_contract(task, params, cache_dir)
    return [f"{one.law}: {one.broken}" for one in found if one.broken]


def check_contract(name: str, params: Params, cache_dir: Path) -> Iterator[Finding]:
    """Yield a finding per law, as soon as it is known.

    Args:
        name: A task's name, or ``package.module:Class``.
        params: Parameters of a trial; they are completed.
        cache_dir: Where slow data are kept.

    Raises:
        ConfigError: If there is no such task, or it takes no such parameters.
    """
    task = open_task(name)
    try:
        yield from class_laws(task)
        config = _completed(task, params)
        yield from parameter_laws(task, params)
        data = yield from _data_laws(task, config, cache_dir)
        teacher = yield from _teacher_laws(name, config, data)
        weights, metrics = yield from _student_laws(name, config, data, teacher)
        yield from reference_laws(task, config, data)
        yield from _judging_laws(task, config, data, _stored(weights, cache_dir), metrics)
        yield from _deployable_laws(task, config, data, weights)
    except UnfitError as error:
        yield error.finding
    except (UserError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - any error of a task becomes a finding
        failed = work_failed(error)
        yield Finding("a task can be checked", failed.reason, failed.traceback)


def _evaluated(what: str, judge: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """Return the metrics that a method computes on a split."""
    return tried(what, lambda: floats(judge(), what))


def _stored(weights: Arrays, folder: Path) -> Arrays:
    """Return weights as they come back from the disk."""
    store = StudentStore(folder / "contract")
    store.path.mkdir(exist_ok=True)
    store.put(0, weights)
    return store.get(0)


def _completed(task: KDTask, params: Params) -> Params:
    try:
        config = tried("complete", partial(task.complete, dict(params)))
    except UnfitError as error:
        if isinstance(error.__cause__, ConfigError):
            raise error.__cause__ from None  # the parameters are wrong, not the task
        raise
    if config.get("topology", "none") != "none":
        collaborative(task, config)
    return config


def _data_laws(task: KDTask, config: Params, cache_dir: Path) -> Laws[ScenarioData]:
    load = partial(task.load_scenario, config, cache_dir=cache_dir, progress=_silent)
    data = tried("load_scenario", load)
    yield needed("every split has samples, as arrays of numbers", wrong_scenario(data))
    splits = {"train": data.train, "val": data.val, "test": data.test}
    again = tried("load_scenario, called again,", load)
    repeated = {"train": again.train, "val": again.val, "test": again.test}
    changed = [name for name, split in splits.items() if digest(split) != digest(repeated[name])]
    yield Finding(
        "the same parameters give the same data",
        f"{', '.join(changed)} changed; draw from kdtasks.learning.random" if changed else "",
    )
    yield Finding(
        "provenance names the source of the data, in JSON", _wrong_provenance(data.provenance)
    )
    for split in splits.values():
        read_only(split)
    return data


def _silent(_done: int, _total: int, _unit: str) -> None:
    pass


def _wrong_provenance(provenance: Mapping[str, object]) -> str:
    try:
        json.dumps(provenance)
    except (TypeError, ValueError) as error:
        return f"{error}; take plain numbers, words, lists and dicts"
    return "" if provenance else "it is empty; give at least the source"


def _teacher_laws(name: str, config: Params, data: ScenarioData) -> Laws[TeacherArtifact | None]:
    task = open_task(name)
    if task.teacher_fingerprint(config) is None:
        return None
    one, reports = _trained("train_teacher", partial(_teach, name, config, data))
    yield Finding("a teacher's reports count its epochs", wrong_reports(reports))
    yield Finding("a teacher's metrics are finite numbers", not_finite(one.metrics))
    two, _ = _trained("train_teacher", partial(_teach, name, config, data))
    yield Finding(
        "teacher_seed decides a teacher",
        differing({**one.weights, **one.outputs}, {**two.weights, **two.outputs}),
    )
    yield from identity_laws(name, config, data, one)
    judge = partial(task.evaluate_teacher, config, one.weights, data.val)
    evaluated = prefixed("val", _evaluated("evaluate_teacher", judge))
    both = {name: value for name, value in evaluated.items() if name in one.metrics}
    yield Finding(
        "evaluate_teacher gives what its training gave on validation",
        differing_numbers(one.metrics, both),
    )
    read_only(one.weights)
    read_only(one.outputs)
    return one


def _teach(
    name: str, config: Params, data: ScenarioData
) -> Generator[Report, None, TeacherArtifact]:
    return train_teacher(name, config, data.train, data.val)


def _trained(what: str, start: Callable[[], Generator[Report, None, T]]) -> tuple[T, list[Report]]:
    """Return the result of a training, and its reports."""

    def drain() -> tuple[T, list[Report]]:
        reports: list[Report] = []
        training = start()
        while True:
            try:
                reports.append(next(training))
            except StopIteration as end:
                return end.value, reports

    return tried(what, drain)


def _student_laws(
    name: str, config: Params, data: ScenarioData, teacher: TeacherArtifact | None
) -> Laws[tuple[Arrays, Mapping[str, float]]]:
    task = open_task(name)
    reseeded = task.complete({**config, "seed": int(config.get("seed", 0)) + 1})
    shared = [data.train, data.val, *([teacher.weights, teacher.outputs] if teacher else [])]
    before = [digest(arrays) for arrays in shared]
    one, reports = _trained("train_student", partial(_study, task, name, config, data, teacher))
    yield Finding("a student's reports count its epochs", wrong_reports(reports))
    yield Finding(
        "training leaves data and teacher as they are",
        "an array was written to, which other trials share; work on a copy"
        if [digest(arrays) for arrays in shared] != before
        else "",
    )
    yield Finding("a student's metrics are finite numbers", not_finite(one.metrics))
    judged = [metric for metric in one.metrics if metric.startswith("val_")]
    yield Finding(
        "a student is judged on validation",
        ""
        if set(judged) & task.metrics.keys()
        else f"none of {', '.join(one.metrics)} starts with val_ and is in metrics",
    )
    none = "" if one.weights else "there are none; return what evaluate needs"
    yield needed("a student leaves weights", none)
    two, _ = _trained("train_student", partial(_study, task, name, config, data, teacher))
    yield Finding("seed decides a student", differing(one.weights, two.weights))
    costs = [{n: m[n] for n in task.cost(config) if n in m} for m in (one.metrics, two.metrics)]
    yield Finding("equal parameters report equal cost", differing_numbers(*costs))
    other, _ = _trained("train_student", partial(_study, task, name, reseeded, data, teacher))
    yield Finding(
        "another seed gives another student",
        "its weights are bit for bit the same, so repetitions would be useless"
        if digest(other.weights) == digest(one.weights)
        else "",
    )
    return one.weights, one.metrics


def _study(
    task: KDTask,
    name: str,
    config: Params,
    data: ScenarioData,
    teacher: TeacherArtifact | None,
) -> Generator[Report, None, Outcome]:
    deploy = partial(in_process, name, config, (data.train, data.val), teacher)
    done = yield from train_student(task, config, deploy)
    return Outcome(metrics=done.metrics, weights=done.weights)


def _judging_laws(
    task: KDTask, config: Params, data: ScenarioData, weights: Arrays, metrics: Mapping[str, float]
) -> Iterator[Finding]:
    before = digest(weights)
    on_val = _evaluated("evaluate", partial(task.evaluate, config, weights, data.val))
    yield Finding(
        "evaluate gives, from the stored weights, what training gave on validation",
        differing_numbers(metrics, prefixed("val", on_val)),
    )
    on_test = _evaluated(
        "evaluate on the test split", partial(task.evaluate, config, weights, data.test)
    )
    yield Finding(
        "evaluate judges every split alike",
        ""
        if on_val.keys() & on_test.keys()
        else f"{', '.join(on_val)} on validation, {', '.join(on_test)} on test",
    )
    again = _evaluated("evaluate", partial(task.evaluate, config, weights, data.val))
    changed = differing_numbers(on_val, again)
    yield Finding(
        "evaluate changes nothing",
        "the weights were written to; work on a copy" if digest(weights) != before else changed,
    )


def _deployable_laws(
    task: KDTask, config: Params, data: ScenarioData, weights: Arrays
) -> Iterator[Finding]:
    try:
        student = tried("deployable", partial(task.deployable, config, weights))
    except UnfitError as error:
        if isinstance(error.__cause__, ConfigError):
            return  # the task exports no such student
        raise
    whole = "" if hasattr(student, "own_score") else "return kdtasks.contract.deployable.Deployable"
    yield needed("deployable returns the networks that nodes run", whole)
    scores = _evaluated("the score of deployable", partial(student.own_score, data.val))
    expected = _evaluated("evaluate", partial(task.evaluate, config, weights, data.val))
    yield Finding(
        "the networks of deployable give what evaluate gives", differing_numbers(expected, scores)
    )
