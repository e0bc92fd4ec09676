"""Judges the students of a trial in a network while they are trained, so that it can be stopped.

At a rung, a share of the training of all nodes together, nodes pause. What each edge would run if
its training ended now is put together and judged as at the end, on the edges' own validation
samples. Costs are those that the deployment would have then: of what has been computed and sent,
and of sending students where they belong. Judging costs it nothing and crosses no link: it is
measurement, not protocol.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from numpy.typing import NDArray

from kdtasks.contract.collaboration import LearnsOnShares, joined
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params
from kdtasks.contract.reports import forwarded
from kdtasks.contract.task import Report
from sweeps.common.events import Training
from sweeps.nodes.host import ROUNDING, Answer
from sweeps.nodes.node import Standing
from sweeps.nodes.topologies.base import Topology
from sweeps.nodes.transport import Accounts, Transport
from sweeps.nodes.wire.messages import SERVER, Parcel


class Underway:
    """Numbers the epochs of all nodes consecutively, and judges their students at rungs.

    Rungs are shares of the training, ascending.
    """

    def __init__(
        self,
        task: LearnsOnShares,
        params: Params,
        transport: Transport,
        topology: Topology,
        rungs: Sequence[float],
    ) -> None:
        self._task, self._params = task, params
        self._transport, self._topology = transport, topology
        self._planned, self._done = topology.epochs(), 0
        # in epochs, since those of two steps may not be of equal length
        self._rungs = [rung * self._planned for rung in rungs]

    def exchange(self, parcels: Sequence[Parcel]) -> Training[list[Parcel]]:
        """Deliver parcels and return the answers; report the epochs, and students at rungs.

        Bytes are counted before delivery and in the order of emission, so that they do not depend
        on how hosts are reached.
        """
        before, epochs = self._done, sum(parcel.epochs for parcel in parcels)

        def until() -> float:
            return (self._next - before) / epochs if epochs else math.inf

        arrivals = [self._transport.accounts.send(parcel) for parcel in parcels]
        given, answers = self._transport.by_host(parcels), list[Answer]()
        while given:
            work = self._transport.call("handle", {host: (given[host], until()) for host in given})
            results = yield from forwarded(work, self._counted)
            shares = {host: found for host, found in results.items() if isinstance(found, float)}
            answers += chain(*(results[host] for host in results if host not in shares))
            if shares:
                share = min(shares.values())
                self._done = max(self._done, math.ceil(before + share * epochs - ROUNDING))
                yield from self._judged()
            given = {host: {} for host in shares}
        if self._done >= self._next - ROUNDING:  # without a student that could be judged
            yield self._report({})
        return self._transport.answered(parcels, arrivals, answers)

    @property
    def _next(self) -> float:
        return self._rungs[0] if self._rungs else math.inf

    def _report(self, metrics: Mapping[str, float]) -> Report:
        """Report the epochs so far; rungs that they reach are passed."""
        self._rungs = [rung for rung in self._rungs if rung > self._done + ROUNDING]
        epochs = max(self._planned, self._done)
        return Report(epoch=self._done, epochs=epochs, metrics=metrics)

    def _counted(self, report: Report) -> Report | None:
        self._done += 1
        if self._done >= self._next - ROUNDING:
            return None  # a report at a rung has to have the scores
        # the scores of one node are not those of the deployment
        return self._report({n: v for n, v in report.metrics.items() if not n.startswith("val_")})

    def _judged(self) -> Training[None]:
        standings = yield from self._transport.standing()
        accounts = self._transport.accounts.if_ended_now(standings)
        weights = joined(self._students(standings))
        quality = yield from self._transport.judge(weights, underway=True)
        yield self._report({**quality, **costs_of(accounts, self._topology)})

    def _students(self, standings: Mapping[str, Standing]) -> dict[str, dict[str, NDArray[Any]]]:
        """Return the student of every edge; what is trained replaces what was there before."""
        students: dict[str, dict[str, NDArray[Any]]] = {}
        order = sorted(standings, key=lambda name: (standings[name].training, name != SERVER))
        for name in order:
            for edge, part in standings[name].parts.items():
                students.setdefault(edge, {}).update(part)
        edges = NetworkSettings.of(self._params).edges
        return {
            edge: {
                name: students[edge][name]
                for name in self._task.tensors(self._task.edge_params(self._params, number), None)
            }
            for number, edge in enumerate(edges)
        }


def costs_of(accounts: Accounts, topology: Topology) -> dict[str, float]:
    """Return what a deployment has cost so far, see `NETWORK_METRICS`."""
    edges = [accounts.work[edge] for edge in topology.scene.edges]
    server = accounts.work[SERVER]
    edge_gflop = sum(work.flops for work in edges) / len(edges) / 1e9
    server_gflop = server.flops / 1e9
    return {
        **accounts.traffic.metrics(),
        "deployment_s": accounts.now_s,
        "edge_train_core_seconds": sum(work.core_seconds for work in edges) / len(edges),
        "edge_train_gflop": edge_gflop,
        "edge_peak_bytes": max(work.peak_bytes for work in edges),
        "server_train_core_seconds": server.core_seconds,
        "server_train_gflop": server_gflop,
        "server_peak_bytes": server.peak_bytes,
        "train_gflop": edge_gflop + server_gflop / topology.students_at_server,
        "train_capped": float(any(work.capped for work in accounts.work.values())),
        "teacher_forward_samples": float(sum(w.teacher_samples for w in accounts.work.values())),
        **(_each_edge(accounts, topology) if topology.title == "per-edge" else {}),
    }


def _each_edge(accounts: Accounts, topology: Topology) -> dict[str, float]:
    """Return the costs of every edge, as ``edge_0_bytes``, see `Accounts.of_edge`."""
    return {
        f"{edge.replace('-', '_')}_{name}": value
        for edge in topology.scene.edges
        for name, value in accounts.of_edge(edge).items()
    }
