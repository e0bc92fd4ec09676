"""Hosts of nodes as Ray actors, which a trial process keeps for its next trials.

The actor is `sweeps.nodes.host.NodeHost` unchanged. This file holds the calls of a trial process
and detects dead actors.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from kdtasks.contract.params import Params
from kdtasks.contract.task import Report
from sweeps.common.capacity import ONE_CORE, Share
from sweeps.common.events import Event
from sweeps.nodes.host import HostMethod, NodeHost
from sweeps.nodes.ray_machines import machine_lost, machine_of
from sweeps.nodes.transport import Reports, Transport

Ref: TypeAlias = ray.ObjectRef[Any]

SILENCE_S = 1800.0
"""A node actor without an event for this time counts as dead [s]; every epoch yields one."""

START_S = 300.0
"""Longest start of a process [s]; measured 3 to 10 s, mostly the import of torch."""

DROP_S = 30.0
"""Longest time for a node actor to receive the end of a pruned trial [s]."""

CONTROL = "control"
"""Ray's concurrency group of calls that run while an actor trains."""

Actor: TypeAlias = Any
"""Ray's handle of an actor, which has no public type."""

RemoteHost = ray.remote(concurrency_groups={CONTROL: 1})(NodeHost)  # type: ignore[call-overload]


class ActorLostError(Exception):
    """A node actor has died or stopped responding; its trial may be retried.

    Attributes:
        with_machine: Whether its machine is gone, too, so that the attempt does not count.
    """

    def __init__(self, reason: str, *, with_machine: bool = False) -> None:
        super().__init__(reason)
        self.with_machine = with_machine


class NodeActors:
    """The node actors of one trial process, in the bundles of its placement group.

    Each has a ``share`` of resources; without an event for ``silence_s`` [s] it counts as dead.
    """

    def __init__(self, task: str, count: int, share: Share = ONE_CORE) -> None:
        self._task = task
        self.count = count
        self._share = share
        self._actors: list[Actor] = []
        self.silence_s = SILENCE_S

    def start(self) -> None:
        """Start the processes unless they run, without waiting for them."""
        if self._actors:
            return
        group = get_current_placement_group()
        for index in range(self.count):
            # Tune drops the empty bundle of the trial process, so the actors' bundles start at 0
            place = (
                "DEFAULT"
                if group is None
                else PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)
            )
            options = RemoteHost.options(
                num_cpus=self._share.cpus, num_gpus=self._share.gpus, scheduling_strategy=place
            )
            self._actors.append(options.remote(self._task, self._share.gpus))

    def warm_up(self) -> None:
        """Wait until the processes run; `deploy` detects one that does not start."""
        ready = [actor.__ray_ready__.remote() for actor in self._actors]
        ray.wait(ready, num_returns=len(ready), timeout=START_S)

    def drop(self) -> None:
        """Stop the current work of the processes, and keep them.

        Waits until they have received the call, so that it does not stop the next trial.
        """
        dropped = [actor.drop.options(concurrency_group=CONTROL).remote() for actor in self._actors]
        try:
            ray.get(dropped, timeout=DROP_S)
        except RayError:
            self.stop()

    def stop(self) -> None:
        """Kill the processes."""
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []

    def deploy(
        self, params: Params, data: tuple[Ref, Ref], teacher: Ref | None, part: str = ""
    ) -> "RayTransport":
        """Create the nodes on every actor, see `NodeHost.begin`; the actors read the data.

        Raises:
            ActorLostError: If an actor is dead; all are stopped then.
        """
        self.start()
        transport = RayTransport(params, self)
        begun = [
            actor.begin.remote(
                params, transport.nodes_of(index), *data, teacher, transport.secret, part
            )
            for index, actor in enumerate(self._actors)
        ]
        try:
            ray.get(begun, timeout=max(START_S, self.silence_s))
        except RayTaskError as error:
            raise error.cause from error  # as in one process
        except RayError as error:
            lost = _lost(error)
            self.stop()
            raise lost from error
        return transport

    def ask(
        self, method: HostMethod, arguments: Mapping[int, tuple[Any, ...]]
    ) -> dict[ray.ObjectRefGenerator, int]:
        """Call a method of several actors at once; return their streams of events."""
        return {
            self._actors[host].call.options(num_returns="streaming").remote(method, *given): host
            for host, given in arguments.items()
        }

    @contextmanager
    def freed_from(self, streams: Mapping[Any, int]) -> Iterator[None]:
        """Stop actors with unfinished streams, so that they do not block the next trial."""
        try:
            yield
        except GeneratorExit:  # the trial was stopped early
            if streams:
                self.drop()
            raise
        except BaseException:  # the other actors may be stuck or dead
            if streams:
                self.stop()
            raise


class RayTransport(Transport):
    """Calls node actors, several at once."""

    def __init__(self, params: Params, actors: NodeActors) -> None:
        super().__init__(params, hosts=actors.count)
        self._actors = actors

    def call(self, method: HostMethod, arguments: Mapping[int, tuple[Any, ...]]) -> Reports:
        results: dict[int, Any] = {}
        streams = self._actors.ask(method, arguments)
        with self._actors.freed_from(streams):
            while streams:
                for stream in self._ready(list(streams)):
                    event = _next_event(stream)
                    if event.done:
                        host = streams.pop(stream)
                        results[host] = self.result_in(event)
                    else:
                        yield Report(epoch=event.epoch, epochs=event.epochs, metrics=event.metrics)
        return {host: results[host] for host in arguments}

    def _ready(self, streams: list[ray.ObjectRefGenerator]) -> list[ray.ObjectRefGenerator]:
        silence_s = self._actors.silence_s
        ready: list[ray.ObjectRefGenerator]
        ready, _ = ray.wait(streams, num_returns=1, timeout=silence_s)
        if not ready:
            raise ActorLostError(f"no node actor responded for {silence_s:g} s")
        return ready


def _next_event(stream: ray.ObjectRefGenerator) -> Event:
    try:
        event: Event = ray.get(next(stream), timeout=START_S)
    except (StopIteration, RayError) as error:
        raise _lost(error) from error
    return event


def _lost(error: Exception) -> ActorLostError:
    what = "process died" if isinstance(error, RayActorError) else "answer was lost"
    reason = f"a node actor's {what} ({type(error).__name__})"
    return ActorLostError(reason, with_machine=machine_lost(machine_of(error)))
