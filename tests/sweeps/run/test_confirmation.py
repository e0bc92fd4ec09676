"""Trials near the front in the engine: repeated after its members, once each, also when stopped."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from in_process import Engine
from toy_study import toy_study

from analysis import layout
from analysis.fronts import knee_trial
from sweeps.common.events import Event
from sweeps.common.interrupts import Interrupts
from sweeps.ledger.front import pareto_state
from sweeps.run.confirmation import candidates, open_jobs
from sweeps.run.site import InlinePool
from sweeps.tracking.read import sweep_frames
from sweeps.workers.jobs import Job

SEEDS = [101, 102]


class StoppedPool(InlinePool):
    """Is interrupted after some events."""

    def __init__(self, count: int) -> None:
        super().__init__(Interrupts())
        self.count = count

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Event]]:
        yield from islice(super().run(jobs), self.count)
        raise KeyboardInterrupt


def searched(home: Path, **confirm: object) -> Engine:
    study = toy_study(
        budget={"trials": 14},
        seeds={"search": 0, "trial": 0, "confirm": SEEDS},
        confirm={"select": "front", "epsilon": 0.5, "limit": 9, **confirm},
    )
    engine = Engine(study, home)
    engine.teach()
    engine.search()
    return engine


def repeated(engine: Engine) -> list[str]:
    """Return trial and seed of the confirmations, in the order in which they were made."""
    kinds = (key.partition("/") for key in engine.tracker.children)
    return [key for kind, _, key in kinds if kind == "confirmation"]


def test_members_are_done_with_all_seeds_before_what_is_near_them(tmp_path: Path) -> None:
    engine = searched(tmp_path)
    numbers = [trial.number for trial in candidates(engine.study, engine.ledger.trials())]
    front = [row.number for row in pareto_state(engine.ledger.trials(), engine.study).rows]
    knee = knee_trial(sweep_frames(engine.folder.path))
    front.sort(key=lambda number: number != knee)
    near = numbers[len(front) :]
    assert numbers[: len(front)] == front
    assert near
    assert engine.confirm() == 0
    assert repeated(engine) == [
        f"{number}/{seed}" for wave in (front, near) for seed in SEEDS for number in wave
    ]


@pytest.mark.parametrize("select", ["front", "all"])
def test_the_knee_is_confirmed_whatever_the_limit(select: str, tmp_path: Path) -> None:
    engine = searched(tmp_path, select=select, epsilon=0.0)
    trials, knee = engine.ledger.trials(), knee_trial(sweep_frames(engine.folder.path))
    front = [row.number for row in pareto_state(trials, engine.study).rows]
    assert knee not in (front[0], front[-1])
    for limit in range(1, len(front) + 1):
        confirm = replace(engine.study.confirm, limit=limit)
        found = candidates(replace(engine.study, confirm=confirm), trials)
        numbers = [trial.number for trial in found]
        assert numbers[0] == knee
        assert len(numbers) == len({*numbers}) == limit
        assert {*numbers} <= {*front}
        if select == "front" and limit > 2:
            assert {front[0], front[-1]} <= {*numbers}


@pytest.mark.parametrize("events", [5, 20])
def test_a_stopped_confirmation_goes_on_where_it_was(events: int, tmp_path: Path) -> None:
    engine = searched(tmp_path)
    engine.pool = StoppedPool(events)
    with pytest.raises(KeyboardInterrupt):
        engine.confirm()
    done = repeated(engine)
    needs = engine.resources.needs
    assert open_jobs(engine.study, engine.task, needs, engine.ledger)
    engine.pool = InlinePool(engine.interrupts)
    assert engine.confirm() == 0
    assert repeated(engine)[: len(done)] == done
    assert len(repeated(engine)) == len(set(repeated(engine)))
    numbers = [trial.number for trial in candidates(engine.study, engine.ledger.trials())]
    assert set(repeated(engine)) == {f"{n}/{seed}" for n in numbers for seed in SEEDS}
    assert open_jobs(engine.study, engine.task, needs, engine.ledger) == []


@pytest.mark.parametrize("events", [1, 9, 10**6])
def test_repetitions_draw_teachers_that_are_trained_after_the_search(
    events: int, tmp_path: Path
) -> None:
    engine = searched(tmp_path, teachers=2, select="all", epsilon=0.0, limit=None)
    needs = engine.resources.needs
    before = {key for key in engine.tracker.children if key.startswith("teacher/")}
    engine.pool = StoppedPool(events)
    with pytest.raises(KeyboardInterrupt):
        engine.confirm()
    engine.pool = InlinePool(engine.interrupts)
    assert engine.confirm() == 0
    assert open_jobs(engine.study, engine.task, needs, engine.ledger) == []
    children = engine.tracker.children
    teachers = {key: run for key, run in children.items() if key.startswith("teacher/")}
    assert len(before) == 1
    assert sorted(run.params["teacher_seed"] for run in teachers.values()) == ["0", "1"]
    assert all("test_nmse_db" in run.metrics for run in teachers.values())
    for key in repeated(engine):
        run = children[f"confirmation/{key}"]
        taught = run.params["method"] == "kd"
        draw = SEEDS.index(int(run.params["seed"])) if taught else 0
        assert run.params["teacher_seed"] == str(draw)
        named = run.tags.get(layout.TEACHER_KEY, "")
        assert (f"teacher/{named}" in teachers) == taught
        assert not taught or teachers[f"teacher/{named}"].params["teacher_seed"] == str(draw)
        assert run.tags[layout.SCENARIO_KEY]
