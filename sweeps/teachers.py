"""Teachers of a sweep: found in the cache or trained in parallel, then shared with every trial."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kdtasks.errors import UserError
from kdtasks.task import TeacherArtifact
from sweeps.display import Display
from sweeps.pool import Job, Pool
from sweeps.records import JobRecord
from sweeps.resources import Need, Resources, by_teacher
from sweeps.teacher_store import TeacherStore
from sweeps.worker import train_teacher

if TYPE_CHECKING:
    from sweeps.books import Books


def teacher_key(fingerprint: str) -> str:
    """Return the key of a teacher's run."""
    return f"teacher/{fingerprint}"


def prepare_teachers(
    resources: Resources,
    task_name: str,
    *,
    store: TeacherStore,
    pool: Pool,
    books: "Books",
    display: Display,
) -> None:
    """Make every teacher that is needed available to workers, and note it in the books.

    Args:
        resources: Loaded scenarios; receives the handles of the teachers.
        task_name: Name of the task, for workers.
        store: The cache.
        pool: Trains those that are missing.
        books: Where teachers are noted.
        display: Watches.

    Raises:
        UserError: If a teacher cannot be trained, or one in the cache is damaged. Those that were
            trained stay in the cache.
    """
    wanted = by_teacher(resources.needs)
    begun = {key: books.clock.epoch_ms() for key in wanted}
    found = {key: store.get(key) for key in wanted}
    missing = [key for key, teacher in found.items() if teacher is None]
    jobs = [_training(key, wanted[key], resources, task_name) for key in missing]
    display.jobs_planned("teacher", len(jobs))
    failed = []
    for job, event in pool.run(jobs):
        if not event.done:
            display.job_reported("teacher", job.key, event.epoch, event.epochs)
            continue
        reason = event.reason or _kept(store, job.key, wanted[job.key], event.result)
        display.job_finished("teacher", job.key, reason)
        if reason:
            span_ms = begun[job.key], books.clock.epoch_ms()
            draft = _record(job.key, wanted[job.key], {}, span_ms)
            failed.append(replace(draft, reason=reason, traceback=event.traceback))
            books.job(failed[-1])
    if failed:
        raise _without(failed)
    noted = {job.key for job in books.ledger.jobs() if job.metrics}
    for key, need in wanted.items():
        teacher = found.pop(key) or store.get(key)
        assert teacher is not None
        resources.teachers[key] = pool.put(teacher)
        if teacher_key(key) not in noted:  # else its numbers on the test split would be lost
            books.job(_record(key, need, teacher.metrics, (begun[key], books.clock.epoch_ms())))


def _without(failed: Sequence[JobRecord]) -> UserError:
    """Return what to tell if teachers cannot be trained; ``--debug`` shows their tracebacks."""
    said = "; ".join(f"{job.key.replace('/', ' ')}: {job.reason}" for job in failed)
    error = UserError(f"without its teachers the sweep cannot run: {said}")
    for job in failed:
        error.add_note(f"{job.key}:\n{job.traceback}")
    return error


def _kept(store: TeacherStore, key: str, need: Need, teacher: TeacherArtifact) -> str:
    """Put a teacher into the cache; return why it cannot be, empty if it is."""
    try:
        store.put(key, dict(need.params), teacher)
    except UserError as error:
        return str(error)
    return ""


def _training(key: str, need: Need, resources: Resources, task_name: str) -> Job:
    scenario = resources.scenarios[need.scenario]
    return Job(
        kind="teacher",
        key=key,
        function=train_teacher,
        args=(task_name, dict(need.params), scenario.train, scenario.val),
    )


def _record(
    key: str, need: Need, metrics: Mapping[str, float], span_ms: tuple[int, int]
) -> JobRecord:
    return JobRecord(
        kind="teacher",
        key=teacher_key(key),
        params=dict(need.deciding),
        metrics=dict(metrics),
        started_ms=span_ms[0],
        ended_ms=span_ms[1],
    )
