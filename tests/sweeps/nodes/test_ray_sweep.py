"""Sweeps over node actors: what they give, what they keep, what happens when they are killed."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from toy_study import network_study

from sweeps.common.capacity import ResourceRequest
from sweeps.common.records import FailureKind, TrialRecord, TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.progress.events import Display, SweepEvent, TrialReported
from sweeps.run.runner import SweepSummary, run_study
from sweeps.tracking.verify import verify_sweep

# Two sweeps; starting Ray and the processes takes most of the time, and more on a busy machine.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

LONG = {"topology": "decentralized", "epochs": 20, "epoch_s": 0.05}
POINTS = [
    {"topology": "centralized", "link_loss": 0.3},
    {"topology": "decentralized", "edge_families": "mixed", "num_edges": 5},
    {"topology": "decentralized", "method": "pairs", "exchange_bits": 4},
    {"topology": "semi-centralized", "rehearsal_share": 0.5, "anchor_weight": 0.3},
    {"topology": "mutual", "rounds": 3},
    {"topology": "self", "rounds": 2},
    {**LONG, "num_edges": 2},  # its actor is killed once
    {"topology": "decentralized", "fail": "edge-1"},
    {"topology": "mutual", "rounds": 4},
    {**LONG, "num_edges": 3},  # a process that conducts is killed while it runs
    {"topology": "self", "rounds": 3},
    {**LONG, "num_edges": 4},  # its actor is killed, and killed again
    {"topology": "centralized", "uploads": 2},
    {"topology": "per-edge", "num_edges": 2, "edge_topologies": "decentralized centralized"},
    # P7: actors that a trial starts outside its own resources wait for one another for ever
    {"topology": "decentralized", "num_edges": 32, "method": "kd"},
    {"topology": "decentralized", "num_edges": 32, "method": "pairs"},
]
CALM, ONCE, WRONG, CONDUCTOR, TWICE = 6, 6, 7, 9, 11
MEASURED = ("core_seconds", "trial_wall_s", "trial_cpu_s")


class Assassin(Display):
    """Kills processes, each at the first word of some trial; knows all processes there were."""

    def __init__(self) -> None:
        self.actors: dict[int, set[int]] = {}
        self.killed: list[int] = []
        self.seen: dict[int, psutil.Process] = {}
        self._others = {process.pid for process in psutil.Process().children(recursive=True)}

    def handle(self, event: SweepEvent) -> None:
        if isinstance(event, TrialReported):
            self._reported(event.trial, int(event.metrics["pid"]))

    def _reported(self, number: int, pid: int) -> None:
        new = pid not in self.actors.setdefault(number, set())
        self.actors[number].add(pid)
        if not new or number not in (ONCE, CONDUCTOR, TWICE):
            return
        processes = psutil.Process().children(recursive=True)
        own = (process for process in processes if process.pid not in self._others)
        self.seen.update({process.pid: process for process in own})
        if number == TWICE or (number == ONCE and len(self.actors[number]) == 1):
            self._kill(pid)
        if number == CONDUCTOR and len(self.actors[number]) == 1:
            titles = {process.pid: process.cmdline()[:1] for process in processes}
            self._kill(next(k for k, v in titles.items() if v and "StudentTrial" in v[0]))

    def _kill(self, pid: int) -> None:
        self.killed.append(pid)
        os.kill(pid, signal.SIGKILL)


def run(home: Path, display: Display, request: ResourceRequest) -> SweepSummary:
    return run_study(
        network_study(POINTS),
        name="net",
        home=home,
        tracking_uri=None,
        request=request,
        display=display,
    )


@pytest.fixture(scope="module")
def assassin() -> Assassin:
    return Assassin()


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, assassin: Assassin) -> SweepSummary:
    return run(tmp_path_factory.mktemp("ray"), assassin, ResourceRequest(slots=2))


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> SweepSummary:
    request = ResourceRequest(backend="inline")
    return run(tmp_path_factory.mktemp("inline"), Display(), request)


def trials(sweep: SweepSummary) -> list[TrialRecord]:
    return Ledger.open(sweep.folder / "journal.log").trials()


def numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that no clock of this machine has measured."""
    return {n: v for n, v in metrics.items() if not any(word in n for word in MEASURED)}


def test_killed_processes_cost_nothing_but_the_trial_whose_actor_died_twice(
    disturbed: SweepSummary, assassin: Assassin
) -> None:
    assert len(set(assassin.killed)) == 4
    found = trials(disturbed)
    failed = {trial.number: trial.reason for trial in found if trial.state is TrialState.FAIL}
    assert failed.keys() == {WRONG, TWICE}
    assert "process died" in failed[TWICE]
    assert "retried" in failed[TWICE]
    assert failed[WRONG].startswith("RuntimeError: edge-1 cannot learn (toy_network.py, line ")
    assert found[WRONG].failure is FailureKind.RAISED
    assert found[TWICE].failure is FailureKind.NODE_LOST
    assert {trial.state for trial in found} == {TrialState.COMPLETE, TrialState.FAIL}
    assert verify_sweep(disturbed.folder) == []


def test_a_disturbed_sweep_over_actors_gives_the_numbers_of_a_calm_one_without(
    disturbed: SweepSummary, calm: SweepSummary
) -> None:
    assert [trial.number for trial in trials(calm) if trial.reason] == [WRONG]
    for ours, theirs in zip(trials(disturbed), trials(calm), strict=True):
        assert ours.config == theirs.config
        if ours.number == TWICE:
            continue
        assert ours.reason == theirs.reason
        assert numbers(ours.metrics) == numbers(theirs.metrics)
        if not ours.reason:
            name = f"weights/trial-{ours.number}.safetensors"
            assert (disturbed.folder / name).read_bytes() == (calm.folder / name).read_bytes()
    assert disturbed.confirmations == calm.confirmations == 1


def test_actors_stay_warm(disturbed: SweepSummary, assassin: Assassin) -> None:
    before = set().union(*(assassin.actors[number] for number in range(CALM)))
    assert 1 <= len(before) <= 2
    ever = set().union(*assassin.actors.values())
    assert len(ever) <= 2 + len(assassin.killed)


def test_nothing_is_left_running(disturbed: SweepSummary, assassin: Assassin) -> None:
    others = assassin.seen.keys() - set(assassin.killed)
    assert len(others) > 4
    _, alive = psutil.wait_procs(list(assassin.seen.values()), timeout=20)
    assert alive == []
