"""Judge the students of a deployment on local data, on the server's, and on what they forgot.

Every edge counts the same, however many windows it has; one that has none is left out where its own
windows are asked for.
"""

from collections.abc import Mapping, Sequence

from kdtasks.collaboration import Shares
from kdtasks.methods import beam_job
from kdtasks.methods.beam_batches import windows_of
from kdtasks.methods.beam_job import SELECTED_BY
from kdtasks.task import Arrays, MetricInfo
from kdtasks.tasks.beam_settings import BeamSettings
from kdtasks.tasks.beam_students import restored
from kdtasks.tasks.judge import Judge

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
    edges: Sequence[BeamSettings], nodes: Mapping[str, Arrays], shares: Shares
) -> Scores:
    """Return the metrics of a deployment [%].

    Every score of a lone student is the mean over edges, each on its own windows; that of a
    condition is over the edges that have such windows. ``worst_edge_top2`` is that of the edge at
    which it is least.

    ``forgetting_top2`` is what the server's distribution has lost by training at the edges, in
    percentage points: positive if students are now worse on it than when they were received.
    ``judged_edges`` counts the edges that have windows to be judged on; means are over these.

    Args:
        edges: The settings of each edge's student.
        nodes: Weights of ``edge-0``, ... and, where students were received, ``received-0``, ...
        shares: Who owns which samples of the split.
    """

    def scores(edge: int, weights: Arrays, share: Arrays) -> Scores:
        settings = edges[edge]
        network = restored(settings, weights, teacher=False)
        return beam_job.score(network, windows_of(share, settings.student_model.sensors))

    judge = Judge(scores, lambda share: len(share["label"]))
    students = [nodes[f"edge-{edge}"] for edge in range(len(edges))]
    own = judge.each(students, shares.edges)
    found = {name: _mean(own, name) for name in dict.fromkeys(name for one in own for name in one)}
    found["worst_edge_top2"] = min(one[SELECTED_BY] for one in own)
    found["judged_edges"] = float(len(own))
    everywhere = [shares.server] * len(edges)
    found["server_top2"] = _mean(judge.each(students, everywhere), SELECTED_BY)
    names = [f"received-{edge}" for edge in range(len(edges))]
    received = [nodes[name] for name in names if name in nodes]
    if len(received) == len(edges):
        found["received_top2"] = _mean(judge.each(received, shares.edges), SELECTED_BY)
        before = _mean(judge.each(received, everywhere), SELECTED_BY)
        found["forgetting_top2"] = before - found["server_top2"]
    return found


def _mean(scores: Sequence[Scores], name: str) -> float:
    """Return the mean of a score over those who have it."""
    values = [one[name] for one in scores if name in one]
    return sum(values) / len(values)
