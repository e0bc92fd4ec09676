"""The server's defence where it blends outputs of several edges.

Shape suffixes in this file: K = nodes, D = numbers of a node, all samples and arrays in a row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.collaboration import SharesOutputs
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params
from kdtasks.contract.poisoning import ProbesOutputs
from kdtasks.contract.task import Arrays
from sweeps.nodes.robust.findings import Findings, anomaly_scores
from sweeps.nodes.robust.rules import clipped, coordinate_median, krum, norms, trimmed_mean


class Guard:
    """Tests what edges send, and blends it; adds to the server's findings."""

    def __init__(self, settings: NetworkSettings, params: Params, findings: Findings) -> None:
        self._settings, self._params, self._findings = settings, params, findings

    def test(self, task: ProbesOutputs, samples: Arrays, outputs: Mapping[str, Arrays]) -> None:
        """Test a round's outputs of all edges on the server's labelled samples.

        An edge whose score reaches ``quarantine_score`` stays in quarantine. Edges that are there
        take no part in the median of errors.
        """
        free = [edge for edge in outputs if edge not in self._findings.quarantined]
        errors = {edge: task.output_error(self._params, samples, outputs[edge]) for edge in free}
        for edge, score in anomaly_scores(errors).items() if errors else ():
            self._findings.scores.setdefault(edge, []).append(score)
            if score >= self._settings.quarantine_score:
                self._findings.quarantined.append(edge)

    def blend(self, task: SharesOutputs, receiver: str, outputs: Mapping[str, Arrays]) -> Arrays:
        """Return what an edge is sent of the outputs of all; empty if nothing is trusted."""
        trusted = [
            own
            for edge, own in outputs.items()
            if edge not in (receiver, *self._findings.quarantined)
        ]
        if not trusted:
            return {}
        blend = self._defended(task, trusted)
        if self._settings.watched and receiver not in self._settings.hostile:
            self._measure(task, blend, receiver, outputs)
        return blend

    def _defended(self, task: SharesOutputs, trusted: Sequence[Arrays]) -> Arrays:
        defence, liars = self._settings.defence, self._settings.tolerated_edges
        if defence in ("none", "probe"):
            return task.blend(self._params, trusted)
        vectors_KD = _rows(trusted)
        if defence == "krum":
            return trusted[krum(vectors_KD, liars)]
        if defence == "clipping":
            limit = float(np.median(norms(vectors_KD)))
            cut = [_arrays(row_D, trusted[0]) for row_D in clipped(vectors_KD, limit)]
            return task.blend(self._params, cut)
        blend_D = (
            coordinate_median(vectors_KD)
            if defence == "median"
            else trimmed_mean(vectors_KD, liars)
        )
        return _arrays(blend_D, trusted[0])

    def _measure(
        self, task: SharesOutputs, blend: Arrays, receiver: str, outputs: Mapping[str, Arrays]
    ) -> None:
        """Note how far a blend is from the mean of honest outputs: measurement, not protocol."""
        hostile = self._settings.hostile
        honest = [own for edge, own in outputs.items() if edge not in (receiver, *hostile)]
        if honest:
            wanted_KD = _rows([task.blend(self._params, honest)]).astype(np.float64)
            apart_KD, size = _rows([blend]) - wanted_KD, wanted_KD.std()
            if size:
                self._findings.shifts.append(float(np.sqrt(np.square(apart_KD).mean()) / size))


def _rows(outputs: Sequence[Arrays]) -> NDArray[Any]:
    """Return the outputs of every node in a row, [K, D]."""
    return np.stack(
        [np.concatenate([own[name].ravel() for name in sorted(own)]) for own in outputs]
    )


def _arrays(row_D: NDArray[Any], like: Arrays) -> dict[str, NDArray[Any]]:
    """Undo `_rows` of one node, with shapes and types of another."""
    found, start = {}, 0
    for name in sorted(like):
        stop = start + like[name].size
        found[name] = row_D[start:stop].reshape(like[name].shape).astype(like[name].dtype)
        start = stop
    return found
