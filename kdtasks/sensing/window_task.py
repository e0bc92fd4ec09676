"""What the systems on passages through a street have in common, whatever their sensors.

Samples are windows over frames of passages. Students of a deployment are scored on local data, on
the server's, and on what they forgot. Every edge counts the same, however many windows it has; one
that has none is left out where its own windows are asked for.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

from kdtasks.contract.collaboration import SendsTeacher, Shares, TensorSpec, parted
from kdtasks.contract.deployable import Deployable
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.task import (
    Arrays,
    Baseline,
    MetricInfo,
    OwnData,
    Progress,
    ScenarioData,
    SplitName,
)
from kdtasks.data.weight_files import weights_identity
from kdtasks.learning.deployed_students import Judge, ScoreOf, deployed, mean_metrics
from kdtasks.sensing.baselines import baselines_of
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_SLOTS
from kdtasks.sensing.ownership import (
    Owners,
    pointing_nowhere,
    server_share,
    shares,
    windows_between,
    windows_together,
)
from kdtasks.sensing.settings import PassageSettings
from kdtasks.sensing.sources import Source, load_source, own_data, source_fingerprint

TEACHER_RECIPE = 1
"""Raised when the same settings would train another teacher, so that old ones are not reused."""

JUDGED_BY = "top2"
"""The score that edges are compared by."""

Scores = dict[str, float]


def _more(unit: str, description: str) -> MetricInfo:
    return MetricInfo(unit=unit, direction="maximize", description=description)


DEPLOYMENT_METRICS = {
    "val_worst_edge_top2": _more("%", "top-2 accuracy at the worst edge, on its own passages"),
    "val_server_top2": _more("%", "top-2 accuracy of edges' students on the server's passages"),
    "val_received_top2": _more("%", "top-2 accuracy of students as edges received them"),
    "val_forgetting_top2": MetricInfo(
        unit="%",
        direction="minimize",
        description="points that training at edges lost on the server's passages",
    ),
    "val_judged_edges": _more("", "edges with passages of their own; means are over these"),
}
"""What a deployment is judged by beside the scores of a lone student."""


def deployment_scores(
    score: Callable[[int, Arrays, Arrays], Scores], nodes: Mapping[str, Arrays], shares: Shares
) -> Scores:
    """Return the metrics of a deployment [%].

    Every score of a lone student is the mean over edges, each on its own windows; that of a
    condition is over the edges that have such windows. ``worst_edge_top2`` is that of the edge at
    which it is least.

    ``forgetting_top2`` is what the server's distribution has lost by training at the edges, in
    percentage points: positive if students are now worse on it than when they were received.
    ``judged_edges`` counts the edges that have windows to be judged on; means are over these.

    Args:
        score: Scores the student of an edge's kind, with these weights, on a share.
        nodes: Weights of ``edge-0``, ... and, where students were received, ``received-0``, ...
        shares: Samples of the split by owner; without a server's, only edges' own are looked at.
    """
    judge = Judge(score, lambda share: len(share["label"]))
    numbers = range(len(shares.edges))
    students = [nodes[f"edge-{edge}"] for edge in numbers]
    own = judge.each(students, shares.edges)
    found = {name: _mean(own, name) for name in dict.fromkeys(name for one in own for name in one)}
    found["worst_edge_top2"] = min(one[JUDGED_BY] for one in own)
    found["judged_edges"] = float(len(own))
    if not shares.server:
        return found
    everywhere = [shares.server] * len(students)
    found["server_top2"] = _mean(judge.each(students, everywhere), JUDGED_BY)
    names = [f"received-{edge}" for edge in numbers]
    received = [nodes[name] for name in names if name in nodes]
    if len(received) == len(students):
        found["received_top2"] = _mean(judge.each(received, shares.edges), JUDGED_BY)
        before = _mean(judge.each(received, everywhere), JUDGED_BY)
        found["forgetting_top2"] = before - found["server_top2"]
    return found


def _mean(scores: Sequence[Scores], name: str) -> float:
    """Return the mean of a score over the edges that have it."""
    values = [one[name] for one in scores if name in one]
    return sum(values) / len(values)


S = TypeVar("S", bound=PassageSettings)


class WindowTask(Generic[S], SendsTeacher):
    """A system on passages. Windows share the frames that they are over: no share is a row each."""

    any_device = True

    learns_from: ClassVar[tuple[str, ...]]
    """Sensors, of which data have one at least."""

    # --- what a system defines ------------------------------------------------------------------

    @abstractmethod
    def _source(self, settings: S) -> Source:
        """Return which data a trial trains on.

        Raises:
            ConfigError: If there are none, or they lack a sensor.
            DataError: If the user's own tables cannot be read.
        """

    @abstractmethod
    def _owners(self, settings: S) -> Owners:
        """Return which sensors the server and each edge have."""

    @abstractmethod
    def _check_memory(self, settings: S) -> None:
        """Refuse a deployment whose training does not fit into ``edge_memory_mb``.

        Raises:
            ConfigError: Naming what training takes and what to lower.
        """

    @abstractmethod
    def _score(self, settings: S, weights: Arrays, split: Arrays, *, teacher: bool) -> Scores:
        """Return every score [%] of a lone student, or of a teacher."""

    @abstractmethod
    def _deployable(self, settings: S, weights: Arrays) -> Deployable:
        """Return a lone student as its node runs it."""

    def _edge(self, settings: S, edge: int) -> S:  # noqa: ARG002
        """Return the settings of an edge's student."""
        return settings

    def _teacher_facts(self, settings: S) -> dict[str, Any]:  # noqa: ARG002
        """Return what decides a teacher beside the parameters that are declared to do so."""
        return {}

    # --- what follows ---------------------------------------------------------------------------

    def _resolve(self, params: Params) -> S:
        return cast("S", self.settings.resolve(params))

    def complete(self, params: Params) -> dict[str, Value]:
        settings = self._resolve(params)
        self._source(settings)
        self._check_memory(settings)
        return settings.completed()

    def own_data(self, path: Path, params: Params) -> OwnData:  # noqa: ARG002
        """Return the parameters for a folder or a table in the layout of DeepSense 6G."""
        return own_data(path, self.name, self.learns_from, self.settings.deciding("made data"))

    def scenario_fingerprint(self, params: Params) -> str:
        return source_fingerprint(self._source(self._resolve(params)))

    def teacher_fingerprint(self, params: Params) -> str | None:
        settings = self._resolve(params)
        if not settings.has_teacher:
            return None
        network = {"server": settings.server_share} if settings.networked else {}
        if settings.privacy_share:
            network["withheld"] = settings.privacy_share
        return fingerprint(
            {
                "recipe": TEACHER_RECIPE,
                "scenario": self.scenario_fingerprint(params),
                **settings.identity("teacher"),
                **weights_identity(settings.teacher_weights),
                **network,
                **self._teacher_facts(settings),
            }
        )

    def load_scenario(self, params: Params, *, cache_dir: Path, progress: Progress) -> ScenarioData:
        source = self._source(self._resolve(params))
        return load_source(source, cache_dir=cache_dir, progress=progress)

    def share_out(self, params: Params, split: Arrays, name: SplitName) -> Shares:
        settings = self._resolve(params)
        return shares(settings, self._owners(settings), split, name)

    def _teachers_windows(self, settings: S, train: Arrays) -> Arrays:
        """Return the windows that a teacher may learn from: in a network the server's."""
        if not settings.networked:
            return train
        return server_share(settings, self._owners(settings), train, "train")

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> Scores:
        settings = self._resolve(params)
        if not settings.networked:
            return self._score(settings, weights, split, teacher=False)

        return self._deployment_scores(params, weights, split, self._scorer(settings))

    def evaluate_underway(self, params: Params, weights: Arrays, split: Arrays) -> Scores:
        own = replace(self.judged_shares(params, split), server={})
        return deployment_scores(self._scorer(self._resolve(params)), parted(weights), own)

    def _scorer(self, settings: S) -> ScoreOf:
        return lambda edge, own, share: self._score(
            self._edge(settings, edge), own, share, teacher=False
        )

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> Scores:
        settings = self._resolve(params)
        several = parted(weights).values() if settings.num_teachers > 1 else [weights]
        return mean_metrics([self._score(settings, one, split, teacher=True) for one in several])

    def deployable(self, params: Params, weights: Arrays) -> Deployable:
        settings = self._resolve(params)
        if not settings.networked:
            return self._deployable(settings, weights)

        def scores(score: ScoreOf, split: Arrays) -> Scores:
            return self._deployment_scores(params, weights, split, score)

        return deployed(
            weights, lambda edge, own: self._deployable(self._edge(settings, edge), own), scores
        )

    def _deployment_scores(
        self, params: Params, weights: Arrays, split: Arrays, score: ScoreOf
    ) -> Scores:
        """Return the scores of a deployment's students on a split other than that of training.

        Students that are made without data have a share of it, too.
        """
        return deployment_scores(score, parted(weights), self.judged_shares(params, split))

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        """Return the majority beam, and what follows from past beams, see `baselines_of`."""
        settings = self._resolve(params)
        facts = {n: getattr(settings, n) for n in ("scenario", "sensors") if hasattr(settings, n)}
        return baselines_of(facts, data)

    # --- samples --------------------------------------------------------------------------------

    def sample_count(self, samples: Arrays) -> int:
        return len(samples["label"]) if samples else 0

    def sample_slice(self, samples: Arrays, start: int, stop: int) -> Arrays:
        return windows_between(samples, start, stop)

    def samples_together(self, one: Arrays, other: Arrays) -> Arrays:
        return windows_together(one, other)

    def sample_misfit(self, samples: Arrays) -> str:
        return pointing_nowhere(samples)

    def output_tensors(self, params: Params) -> dict[str, TensorSpec]:  # noqa: ARG002
        return {"logits": TensorSpec(shape=(None, NUM_SLOTS, NUM_BEAMS), dtype="float32")}
