"""A new sweep may know what earlier ones found; it never takes their trials for its own."""

import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from in_process import Engine, Watching
from toy_study import ManualClock, toy_study
from toy_task import ToyTask

from analysis import pareto
from kdtasks.contract.params import fingerprint
from search_spaces.errors import StudyError
from search_spaces.study import Study
from sweeps.common.records import Stop
from sweeps.ledger.front import values_of
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.optuna_trials import is_earlier
from sweeps.ledger.paths import SweepFolder, create
from sweeps.progress.state import Utilisation
from sweeps.search.proposals import Proposals
from sweeps.search.samplers import known_costs, make_sampler
from sweeps.search.warm_start import find_earlier

SPACE = {
    **{name: {"type": "float", "low": 0.0, "high": 1.0} for name in ("x", "epoch_s")},
    **{name: {"type": "int", "low": 0, "high": 50} for name in ("width", "teacher_seed")},
}
"""Parameters of the toy task, used as coordinates."""
OBJECTIVES = [
    {"metric": "val_nmse_db", "direction": "minimize", "unit": "dB", "reference": 1.0},
    {"metric": "ue_flops", "direction": "minimize", "unit": "FLOPs", "reference": 1.0},
]


def squares(config: Any) -> tuple[float, float]:
    """Two quadratic objectives; the best compromises lie where all coordinates are alike."""
    points = [config[name] / SPACE[name]["high"] for name in SPACE]
    return sum((p - 0.6) ** 2 for p in points), sum((p - 0.9) ** 2 for p in points)


def study_of(sampler: str = "tpe", warm: tuple[str, ...] = (), **changes: Any) -> Study:
    fields: dict[str, Any] = {
        "parameters": {"epochs": 2, "method": "kd"},
        "space": SPACE,
        "objectives": OBJECTIVES,
        "search": {"sampler": sampler, "warm_start": list(warm)},
        "budget": {"trials": 20},
    }
    return toy_study(**{**fields, **changes})


def search(ledger: Ledger, study: Study) -> None:
    ledger.use(partial(make_sampler, study, known_costs(study, ToyTask())))
    proposals = Proposals(study, ToyTask(), ledger, ManualClock())
    while (proposal := proposals.next()) is not None:
        error, flops = squares(proposal.config)
        metrics = {"val_nmse_db": error, "ue_flops": flops}
        ledger.complete(proposal.number, [error, flops], metrics, {})


def run(home: Path, name: str, study: Study) -> Ledger:
    """Run a study as the sweep ``name``."""
    folder = SweepFolder(home / name)
    create(folder, study.text)
    earlier = find_earlier(study, ToyTask(), home, Watching())
    ledger = Ledger.create(folder.journal, study, earlier)
    search(ledger, study)
    return ledger


def configs(ledger: Ledger) -> list[str]:
    return [fingerprint(trial.config) for trial in ledger.trials()]


@pytest.mark.parametrize("sampler", ["tpe", "known-cost", "nsga2", "nsga3"])
def test_what_is_known_changes_the_very_next_suggestions(sampler: str, tmp_path: Path) -> None:
    # a genetic sampler mixes parents as soon as it knows a generation of 50
    run(tmp_path, "old", study_of("random", budget={"trials": 60}))
    cold = run(tmp_path, "cold", study_of(sampler))
    warm = run(tmp_path, "warm", study_of(sampler, ("old",)))
    # the first suggestions of a cold sampler are random; with equal seeds knowledge alone differs
    assert configs(cold)[:10] != configs(warm)[:10]
    again = run(tmp_path, "again", study_of(sampler, ("old",)))
    assert configs(again) == configs(warm)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_it_helps(sampler: str, tmp_path: Path) -> None:
    def hypervolume(ledger: Ledger, study: Study) -> float:
        return pareto.sweep_hypervolume(values_of(ledger.trials(), study), study.objectives)

    gains = []
    for seed in range(7):
        seeds = {"search": seed, "confirm": [1]}
        old = study_of("random", budget={"trials": 60}, seeds={**seeds, "search": 100 + seed})
        run(tmp_path, f"old-{seed}", old)
        volumes = []
        for warm in ((), (f"old-{seed}",)):
            study = study_of(sampler, warm, seeds=seeds, budget={"trials": 14})
            volumes.append(hypervolume(run(tmp_path, f"{len(warm)}-{seed}", study), study))
        gains.append(volumes[1] - volumes[0])
    # of 0.9 that there are
    assert statistics.median(gains) > 0.02


def test_earlier_trials_are_known_to_the_sampler_and_to_nobody_else(tmp_path: Path) -> None:
    old = run(tmp_path, "old", study_of("random"))
    known = old.trials()[3].params
    search = {"warm_start": ["old"], "points": [dict(known)]}
    bound = [{"metric": "ue_flops", "max": 0.5}]
    ledger = run(tmp_path, "new", study_of(search=search, constraints=bound))
    inside = ledger._study.get_trials(deepcopy=False)
    assert [is_earlier(trial) for trial in inside] == [True] * 20 + [False] * 20
    violations = [trial.metrics["ue_flops"] - 0.5 for trial in old.trials()]
    assert [dict(trial.constraints) for trial in inside[:20]] == [
        {"ue_flops": v} for v in violations
    ]
    trials = ledger.trials()
    # numbered from 0, and run although an earlier sweep has run it
    assert [trial.number for trial in trials] == list(range(20))
    assert trials[0].params == known
    assert all(ledger.trial(trial.number) == trial for trial in trials)
    assert not any(trial.duplicate for trial in trials)
    assert len(find_earlier(study_of("tpe", ("new",)), ToyTask(), tmp_path, Watching())) == 20


def test_the_whole_engine_keeps_earlier_trials_apart(tmp_path: Path) -> None:
    class WarmEngine(Engine):
        def start_ledger(self) -> Ledger:
            earlier = find_earlier(self.study, self.task, self.home, self.display)
            assert len(earlier) == 6
            return Ledger.create(self.folder.journal, self.study, earlier)

    old = Engine(toy_study(budget={"trials": 6}), tmp_path)
    old.teach()
    old.search()
    old.folder.path.rename(tmp_path / "old")
    warm = toy_study(search={"sampler": "tpe", "warm_start": ["old"]}, budget={"trials": 3})
    new = WarmEngine(warm, tmp_path)
    new.teach()
    session = new.search()
    assert session.complete == 3
    assert {row.number for row in session.pareto_state.rows} <= {0, 1, 2}
    written = {key for key in new.tracker.children if key.startswith("trial/")}
    assert written == {"trial/0", "trial/1", "trial/2"}
    new.recorder.settle(Utilisation(1, new.clock))
    assert new.tracker.metrics["trials_complete"] == 3
    assert [count for count, _ in new.tracker.series] == [1, 2, 3]
    assert new.confirm() == 0


MOMENTS = 23
"""Lines of the journal between two moments of death."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_wherever_the_driver_dies_a_warm_sweep_ends_as_if_it_had_not(
    sampler: str, tmp_path: Path
) -> None:
    run(tmp_path, "old", study_of("random", budget={"trials": 55}))
    study = study_of(sampler, ("old",), budget={"trials": 14})
    whole = run(tmp_path, "whole", study)
    lines = SweepFolder(tmp_path / "whole").journal.read_bytes().splitlines(keepends=True)
    begun = next(i for i, line in enumerate(lines) if b'"op_code":4' in line) + 55
    for cut in range(begun, len(lines), MOMENTS):
        path = tmp_path / f"cut-{cut}.log"
        path.write_bytes(b"".join(lines[:cut]))
        resumed = Ledger.open(path)
        resumed.recover()
        search(resumed, study)
        # told once, and not again when the sweep was resumed
        assert sum(is_earlier(t) for t in resumed._study.get_trials(deepcopy=False)) == 55
        real = [t for t in resumed.trials() if not t.interrupted]
        assert [fingerprint(t.config) for t in real] == configs(whole), f"killed after line {cut}"


def test_a_driver_that_dies_during_the_warm_start_has_added_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "old", study_of("random"))
    study = study_of("tpe", ("old",))
    earlier = find_earlier(study, ToyTask(), tmp_path, Watching())

    class KilledError(BaseException):
        pass

    def dying() -> Iterator[Any]:
        yield from earlier[:7]
        raise KilledError

    path = tmp_path / "journal.log"
    with pytest.raises(KilledError):
        Ledger.create(path, study, dying())  # type: ignore[arg-type]
    assert not path.exists()
    ledger = Ledger.create(path, study, earlier)
    assert len(ledger._study.get_trials(deepcopy=False)) == 20


def test_a_finished_warm_sweep_is_extended(tmp_path: Path) -> None:
    run(tmp_path, "old", study_of("random"))
    long = study_of("tpe", ("old",), budget={"trials": 16})
    at_once = run(tmp_path, "long", long)
    run(tmp_path, "short", study_of("tpe", ("old",), budget={"trials": 9}))
    ledger = Ledger.open(SweepFolder(tmp_path / "short").journal)
    ledger.extend(long)
    search(ledger, long)
    assert configs(ledger) == configs(at_once)


# What does not fit.


def old_sweep(home: Path, name: str = "old", **changes: Any) -> Ledger:
    """Make a sweep of three trials: finished, stopped early and failed."""
    study = study_of("random", **{"budget": {"trials": 3}, **changes})
    folder = SweepFolder(home / name)
    create(folder, study.text)
    ledger = Ledger.create(folder.journal, study)
    ledger.use(partial(make_sampler, study, known_costs(study, ToyTask())))
    proposals = Proposals(study, ToyTask(), ledger, ManualClock())
    first, second, third = (proposals.next() for _ in range(3))
    metrics = {"val_nmse_db": -5.0, "ue_flops": 100.0, "payload_bits": 64.0}
    ledger.complete(first.number, [-5.0, 100.0], metrics, {})
    ledger.prune(second.number, Stop(reason="behind", epoch=1, epochs=2, metrics=metrics))
    ledger.fail(third.number, "it raised")
    return ledger


def wide(high: int) -> dict[str, Any]:
    return {**SPACE, "width": {"type": "int", "low": high // 2, "high": high}}


def choice(*values: str) -> dict[str, Any]:
    return {"type": "choice", "values": list(values)}


MAXIMIZED = [{**OBJECTIVES[0], "direction": "maximize"}, dict(OBJECTIVES[1])]
MISFITS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    # changes of the old study, changes of the new one, what is said
    "another task": ({"task": "other-task"}, {}, "of task other-task, not toy_task:ToyTask"),
    "another direction": (
        {"objectives": MAXIMIZED},
        {},
        "that maximize val_nmse_db [dB]",
    ),
    "a value outside": ({"space": wide(64)}, {"space": wide(8)}, "outside the space (width)"),
    "another fixed value": (
        {"parameters": {"epochs": 9, "method": "kd"}},
        {},
        "whose epochs differs",
    ),
    "a parameter that is not searched any more": (
        {},
        {"space": {name: SPACE[name] for name in SPACE if name != "width"}},
        "whose width differs",
    ),
    "another choice": (
        {"parameters": {"epochs": 2}, "space": {**SPACE, "method": choice("kd", "vanilla")}},
        {"parameters": {"epochs": 2}, "space": {**SPACE, "method": choice("other")}},
        "outside the space (method)",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_trials_outside_the_space_are_skipped_and_counted(name: str, tmp_path: Path) -> None:
    before, after, words = MISFITS[name]
    old_sweep(tmp_path, **before)
    with pytest.raises(StudyError, match=r"search\.warm_start: nothing to learn from") as caught:
        find_earlier(study_of("tpe", ("old",), **after), ToyTask(), tmp_path, Watching())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    # beside a sweep that fits it is a note
    fitting = study_of("random", **{"budget": {"trials": 2}, **after})
    if name != "another choice":
        run(tmp_path, "fits", fitting)
        notes = Watching()
        study = study_of("tpe", ("old", "fits"), **after)
        assert len(find_earlier(study, ToyTask(), tmp_path, notes)) == 2
        assert words in notes.notes[0]
        assert notes.notes[1] == "warm start: 2 of 2 trials of fits"


def test_only_finished_trials_count_and_a_metric_must_be_there(tmp_path: Path) -> None:
    old_sweep(tmp_path)
    notes = Watching()
    bound = [{"metric": "payload_bits", "max": 32}]
    [trial] = find_earlier(study_of("tpe", ("old",), constraints=bound), ToyTask(), tmp_path, notes)
    assert (trial.number, trial.values, dict(trial.violations)) == (
        0,
        (-5.0, 100.0),
        {"payload_bits": 32.0},
    )
    assert notes.notes == ["warm start: 1 of 3 trials of old (2 not trained to their end)"]
    missing = study_of("tpe", ("old",), constraints=[{"metric": "latency_ms", "max": 1.0}])
    with pytest.raises(StudyError, match="latency_ms is missing"):
        find_earlier(missing, ToyTask(), tmp_path, notes)


def test_the_seed_may_differ_and_a_sweep_is_listed_by_name_or_path(tmp_path: Path) -> None:
    for folder in ("elsewhere", "home"):
        (tmp_path / folder).mkdir()
    old_sweep(tmp_path / "elsewhere", seeds={"trial": 5, "confirm": [1]})
    for entry in (str(tmp_path / "elsewhere" / "old"), "../elsewhere/old"):
        study = study_of("tpe", (entry,))
        assert len(find_earlier(study, ToyTask(), tmp_path / "home", Watching())) == 1
    both = study_of("tpe", (str(tmp_path / "elsewhere" / "old"), "../elsewhere/old"))
    notes = Watching()
    assert len(find_earlier(both, ToyTask(), tmp_path / "home", notes)) == 1
    assert "1 in an earlier sweep of the list" in notes.notes[1]


def test_sweeps_that_are_not_there_or_damaged_are_named(tmp_path: Path) -> None:
    old_sweep(tmp_path)
    study = study_of("tpe", ("old", "odl"))
    with pytest.raises(StudyError, match=r"search\.warm_start\.1: there is no sweep in .*odl"):
        find_earlier(study, ToyTask(), tmp_path, Watching())
    journal = SweepFolder(tmp_path / "old").journal
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:5], b"garbage\n", *lines[6:]]))
    with pytest.raises(StudyError, match=r"search\.warm_start\.0: .*damaged in line 6.*drop it"):
        find_earlier(study, ToyTask(), tmp_path, Watching())


def test_without_warm_start_nothing_is_looked_at(tmp_path: Path) -> None:
    notes = Watching()
    assert find_earlier(study_of(), ToyTask(), tmp_path / "no" / "home", notes) == ()
    assert notes.notes == []
