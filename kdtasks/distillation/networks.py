"""What a task of two networks is: its data, its networks, what decides them and what they cost."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from kdtasks.contract.collaboration import (
    LearnsOnShares,
)
from kdtasks.contract.deployment import NETWORK_METRICS, POISONING_METRICS
from kdtasks.contract.effort import EFFORT_METRICS
from kdtasks.contract.error_text import blamed, written
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.privacy import PRIVACY_METRICS
from kdtasks.contract.settings import Decision
from kdtasks.contract.task import (
    Arrays,
    Progress,
    ScenarioData,
    down,
)
from kdtasks.data.weight_files import weights_identity
from kdtasks.distillation.settings import DistillationSettings
from kdtasks.distillation.splits import TARGET, Metric, Splits, inputs_of
from kdtasks.distillation.training import (
    Watched,
    default_loss,
    node_seed,
)
from kdtasks.learning.complexity import (
    Cost,
    batch1_latency_ms,
    count,
    state_bytes,
)
from kdtasks.learning.random import initialised
from kdtasks.learning.tensors import load_state

COSTS = {
    "params": down("", "trainable parameters of the student"),
    "macs": down("MACs", "multiply-accumulates of a sample"),
    "flops": down("FLOPs", "2 per multiply-accumulate, biases by Cui et al., eq. (13) and (14)"),
    "model_bytes": down("B", "parameters and buffers of the student"),
}
"""Complexity of a student, known before it is trained."""

SPENT = {
    "latency_ms": down("ms", "a sample, batch 1, this CPU, one thread, median"),
    **EFFORT_METRICS,
}
"""What a student's training has cost, and how fast it runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where data that are slow to make are kept, and who is shown how far they are.

    Attributes:
        cache_dir: A folder, for one version of the code if that is a user's own.
        progress: Called as ``progress(done, total, "users")``.
    """

    cache_dir: Path
    progress: Progress


class Parameters(Mapping[str, Value]):
    """Parameters of a trial as attributes, as far as they may be read.

    Args:
        params: All parameters.
        allowed: Those that may be read; None for all.
        reader: Who reads them, for the error.
        place: Where slow data are kept; None where there is no such place.
    """

    def __init__(
        self,
        params: Params,
        allowed: frozenset[str] | None,
        reader: str,
        place: Place | None = None,
    ) -> None:
        self._params, self._allowed, self._reader = params, allowed, reader
        self._read: dict[str, Value] = {}
        self._place = place

    @property
    def place(self) -> Place:
        """Where data that are slow to make are kept; for ``data`` alone.

        Raises:
            ConfigError: If data are made for the shapes of their inputs only.
        """
        if self._place is None:
            raise ConfigError("p.place is there while data are loaded; write input_shapes(p), too")
        return self._place

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            known = ", ".join(sorted(self._params))
            raise AttributeError(f"there is no parameter {name!r}; there are {known}") from error

    def __getitem__(self, name: str) -> Value:
        value = self._read[name] = self._params[name]
        if self._allowed is not None and name not in self._allowed:
            kind = "data" if self._reader == "data" else "teacher"
            raise ConfigError(
                f"{self._reader}() reads parameter {name!r}, which decides the student alone: "
                f"declare it with decides={kind!r}"
            )
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._params)

    def __len__(self) -> int:
        return len(self._params)


class TwoNetworks(LearnsOnShares):
    """The half of a task that says what its data and networks are."""

    base_settings = DistillationSettings
    any_device = True

    parameters: ClassVar[Mapping[str, Any]] = {}
    """What `kdtasks.contract.settings.param` returns, by name; ``decides`` is the student unless it
    says "data" or "teacher"."""

    edge_students: ClassVar[Sequence[Mapping[str, Value]]] = ()
    """What edges' students have instead of the trial's parameters, in turn, where ``edge_families``
    is mixed: ``({}, {"width": 16})`` for every other edge."""

    features: ClassVar[tuple[str, str]] = ("", "")
    """Names of the submodules of student and teacher whose outputs feature distillation compares;
    relations are taken of outputs where there are none."""

    version: ClassVar[int] = 1
    """Raise it where what data or teachers are has changed, and source code cannot show it."""

    scores: ClassVar[Mapping[str, Metric]]
    """The task's metrics, as the class gave them."""

    _shapes: ClassVar[dict[str, tuple[tuple[int, ...], ...]]] = {}
    """Shapes of the inputs, by what decides the data; a class attribute per class."""

    _counted: ClassVar[dict[tuple[str, ...], dict[Any, dict[str, float]]]] = {}
    """Costs of students, by the names of the parameters that `student` read; then by their values
    and the shapes of the inputs."""

    _waiting: ClassVar[dict[str, tuple[Splits, dict[str, dict[str, Any]]]]] = {}
    """Data made for their shapes, by the same, until they are loaded."""

    def __init_subclass__(cls) -> None:
        """Take over the class's metrics, and add those that every such task has."""
        cls._shapes, cls._waiting, cls._counted = {}, {}, {}
        if "name" in vars(cls):
            given = vars(cls).get("metrics", {})
            if not given or not all(isinstance(one, Metric) for one in given.values()):
                raise TypeError(f"{cls.__name__}.metrics needs at least one metric(function, ...)")
            cls.scores = given
            quality = {f"val_{name}": one.info for name, one in given.items()}
            cls.metrics = {
                **quality,
                **COSTS,
                **SPENT,
                **NETWORK_METRICS,
                **POISONING_METRICS,
                **PRIVACY_METRICS,
            }
            cls.parameters = {**cls.parameters}
        if "place" in cls.parameters:
            raise TypeError(f"{cls.__name__}.parameters: 'place' is p.place; take another name")
        super().__init_subclass__()
        free = {*cls.parameters} - cls.settings.deciding("data", "made data", "teacher")
        for name in {name for own in cls.edge_students for name in own} - free:
            known = ", ".join(sorted(free)) or "none"
            raise TypeError(
                f"{cls.__name__}.edge_students: {name!r} is no parameter of the student alone; "
                f"there are {known}"
            )

    # --- what a user writes -------------------------------------------------------------------

    @abstractmethod
    def data(self, p: Any) -> Splits:
        """Return the data. It may read the parameters that decide data.

        What is slow to make is kept in ``p.place.cache_dir``, with ``p.place.progress``; such a
        task writes `input_shapes` as well, and `data_identity` where files decide its data.
        """

    @abstractmethod
    def teacher(self, p: Any) -> nn.Module:
        """Return a new teacher. It may read the parameters that decide data or teacher."""

    @abstractmethod
    def student(self, p: Any) -> nn.Module:
        """Return a new student."""

    def input_shapes(self, p: Any) -> tuple[tuple[int, ...], ...]:  # noqa: ARG002
        """Return the shapes of a sample's inputs; empty if only data tell, which are then made."""
        return ()

    def data_identity(self, p: Any) -> Mapping[str, Any]:  # noqa: ARG002
        """Return what decides data beside parameters, such as the content of files, as JSON.

        An entry with the name of a parameter stands for it: the path of a file means nothing.
        """
        return {}

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss towards targets: cross-entropy of integers, squared error of numbers."""
        return default_loss(outputs, targets)

    def augment(self, batch: Any, generator: torch.Generator) -> Any:  # noqa: ARG002
        """Return inputs of a training batch, changed at random.

        A task that writes this has teachers that answer every changed batch anew; the trial's
        ``teacher_forward_samples`` says for how many samples.

        Args:
            batch: The inputs, a row per sample: one tensor, or a tuple if there are several.
            generator: What to draw from; it follows from the seed.
        """
        return batch

    def edge_labels(self, split: Arrays) -> np.ndarray[Any, Any]:
        """Return an integer per sample, by which edges of a network differ: the targets.

        Raises:
            ConfigError: If targets are not one integer per sample.
        """
        labels = np.asarray(split[TARGET])
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ConfigError(
                f"task {self.name}: targets are not one integer per sample; give it "
                "edge_labels(split) to run topologies"
            )
        return labels

    # --- identity and data --------------------------------------------------------------------

    def complete(self, params: Params) -> dict[str, Value]:
        full = super().complete(params)
        if full["method"] == "feature" and not all(self.features):
            raise ConfigError(
                "method='feature' needs features = (part of the student, part of the teacher)"
            )
        if full["topology"] != "none" and full["edge_families"] == "mixed":
            if not self.edge_students:
                raise ConfigError(
                    "edge_families='mixed' needs edge_students = ({}, {parameter: value}, ...)"
                )
            for own in self.edge_students:
                super().complete({**params, **own})
        return full

    def edge_params(self, params: Params, edge: int) -> dict[str, Value]:
        own = self._families(params)
        return super().complete({**params, **own[edge % len(own)], "edge_families": "same"})

    def _families(self, params: Params) -> Sequence[Mapping[str, Value]]:
        settings = self._settings(params)
        mixed = settings.networked and settings.edge_families == "mixed"
        return self.edge_students if mixed else ({},)

    def _mean_over_edges(
        self, params: Params, measured: Callable[[Params], dict[str, float]]
    ) -> dict[str, float]:
        """Return the mean of what edges' students measure; equal ones are measured once."""
        own = self._families(params)
        found = [measured(self.edge_params(params, edge)) for edge in range(len(own))]
        edges = self._settings(params).num_edges if len(own) > 1 else 1
        each = [found[edge % len(found)] for edge in range(edges)]
        return {name: sum(one[name] for one in each) / edges for name in found[0]}

    def _settings(self, params: Params) -> DistillationSettings:
        settings = self.settings.resolve(params)
        assert isinstance(settings, DistillationSettings)
        return settings

    def _identity(self, params: Params, *decisions: Decision) -> dict[str, Any]:
        settings = self._settings(params)
        found: dict[str, Any] = {name: settings.identity(name) for name in decisions}
        if "data" in found:
            read = self.settings.deciding("data", "made data")
            found["data"] |= self.data_identity(Parameters(settings.completed(), read, "data"))
        return {"task": self.name, "version": self.version, **found}

    def scenario_fingerprint(self, params: Params) -> str:
        return fingerprint(self._identity(params, "data"))

    def teacher_fingerprint(self, params: Params) -> str | None:
        settings = self._settings(params)
        if not settings.has_teacher:
            return None
        facts: dict[str, Any] = {"server": settings.server_share} if settings.networked else {}
        facts |= weights_identity(settings.teacher_weights)
        return fingerprint({**self._identity(params, "data", "teacher"), **facts})

    def load_scenario(self, params: Params, *, cache_dir: Path, progress: Progress) -> ScenarioData:
        splits, arrays = self._data(params, Place(cache_dir=cache_dir, progress=progress))
        del self._waiting[self.scenario_fingerprint(params)]  # made anew next time
        counts = {name: len(split[TARGET]) for name, split in arrays.items()}
        provenance = {**splits.facts, "source": splits.source, "samples": counts}
        return ScenarioData(**arrays, provenance=provenance)

    def _data(
        self, params: Params, place: Place | None = None
    ) -> tuple[Splits, dict[str, dict[str, Any]]]:
        """Return the data, made now unless those that were made have not been loaded yet."""
        key = self.scenario_fingerprint(params)
        if key not in self._waiting:
            splits = self.data(self._seen(params, "data", "made data", place=place))
            if not isinstance(splits, Splits):
                raise ConfigError(f"data() returns a {type(splits).__name__}; return Splits(...)")
            self._waiting[key] = splits, splits.arrays()
            self._note_shapes(params, self._waiting[key][1]["train"])
        return self._waiting[key]

    def _note_shapes(self, params: Params, split: Arrays) -> None:
        """Keep the shapes of the inputs: a process that is given data need not make them."""
        if self._declared_shapes(params):
            return
        shapes = tuple(tuple(x.shape[1:]) for x in inputs_of(split))
        type(self)._shapes[self.scenario_fingerprint(params)] = shapes

    def _declared_shapes(self, params: Params) -> tuple[tuple[int, ...], ...]:
        return self.input_shapes(self._seen(params, "data", "made data"))

    def _seen(self, params: Params, *decisions: Decision, place: Place | None = None) -> Parameters:
        """Return the parameters that may be read by what makes data, or data and teacher."""
        full = self.complete(params)
        allowed = self.settings.deciding(*decisions) if decisions else None
        return Parameters(full, allowed, "teacher" if "teacher" in decisions else "data", place)

    def _input_shapes(self, params: Params) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the inputs; data are made if only they tell."""
        if declared := self._declared_shapes(params):
            return declared
        key = self.scenario_fingerprint(params)
        if key not in self._shapes:
            self._data(params)
        return self._shapes[key]

    # --- networks -----------------------------------------------------------------------------

    def _student(self, params: Params, stream_name: str = "") -> Watched:
        seed = node_seed(self._settings(params).seed, stream_name)
        return self._student_of(self._seen(params), seed)

    def _student_of(self, seen: Parameters, seed: int) -> Watched:
        make = partial(self._made, "student", partial(self.student, seen))
        return Watched(initialised(seed, "student", make), self.features[0])

    def _teacher(self, params: Params) -> Watched:
        seen = self._seen(params, "data", "made data", "teacher")
        make = partial(self._made, "teacher", partial(self.teacher, seen))
        network = initialised(self._settings(params).teacher_seed, "teacher", make)
        return Watched(network, self.features[1])

    def _made(self, what: str, make: Callable[[], nn.Module]) -> nn.Module:
        network = make()
        if not isinstance(network, nn.Module):
            raise ConfigError(f"{what}() returns a {type(network).__name__}, not a torch.nn.Module")
        return network

    def _restored(self, params: Params, weights: Arrays, *, teacher: bool) -> Watched:
        watched = self._teacher(params) if teacher else self._student(params)
        load_state(watched.network, weights)
        watched.network.eval()
        return watched

    def _size(self, params: Params, network: nn.Module) -> Cost:
        return count(network, *self._input_shapes(params))

    def cost(self, params: Params) -> dict[str, float]:
        return self._mean_over_edges(params, self._cost_of)

    def _cost_of(self, params: Params) -> dict[str, float]:
        """Return the cost of one student, which follows from the parameters that `student` reads.

        Samplers ask for thousands that differ in others.
        """
        seen, shapes = self._seen(params), self._input_shapes(params)

        def key(names: Iterable[str]) -> object:
            return shapes, tuple(seen._params[name] for name in names)

        for names, costs in self._counted.items():
            if (known := costs.get(key(names))) is not None:
                return known
        network = self._student_of(seen, 0).network
        inputs = " and ".join(str(list(shape)) for shape in shapes)
        with blamed(f"the network of {written(self.student)} fails on a sample of shape {inputs}"):
            cost = self._costs(network, count(network, *shapes))
        self._counted.setdefault(tuple(seen._read), {})[key(seen._read)] = cost
        return cost

    def _costs(self, network: nn.Module, size: Cost) -> dict[str, float]:
        return {
            "params": float(size.params),
            "macs": float(size.macs),
            "flops": float(size.flops),
            "model_bytes": float(state_bytes(network)),
        }

    def latency(self, params: Params) -> dict[str, float]:
        def of_one(own: Params) -> dict[str, float]:
            network = self._student(own).network
            return {"latency_ms": batch1_latency_ms(network, *self._input_shapes(own))}

        return self._mean_over_edges(params, of_one)
