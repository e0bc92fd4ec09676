"""Trials near the front in the engine: repeated after its members, once each, also when stopped."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pytest
from in_process import Engine
from toy_study import toy_study

from sweeps.common.events import Event
from sweeps.common.interrupts import Interrupts
from sweeps.ledger.front import pareto_state
from sweeps.run.confirmation import candidates, open_jobs
from sweeps.run.inline import InlinePool
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


def searched(home: Path) -> Engine:
    study = toy_study(
        budget={"trials": 14},
        seeds={"search": 0, "trial": 0, "confirm": SEEDS},
        confirm={"select": "front", "epsilon": 0.5, "limit": 9},
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
    near = numbers[len(front) :]
    assert numbers[: len(front)] == front
    assert near
    assert engine.confirm() == 0
    assert repeated(engine) == [
        f"{number}/{seed}" for wave in (front, near) for seed in SEEDS for number in wave
    ]


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
