"""What a task adds so that its students can be trained in a network of a server and edge nodes.

The nodes of `sweeps.nodes` hold data, weights and messages; what they learn with them is said here.
Nothing in this file knows which topology is running: a node is told to train, to train on, or to
say what it thinks of some samples.

Collaborative tasks whose students are wholly at the edge and whose samples cannot be made up.
"""

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.params import Params, Value
from kdtasks.contract.task import Arrays, KDTask, Report, SplitName, TeacherArtifact

Place = Literal["edge", "server"]
"""Where a part of a student is at inference. A two-sided model, such as a CSI autoencoder, has its
encoder at the edge and its decoder at the server; a one-sided model is wholly at the edge."""

Transfer = Literal["model", "pairs"]
"""How a teacher's knowledge reaches an edge that trains: the teacher itself (model transfer, 3GPP
TR 38.843 training Type 1), or samples with what the teacher says of them (training Type 3)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Which samples of a split belong to whom.

    No training sample belongs to two nodes. The other splits show the distributions on which nodes
    are judged: what the server could have seen, and what each edge does see.

    Attributes:
        server: The global data, as old and as incomplete as the parameters say.
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
    """

    flops: float = 0.0
    core_seconds: float = 0.0
    peak_bytes: float = 0.0
    teacher_samples: int = 0

    def __add__(self, other: "Work") -> "Work":
        """Do one after the other: costs add up, memory is used again."""
        return Work(
            flops=self.flops + other.flops,
            core_seconds=self.core_seconds + other.core_seconds,
            peak_bytes=max(self.peak_bytes, other.peak_bytes),
            teacher_samples=self.teacher_samples + other.teacher_samples,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Learnt:
    """What training leaves at a node.

    Attributes:
        weights: The whole student by tensor name, both places.
        work: Its cost.
        server_part_moved: Whether the part that belongs at the server was trained here, so that it
            must be sent there before the student can be used.
        teacher_outputs: What the teacher says of all samples, as far as it was asked, so that it
            need not be asked again.
    """

    weights: Arrays
    work: Work
    server_part_moved: bool
    teacher_outputs: Arrays = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Guidance:
    """Samples and soft outputs that a student is to imitate on them.

    Attributes:
        samples: Inputs.
        outputs: What somebody else says of them, as `CollaborativeTask.outputs` gives it.
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


class CollaborativeTask(KDTask):
    """A task whose students can be trained in a network.

    With ``topology`` other than ``none`` the parameters describe a deployment; `evaluate` then
    takes the weights of all nodes, as `joined` names them, and the whole split.
    """

    @abstractmethod
    def share_out(self, params: Params, split: Arrays, name: SplitName) -> Shares:
        """Divide a split among server and edges; the same rule for every split.

        Only the training split is limited to ``edge_samples``: the others train nothing.

        Raises:
            ConfigError: If some node would be left without samples, naming what to change.
        """

    def sample_count(self, samples: Arrays) -> int:
        """Return how many samples arrays hold; 0 without arrays.

        This and the next four methods are for arrays with a row per sample. A task whose samples
        share what they are made of, such as windows over frames, says it in its own way.
        """
        return len(next(iter(samples.values()))) if samples else 0

    def sample_slice(self, samples: Arrays, start: int, stop: int) -> Arrays:
        """Return some samples in a row, with nothing of the others."""
        return {name: array[start:stop] for name, array in samples.items()}

    def samples_together(self, one: Arrays, other: Arrays) -> Arrays:
        """Return the samples of two nodes, those of ``one`` first."""
        return {name: np.concatenate([array, other[name]]) for name, array in one.items()}

    def samples_for(self, params: Params, samples: Arrays) -> Arrays:
        """Return what is needed of samples by an edge with a student of ``params``."""
        return samples

    def sample_misfit(self, samples: Arrays) -> str:
        """Return what is wrong with samples whose arrays are as they must be; empty if nothing."""
        return ""

    @abstractmethod
    def edge_params(self, params: Params, edge: int) -> dict[str, Value]:
        """Return the parameters of one edge's student, which may be of a family of its own."""

    @abstractmethod
    def transfer(self, params: Params) -> Transfer:
        """Return how knowledge reaches an edge that trains its student."""

    @abstractmethod
    def teacher_of(self, params: Params, artifact: TeacherArtifact, number: int) -> TeacherArtifact:
        """Return one of the server's teachers, from the artefact that holds all of them."""

    @abstractmethod
    def latency(self, params: Params) -> dict[str, float]:
        """Return how long inference takes at an edge, measured on this machine, mean of edges."""

    @abstractmethod
    def planned_epochs(self, params: Params) -> int:
        """Return the epochs that `learn` (or `learn_pairs` and `adopt` together) will report."""

    @abstractmethod
    def tensors(self, params: Params, place: Place | None) -> dict[str, TensorSpec]:
        """Return the tensors of a student that belong to a place; all of them for None."""

    @abstractmethod
    def teacher_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the tensors of the teacher."""

    @abstractmethod
    def sample_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the arrays of a node's samples."""

    @abstractmethod
    def output_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the arrays of `outputs`."""

    @abstractmethod
    def knowledge_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the arrays of `pair_knowledge` and of `answer_pairs`."""

    @abstractmethod
    def statistics_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the arrays of `synthesis`."""

    def teacher_extras(self, params: Params, teacher: TeacherArtifact) -> tuple[Arrays, Work]:
        """Return what is sent with a teacher to edges that need more than it and their own data.

        In data-free distillation these are statistics of the server's samples, or a generator.
        """
        return {}, Work()

    def extra_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the arrays of `teacher_extras`."""
        return {}

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
        """

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

    @abstractmethod
    def outputs(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        """Return the soft outputs of a student: logits, or reconstructions.

        Their shape is the same for all families, so that different models can teach each other.
        """

    @abstractmethod
    def blend(self, params: Params, outputs: Sequence[Arrays]) -> Arrays:
        """Return the mean of what several students say of the same samples."""

    @abstractmethod
    def pair_knowledge(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        """Return what is sent beside samples in training Type 3: the teacher's codewords."""

    @abstractmethod
    def learn_pairs(
        self, params: Params, samples: Arrays, knowledge: Arrays, *, stream_name: str
    ) -> Generator[Report, None, Learnt]:
        """Train the part of a student that belongs at the edge on received pairs alone."""

    @abstractmethod
    def answer_pairs(
        self, params: Params, edge_part: Arrays, samples: Arrays
    ) -> tuple[Arrays, Work]:
        """Return what the edge's encoder says of its own samples, to be sent back with them.

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

    @abstractmethod
    def synthesis(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        """Return statistics of ``samples``, from which `synthesise` makes others to rehearse with.

        They are moments over all samples; that no single one can be told from them is true only of
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


# ruff: noqa: ARG002  # what is not offered takes its arguments all the same


class OneSidedTask(CollaborativeTask):
    """A task without pairs and without synthetic rehearsal; its settings refuse both.

    Knowledge travels as models: a teacher that is to train students at the edges is sent there.
    """

    @abstractmethod
    def student_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the tensors of a student."""

    def transfer(self, params: Params) -> Transfer:
        return "model"

    def tensors(self, params: Params, place: Place | None) -> dict[str, TensorSpec]:
        return {} if place == "server" else self.student_tensors(params)

    def knowledge_tensors(self, params: Params) -> dict[str, TensorSpec]:
        raise NotImplementedError(f"{self.name} exchanges no pairs")

    def pair_knowledge(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        raise NotImplementedError(f"{self.name} exchanges no pairs")

    def learn_pairs(
        self, params: Params, samples: Arrays, knowledge: Arrays, *, stream_name: str
    ) -> Generator[Report, None, Learnt]:
        raise NotImplementedError(f"{self.name} exchanges no pairs")

    def answer_pairs(
        self, params: Params, edge_part: Arrays, samples: Arrays
    ) -> tuple[Arrays, Work]:
        raise NotImplementedError(f"{self.name} exchanges no pairs")

    def adopt(
        self,
        params: Params,
        teacher: TeacherArtifact,
        samples: Arrays,
        knowledge: Arrays,
        *,
        stream_name: str,
    ) -> Generator[Report, None, Learnt]:
        raise NotImplementedError(f"{self.name} exchanges no pairs")

    def statistics_tensors(self, params: Params) -> dict[str, TensorSpec]:
        raise NotImplementedError(f"{self.name} makes no samples up")

    def synthesis(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        raise NotImplementedError(f"{self.name} makes no samples up")

    def synthesise(
        self, params: Params, weights: Arrays, statistics: Arrays, count: int, *, stream_name: str
    ) -> tuple[Arrays, Work]:
        raise NotImplementedError(f"{self.name} makes no samples up")
