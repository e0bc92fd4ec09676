"""Collaborative tasks whose samples are windows over frames of passages: beam tracking.

Judge the students of a deployment on local data, on the server's, and on what they forgot.

Every edge counts the same, however many windows it has; one that has none is left out where its own
windows are asked for.
"""

from collections.abc import Callable, Mapping, Sequence

from kdtasks.contract.collaboration import LearnsOnShares, Shares, TensorSpec, parted
from kdtasks.contract.deployable import Deployable
from kdtasks.contract.params import Params
from kdtasks.contract.task import Arrays, MetricInfo
from kdtasks.learning.deployed_students import Judge, ScoreOf, deployed
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_SLOTS
from kdtasks.sensing.ownership import pointing_nowhere, windows_between, windows_together

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
        shares: Who owns which samples of the split.
    """
    judge = Judge(score, lambda share: len(share["label"]))
    numbers = range(len(shares.edges))
    students = [nodes[f"edge-{edge}"] for edge in numbers]
    own = judge.each(students, shares.edges)
    found = {name: _mean(own, name) for name in dict.fromkeys(name for one in own for name in one)}
    found["worst_edge_top2"] = min(one[JUDGED_BY] for one in own)
    found["judged_edges"] = float(len(own))
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
    """Return the mean of a score over those who have it."""
    values = [one[name] for one in scores if name in one]
    return sum(values) / len(values)


class WindowTask(LearnsOnShares):
    """Windows share the frames that they are over, so a share is not a row per sample."""

    def sample_count(self, samples: Arrays) -> int:
        return len(samples["label"]) if samples else 0

    def sample_slice(self, samples: Arrays, start: int, stop: int) -> Arrays:
        return windows_between(samples, start, stop)

    def samples_together(self, one: Arrays, other: Arrays) -> Arrays:
        return windows_together(one, other)

    def sample_misfit(self, samples: Arrays) -> str:
        return pointing_nowhere(samples)

    def deployment_scores(
        self, params: Params, weights: Arrays, split: Arrays, score: ScoreOf
    ) -> dict[str, float]:
        """Return the quality metrics of a deployment's students, without prefix.

        Args:
            params: Parameters of the trial.
            weights: Of all nodes.
            split: Windows; not those of training, so no edge's share is cut, and students that are
                made without data have one, too.
            score: Scores a student.
        """
        return deployment_scores(score, parted(weights), self.share_out(params, split, "val"))

    def deployed_windows(
        self, params: Params, weights: Arrays, built: Callable[[int, Arrays], Deployable]
    ) -> Deployable:
        """Return the networks of a deployment's students.

        Args:
            params: Parameters of the trial.
            weights: Of all nodes.
            built: Returns the student of an edge with these weights.
        """

        def judged(score: ScoreOf, split: Arrays) -> dict[str, float]:
            return self.deployment_scores(params, weights, split, score)

        return deployed(weights, built, judged)

    def output_tensors(self, params: Params) -> dict[str, TensorSpec]:  # noqa: ARG002
        return {"logits": TensorSpec(shape=(None, NUM_SLOTS, NUM_BEAMS), dtype="float32")}
