"""Delivery of parcels to nodes, in-process or over Ray, with counts and simulated time."""

import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from kdtasks.contract.collaboration import Work
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params
from kdtasks.contract.task import Arrays, Outcome, Report, TeacherArtifact
from kdtasks.learning.random import numpy_generator
from sweeps.common.events import Event, Training, WorkFailedError
from sweeps.nodes.host import Answer, HostMethod, NodeHost
from sweeps.nodes.node import Standing
from sweeps.nodes.wire.links import Link
from sweeps.nodes.wire.messages import CONDUCTOR, SERVER, Parcel
from sweeps.nodes.wire.traffic import Traffic

Reports: TypeAlias = Training[dict[int, Any]]
"""Yields the reports of hosts, and returns their results."""


class Accounts:
    """Costs of a deployment so far: bytes on links, work and simulated time of nodes.

    A node works on one thing at a time, and a link carries one parcel at a time in each direction.
    A parcel leaves when its sender has produced it and the link is free; it is handled when it has
    arrived and the receiver is free, in the order of arrival.
    """

    def __init__(self, settings: NetworkSettings, seed: int) -> None:
        self.traffic = Traffic(settings.edges)
        self.work = dict.fromkeys((SERVER, *settings.edges), Work())
        self._speed = {
            edge: settings.speed_gflops(index) * 1e9 for index, edge in enumerate(settings.edges)
        }
        self._speed[SERVER] = settings.server_gflops * 1e9
        self._links = {
            edge: Link(
                rate_bps=settings.rate_mbps(index) * 1e6,
                delay_s=settings.link_delay_ms * 1e-3,
                loss=settings.link_loss,
                energy_j_per_bit=settings.link_nj_per_bit * 1e-9,
            )
            for index, edge in enumerate(settings.edges)
        }
        self._clock = dict.fromkeys(self.work, 0.0)
        self._free: dict[tuple[str, str], float] = {}
        self._losses: np.random.Generator = numpy_generator(seed, "packet losses")

    @property
    def now_s(self) -> float:
        """Simulated time at which the last node has finished [s]."""
        return max(self._clock.values())

    def of_edge(self, edge: str) -> dict[str, float]:
        """Return what a deployment has cost one edge so far, named as for the mean of edges."""
        work = self.work[edge]
        return {
            "bytes": float(self.traffic.bytes_of(edge)),
            "train_gflop": work.flops / 1e9,
            "peak_bytes": work.peak_bytes,
            "done_s": self._clock[edge],
        }

    def if_ended_now(self, standings: Mapping[str, Standing]) -> "Accounts":
        """Return a copy that has the costs of trainings under way, and of delivering students."""
        accounts = copy.deepcopy(self)
        for node in accounts.work:
            accounts.worked(node, 0.0, standings[node].work)
        for node in accounts.work:
            for parcel in standings[node].parcels:
                arrival_s = accounts.send(replace(parcel, made_s=accounts._clock[node]))
                accounts.worked(parcel.receiver, arrival_s, Work())
        return accounts

    def send(self, parcel: Parcel) -> float:
        """Record a parcel; return its arrival time [s]. The conductor's orders use no link."""
        if CONDUCTOR in (parcel.sender, parcel.receiver):
            return 0.0
        link = self._links[parcel.edge]
        transmission = link.transmit(parcel.size, self._losses)
        self.traffic.sent(parcel, transmission)
        route = (parcel.sender, parcel.receiver)
        arrival_s = max(parcel.made_s, self._free.get(route, 0.0)) + transmission.seconds
        self._free[route] = arrival_s - link.delay_s  # the next may follow immediately
        return arrival_s

    def worked(self, node: str, arrival_s: float, work: Work) -> float:
        """Record the handling of a parcel that arrived at ``arrival_s``; return its end [s]."""
        start_s = max(self._clock[node], arrival_s)
        self._clock[node] = start_s + work.flops / self._speed[node]
        self.work[node] = self.work[node] + work
        return self._clock[node]


class Transport(ABC):
    """Reaches the hosts of one trial's nodes.

    Attributes:
        cpu_s: CPU time of the hosts' processes while they worked [s].
        secret: Of this trial, from which its nodes have their keys.
    """

    def __init__(self, params: Params, hosts: int) -> None:
        settings = NetworkSettings.of(params)
        self.cpu_s = 0.0
        self.secret = os.urandom(32)
        self.accounts = Accounts(settings, int(params.get("seed", 0)))
        self._place = {SERVER: 0}
        self._place |= {edge: index % hosts for index, edge in enumerate(settings.edges)}

    @abstractmethod
    def call(self, method: HostMethod, arguments: Mapping[int, tuple[Any, ...]]) -> Reports:
        """Call several hosts at once; yield their reports and return their results by host.

        Raises:
            WorkFailedError: If one of them fails.
        """

    def result_in(self, event: Event) -> Any:
        """Return the result in a host's last event, and count its CPU time.

        Raises:
            WorkFailedError: If it failed.
        """
        if event.reason:
            raise WorkFailedError(event.reason, event.traceback, event.kind)
        self.cpu_s += event.cpu_s
        return event.result

    def nodes_of(self, host: int) -> tuple[str, ...]:
        """Return the nodes on a host."""
        return tuple(node for node, place in self._place.items() if place == host)

    def by_host(self, parcels: Sequence[Parcel]) -> dict[int, dict[int, Parcel]]:
        """Return what each host is given of parcels, by their places in the order of emission."""
        found: dict[int, dict[int, Parcel]] = {}
        for number, parcel in enumerate(parcels):
            found.setdefault(self._place[parcel.receiver], {})[number] = parcel
        return found

    def answered(
        self, parcels: Sequence[Parcel], arrivals: Sequence[float], answers: Sequence[Answer]
    ) -> list[Parcel]:
        """Return what receivers send in answer to parcels that arrived then [s], in their order."""
        done_s = {}
        for answer in sorted(answers, key=lambda answer: (arrivals[answer.number], answer.number)):
            number, parcel = answer.number, parcels[answer.number]
            done_s[number] = self.accounts.worked(parcel.receiver, arrivals[number], answer.work)
        return [
            replace(parcel, made_s=done_s[answer.number])
            for answer in sorted(answers, key=lambda answer: answer.number)
            for parcel in answer.parcels
        ]

    def alone(self) -> Training[Outcome]:
        """Train a student without a network."""
        outcome: Outcome = (yield from self.call("train_alone", {0: ()}))[0]
        return outcome

    def standing(self) -> Training[dict[str, Standing]]:
        """Return what every node would leave if its training ended now."""
        results = yield from self.call("standing", dict.fromkeys(set(self._place.values()), ()))
        return {name: one for part in results.values() for name, one in part.items()}

    def judge(self, weights: Arrays, *, underway: bool = False) -> Training[dict[str, float]]:
        """Evaluate a deployment's students, see `NodeHost.judge`."""
        metrics: dict[str, float] = (yield from self.call("judge", {0: (weights, underway)}))[0]
        return metrics


class InProcessTransport(Transport):
    """All nodes in this process, on one host that is ready for a trial, see `NodeHost.begin`."""

    def __init__(
        self,
        task: str,
        data: tuple[Arrays, Arrays],
        teacher: TeacherArtifact | None,
        params: Params,
        part: str = "",
    ) -> None:
        super().__init__(params, hosts=1)
        self._host = NodeHost(task)
        self._host.begin(params, self.nodes_of(0), *data, teacher, self.secret, part)

    def call(self, method: HostMethod, arguments: Mapping[int, tuple[Any, ...]]) -> Reports:
        results = {}
        for host, given in arguments.items():
            for event in self._host.call(method, *given):
                if event.done:
                    results[host] = self.result_in(event)
                else:
                    yield Report(epoch=event.epoch, epochs=event.epochs, metrics=event.metrics)
        return results
