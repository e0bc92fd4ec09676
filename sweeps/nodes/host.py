"""Several nodes in one process: delivers parcels to them and collects their answers.

A plain object, which Ray uses unchanged as an actor; Ray can stream what its methods yield
because they are generator functions themselves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from kdtasks.contract.collaboration import LearnsOnShares, Work
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.leakage import MeasuresLeaks
from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.task import Arrays, KDTask, Outcome, TeacherArtifact, prefixed
from kdtasks.network.parts import arrays_of, teacher_of
from kdtasks.network.task import NetworkTask
from sweeps.common.events import Event, Training, at_work, events, floats
from sweeps.common.returned_values import fitting, generated, wrong_outcome
from sweeps.nodes.edge import EdgeNode
from sweeps.nodes.node import Deployment, Node, Standing
from sweeps.nodes.privacy.audit import Auditor, Trial, check_nonmembers
from sweeps.nodes.robust.attacks import false_teacher
from sweeps.nodes.server import ServerNode
from sweeps.nodes.task_process import GlobalDraws, computed, open_task, take_gpu
from sweeps.nodes.topologies.catalog import collaborative
from sweeps.nodes.wire.messages import SERVER, Parcel
from sweeps.nodes.wire.signatures import Signer

HostMethod = Literal["handle", "standing", "train_alone", "judge"]
"""Methods that `NodeHost.call` runs."""

ROUNDING = 1e-9
"""Shares of a training that differ by less count as equal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A node's answer to one parcel.

    Attributes:
        number: The parcel's place in the order of emission.
        parcels: The parcels that it sends.
        work: The cost of handling the parcel.
    """

    number: int
    parcels: tuple[Parcel, ...]
    work: Work


class NodeHost:
    """Holds nodes of one trial; its process, with the task opened, is reused by the next trial."""

    def __init__(self, task: str, gpus: float | None = None) -> None:
        self._opened: KDTask = open_task(task)
        self._task = self._opened
        self._gpus = gpus
        self._trial: Trial
        self._nodes: dict[str, Node] = {}
        self._draws: GlobalDraws
        self._at_work: dict[str, Training[list[Answer]]] = {}
        self._answers: list[Answer] = []
        self._dropped = False

    @at_work()
    def begin(  # noqa: PLR0913 - what a trial consists of
        self,
        params: Params,
        names: tuple[str, ...],
        train: Arrays,
        val: Arrays,
        teacher: TeacherArtifact | None,
        secret: bytes,
        part: str = "",
    ) -> None:
        """Create the nodes of a trial, replacing those of the last one.

        Args:
            params: The trial's completed parameters; of a network of tasks those of one of them.
            names: Nodes on this host.
            train: The whole training split; every node gets its share only.
            val: The whole validation split, on which the trial is evaluated.
            teacher: For the server.
            secret: Of the trial, from which nodes have their keys, if they sign.
            part: Name of the task in a network of tasks; empty if there is no other.

        Raises:
            WorkFailedError: If the task cannot divide the data, or a node cannot be created.
        """
        self._dropped, self._nodes, self._at_work = False, {}, {}
        if self._gpus is not None:
            take_gpu(self._gpus)
        self._draws = GlobalDraws(int(params.get("seed", 0)))
        whole = Trial(params=params, train=train, val=val, teacher=teacher)
        self._task, self._trial = self._opened, whole
        if part:
            assert isinstance(self._opened, NetworkTask), "only its trials have parts"
            self._task = self._opened.tasks[part][1]
            self._trial = _of_part(self._task, part, whole)
        train, val, teacher = self._trial.train, self._trial.val, self._trial.teacher
        settings = NetworkSettings.of(params)
        if not settings.networked:
            return
        task = collaborative(self._task, params)
        signers = {
            name: Signer(name, secret)
            for name in ((SERVER, *settings.edges) if settings.sign_messages else ())
        }
        deployment = Deployment(
            task=task,
            params=params,
            settings=settings,
            key=fingerprint(params),
            public_keys={name: signer.public_key for name, signer in signers.items()},
        )
        if SERVER in names:  # this host evaluates: fail before training if it cannot
            task.share_out(params, val, "val")
            check_nonmembers(task, params, train)
        shares = task.share_out(params, train, "train")
        own = {topology: deployment.alike(topology) for topology in {*settings.served}}
        for name in names:
            if name == SERVER:
                poisoned = partial(false_teacher, task, params, train, val)
                self._nodes[name] = ServerNode(name, deployment, shares.server, teacher, poisoned)
            else:
                index = settings.edges.index(name)
                of_edge = own[settings.served[index]]
                self._nodes[name] = EdgeNode(index, of_edge, shares.edges[index])
            self._nodes[name].signer = signers.get(name)

    def call(self, method: HostMethod, *given: Any) -> Iterator[Event]:
        """Yield the reports of a method as events; the last one has its result."""
        work = getattr(self, method)(*given)
        for event in events(computed(self._task, self._trial.params, work)):
            yield event
            if self._dropped:
                return

    def handle(self, parcels: Mapping[int, Parcel], until: float) -> Training[list[Answer] | float]:
        """Deliver parcels, in order to each node; return the answers.

        Their keys are their places in the order of emission. Of a payload for several nodes there
        is one object, which is pickled once.

        Nodes pause as soon as they have done the share ``until`` of a training of which students
        can be judged. Then the least share by then is returned, and called without parcels they
        continue.
        """
        received: dict[str, dict[int, Parcel]] = {}
        for number, parcel in parcels.items():
            received.setdefault(parcel.receiver, {})[number] = parcel
        if received:
            self._answers = []
        for name, own in received.items():
            self._at_work[name] = self._handle(self._nodes[name], own)
        least = 1.0
        for name in list(self._at_work):
            least = min(least, (yield from self._advance(name, until)))
        return least if self._at_work else self._answers

    def train_alone(self) -> Training[Outcome]:
        """Train a student on all data, without a network."""
        trial = self._trial
        work = self._task.train_student(trial.params, trial.train, trial.val, trial.teacher)
        outcome = yield from generated("train_student", work)
        return fitting("train_student", outcome, wrong_outcome)

    def standing(self) -> Training[dict[str, Standing]]:
        """Return what each node would leave if its training ended now."""
        yield from ()
        with self._draws.of("standing"):
            return {name: node.standing() for name, node in self._nodes.items()}

    def judge(self, weights: Arrays, underway: bool) -> Training[dict[str, float]]:
        """Evaluate a deployment's students on the validation split, and time their inference.

        While they are ``underway`` only on edges' own samples, without their times.
        """
        yield from ()
        trial, task = self._trial, self._task
        assert isinstance(task, LearnsOnShares), "nodes were created"
        evaluate = task.evaluate_underway if underway else task.evaluate
        with self._draws.of("judge"):
            quality = floats(evaluate(trial.params, weights, trial.val), evaluate.__name__)
            latency = {} if underway else task.latency(trial.params)
            leaks = {} if underway else self._leaks(weights)
        teachers = {} if trial.teacher is None else trial.teacher.weights
        held = {"server_teacher_bytes": float(sum(a.nbytes for a in teachers.values()))}
        return {**prefixed("val", quality), **latency, **leaks, **held}

    def drop(self) -> None:
        """Stop at the next report, since the trial was pruned; called from another thread."""
        self._dropped = True

    def _advance(self, name: str, until: float) -> Training[float]:
        """Let a node work until it has answered or pauses; return its share of the training."""
        while True:
            with self._draws.of(name):
                try:
                    report = next(self._at_work[name])
                except StopIteration as stop:
                    self._answers += stop.value
                    del self._at_work[name]
                    return 1.0
            yield report
            share = report.epoch / report.epochs
            if report.left is not None and share > until - ROUNDING:
                return share

    def _handle(self, node: Node, received: Mapping[int, Parcel]) -> Training[list[Answer]]:
        answers = []
        for number, parcel in received.items():
            parcels, work = yield from node.handle(parcel.sender, parcel.payload, parcel.seal)
            answers.append(Answer(number=number, parcels=tuple(parcels), work=work))
        return answers

    def _leaks(self, weights: Arrays) -> dict[str, float]:
        """Return how well an attacker finds out what was trained on, if that is to be measured."""
        trial, server = self._trial, self._nodes[SERVER]
        if not NetworkSettings.of(trial.params).privacy_share:
            return {}
        assert isinstance(self._task, MeasuresLeaks), "the topology needs it"
        assert isinstance(server, ServerNode), "it is on the host that judges"
        return Auditor(self._task, trial, weights, server.exchanged).metrics()


def _of_part(task: KDTask, part: str, whole: Trial) -> Trial:
    """Return what one task of a network is given of a trial, as it would be given alone."""
    teacher = whole.teacher
    if teacher is not None:
        untaught = task.teacher_fingerprint(whole.params) is None
        teacher = None if untaught else teacher_of(part, teacher)
    train, val = arrays_of(part, whole.train), arrays_of(part, whole.val)
    return replace(whole, train=train, val=val, teacher=teacher)
