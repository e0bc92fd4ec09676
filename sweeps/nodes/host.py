"""Several nodes in one process: delivers parcels to them and collects their answers.

A plain object, which Ray uses unchanged as an actor; Ray can stream what its methods yield
because they are generator functions themselves.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from kdtasks.contract.collaboration import LearnsOnShares, Work
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.task import Arrays, KDTask, Outcome, Report, TeacherArtifact, prefixed
from sweeps.common.events import Event, T, Training, at_work, events, floats
from sweeps.common.returned_values import fitting, generated, wrong_outcome
from sweeps.nodes.edge import EdgeNode
from sweeps.nodes.node import Deployment, Node
from sweeps.nodes.server import ServerNode
from sweeps.nodes.task_process import computed, open_task, start_afresh, take_gpu
from sweeps.nodes.topologies.catalog import collaborative
from sweeps.nodes.wire.messages import SERVER, Parcel


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A parcel as a host receives it.

    Attributes:
        number: Its place in the order of emission.
        sender: The node that sent it.
        receiver: The node that receives it.
        payload: Index of its payload in the batch.
    """

    number: int
    sender: str
    receiver: str
    payload: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Parcels for the nodes of one host; a payload for several nodes is contained once."""

    payloads: tuple[bytes, ...]
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A node's answer to one parcel.

    Attributes:
        number: The parcel's place in the order of emission.
        receiver: The node.
        parcels: The parcels that it sends.
        work: The cost of handling the parcel.
        received_bytes: Size of the parcel as received [B].
    """

    number: int
    receiver: str
    parcels: tuple[Parcel, ...]
    work: Work
    received_bytes: int


class NodeHost:
    """Holds nodes of one trial; its process, with the task opened, is reused by the next trial."""

    def __init__(self, task: str, gpus: float | None = None) -> None:
        self._task: KDTask = open_task(task)
        self._gpus = gpus
        self._trial: _Trial | None = None
        self._nodes: dict[str, Node] = {}
        self._dropped = False

    @at_work()
    def begin(
        self,
        params: Params,
        names: tuple[str, ...],
        train: Arrays,
        val: Arrays,
        teacher: TeacherArtifact | None,
    ) -> None:
        """Create the nodes of a trial, replacing those of the last one.

        Args:
            params: The trial's completed parameters.
            names: Nodes on this host.
            train: The whole training split; every node gets its share only.
            val: The whole validation split, on which the trial is evaluated.
            teacher: The trial's teacher, for the server.

        Raises:
            WorkFailedError: If the task cannot divide the data, or a node cannot be created.
        """
        self._dropped = False
        if self._gpus is not None:
            take_gpu(self._gpus)
        start_afresh(int(params.get("seed", 0)))
        self._trial = _Trial(params=params, train=train, val=val, teacher=teacher)
        self._nodes = {}
        settings = NetworkSettings.of(params)
        if not settings.networked:
            return
        task = collaborative(self._task, params)
        deployment = Deployment(
            task=task, params=params, settings=settings, key=fingerprint(params)
        )
        if SERVER in names:  # this host evaluates: fail before training if it cannot
            task.share_out(params, val, "val")
        shares = task.share_out(params, train, "train")
        for name in names:
            if name == SERVER:
                self._nodes[name] = ServerNode(name, deployment, shares.server, teacher)
            else:
                index = settings.edges.index(name)
                self._nodes[name] = EdgeNode(index, deployment, shares.edges[index])

    def handle(self, batch: Batch) -> Iterator[Event]:
        """Deliver a batch in order; the last event has the answers."""
        yield from self._unless_dropped(events(self._computed(self._handle(batch))))

    def train_alone(self) -> Iterator[Event]:
        """Train a student on all data, without a network; the last event has the outcome."""
        yield from self._unless_dropped(events(self._computed(self._train_alone())))

    def judge(self, weights: Arrays) -> Iterator[Event]:
        """Evaluate a deployment's students on the validation split, and time their inference."""
        yield from events(self._computed(self._judge(weights)))

    def drop(self) -> None:
        """Stop at the next report, since the trial was pruned; called from another thread."""
        self._dropped = True

    def _computed(self, work: Training[T]) -> Training[T]:
        return computed(self._task, self._the_trial().params, work)

    def _unless_dropped(self, stream: Iterator[Event]) -> Iterator[Event]:
        for event in stream:
            yield event
            if self._dropped:
                return

    def _handle(self, batch: Batch) -> Generator[Report, None, list[Answer]]:
        answers = []
        for item in batch.deliveries:
            payload = batch.payloads[item.payload]
            parcels, work = yield from self._nodes[item.receiver].handle(item.sender, payload)
            answers.append(
                Answer(
                    number=item.number,
                    receiver=item.receiver,
                    parcels=tuple(parcels),
                    work=work,
                    received_bytes=len(payload),
                )
            )
        return answers

    def _train_alone(self) -> Generator[Report, None, Outcome]:
        trial = self._the_trial()
        work = self._task.train_student(trial.params, trial.train, trial.val, trial.teacher)
        outcome = yield from generated("train_student", work)
        return fitting("train_student", outcome, wrong_outcome)

    def _judge(self, weights: Arrays) -> Generator[Report, None, dict[str, float]]:
        yield from ()
        trial = self._the_trial()
        assert isinstance(self._task, LearnsOnShares), "nodes were created"
        quality = floats(self._task.evaluate(trial.params, weights, trial.val), "evaluate")
        return {**prefixed("val", quality), **self._task.latency(trial.params)}

    def _the_trial(self) -> "_Trial":
        assert self._trial is not None, "begin comes first"
        return self._trial


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trial:
    params: Params
    train: Arrays
    val: Arrays
    teacher: TeacherArtifact | None
