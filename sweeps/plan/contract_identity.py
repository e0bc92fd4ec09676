"""Laws about the identity of teachers: the cache must not return one from before a change."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.task import Arrays, KDTask, ScenarioData, TeacherArtifact
from sweeps.ledger.identity import (
    TeacherIdentity,
    content_of,
    task_code,
    task_module,
    teacher_identity,
)
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.nodes.task_process import open_task
from sweeps.plan.contract_static import Finding


def identity_laws(
    name: str, config: Params, data: ScenarioData, teacher: TeacherArtifact
) -> Iterator[Finding]:
    """Yield whether the cache returns a teacher for exactly what it was trained on.

    Args:
        name: The task's name.
        config: Parameters of a trial that has a teacher.
        data: Its data.
        teacher: The teacher.
    """
    task, code, module = open_task(name), task_code(name), task_module(name)
    key = str(task.teacher_fingerprint(config))
    identity = teacher_identity(task, key, content_of(data), code)
    if task.teacher_splits:
        other = replace(data, train=_one_sample_changed(data.train))
        changed = teacher_identity(task, key, content_of(other), code)
        yield Finding(
            "content decides identity: with one training sample changed, the teacher is another",
            _came_back(identity, changed),
        )
    edited = replace(identity, code={**code, module: "another version"})
    unseen = "" if module in code else f"there is no source of module {module}; put it into a file"
    yield Finding(
        "content decides identity: with its network changed in the source, the teacher is another",
        unseen or _came_back(identity, edited),
    )
    yield Finding(
        "teacher_fingerprint changes with every parameter that train_teacher looks up",
        _missing_from_fingerprint(task, config, teacher.decided_by),
    )


def _one_sample_changed(arrays: Arrays) -> Arrays:
    name = next(iter(arrays))
    changed = np.array(arrays[name], order="C")
    bits = changed.reshape(-1).view(np.uint8)
    bits[: changed.itemsize] ^= 1
    return {**arrays, name: changed}


def _came_back(kept: TeacherIdentity, needed: TeacherIdentity) -> str:
    with TemporaryDirectory(prefix="kdsweep-") as folder:
        store = TeacherStore(Path(folder))
        store.put(kept, {}, TeacherArtifact(metrics={}, weights={}, outputs={}))
        found = store.get(needed)
    return "" if found is None else "the old one came back"


def _missing_from_fingerprint(task: KDTask, config: Params, looked_up: Params) -> str:
    same = [name for name in looked_up if not _changes_fingerprint(task, config, name)]
    return f"it does not contain {', '.join(same)}; add what is looked up" if same else ""


def _changes_fingerprint(task: KDTask, config: Params, name: str) -> bool:
    """Return whether another value gives another teacher; True where no other value is known."""
    before = task.teacher_fingerprint(config)
    for value in _others(config[name]):
        try:
            changed = task.complete({**config, name: value})
        except ConfigError:
            continue
        if changed[name] == value:
            return task.teacher_fingerprint(changed) != before
    return True


def _others(value: Value) -> list[Value]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        return []  # words are choices that only the task knows
    return [value + 1, 2 * value, value / 2]
