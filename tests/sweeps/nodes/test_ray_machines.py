"""A machine is gone if Ray or the machine itself says so, and what fails with it does not count."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st
from ray._private import state
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayTaskError
from ray.tune.experiment import Trial

from sweeps.nodes import ray_machines
from sweeps.search import tune_adapters

LIVES, DEAD, UNNOTICED = "lives", "dead", "unnoticed"
"""Machines: one that answers, one whose loss Ray has detected, and one where it has not yet."""


@pytest.fixture(autouse=True)
def _cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ray's tables of machines and actors; an actor has the name of its machine."""
    with closing(socket.create_server(("127.0.0.1", 0))) as lives:
        with closing(socket.create_server(("127.0.0.1", 0))) as ended:
            closed = ended.getsockname()[1]
        ports = {LIVES: lives.getsockname()[1], DEAD: lives.getsockname()[1], UNNOTICED: closed}
        rows = [
            {
                "NodeID": name,
                "Alive": name != DEAD,
                "NodeManagerAddress": "127.0.0.1",
                "NodeManagerPort": port,
            }
            for name, port in ports.items()
        ]
        monkeypatch.setattr(ray, "nodes", lambda: rows)
        monkeypatch.setattr(
            state, "actors", lambda actor: {"Address": {"NodeID": actor}} if actor in ports else {}
        )
        monkeypatch.setattr(ray_machines, "HOLD_S", 0.001)
        monkeypatch.setattr(ray_machines, "DYING_S", 0.0)
        monkeypatch.setattr(Trial, "local_path", "")  # else it writes errors to files
        yield


@pytest.mark.parametrize(
    ("machine", "lost"),
    [(LIVES, False), (DEAD, True), (UNNOTICED, True), ("unknown", False), ("", False)],
)
def test_a_machine_is_lost_if_ray_knows_or_nothing_listens_there(machine: str, lost: bool) -> None:
    assert ray_machines.machine_lost(machine) is lost


def test_a_machine_that_drops_the_connection_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_machines, "HOLD_S", 5.0)
    with socket.create_server(("127.0.0.1", 0)) as dying:
        row = {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": dying.getsockname()[1]}
        threading.Thread(target=lambda: dying.accept()[0].close(), daemon=True).start()
        assert not ray_machines._answers(row)


def test_a_machine_that_takes_its_time_to_end_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, True, False])
    monkeypatch.setattr(ray_machines, "_answers", lambda _: next(answers))
    monkeypatch.setattr(ray_machines, "DYING_S", 30.0)
    assert ray_machines.machine_lost(LIVES)


@pytest.mark.parametrize("error", [ActorDiedError(), ValueError(), RayActorError("never placed")])
def test_an_error_without_a_known_actor_has_no_machine(error: Exception) -> None:
    assert ray_machines.machine_of(error) == ""
    assert not ray_machines.machine_lost(ray_machines.machine_of(error))


def _unavailable(machine: str) -> RayActorError:
    error = ActorUnavailableError("its connection was closed", bytes(16))
    error.actor_id = machine
    return error


def _in_a_task(machine: str) -> Any:
    return RayTaskError("step", "trace", _unavailable(machine))  # type: ignore[no-untyped-call]


ERRORS: dict[str, st.SearchStrategy[Any]] = {
    "its own": st.sampled_from([ActorDiedError(), _unavailable(LIVES), _in_a_task(LIVES)]),
    "its machine's": st.builds(_unavailable, st.sampled_from([DEAD, UNNOTICED])),
}


@given(st.lists(st.sampled_from(list(ERRORS)), max_size=9), st.data())
def test_only_failures_on_machines_that_live_count_in_whatever_order(
    kinds: list[str], data: st.DataObject
) -> None:
    trial = Trial("law", stub=True, max_failures=tune_adapters.RETRIES)
    for kind in kinds:
        trial.handle_error(data.draw(ERRORS[kind]))
    assert trial.num_failures == kinds.count("its own")
    recovers = trial.should_recover()  # type: ignore[no-untyped-call]
    assert recovers is (kinds.count("its own") <= tune_adapters.RETRIES)
