"""A killed driver leaves a beginning of its journal: whatever it is, the end must be the same."""

import errno
import os
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from toy_study import FINITE, ManualClock, toy_study
from toy_task import ToyTask, error_db

from kdtasks.contract.errors import DataError, UserError
from kdtasks.contract.params import fingerprint
from search_spaces.study import Study
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.journal import repair_tail
from sweeps.ledger.ledger import Ledger
from sweeps.search.proposals import Proposals
from sweeps.search.samplers import known_costs, make_sampler

ENDED = (TrialState.COMPLETE, TrialState.FAIL)


def search(ledger: Ledger, study: Study) -> None:
    """Run what is left of a study, one trial after the other."""
    ledger.use(partial(make_sampler, study, known_costs(study, ToyTask())))
    clock = ManualClock()
    proposals = Proposals(study, ToyTask(), ledger, clock)
    while (proposal := proposals.next()) is not None:
        config = proposal.config
        error = error_db(float(config["x"]), int(config["width"]), 4, 0.0)
        values = [error, 1000.0 * float(config["width"])]
        if config["flaw"] == "raise":
            ledger.fail(proposal.number, "it raised")
        else:
            ledger.complete(proposal.number, values, {"val_nmse_db": error}, {"bits": -1.0})


def real(ledger: Ledger) -> list[TrialRecord]:
    return [t for t in ledger.trials() if not t.duplicate and not t.interrupted]


def outcomes(ledger: Ledger) -> list[tuple[str, str, float]]:
    """Return what was run with which result, in the order in which it ended."""
    return [
        (fingerprint(t.config), t.state.value, t.metrics.get("val_nmse_db", 0.0))
        for t in real(ledger)
    ]


def study_of(sampler: str) -> Study:
    points = [{"x": 0.2, "width": 3, "method": "kd"}, {"width": [5, 6], "flaw": "raise"}]
    if sampler == "points":
        every = [{"x": [0.1, 0.2, 0.3], "width": [1, 2], "method": "kd", "flaw": ["none", "raise"]}]
        return toy_study(search={"sampler": "points", "points": every}, budget={"trials": 10})
    if sampler == "grid":
        return toy_study(
            space=FINITE, search={"sampler": "grid", "points": [{"width": 2}]}, budget={"trials": 9}
        )
    if sampler == "finite":  # repeats are answered with listed configurations
        return toy_study(space=FINITE, search={"sampler": "random"}, budget={"trials": 11})
    return toy_study(search={"sampler": sampler, "points": points}, budget={"trials": 15})


SAMPLERS = ["points", "grid", "finite", "random", "tpe", "known-cost", "nsga2", "nsga3", "qmc"]
MOMENTS = {"points": 1, "grid": 2, "finite": 3, "random": 3, "known-cost": 25}
"""Lines of the journal between two moments of death; those not named are slow."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_wherever_the_driver_dies_the_search_ends_as_if_it_had_not(
    sampler: str, tmp_path: Path
) -> None:
    study = study_of(sampler)
    whole = tmp_path / "whole.log"
    ledger = Ledger.create(whole, study)
    search(ledger, study)
    expected = outcomes(ledger)
    assert len(expected) == study.budget.trials
    lines = whole.read_bytes().splitlines(keepends=True)
    begun = next(i for i, line in enumerate(lines) if b'"op_code":4' in line)
    missed = 0
    for cut in range(begun, len(lines), MOMENTS.get(sampler, 9)):
        path = tmp_path / f"cut-{cut}.log"
        path.write_bytes(b"".join(lines[:cut]) + lines[cut][: len(lines[cut]) // 2])
        assert "last line" in repair_tail(path)
        resumed = Ledger.open(path)
        finished = [t for t in resumed.trials() if t.state is TrialState.COMPLETE]
        resumed.recover()
        assert resumed.recover() <= 1  # again, without effect
        search(resumed, study)
        trials = resumed.trials()
        assert all(trials[t.number] == t for t in finished)
        assert all(t.state in ENDED for t in trials)
        assert Counter(outcomes(resumed)).most_common(1)[0][1] == 1
        if sampler == "qmc" and outcomes(resumed) != expected:
            # it counts, then draws: a point of its sequence is lost to a death in between
            assert len(outcomes(resumed)) == len(expected)
            missed += 1
            continue
        assert outcomes(resumed) == expected, f"killed after line {cut}: {lines[cut]!r}"
    assert missed <= (len(lines) - begun) / MOMENTS.get(sampler, 9) / 2


def test_it_may_die_again_and_again(tmp_path: Path) -> None:
    study = study_of("tpe")
    whole, path = tmp_path / "whole.log", tmp_path / "killed.log"
    unbroken = Ledger.create(whole, study)
    search(unbroken, study)
    Ledger.create(path, study)
    kept = len(path.read_bytes().splitlines())
    while True:
        repair_tail(path)
        ledger = Ledger.open(path)
        ledger.recover()
        search(ledger, study)
        lines = path.read_bytes().splitlines(keepends=True)
        kept += 40  # lines in which it gets farther than the driver before
        if kept >= len(lines):
            break
        path.write_bytes(b"".join(lines[:kept]))
    assert outcomes(ledger) == outcomes(unbroken)
    assert sum(t.interrupted for t in ledger.trials()) >= 3


def test_what_ctrl_c_interrupted_runs_once_more(tmp_path: Path) -> None:
    study = study_of("random")
    ledger = Ledger.create(tmp_path / "journal.log", study)
    ledger.use(partial(make_sampler, study, known_costs(study, ToyTask())))
    proposals = Proposals(study, ToyTask(), ledger, ManualClock())
    begun = [proposals.next(), proposals.next()]
    for proposal in begun:
        ledger.fail(proposal.number, "interrupted by the user", {"interrupted": True})
    assert ledger.recover() == 2
    search(ledger, study)
    trials = ledger.trials()
    assert [trials[2].config, trials[3].config] == [p.config for p in begun]
    assert len(real(ledger)) == study.budget.trials


@contextmanager
def full_disk(path: Path, spare: int) -> Iterator[None]:
    """Let no file grow beyond ``spare`` bytes more than ``path`` has: the kernel writes a part."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("spare", [0, 10, 100])
def test_a_full_disk_stops_the_search_and_loses_nothing(tmp_path: Path, spare: int) -> None:
    study = study_of("random")
    path = tmp_path / "journal.log"
    ledger = Ledger.create(path, study)
    ledger.use(partial(make_sampler, study, known_costs(study, ToyTask())))
    proposals = Proposals(study, ToyTask(), ledger, ManualClock())
    first, second = proposals.next(), proposals.next()
    ledger.complete(first.number, [1.0, 2.0], {"val_nmse_db": 1.0}, {})
    kept = path.read_bytes()
    with full_disk(path, spare), pytest.raises(UserError, match=r"journal\.log cannot be written"):
        ledger.complete(second.number, [1.0, 3.0], {"val_nmse_db": 1.0, "long": 0.1234567}, {})
    assert path.read_bytes() == kept
    ledger.fail(second.number, "the disk was full")  # a line of its own, once there is room
    assert [t.state for t in Ledger.open(path).trials()[:2]] == list(ENDED)


def test_a_full_disk_is_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "journal.log"
    ledger = Ledger.create(path, toy_study())
    kept = path.read_bytes()
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UserError, match=r"No space left on device.*kdsweep resume"):
        ledger.extend(toy_study(budget={"trials": 9}))
    assert path.read_bytes() == kept


def test_damage_inside_the_journal_is_named_with_its_line(tmp_path: Path) -> None:
    study = study_of("random")
    path = tmp_path / "journal.log"
    search(Ledger.create(path, study), study)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:11], b"\x00\x00garbage\n", *lines[12:]]))
    assert repair_tail(path) == ""
    with pytest.raises(DataError, match=rf"line 12 of {len(lines)}.*from a copy"):
        Ledger.open(path)
    path.write_bytes(b"".join([lines[0], *lines[20:]]))
    with pytest.raises(DataError, match=r"damaged.*from a copy"):
        Ledger.open(path)
