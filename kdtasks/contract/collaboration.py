"""What a task adds so that its students can be trained in a network of a server and edge nodes.

One class per capability that a topology can ask for (`sweeps.nodes.topologies`). The nodes of
`sweeps.nodes` hold data, weights and messages; what they learn with them is the task's. Nothing in
this file knows which topology is running.
"""

from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.deployment import NetworkSettings, TopologyName
from kdtasks.contract.params import Params, Value
from kdtasks.contract.reports import forwarded
from kdtasks.contract.task import Arrays, KDTask, Report, SplitName, TeacherArtifact

T = TypeVar("T")
U = TypeVar("U")

Place = Literal["edge", "server"]
"""Where a part of a student is at inference. A two-sided model, such as a CSI autoencoder, has its
encoder at the edge and its decoder at the server; a one-sided model is wholly at the edge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """The owner of each sample of a split.

    No training sample belongs to two nodes. The other splits show the distributions on which nodes
    are judged: what the server could have seen, and what each edge does see.

    Attributes:
        server: The global data, as old and as incomplete as parameters make it.
        edges: The local data of each edge.
    """

    server: Arrays
    edges: tuple[Arrays, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a piece of work has cost a node.

    Attributes:
        flops: Floating-point operations: three times the forward pass per trained sample (forward,
            and backward for inputs and for weights), once per sample that is only run.
        core_seconds: Measured CPU time [s].
        peak_bytes: Memory of training: weights, gradients, Adam's two moments, activations of one
            batch, and whatever else has to be held (a teacher) [B]. 0 if nothing was trained.
        teacher_samples: Samples that a teacher was run on.
        capped: Whether a training that was to end at a plateau ended before.
    """

    flops: float = 0.0
    core_seconds: float = 0.0
    peak_bytes: float = 0.0
    teacher_samples: int = 0
    capped: bool = False

    def __add__(self, other: "Work") -> "Work":
        """Do one after the other: costs add up, memory is used again."""
        return Work(
            flops=self.flops + other.flops,
            core_seconds=self.core_seconds + other.core_seconds,
            peak_bytes=max(self.peak_bytes, other.peak_bytes),
            teacher_samples=self.teacher_samples + other.teacher_samples,
            capped=self.capped or other.capped,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Learnt:
    """What training leaves at a node.

    Attributes:
        weights: The whole student by tensor name, both places.
        work: Its cost.
        server_part_moved: Whether the server's part was trained here, and must be sent there.
        teacher_outputs: The teacher's outputs on all samples, as far as they are known.
        underway: The whole student after so many steps, where students on the way are judged.
    """

    weights: Arrays
    work: Work = field(default_factory=Work)
    server_part_moved: bool = False
    teacher_outputs: Arrays = field(default_factory=dict)
    underway: Mapping[int, Arrays] = field(default_factory=dict)


def leaving(
    training: Generator[Report, None, T], made_of: Callable[[T], U]
) -> Generator[Report, None, U]:
    """Forward a training; return what is made of its result, at its end and in `Report.left`."""

    def left(before: Callable[[], T]) -> U:
        return made_of(before())

    def change(report: Report) -> Report:
        return replace(report, left=report.left and partial(left, report.left))

    return made_of((yield from forwarded(training, change)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Guidance:
    """Samples and soft outputs that a student is to imitate on them.

    Attributes:
        samples: Inputs.
        outputs: Those of another student or of the teacher, as `SharesOutputs.outputs` gives them.
    """

    samples: Arrays
    outputs: Arrays


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """How a student is trained on.

    Attributes:
        epochs: Passes over the labelled samples.
        rate: Peak learning rate.
        guidance_weight: Weight of the distillation term, in [0, 1]: alpha of
            ``(1 - alpha) task + alpha distill``.
        server_part: Whether the part that belongs at the server is trained too.
        stream_name: Name of the random stream, unique per node and round.
    """

    epochs: int
    rate: float
    guidance_weight: float
    server_part: bool
    stream_name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorSpec:
    """Shape and type that a received array must have; a size of None is free (samples)."""

    shape: tuple[int | None, ...]
    dtype: str

    @classmethod
    def of_rows(cls, array: NDArray[Any]) -> Self:
        """Return that of arrays with a row per sample like ``array``, however many rows."""
        return cls(shape=(None, *array.shape[1:]), dtype=str(array.dtype))

    def misfit(self, array: NDArray[Any]) -> str:
        """Return what is wrong with an array; empty if nothing is."""
        if str(array.dtype) != self.dtype:
            return f"dtype {array.dtype}, expected {self.dtype}"
        sizes_fit = len(array.shape) == len(self.shape) and all(
            wanted in (None, size) for wanted, size in zip(self.shape, array.shape, strict=True)
        )
        if not sizes_fit:
            wanted = ", ".join("any" if size is None else str(size) for size in self.shape)
            return f"shape {tuple(array.shape)}, expected ({wanted})"
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return "values that are NaN or infinite"
        return ""


class LearnsOnShares(KDTask):
    """A task whose students learn at nodes of a network, each on its share of the data.

    With ``topology`` other than ``none`` the parameters describe a deployment, see
    `kdtasks.contract.deployment`; `evaluate` then takes the weights of all nodes, as `joined` names
    them, and the whole split. What a topology asks for beyond this class is a class of its own
    below; a task derives from those whose methods it has.

    Students are wholly at the edge, equal at all edges, and samples are rows of arrays, unless a
    task overrides the methods that define this.
    """

    base_settings: ClassVar[type[NetworkSettings]] = NetworkSettings

    @abstractmethod
    def share_out(self, params: Params, split: Arrays, name: SplitName) -> Shares:
        """Divide a split among server and edges; the same rule for every split.

        Only the training split is limited to ``edge_samples``: the others train nothing.

        Raises:
            ConfigError: If some node would be left without samples, naming what to change.
        """

    def judged_shares(self, params: Params, split: Arrays) -> Shares:
        """Return the shares of a split on which students are judged: those of honest edges.

        No edge's share of it is cut, since it trains nothing.
        """
        every = self.share_out(params, split, "val")
        return replace(every, edges=every.edges[: NetworkSettings.of(params).honest_edges])

    @abstractmethod
    def student_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the tensors of a student."""

    @abstractmethod
    def learn(
        self,
        params: Params,
        data: Arrays,
        teacher: TeacherArtifact | None,
        *,
        server_part: bool,
        stream_name: str,
    ) -> Generator[Report, None, Learnt]:
        """Train a student from scratch by the method of ``params`` on a node's data.

        Args:
            params: The completed parameters of this student.
            data: The node's samples.
            teacher: The teacher; its ``outputs`` are those of the first samples of ``data``, or of
                none: the rest is computed once and counted. Among them is what `teacher_extras`
                gave. None for a method without a teacher.
            server_part: Whether the part that belongs at the server may be trained; a student
                without a teacher to take it from trains it all the same.
            stream_name: Name of the random streams; empty at the server.

        Reports that can say what training `leaves <leaving>` so far let trials be stopped early.
        """

    def planned_epochs(self, params: Params) -> int:
        """Return the epochs that `learn` (or `learn_pairs` and `adopt` together) will report."""
        return int(params["epochs"])

    def edge_params(self, params: Params, edge: int) -> dict[str, Value]:  # noqa: ARG002
        """Return the parameters of one edge's student, which may be of a family of its own."""
        return dict(params)

    def place_of(self, tensor: str) -> Place:  # noqa: ARG002
        """Return where a tensor of a student belongs."""
        return "edge"

    def tensors(self, params: Params, place: Place | None) -> dict[str, TensorSpec]:
        """Return the tensors of a student that belong to a place; all of them for None."""
        specs = self.student_tensors(params)
        return {n: spec for n, spec in specs.items() if place in (None, self.place_of(n))}

    def latency(self, params: Params) -> dict[str, float]:  # noqa: ARG002
        """Return how long inference takes at an edge, measured on this machine, mean of edges."""
        return {}

    def mean_over_edges(
        self,
        params: Params,
        weights: Arrays,
        split: Arrays,
        score: Callable[[Params, Arrays, Arrays], Mapping[str, float]],
    ) -> dict[str, float]:
        """Return the means over edges of their students' scores, for `evaluate`.

        Edges without samples in the split are left out, and so are hostile ones.

        Args:
            params: Parameters of the trial.
            weights: Of all nodes.
            split: The whole split, but not that of training.
            score: Scores a student on its edge's share, given its parameters and weights.
        """
        nodes, shares = parted(weights), self.judged_shares(params, split).edges
        scores = [
            score(self.edge_params(params, edge), nodes[f"edge-{edge}"], share)
            for edge, share in enumerate(shares)
            if self.sample_count(share)
        ]
        return {name: sum(one[name] for one in scores) / len(scores) for name in scores[0]}

    def evaluate_underway(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        """Return the metrics of a deployment that is still trained, of the validation split.

        They are those of `evaluate`, as far as they are about each edge's own samples. What is
        learnt must not depend on whether this is called.
        """
        return self.evaluate(params, weights, split)

    def teacher_of(self, params: Params, artifact: TeacherArtifact, number: int) -> TeacherArtifact:
        """Return one of the server's teachers, from the artefact that holds all of them."""
        several = NetworkSettings.of(params).num_teachers > 1
        return one_of(artifact, number) if several else artifact

    def sample_count(self, samples: Arrays) -> int:
        """Return how many samples arrays hold; 0 without arrays.

        This and the next five methods are for arrays with a row per sample. A task whose samples
        share what they are made of, such as windows over frames, overrides them.
        """
        return len(next(iter(samples.values()))) if samples else 0

    def sample_slice(self, samples: Arrays, start: int, stop: int) -> Arrays:
        """Return some samples in a row, with nothing of the others."""
        return {name: array[start:stop] for name, array in samples.items()}

    def samples_together(self, one: Arrays, other: Arrays) -> Arrays:
        """Return the samples of two nodes, those of ``one`` first."""
        return {name: np.concatenate([array, other[name]]) for name, array in one.items()}

    def samples_for(self, params: Params, samples: Arrays) -> Arrays:  # noqa: ARG002
        """Return what is needed of samples by an edge with a student of ``params``."""
        return samples

    def sample_tensors(self, params: Params, own: Arrays) -> dict[str, TensorSpec]:  # noqa: ARG002
        """Return the arrays of samples that a node accepts; ``own`` are those that it has."""
        return {name: TensorSpec.of_rows(array) for name, array in own.items()}

    def sample_misfit(self, samples: Arrays) -> str:  # noqa: ARG002
        """Return what is wrong with samples whose arrays are as they must be; empty if nothing."""
        return ""


class FineTunes(LearnsOnShares):
    """A task whose students can be trained further, from weights that they have."""

    @abstractmethod
    def train_on(
        self,
        params: Params,
        weights: Arrays,
        data: Arrays,
        guidance: Guidance | None,
        stage: Stage,
    ) -> Generator[Report, None, Learnt]:
        """Train a student on from ``weights``, or from scratch if they are empty.

        The loss is ``(1 - w) task(data) + w distill(guidance)``; without guidance the first alone.
        """


class SharesOutputs(FineTunes):
    """A task whose students imitate soft outputs of other students, of whatever architecture."""

    @abstractmethod
    def outputs(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        """Return the soft outputs of a student: logits, or reconstructions.

        Their shape is the same for all families, so that different models can teach each other.
        """

    @abstractmethod
    def output_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the arrays of `outputs`."""

    def blend(self, params: Params, outputs: Sequence[Arrays]) -> Arrays:  # noqa: ARG002
        """Return the mean of several students' outputs on the same samples.

        The mean of logits is the geometric mean of the students' probabilities, at whatever
        temperature these are softened with afterwards; that of probabilities would hold at one
        temperature alone.
        """
        return {
            name: np.stack([one[name] for one in outputs]).mean(0, np.float64).astype(np.float32)
            for name in outputs[0]
        }


class SendsTeacher(LearnsOnShares):
    """A task whose edges can be sent the teacher to learn from it; TR 38.843 training Type 1."""

    @abstractmethod
    def teacher_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the tensors of the teacher."""

    def teacher_extras(
        self,
        params: Params,  # noqa: ARG002
        teacher: TeacherArtifact,  # noqa: ARG002
    ) -> tuple[Arrays, Work]:
        """Return what is sent with a teacher to edges that need more than it and their own data.

        In data-free distillation these are statistics of the server's samples, or a generator.
        """
        return {}, Work()

    def extra_tensors(self, params: Params) -> dict[str, TensorSpec]:  # noqa: ARG002
        """Return the arrays of `teacher_extras`."""
        return {}


class ServesEachEdge(LearnsOnShares):
    """A task whose edges can have different topologies in one deployment.

    Students are trained with parameters of a deployment of their edge's topology alone. What the
    server trains for centralized edges without uploads is what semi-centralized ones train on.
    """

    @abstractmethod
    def in_topology(self, params: Params, topology: TopologyName) -> dict[str, Value]:
        """Return the parameters of the deployment in which every edge has this topology."""


class ExchangesPairs(LearnsOnShares):
    """A task whose edges can learn from the server's samples with a teacher's outputs on them.

    No model is sent; TR 38.843 training Type 3.
    """

    @abstractmethod
    def sends_pairs(self, params: Params) -> bool:
        """Return whether the method of ``params`` teaches edges by pairs, and not by a teacher."""

    @abstractmethod
    def knowledge_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the arrays of `pair_knowledge` and of `AnswersPairs.answer_pairs`."""

    @abstractmethod
    def pair_knowledge(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        """Return what is sent beside samples: the teacher's codewords, or its logits."""

    @abstractmethod
    def learn_pairs(
        self, params: Params, samples: Arrays, knowledge: Arrays, *, stream_name: str
    ) -> Generator[Report, None, Learnt]:
        """Train the part of a student that belongs at the edge on received pairs alone."""


class AnswersPairs(ExchangesPairs):
    """A task whose edges send pairs back, from which the server learns its part of the student."""

    @abstractmethod
    def answer_pairs(
        self, params: Params, edge_part: Arrays, samples: Arrays
    ) -> tuple[Arrays, Work]:
        """Return the outputs of the edge's part on its own samples, to be sent back with them.

        Empty if the method ends with `learn_pairs`.
        """

    @abstractmethod
    def adopt(
        self,
        params: Params,
        teacher: TeacherArtifact,
        samples: Arrays,
        knowledge: Arrays,
        *,
        stream_name: str,
    ) -> Generator[Report, None, Learnt]:
        """Train the server's part on one edge's pairs; returns the weights of that part alone."""


class SynthesisesSamples(LearnsOnShares):
    """A task that makes samples from statistics of others, for rehearsal without data."""

    @abstractmethod
    def statistics_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the arrays of `synthesis`."""

    @abstractmethod
    def synthesis(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        """Return statistics of ``samples``, from which `synthesise` makes others to rehearse with.

        They are moments over all samples; that they reveal no single one is true only of
        many more samples than moments.
        """

    @abstractmethod
    def synthesise(
        self, params: Params, weights: Arrays, statistics: Arrays, count: int, *, stream_name: str
    ) -> tuple[Arrays, Work]:
        """Return made-up samples for rehearsal, from the received student and the statistics."""


def joined(parts: Mapping[str, Arrays]) -> dict[str, NDArray[Any]]:
    """Return the weights of several nodes under ``node/tensor``."""
    return {f"{node}/{name}": a for node, arrays in parts.items() for name, a in arrays.items()}


def parted(weights: Arrays) -> dict[str, dict[str, NDArray[Any]]]:
    """Undo `joined`."""
    nodes: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in weights.items():
        node, _, tensor = name.partition("/")
        nodes.setdefault(node, {})[tensor] = array
    return nodes


def name_of(number: int) -> str:
    """Name a teacher within the artefact of several, see `one_of`."""
    return f"teacher-{number}"


def one_of(artifact: TeacherArtifact, number: int) -> TeacherArtifact:
    """Return one teacher of several that were trained from seeds of their own."""
    name = name_of(number)
    return TeacherArtifact(
        metrics=artifact.metrics,
        weights=parted(artifact.weights)[name],
        outputs=parted(artifact.outputs).get(name, {}),
    )
