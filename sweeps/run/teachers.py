"""Teachers of a sweep, from the cache or trained in parallel, and shared with all trials."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kdtasks.contract.errors import UserError
from kdtasks.contract.registry import load_task
from kdtasks.contract.source_code import changed
from kdtasks.contract.task import KDTask, TeacherArtifact
from kdtasks.network.parts import Part, arrays_of
from kdtasks.network.task import NetworkTask, parts_of
from sweeps.common.records import JobRecord
from sweeps.ledger.identity import (
    Content,
    Identity,
    TeacherIdentity,
    task_code,
    teacher_identity,
)
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.plan.needs import Need, Resources, by_teacher, need_of
from sweeps.progress.events import Display, JobFinished, JobReported, JobsPlanned
from sweeps.run.summary import WithoutTeachersError
from sweeps.workers.jobs import Job, Pool, train_teacher

if TYPE_CHECKING:
    from sweeps.tracking.double_entry import RunRecorder


def teacher_key(fingerprint: str) -> str:
    """Return the key of a teacher's run."""
    return f"teacher/{fingerprint}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A teacher that is trained by itself: that of a trial, or of one task of its network."""

    part: Part
    scenario: str

    def identity(self, data: Content) -> TeacherIdentity:
        """Return its identity in a trial of these data: as in a study of its task alone."""
        name, task = self.part.name, self.part.task
        own = {split: arrays_of(name, found) if name else found for split, found in data.items()}
        return teacher_identity(task, str(self.part.teacher), own, task_code(self.part.address))


def _pieces(task: KDTask, task_name: str, need: Need) -> dict[str, Piece]:
    """Return the teachers of which that of a trial consists, by their keys."""
    return {
        part.teacher_key: Piece(
            part=replace(part, address=part.address or task_name), scenario=need.scenario
        )
        for part in parts_of(task, need.params)
        if part.teacher is not None
    }


def teacher_identities(
    task: KDTask, task_name: str, needs: Iterable[Need], identity: Identity, store: TeacherStore
) -> dict[str, TeacherIdentity]:
    """Return the identity of every needed teacher, by fingerprint, and of its pieces, by key."""
    code, found = task_code(task_name), {}
    for key, need in by_teacher(needs).items():
        data = identity.data[need.scenario]
        found[key] = store.as_kept(teacher_identity(task, key, data, code))
        for name, piece in _pieces(task, task_name, need).items():
            found[name] = store.as_kept(piece.identity(data))
    return found


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """The phase that makes all needed teachers, see `teacher_identities`, available to workers."""

    resources: Resources
    task_name: str
    identities: Mapping[str, TeacherIdentity]
    store: TeacherStore
    pool: Pool
    recorder: "RunRecorder"
    display: Display

    def run(self) -> None:
        """Take teachers from the cache, or train them.

        Raises:
            UserError: If a teacher cannot be trained, a cached one is damaged, or two different
                ones have the same fingerprint. Trained teachers stay in the cache.
        """
        recorder, wanted = self.recorder, self.resources.without_teachers()
        begun_ms = recorder.clock.epoch_ms()
        self.store.check(recorder.ledger.jobs())
        found = {key: self._cached(key) for key in wanted}
        task, pieces = load_task(self.task_name), dict[str, Piece]()
        for key in wanted:
            pieces |= {} if found[key] else _pieces(task, self.task_name, wanted[key])
        self._train({key: piece for key, piece in pieces.items() if not self._cached(key)})
        noted = {job.key for job in recorder.ledger.jobs() if job.metrics}
        for key, need in wanted.items():
            teacher = found.pop(key) or self._trained(task, key, need)
            self.resources.decided_by[key] = teacher.decided_by
            self.resources.teachers[key] = self.pool.put(teacher)
            if teacher_key(key) not in noted:  # else its test metrics would be lost
                draft = _record(key, need, teacher.metrics, (begun_ms, recorder.clock.epoch_ms()))
                kept = self.identities[key].key
                recorder.job(replace(draft, identity=kept, sha256=self.store.hashes(kept)))
        if misfit := next(filter(None, map(self.resources.misfit, self.resources.needs)), ""):
            raise UserError(misfit)

    def _cached(self, key: str) -> TeacherArtifact | None:
        return self.store.get(self.identities[key])

    def _train(self, missing: Mapping[str, Piece]) -> None:
        """Train teachers in parallel and keep them in the cache.

        Raises:
            WithoutTeachersError: If one cannot be trained or kept; it is recorded.
        """
        begun_ms = self.recorder.clock.epoch_ms()
        self._note_retraining(missing)
        jobs = [_training(key, piece, self.resources) for key, piece in missing.items()]
        self.display.handle(JobsPlanned("teacher", len(jobs)))
        failed = []
        for job, event in self.pool.run(jobs):
            if not event.done:
                self.display.handle(JobReported("teacher", job.key, event.epoch, event.epochs))
                continue
            piece = missing[job.key]
            reason = event.reason or self._kept(job.key, piece, event.result)
            self.display.handle(JobFinished("teacher", job.key, reason))
            if reason:
                need = need_of(piece.part.task, piece.part.params)
                draft = _record(job.key, need, {}, (begun_ms, self.recorder.clock.epoch_ms()))
                failed.append(replace(draft, reason=reason, traceback=event.traceback))
                self.recorder.job(failed[-1])
        if failed:
            raise _without(failed)

    def _note_retraining(self, missing: Iterable[str]) -> None:
        """Tell the user why a teacher is trained although its task has one with its fingerprint."""
        for one in map(self.identities.__getitem__, missing):
            # a user's tasks may have the same fingerprints
            known = self.store.known(one.fingerprint)
            if others := [other for other in known if other.task == one.task]:
                self.display.note(
                    f"teacher {one.fingerprint} is retrained: {one.differs(others[0])}"
                )

    def _kept(self, key: str, piece: Piece, teacher: TeacherArtifact) -> str:
        """Store a teacher in the cache; return why that failed, empty if it did not."""
        identity = self.identities[key]
        if modules := changed(identity.code, task_code(piece.part.address)):
            return f"{', '.join(modules)} changed while it was trained; run the sweep again"
        try:
            self.store.put(identity, dict(piece.part.params), teacher)
        except UserError as error:
            return str(error)
        return ""

    def _trained(self, task: KDTask, key: str, need: Need) -> TeacherArtifact:
        """Return the teacher of a trial whose pieces are in the cache, and keep it there."""
        if not isinstance(task, NetworkTask):
            return self.store.kept(self.identities[key])
        parts = [part for part in task.parts(need.params) if part.teacher is not None]
        keys = {part.name: part.teacher_key for part in parts}
        found = {name: self.store.kept(self.identities[own]) for name, own in keys.items()}
        teacher = task.teachers_together(need.params, found)
        self.store.put(self.identities[key], dict(need.params), teacher)
        return teacher


def _without(failed: Sequence[JobRecord]) -> WithoutTeachersError:
    """Return the error for teachers that cannot be trained; ``--debug`` shows their tracebacks."""
    reasons = "; ".join(f"{job.key.replace('/', ' ')}: {job.reason}" for job in failed)
    error = WithoutTeachersError(f"the sweep cannot run without its teachers: {reasons}")
    for job in failed:
        error.add_note(f"{job.key}:\n{job.traceback}")
    return error


def _training(key: str, piece: Piece, resources: Resources) -> Job:
    scenario, part = resources.scenarios[piece.scenario], piece.part
    return Job(
        kind="teacher",
        key=key,
        function=train_teacher,
        args=(part.address, dict(part.params), scenario.train, scenario.val, part.name),
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
