"""Kill the driver of a sweep with SIGKILL again and again, resume it each time, and compare.

A sweep of the toy task is run twice from the same study with one slot: once unbroken and without
Ray, once with kills at seeded random moments of every phase. What must hold is checked after each
kill and at the end; the first violation is raised as an AssertionError.

    python benchmarks/kill_resume.py --kills 100
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kdtasks.contract.params import fingerprint
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.process_lock import LEASE_FILE, ProcessRow, living
from sweeps.tracking.verify import verify_sweep

ROOT = Path(__file__).resolve().parents[1]
CALL = "import sys; from sweeps.cli.main import main; main(sys.argv[1:])"
PHASES = {
    "start": "is resumed",
    "data": "loading data",
    "teachers": "training teachers",
    "search": "searching",
    "confirm": "confirming",
    "report": "writing the report",
}
"""What a driver prints when a phase begins."""
LONGEST_S = {
    "start": 4.0,
    "data": 4.0,
    "teachers": 2.0,
    "search": 2.0,
    "confirm": 1.5,
    "report": 1.0,
}
"""Kills come at most so long after the phase has begun."""
RUN = ("run", "toy.yaml", "--name")
LIFE_S = 120.0
"""A driver that takes longer hangs."""


@dataclass
class Killed:
    """What the kills came to.

    Attributes:
        kills: How many, by phase.
        interrupted: Trials that were under way when the driver died.
        wall_s: Time of all lives together [s].
    """

    kills: Counter[str] = field(default_factory=Counter)
    interrupted: int = 0
    wall_s: float = 0.0


def write_study(folder: Path, trials: int) -> None:
    """Write the toy task and a study of it into ``folder``."""
    shutil.copy(ROOT / "tests" / "sweeps" / "toy_task.py", folder / "my_task.py")
    value = {"direction": "minimize", "label": "x"}
    study = {
        "name": "toy",
        "title": "toy",
        "description": "nothing to learn",
        "task": "my_task:ToyTask",
        "parameters": {"epochs": 2, "epoch_s": 0.08},
        "space": {
            "method": {"type": "choice", "values": ["vanilla", "kd"]},
            "x": {"type": "float", "low": 0.0, "high": 1.0},
            "width": {"type": "int", "low": 1, "high": 8},
            "teacher_seed": {"type": "int", "low": 0, "high": 2, "when": {"method": ["kd"]}},
        },
        "objectives": [
            {"metric": "val_nmse_db", "unit": "dB", "reference": 0.0, **value},
            {"metric": "ue_flops", "unit": "FLOPs", "reference": 1e4, "scale": "log", **value},
        ],
        "search": {"sampler": "tpe", "points": [{"width": [1, 8], "flaw": "raise"}]},
        "budget": {"trials": trials},
        "confirm": {"select": "front", "limit": 4},
        "seeds": {"confirm": [101, 102, 103]},
    }
    (folder / "toy.yaml").write_text(yaml.safe_dump(study, sort_keys=False))


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a driver, in a session of its own as a terminal gives it."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", CALL, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


class Output:
    """What a driver has printed so far, read on a thread."""

    def __init__(self, driver: subprocess.Popen[str]) -> None:
        self._lines: list[str] = []
        self._driver = driver
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._driver.stdout is not None
        with self._driver.stdout as lines:
            self._lines.extend(iter(lines.readline, ""))

    @property
    def text(self) -> str:
        return "".join(self._lines)

    def wait_for(self, words: str) -> bool:
        """Return whether the driver printed ``words`` before it ended."""
        deadline = time.monotonic() + LIFE_S
        while words not in self.text and self._driver.poll() is None:
            assert time.monotonic() < deadline, f"the driver hangs:\n{self.text}"
            time.sleep(0.01)
        if self._driver.poll() is not None:
            self._thread.join(5.0)
        return words in self.text


def trials_of(sweep: Path) -> list[TrialRecord]:
    """Return all trials of a sweep; none if it has no ledger yet."""
    journal = sweep / "journal.log"
    return Ledger.open(journal).trials() if journal.is_file() else []


def finished(trials: list[TrialRecord]) -> dict[int, TrialRecord]:
    """Return what counts against the budget, by number."""
    ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    return {
        trial.number: trial
        for trial in trials
        if trial.state in ended and not trial.duplicate and not trial.interrupted
    }


def under_way(sweep: Path) -> bool:
    """Return whether a trial runs."""
    return any(trial.state is TrialState.RUNNING for trial in trials_of(sweep))


def front_of(sweep: Path) -> list[tuple[str, list[float]]]:
    """Return the front: which configuration has which objectives."""
    trials = finished(trials_of(sweep))
    rows = json.loads((sweep / "report" / "front.json").read_text())["front"]
    names = ("val_nmse_db", "ue_flops")
    return sorted(
        (fingerprint(trials[row["trial"]].config), [row[name] for name in names]) for row in rows
    )


def rows_of(sweep: Path) -> list[ProcessRow]:
    """Return the processes that a driver of the sweep has noted as its own."""
    try:
        noted = json.loads((sweep / LEASE_FILE).read_text())["processes"]
    except (OSError, ValueError):
        return []
    return [ProcessRow(row["pid"], row["created"]) for row in noted]


def kill_loop(folder: Path, phases: Sequence[str], *, trials: int, seed: int) -> Killed:
    """Run, kill and resume; check everything.

    Args:
        folder: An empty folder.
        phases: In which the driver is killed, one after the other.
        trials: Budget; there must be enough for all kills to find something to do.
        seed: Of the moments.
    """
    rng = random.Random(seed)  # noqa: S311 - moments, no secrets
    write_study(folder, trials)
    whole, sweep = folder / "runs" / "whole", folder / "runs" / "killed"
    to_the_end(start(folder, *RUN, "whole", "--backend", "inline"))
    result, ours = Killed(), set[ProcessRow]()
    known: dict[int, TrialRecord] = {}
    begun = time.monotonic()
    for phase in phases:
        command = ["resume", "killed"] if sweep.exists() else [*RUN, "killed", "--slots", "1"]
        driver = start(folder, *command)
        shown = Output(driver)
        new = command[0] == "run"
        here = shown.wait_for("sweep killed" if new and phase == "start" else PHASES[phase])
        assert here or driver.poll() == 0, f"{phase}:\n{shown.text}"
        while phase == "search" and driver.poll() is None and not under_way(sweep):
            time.sleep(0.05)  # processes that run trials take seconds to start
        time.sleep(rng.uniform(0.0, LONGEST_S[phase]))
        ours.update(rows_of(sweep))
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        result.kills[phase] += 1
        known = check_after_kill(sweep, known, trials)
    to_the_end(start(folder, "resume", "killed", "--backend", "inline"))
    result.wall_s = time.monotonic() - begun
    every = trials_of(sweep)
    result.interrupted = sum(trial.interrupted for trial in every)
    check_end(whole, sweep, known, trials)
    assert not living(sorted(ours, key=lambda row: row.pid)), "processes were left behind"
    return result


def to_the_end(driver: subprocess.Popen[str]) -> None:
    """Let a driver finish its sweep."""
    shown = Output(driver)
    assert shown.wait_for("MLflow UI"), shown.text
    assert driver.wait(60) == 0, shown.text


def check_after_kill(
    sweep: Path, known: dict[int, TrialRecord], trials: int
) -> dict[int, TrialRecord]:
    """Check what a dead driver has left; return what is finished."""
    now = finished(trials_of(sweep))
    assert all(now.get(number) == trial for number, trial in known.items()), "trials were lost"
    configs = Counter(fingerprint(trial.config) for trial in now.values())
    assert max(configs.values(), default=1) == 1, "a configuration was run twice"
    assert len(now) <= trials, "the budget was exceeded"
    return now


def check_end(whole: Path, sweep: Path, known: dict[int, TrialRecord], trials: int) -> None:
    """Check the resumed sweep against the unbroken one."""
    end = finished(trials_of(sweep))
    assert all(end[number] == trial for number, trial in known.items()), "trials were lost"
    assert len(end) == trials, f"{len(end)} trials instead of {trials}"
    assert verify_sweep(sweep) == []  # no run is RUNNING, or there once too often or too seldom
    assert front_of(sweep) == front_of(whole)
    jobs = [Ledger.open(path / "journal.log").jobs() for path in (whole, sweep)]
    repeated = [
        sorted(j.metrics["test_nmse_db"] for j in found if j.trial is not None) for found in jobs
    ]
    assert repeated[0] == repeated[1]
    assert len(jobs[0]) == len(jobs[1])


def moments(kills: int, seed: int) -> list[str]:
    """Return the phase of each kill: what comes before the search, the search, what follows."""
    rng = random.Random(seed)  # noqa: S311 - phases, no secrets
    late = max(3, kills // 4)
    early = [rng.choice(["start", "data", "teachers", "search"]) for _ in range(kills - late - 3)]
    return ["data", "teachers", "search", *early, *["confirm"] * (late - 1), "report"]


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trials = 10 + 3 * chosen.kills
        phases = moments(chosen.kills, chosen.seed)
        result = kill_loop(Path(folder), phases, trials=trials, seed=chosen.seed)
    print(
        f"{sum(result.kills.values())} kills {dict(result.kills)} in {result.wall_s:.0f} s, "
        f"{result.interrupted} trials interrupted, {trials} finished: none lost, none run twice, "
        "verify clean, front and confirmations equal to those of the unbroken sweep"
    )


if __name__ == "__main__":
    main()
