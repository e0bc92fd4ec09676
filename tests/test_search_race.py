"""Tables of trained students, and the race of samplers on them; the table here is a formula."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from table_example import write_example

from benchmarks.make_table import core_seconds
from benchmarks.replay import replay
from benchmarks.search_race import (
    ASHA,
    BOOK,
    Result,
    Runner,
    Table,
    median_interval,
    opened,
    race,
    ratio_interval,
    result_of,
)
from sweeps.common.clock import SimulatedClock
from sweeps.common.records import TrialRecord, TrialState

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    file = tmp_path_factory.mktemp("table") / "example.parquet"
    write_example(file)
    return opened(file)


class Ordered:
    """Trains configurations in an order, and stops each after some reports."""

    def __init__(self, configs: list[dict[str, Any]], reports: int = 10**9) -> None:
        self.left, self.reports = list(enumerate(configs)), reports
        self.values: list[Any] = []

    def propose(self) -> Any:
        return self.left.pop(0) if self.left else None

    def judge(self, number: int, event: Any) -> Any:
        return "stopped" if event.epoch >= self.reports else None

    def end(self, number: int, values: Any, stop: Any) -> None:
        self.values.append(values)


def raced(table: Table, arm: Any, slots: int, budget_s: float = np.inf) -> tuple[Runner, Result]:
    clock = SimulatedClock()
    runner = Runner(table=table, seed=0, arm=arm, slots=slots, clock=clock, budget_s=budget_s)
    found = replay(runner, runner.learn, slots=slots, clock=clock)
    return runner, result_of(runner, found.trials)


def configs_of(table: Table) -> list[dict[str, Any]]:
    keys = table.trainings[0]
    return [
        {name: value for name, value in zip(table.space, key, strict=True) if value is not None}
        for key in keys
    ]


def test_the_space_of_the_race_is_that_of_the_table(table: Table) -> None:
    study = table.study
    assert len(table.trainings[0]) == len(table.trainings[1]) == study.space.size() // 2 == 180
    assert table.space["rate"] == {"type": "int", "low": 0, "high": 4}
    assert table.space["width"]["when"] == {"depth": [1, 2]}
    assert table.values_of({"rate": 4, "method": "taught"}) == {"rate": 0.1, "method": "taught"}


@pytest.mark.parametrize("slots", [1, 8])
def test_an_order_that_knows_the_front_finds_all_of_it(table: Table, slots: int) -> None:
    finals = table.finals(0)
    order = sorted(configs_of(table), key=lambda config: finals[table.key(config)][0])
    runner, result = raced(table, Ordered(order), slots)
    assert result.share == pytest.approx(1.0)
    assert result.finished < 180  # it ends with the front
    assert result.reached == tuple(sorted(result.reached))
    assert result.reached[-1] <= runner.spent_s


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_slots_cost_at_least_what_was_trained(table: Table, slots: int) -> None:
    configs = configs_of(table)[:40]
    runner, _ = raced(table, Ordered(configs), slots)
    ends = [table.trainings[0][table.key(config)][-1].core_s for config in configs]
    assert runner.trained_s == pytest.approx(sum(ends))
    assert runner.spent_s >= runner.trained_s * (1.0 - 1e-12)
    assert runner.spent_s <= runner.trained_s + slots * max(ends)


def test_a_stopped_trial_costs_what_it_has_trained(table: Table) -> None:
    configs = configs_of(table)[:20]
    runner, result = raced(table, Ordered(configs, reports=2), 1)
    until = [table.trainings[0][table.key(config)][1].core_s for config in configs]
    assert runner.spent_s == pytest.approx(sum(until))
    assert (result.finished, result.share) == (0, 0.0)


def test_random_search_finds_more_for_more(table: Table) -> None:
    shares = [
        [
            race(table, "random", slots=2, seed=seed, budget_s=n * table.mean_core_s).share
            for n in (5, 40)
        ]
        for seed in range(3)
    ]
    assert (np.diff(shares, axis=1) >= 0.0).all()
    assert np.median(shares, axis=0)[1] > np.median(shares, axis=0)[0]


@pytest.mark.parametrize("arm", [BOOK, "tpe" + ASHA])
def test_equal_seeds_race_alike(table: Table, arm: str) -> None:
    one, other = (
        race(table, arm, slots=2, seed=1, budget_s=12 * table.mean_core_s) for _ in range(2)
    )
    assert (one.reached, one.share, one.trials) == (other.reached, other.share, other.trials)


def test_stopping_finishes_fewer_and_starts_more(table: Table) -> None:
    plain, stopping = (
        race(table, name, slots=2, seed=0, budget_s=40 * table.mean_core_s)
        for name in ("random", "random" + ASHA)
    )
    assert plain.finished == plain.trials
    assert stopping.trials > plain.trials
    assert stopping.finished < plain.finished


def test_seeds_that_miss_the_target_count_as_infinite_and_in_ratios_as_the_budget() -> None:
    assert median_interval([1.0, np.inf, np.inf])[0] == np.inf
    assert median_interval([2.0] * 9) == (2.0, 2.0, 2.0)
    assert ratio_interval([2.0] * 9, [np.inf] * 9, 10.0) == pytest.approx((5.0, 5.0, 5.0))
    low, high = ratio_interval([1.0, 2.0, 3.0] * 5, [3.0, 4.0, 5.0] * 5, 10.0)[1:]
    assert 1.0 < low <= 2.0 <= high


def test_the_loader_of_the_page_needs_no_kdsweep(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "benchmark.md").read_text("utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    assert len(code.splitlines()) <= 21
    assert "kdsweep import" not in code
    (tmp_path / "load_table.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    write_example(tmp_path / "example.parquet")
    loaded = runpy.run_path(str(tmp_path / "load_table.py"))
    curves, about = loaded["load"](tmp_path / "example.parquet")
    finals = loaded["final"](curves, ["error", "flops"])
    assert len(curves) == 360
    assert sorted(v for (_, seed), v in finals.items() if seed == 1) == sorted(
        table.finals(1).values()
    )
    assert "objectives" in about["study"]


def trial_of(**changes: Any) -> TrialRecord:
    metrics = {"train_core_seconds": 8.0, "trial_cpu_s": 10.0, "val_nmse_db": -3.0, **changes}
    return TrialRecord(
        number=0,
        state=TrialState.COMPLETE,
        params={},
        metrics=metrics,
        config={"method": "vanilla", "finetune_epochs": 2},
    )


def test_core_seconds_grow_within_each_stage_to_all_that_was_spent() -> None:
    even = core_seconds(trial_of(), 4)
    np.testing.assert_allclose(even, [0.0, 2.5, 5.0, 7.5, 10.0])
    stages = core_seconds(trial_of(distill_core_seconds=2.0, finetune_core_seconds=6.0), 4)
    np.testing.assert_allclose(np.diff(stages), [1.5, 1.5, 3.5, 3.5])
