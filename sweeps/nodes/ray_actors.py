"""Hosts of nodes as Ray actors: one trial process keeps a few of them warm.

The actor is `sweeps.nodes.host.NodeHost` and adds nothing. What a trial process says to it, and how
it notices that it has died, is here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params
from kdtasks.contract.task import Report
from sweeps.common.capacity import ONE_CORE, Share
from sweeps.common.events import Event, WorkFailedError
from sweeps.nodes.host import NodeHost
from sweeps.nodes.transport import HostMethod, Reports, Transport

Ref: TypeAlias = ray.ObjectRef[Any]

SILENCE_S = 1800.0
"""A node actor that says nothing for so long counts as dead; they speak once per epoch at least."""

START_S = 300.0
"""How long a process may take to come up; measured 3 to 10 s, most of it the import of torch."""

DROP_S = 30.0
"""How long a node actor may take to hear that its trial was stopped early."""

CONTROL = "control"
"""Ray's group of calls that are answered while an actor trains."""

Actor: TypeAlias = Any
"""Ray's handle of an actor, which has no type of its own."""

RemoteHost = ray.remote(concurrency_groups={CONTROL: 1})(NodeHost)  # type: ignore[call-overload]


class ActorLostError(Exception):
    """A node actor has died, or says nothing any more; its trial may be tried anew."""


class NodeActors:
    """The node actors of one trial process, in the bundles of its placement group.

    Args:
        task: Name of the task.
        count: Number of actors.
        share: What each takes.
        silence_s: A node actor that says nothing for so long counts as dead [s].
    """

    def __init__(
        self, task: str, count: int, share: Share = ONE_CORE, silence_s: float = SILENCE_S
    ) -> None:
        self._task = task
        self._count = count
        self._share = share
        self._actors: list[Actor] = []
        self.silence_s = silence_s

    def start(self) -> None:
        """Start the processes unless they run; does not wait for them."""
        if self._actors:
            return
        group = get_current_placement_group()
        for index in range(self._count):
            # Tune drops the empty bundle of the trial process, so the actors' bundles start at 0
            place = (
                "DEFAULT"
                if group is None
                else PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)
            )
            options = RemoteHost.options(
                num_cpus=self._share.cpus, num_gpus=self._share.gpus, scheduling_strategy=place
            )
            self._actors.append(options.remote(self._task))

    def warm_up(self) -> None:
        """Wait until the processes are up; one that does not come up is noticed at `deploy`."""
        ready = [actor.__ray_ready__.remote() for actor in self._actors]
        ray.wait(ready, num_returns=len(ready), timeout=START_S)

    def drop(self) -> None:
        """Let the processes give up what they are doing, and stay.

        Waits until they have heard it, so that it is not the next trial that they give up.
        """
        heard = [actor.drop.options(concurrency_group=CONTROL).remote() for actor in self._actors]
        try:
            ray.get(heard, timeout=DROP_S)
        except RayError:
            self.stop()

    def stop(self) -> None:
        """End the processes, whatever they are doing."""
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []

    def deploy(self, params: Params, data: tuple[Ref, Ref], teacher: Ref | None) -> "RayTransport":
        """Give every actor its nodes; the data are read by the actors and not by this process.

        Raises:
            ActorLostError: If an actor is dead; none runs any more then.
        """
        self.start()
        transport = RayTransport(NetworkSettings.of(params), int(params.get("seed", 0)), self)
        begun = [
            actor.begin.remote(params, transport.nodes_of(index), *data, teacher)
            for index, actor in enumerate(self._actors)
        ]
        try:
            ray.get(begun, timeout=max(START_S, self.silence_s))
        except RayTaskError as error:
            raise error.cause from error  # as if the nodes were here
        except RayError as error:
            self.stop()
            raise ActorLostError(_how(error)) from error
        return transport

    def ask(
        self, method: HostMethod, arguments: Mapping[int, tuple[Any, ...]]
    ) -> dict[ray.ObjectRefGenerator, int]:
        """Call a method of several actors at once; return their streams of events."""
        return {
            getattr(self._actors[index], method).options(num_returns="streaming").remote(*given): (
                index
            )
            for index, given in arguments.items()
        }

    @contextmanager
    def freed_from(self, streams: Mapping[Any, int]) -> Iterator[None]:
        """See to it that streams that are left before their end do not keep the next trial."""
        try:
            yield
        except GeneratorExit:  # the trial was stopped early
            if streams:
                self.drop()
            raise
        except BaseException:  # what still works may be stuck, or dead
            if streams:
                self.stop()
            raise

    @property
    def count(self) -> int:
        """Number of actors."""
        return self._count


class RayTransport(Transport):
    """Calls node actors, several at once."""

    def __init__(self, settings: NetworkSettings, seed: int, actors: NodeActors) -> None:
        super().__init__(settings, seed, hosts=actors.count)
        self._actors = actors

    def call(self, method: HostMethod, arguments: Mapping[int, tuple[Any, ...]]) -> Reports:
        results: dict[int, Any] = {}
        streams = self._actors.ask(method, arguments)
        with self._actors.freed_from(streams):
            while streams:
                for stream in self._ready(list(streams)):
                    event = _next_event(stream)
                    if not event.done:
                        yield Report(epoch=event.epoch, epochs=event.epochs, metrics=event.metrics)
                        continue
                    host = streams.pop(stream)
                    if event.reason:
                        raise WorkFailedError(event.reason, event.traceback, event.kind)
                    self.cpu_s += event.cpu_s
                    results[host] = event.result
        return {host: results[host] for host in arguments}

    def _ready(self, streams: list[ray.ObjectRefGenerator]) -> list[ray.ObjectRefGenerator]:
        silence_s = self._actors.silence_s
        ready: list[ray.ObjectRefGenerator]
        ready, _ = ray.wait(streams, num_returns=1, timeout=silence_s)
        if not ready:
            raise ActorLostError(f"no node actor said anything for {silence_s:g} s")
        return ready


def _next_event(stream: ray.ObjectRefGenerator) -> Event:
    try:
        event: Event = ray.get(next(stream), timeout=START_S)
    except (StopIteration, RayError) as error:
        raise ActorLostError(_how(error)) from error
    return event


def _how(error: Exception) -> str:
    what = "process died" if isinstance(error, RayActorError) else "answer cannot be had"
    return f"a node actor's {what} ({type(error).__name__})"
