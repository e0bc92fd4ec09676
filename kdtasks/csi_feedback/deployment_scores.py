"""Judge the students of a deployment on local data, on the server's, and on what they forgot.

All means over edges are taken of linear NMSE and turned to dB last. Every edge counts the same,
however many samples it has; one that has none is left out where its own samples are asked for.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from kdtasks.contract.collaboration import Shares
from kdtasks.contract.task import Arrays
from kdtasks.csi_feedback.adaptation import MARKS
from kdtasks.learning.deployed_students import Judge
from kdtasks.learning.metrics import steps_below


def deployment_scores(
    linear_nmse: Callable[[int, Arrays, Arrays], float],
    nodes: Mapping[str, Arrays],
    shares: Shares,
    *,
    each_edge: bool,
    level_db: float | None,
) -> dict[str, float]:
    """Return the metrics of a deployment [dB].

    ``forgetting_db`` is what the server's distribution has lost by training at the edges: positive
    if students are now worse on it than when they were received.

    ``judged_edges`` counts the edges that have samples to be judged on; means are over these.

    Args:
        linear_nmse: Returns the NMSE, not in dB, of the student of an edge's kind, with these
            weights, on a share.
        nodes: Weights of ``edge-0``, ... and, where students were received, ``received-0``, ...
        shares: The owner of each sample of the split.
        each_edge: Whether to return the NMSE of every edge, too, as ``edge_0_nmse_db``.
        level_db: Whether to return how edges adapt, and to which NMSE [dB] steps are counted.
    """
    judge = Judge(linear_nmse, lambda share: len(share["pictures"]))
    edges = range(len(shares.edges))
    students = [nodes[f"edge-{edge}"] for edge in edges]
    own = judge.each(students, shares.edges)
    found = {
        "nmse_db": _mean_db(own),
        "worst_edge_nmse_db": _decibel(max(own)),
        "judged_edges": float(len(own)),
    }
    if each_edge:
        judged = [edge for edge in edges if len(shares.edges[edge]["pictures"])]
        numbers = zip(judged, own, strict=True)
        found |= {f"edge_{edge}_nmse_db": _decibel(linear) for edge, linear in numbers}
    found |= _adapting(judge, nodes, shares.edges, level_db) if level_db is not None else {}
    names = [f"received-{edge}" for edge in edges]
    received = [nodes[name] for name in names if name in nodes]
    complete = len(received) == len(edges)
    if complete:
        found["received_nmse_db"] = _mean_db(judge.each(received, shares.edges))
    if len(shares.server.get("pictures", ())):
        everywhere = [shares.server] * len(edges)
        found["server_nmse_db"] = _mean_db(judge.each(students, everywhere))
        if complete:
            before = _mean_db(judge.each(received, everywhere))
            found["forgetting_db"] = found["server_nmse_db"] - before
    return found


def _adapting(
    judge: Judge[float], nodes: Mapping[str, Arrays], shares: Sequence[Arrays], level_db: float
) -> dict[str, float]:
    """Return the mean NMSE after steps at the edges, and how many of these reach a level.

    A level that no step reaches has no number of steps; ``level_reached`` is then 0.
    """
    curve = {}
    for steps in (0, *MARKS):
        names = [
            f"after-{steps}-{edge}" if steps else f"received-{edge}" for edge in range(len(shares))
        ]
        if all(name in nodes for name in names):
            curve[steps] = _mean_db(judge.each([nodes[name] for name in names], shares))
    if not curve:  # still trained at the server
        return {}
    after = {f"nmse_after_{steps}_db": value for steps, value in curve.items()}
    first = steps_below(curve, level_db)
    reached = {} if first is None else {"steps_to_level": first}
    return {**after, **reached, "level_reached": float(first is not None)}


def _mean_db(linear: Sequence[float]) -> float:
    return _decibel(sum(linear) / len(linear))


def _decibel(linear: float) -> float:
    return 10.0 * math.log10(linear) if linear > 0.0 else -math.inf
