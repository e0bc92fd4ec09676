"""Teachers of a sweep, from the cache or trained in parallel, and shared with all trials."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kdtasks.contract.errors import UserError
from kdtasks.contract.source_code import changed
from kdtasks.contract.task import KDTask, TeacherArtifact
from sweeps.common.records import JobRecord
from sweeps.ledger.identity import Identity, TeacherIdentity, task_code, teacher_identity
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.plan.needs import Need, Resources, by_teacher
from sweeps.progress.events import Display, JobFinished, JobReported, JobsPlanned
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
    """Return the identity of every needed teacher, by fingerprint."""
    code = task_code(task_name)
    return {
        key: store.as_kept(teacher_identity(task, key, identity.data[need.scenario], code))
        for key, need in by_teacher(needs).items()
    }


def prepare_teachers(  # noqa: PLR0913 - independent collaborators
    resources: Resources,
    task_name: str,
    identities: Mapping[str, TeacherIdentity],
    *,
    store: TeacherStore,
    pool: Pool,
    recorder: "RunRecorder",
    display: Display,
) -> None:
    """Make all needed teachers available to workers, and record them.

    Raises:
        UserError: If a teacher cannot be trained, a cached one is damaged, or two different ones
            have the same fingerprint. Trained teachers stay in the cache.
    """
    wanted = resources.without_teachers()
    begun = {key: recorder.clock.epoch_ms() for key in wanted}
    store.check(recorder.ledger.jobs())
    found = {key: store.get(identities[key]) for key in wanted}
    jobs = [_training(key, wanted[key], resources, task_name) for key in wanted if not found[key]]
    _note_retraining(store, [identities[job.key] for job in jobs], display)
    display.handle(JobsPlanned("teacher", len(jobs)))
    failed = []
    for job, event in pool.run(jobs):
        if not event.done:
            display.handle(JobReported("teacher", job.key, event.epoch, event.epochs))
            continue
        need = wanted[job.key]
        reason = event.reason or _kept(store, identities[job.key], need, event.result, task_name)
        display.handle(JobFinished("teacher", job.key, reason))
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
        if teacher_key(key) not in noted:  # else its test metrics would be lost
            draft = _record(key, need, teacher.metrics, (begun[key], recorder.clock.epoch_ms()))
            recorder.job(_identified(draft, identities[key].key, store))
    resources.check_teachers()


def _identified(draft: JobRecord, cached: str, store: TeacherStore) -> JobRecord:
    return replace(draft, identity=cached, sha256=store.hashes(cached))


def _without(failed: Sequence[JobRecord]) -> WithoutTeachersError:
    """Return the error for teachers that cannot be trained; ``--debug`` shows their tracebacks."""
    reasons = "; ".join(f"{job.key.replace('/', ' ')}: {job.reason}" for job in failed)
    error = WithoutTeachersError(f"the sweep cannot run without its teachers: {reasons}")
    for job in failed:
        error.add_note(f"{job.key}:\n{job.traceback}")
    return error


def _note_retraining(
    store: TeacherStore, missing: Iterable[TeacherIdentity], display: Display
) -> None:
    """Tell the user why a teacher is trained although the cache has one with its fingerprint."""
    for one in missing:
        if others := store.known(one.fingerprint):
            display.note(f"teacher {one.fingerprint} is retrained: {one.differs(others[0])}")


def _kept(
    store: TeacherStore,
    identity: TeacherIdentity,
    need: Need,
    teacher: TeacherArtifact,
    task_name: str,
) -> str:
    """Store a teacher in the cache; return why that failed, empty if it did not."""
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
