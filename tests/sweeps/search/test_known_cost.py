"""The sampler that knows complexity: it searches for accuracy alone, and keeps what is known."""

import math
import statistics
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.pareto import added_hypervolume, front_mask, sweep_hypervolume
from search_spaces.objectives import Constraint, Objective
from search_spaces.space import Space
from search_spaces.to_optuna import suggest
from sweeps.search import known_cost
from sweeps.search.known_cost import KnownCostSampler

SPACE = Space(
    {
        "method": {"type": "choice", "values": ["plain", "taught"]},
        "depth": {"type": "choice", "values": [0, 1, 2]},
        "width": {"type": "int", "low": 4, "high": 32, "log": True, "when": {"depth": [1, 2]}},
        "rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
        "alpha": {"type": "float", "low": 0.0, "high": 1.0, "when": {"method": ["taught"]}},
    }
)
OBJECTIVES = [
    Objective(metric="error", direction="minimize", reference=3.0),
    Objective(metric="flops", direction="minimize", reference=1e4, scale="log"),
]


def flops(params: Any) -> dict[str, float]:
    return {"flops": 10.0 * (1 + params["depth"] * params.get("width", 0)) ** 1.5}


def error(params: Any) -> float:
    """Larger networks err less; the best rate depends on depth."""
    size = 1.5 / (1.0 + 0.3 * params["depth"] * math.log(params.get("width", 1)))
    best = -2.5 + 0.4 * params["depth"]
    missed = 0.3 * (math.log10(params["rate"]) - best) ** 2
    return size + missed - 0.2 * params.get("alpha", 0.0) * (1.0 - params.get("alpha", 0.0))


def sampler_of(name: str, seed: int, **changes: Any) -> optuna.samplers.BaseSampler:
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "tpe":
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, constant_liar=True
        )
    return KnownCostSampler(SPACE, OBJECTIVES, flops, seed=seed, **changes)


def searched(name: str, trials: int, seed: int, **changes: Any) -> optuna.Study:
    study = optuna.create_study(directions=["minimize"] * 2)
    for number in range(trials):
        study.sampler = sampler_of(name, 1000 * seed + number, **changes)
        trial = study.ask()
        params = suggest(trial, SPACE)
        study.tell(trial, [error(params), flops(params)["flops"]])
    return study


def volume(study: optuna.Study) -> float:
    return sweep_hypervolume(np.array([trial.values for trial in study.trials]), OBJECTIVES)


@pytest.mark.filterwarnings("ignore")
def test_it_finds_more_than_random_search() -> None:
    gains = [
        volume(searched("known-cost", 20, seed)) - volume(searched("random", 20, seed))
        for seed in range(3)
    ]
    assert statistics.median(gains) > 0.0


def test_equal_seeds_suggest_the_same_and_nothing_twice() -> None:
    one, other = (searched("known-cost", 12, 3) for _ in range(2))
    assert [trial.params for trial in one.trials] == [trial.params for trial in other.trials]
    assert len({str(trial.params) for trial in one.trials}) == 12
    for trial in one.trials:
        SPACE.check(trial.params)


def test_constraints_on_known_costs_are_kept_by_every_suggestion() -> None:
    bound = Constraint("flops", max=200.0)
    study = searched("known-cost", 12, 0, constraints=[bound])
    assert all(flops(trial.params)["flops"] <= 200.0 for trial in study.trials)


def test_configurations_that_the_task_refuses_are_not_suggested() -> None:
    study = optuna.create_study(directions=["minimize"] * 2)

    def known(params: Any) -> dict[str, float] | None:
        return None if params["method"] == "taught" else flops(params)

    for number in range(10):
        study.sampler = KnownCostSampler(SPACE, OBJECTIVES, known, seed=number)
        trial = study.ask()
        params = suggest(trial, SPACE)
        assert params["method"] == "plain"
        study.tell(trial, [error(params), flops(params)["flops"]])


def test_trials_that_run_are_not_proposed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight slots: what waits counts as if its results were those that are expected."""
    monkeypatch.setattr(known_cost, "RANDOM_SHARE", 0.0)
    study = searched("known-cost", 8, 1)
    waiting = []
    for number in range(8):
        study.sampler = sampler_of("known-cost", 500 + number)
        waiting.append(suggest(study.ask(), SPACE))
    assert len({str(params) for params in waiting}) == 8
    rates = sorted(math.log10(params["rate"]) for params in waiting)
    assert rates[-1] - rates[0] > 0.5


@pytest.mark.parametrize("count", [2, 3])
@given(st.data())
def test_what_is_added_is_the_difference_of_two_hypervolumes(count: int, data: Any) -> None:
    def points(highest: float, **sizes: int) -> Any:
        drawn = data.draw(st.lists(st.tuples(*[st.floats(0.0, highest)] * count), **sizes))
        return np.array(drawn).reshape(-1, count)

    unit = [Objective(metric=name, direction="minimize", reference=1.0) for name in "abc"[:count]]
    front, draws = points(0.9, max_size=6), points(1.2, min_size=1, max_size=4)
    if len(front):
        front = front[front_mask(front, ["minimize"] * count)]
    before = sweep_hypervolume(front, unit) if len(front) else 0.0
    after = [sweep_hypervolume(np.vstack([front, [draw]]), unit) - before for draw in draws]
    [added] = added_hypervolume(front, np.array([draws]), np.ones(count))
    assert added == pytest.approx(statistics.fmean(after), abs=1e-9)
