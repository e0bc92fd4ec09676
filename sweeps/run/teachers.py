"""Teachers of a sweep: found in the cache or trained in parallel, then shared with every trial."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kdtasks.contract.errors import DataError, UserError
from kdtasks.contract.source_code import changed
from kdtasks.contract.task import KDTask, TeacherArtifact
from sweeps.common.records import JobRecord
from sweeps.ledger.identity import Identity, TeacherIdentity, task_code, teacher_identity
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.plan.needs import Need, Resources, by_teacher
from sweeps.progress.listener import Display
from sweeps.run.summary import WithoutTeachersError
from sweeps.workers.jobs import Job, Pool, train_teacher

if TYPE_CHECKING:
    from sweeps.tracking.double_entry import RunRecorder


def teacher_key(fingerprint: str) -> str:
    """Return the key of a teacher's run."""
    return f"teacher/{fingerprint}"


def teacher_identities(
    task: KDTask, task_name: str, needs: Iterable[Need], identity: Identity, store: TeacherStore
) -> dict[str, TeacherIdentity]:
    """Return what decides on every teacher that is needed, by its fingerprint."""
    code = task_code(task_name)
    return {
        key: store.as_kept(teacher_identity(task, key, identity.data[need.scenario], code))
        for key, need in by_teacher(needs).items()
    }


def prepare_teachers(  # noqa: PLR0913 - what, of whom, from where, by whom, noted and watched
    resources: Resources,
    task_name: str,
    identities: Mapping[str, TeacherIdentity],
    *,
    store: TeacherStore,
    pool: Pool,
    recorder: "RunRecorder",
    display: Display,
) -> None:
    """Make every teacher that is needed available to workers, and note it in the books.

    Raises:
        UserError: If a teacher cannot be trained, one in the cache is damaged, or one is not told
            from another by its fingerprint. Those that were trained stay in the cache.
    """
    wanted = resources.without_teachers()
    begun = {key: recorder.clock.epoch_ms() for key in wanted}
    found = _cached(store, {key: identities[key] for key in wanted}, recorder.ledger.jobs())
    missing = {key: identities[key] for key, teacher in found.items() if teacher is None}
    _tell_why(store, missing.values(), display)
    jobs = [_training(key, wanted[key], resources, task_name) for key in missing]
    display.jobs_planned("teacher", len(jobs))
    failed = []
    for job, event in pool.run(jobs):
        if not event.done:
            display.job_reported("teacher", job.key, event.epoch, event.epochs)
            continue
        need = wanted[job.key]
        reason = event.reason or _kept(store, identities[job.key], need, event.result, task_name)
        display.job_finished("teacher", job.key, reason)
        if reason:
            draft = _record(job.key, need, {}, (begun[job.key], recorder.clock.epoch_ms()))
            failed.append(replace(draft, reason=reason, traceback=event.traceback))
            recorder.job(failed[-1])
    if failed:
        raise _without(failed)
    noted = {job.key for job in recorder.ledger.jobs() if job.metrics}
    for key, need in wanted.items():
        teacher = found.pop(key) or store.get(identities[key])
        assert teacher is not None
        resources.decided_by[key] = teacher.decided_by
        resources.teachers[key] = pool.put(teacher)
        if teacher_key(key) not in noted:  # else its numbers on the test split would be lost
            draft = _record(key, need, teacher.metrics, (begun[key], recorder.clock.epoch_ms()))
            recorder.job(_identified(draft, identities[key].key, store))
    resources.check_teachers()


def _cached(
    store: TeacherStore, identities: Mapping[str, TeacherIdentity], jobs: Iterable[JobRecord]
) -> dict[str, TeacherArtifact | None]:
    """Return the teachers that are in the cache, None for others.

    Raises:
        DataError: If one is damaged, or is not what the sweep's trials were taught by.
    """
    for job in jobs:
        if damage := store.damage(job.identity, job.sha256):
            raise DataError(f"{job.key}: {damage}")
    return {key: store.get(one) for key, one in identities.items()}


def _identified(draft: JobRecord, cached: str, store: TeacherStore) -> JobRecord:
    return replace(draft, identity=cached, sha256=store.hashes(cached))


def _without(failed: Sequence[JobRecord]) -> WithoutTeachersError:
    """Return what to tell if teachers cannot be trained; ``--debug`` shows their tracebacks."""
    said = "; ".join(f"{job.key.replace('/', ' ')}: {job.reason}" for job in failed)
    error = WithoutTeachersError(f"without its teachers the sweep cannot run: {said}")
    for job in failed:
        error.add_note(f"{job.key}:\n{job.traceback}")
    return error


def _tell_why(store: TeacherStore, missing: Iterable[TeacherIdentity], display: Display) -> None:
    """Say why teachers are trained of which the task says the same as of some in the cache."""
    for one in missing:
        if others := store.known(one.fingerprint):
            display.note(f"teacher {one.fingerprint} is trained anew: {one.differs(others[0])}")


def _kept(
    store: TeacherStore,
    identity: TeacherIdentity,
    need: Need,
    teacher: TeacherArtifact,
    task_name: str,
) -> str:
    """Put a teacher into the cache; return why it cannot be, empty if it is."""
    if modules := changed(identity.code, task_code(task_name)):
        return f"{', '.join(modules)} changed while it was trained; run the sweep again"
    try:
        store.put(identity, dict(need.params), teacher)
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
