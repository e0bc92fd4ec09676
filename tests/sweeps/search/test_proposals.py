from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from toy_study import FINITE, ManualClock, toy_study
from toy_task import ToyTask

from search_spaces.study import Study
from sweeps.common.records import TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.search.proposals import MAX_REPEATS, Proposal, Proposals
from sweeps.search.samplers import known_costs, make_sampler


def open_proposals(study: Study, folder: Path, clock: ManualClock | None = None) -> Proposals:
    folder.mkdir(exist_ok=True)
    ledger = Ledger.create(folder / "journal.log", study)
    ledger.use(partial(make_sampler, study, known_costs(study, ToyTask())))
    return Proposals(study, ToyTask(), ledger, clock or ManualClock())


def drain(proposals: Proposals) -> list[Proposal]:
    """Take every proposal; each trial ends well before the next is asked for."""
    taken = []
    while (proposal := proposals.next()) is not None:
        cost = ToyTask().cost(proposal.config)
        values = [-float(len(taken)), cost["ue_flops"]]
        proposals._ledger.complete(proposal.number, values, {"val_nmse_db": values[0]}, {})
        taken.append(proposal)
    return taken


def key(proposal: Proposal) -> tuple[Any, ...]:
    return tuple(sorted(proposal.config.items()))


def check_finite_space(sampler: str, folder: Path) -> None:
    study = toy_study(space=FINITE, search={"sampler": sampler}, budget={"trials": 50})
    proposals = open_proposals(study, folder)
    taken = drain(proposals)
    assert len(taken) == len({key(p) for p in taken}) == 12
    assert "every configuration" in proposals.ended
    rejected = [trial for trial in proposals._ledger.trials() if trial.duplicate]
    # each repeat is answered with a configuration that is new, so there are few
    assert len(rejected) <= 12
    assert all(trial.state is TrialState.FAIL for trial in rejected)


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_the_gp_sampler_searches_a_finite_space_exactly_once(tmp_path: Path) -> None:
    check_finite_space("gp", tmp_path)  # imports torch; models from the 11th trial on


HUNDRED = {
    "method": {"type": "choice", "values": ["vanilla", "kd"]},
    "width": {"type": "choice", "values": [1, 2, 4, 8, 16]},
    "compression": {"type": "choice", "values": [4, 8, 16, 32, 64, 1, 2, 3, 5, 6]},
}


def check_cells(sampler: str, folder: Path, space: dict[str, Any], cells: int) -> None:
    """Left alone, NSGA-II visits 53 of such a grid's cells in 200 trials, and TPE 43."""
    study = toy_study(space=space, search={"sampler": sampler}, budget={"trials": cells})
    proposals = open_proposals(study, folder)
    taken = drain(proposals)
    assert len(taken) == len({key(p) for p in taken}) == cells
    assert proposals.next() is None
    rejected = [trial for trial in proposals._ledger.trials() if trial.duplicate]
    # a suggestion that repeats is answered with a new cell, so there is one in front of each
    assert len(rejected) <= (0 if sampler == "grid" else cells)
    assert all(trial.state is TrialState.FAIL for trial in rejected)
    # more trials change nothing: there is nothing left
    more = toy_study(space=space, search={"sampler": sampler}, budget={"trials": 150})
    rest = Proposals(more, ToyTask(), proposals._ledger, ManualClock())
    assert rest.next() is None
    assert "every configuration" in rest.ended


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sampler", ["gp", "known-cost"])
def test_samplers_with_a_model_exhaust_forty_cells_in_forty_trials(
    sampler: str, tmp_path: Path
) -> None:
    compression = {"type": "choice", "values": [4, 8, 16, 32]}
    check_cells(sampler, tmp_path, {**HUNDRED, "compression": compression}, 40)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3", "qmc", "random", "grid"])
def test_a_hundred_cells_are_exhausted_in_a_hundred_trials(sampler: str, tmp_path: Path) -> None:
    check_cells(sampler, tmp_path, HUNDRED, 100)


SAMPLERS = ["tpe", "known-cost", "nsga2", "nsga3", "qmc", "random"]


class TestSamplers:
    @pytest.fixture(params=SAMPLERS)
    def sampler(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_same_seed_same_trials(self, sampler: str, tmp_path: Path) -> None:
        study = toy_study(search={"sampler": sampler}, budget={"trials": 14})
        first = drain(open_proposals(study, tmp_path / "a"))
        second = drain(open_proposals(study, tmp_path / "b"))
        assert [p.config for p in first] == [p.config for p in second]

    def test_other_seed_other_trials(self, sampler: str, tmp_path: Path) -> None:
        study = toy_study(search={"sampler": sampler})
        other = toy_study(search={"sampler": sampler}, seeds={"search": 1})
        first = drain(open_proposals(study, tmp_path / "a"))
        second = drain(open_proposals(other, tmp_path / "b"))
        assert [p.config for p in first] != [p.config for p in second]

    def test_a_finite_space_is_searched_exactly_once(self, sampler: str, tmp_path: Path) -> None:
        check_finite_space(sampler, tmp_path)

    def test_proposals_lie_in_the_space(self, sampler: str, tmp_path: Path) -> None:
        study = toy_study(search={"sampler": sampler})
        for proposal in drain(open_proposals(study, tmp_path)):
            study.space.check(proposal.params)


def test_grid_is_run_exactly_once_and_in_order(tmp_path: Path) -> None:
    study = toy_study(space=FINITE, search={"sampler": "grid"}, budget={"trials": 50})
    taken = drain(open_proposals(study, tmp_path))
    assert [dict(p.params) for p in taken] == list(study.space.enumerate())


def test_grid_does_not_repeat_the_points(tmp_path: Path) -> None:
    search = {"sampler": "grid", "points": [{"method": "kd", "width": 3}]}
    study = toy_study(space=FINITE, search=search, budget={"trials": 50})
    taken = drain(open_proposals(study, tmp_path))
    assert taken[0].params == {"method": "kd", "width": 3}
    assert len(taken) == len({key(p) for p in taken}) == 12


def test_points_come_first_and_may_leave_parameters_open(tmp_path: Path) -> None:
    points = [{"method": "kd", "width": [2, 4], "x": 0.5}, {"method": "vanilla"}]
    study = toy_study(search={"sampler": "tpe", "points": points})
    taken = drain(open_proposals(study, tmp_path))
    assert [(p.params["method"], p.params["width"], p.params["x"]) for p in taken[:2]] == [
        ("kd", 2, 0.5),
        ("kd", 4, 0.5),
    ]
    assert taken[2].params["method"] == "vanilla"
    assert taken[2].params.keys() == set(study.space.names)
    assert len(taken) == 8


def test_points_alone_leave_the_rest_to_the_task(tmp_path: Path) -> None:
    points = [{"method": "vanilla", "width": [2, 4]}]
    study = toy_study(space={}, search={"sampler": "points", "points": points})
    proposals = open_proposals(study, tmp_path)
    taken = drain(proposals)
    assert [dict(p.params) for p in taken] == [
        {"method": "vanilla", "width": 2},
        {"method": "vanilla", "width": 4},
    ]
    assert "every configuration" in proposals.ended


def test_what_completes_to_the_same_is_the_same(tmp_path: Path) -> None:
    # the toy task ignores the teacher's seed where there is no teacher
    points = [{"method": "vanilla", "teacher_seed": [1, 2]}, {"method": "kd", "teacher_seed": 1}]
    study = toy_study(space={}, search={"sampler": "points", "points": points})
    assert [p.params["method"] for p in drain(open_proposals(study, tmp_path))] == ["vanilla", "kd"]


def test_budget_counts_trials_and_not_repeats(tmp_path: Path) -> None:
    points = [{"method": "vanilla", "width": 2, "x": 0.5, "teacher_seed": [1, 2, 3]}]
    study = toy_study(search={"sampler": "random", "points": points})
    proposals = open_proposals(study, tmp_path)
    assert len(drain(proposals)) == 8
    assert sum(trial.duplicate for trial in proposals._ledger.trials()) == 2
    assert "budget" in proposals.ended


def test_nothing_starts_after_the_time_is_up(tmp_path: Path) -> None:
    clock = ManualClock()
    proposals = open_proposals(toy_study(budget={"trials": 8, "time": "10s"}), tmp_path, clock)
    assert proposals.next() is not None
    clock.now_s = 9.9
    assert proposals.next() is not None
    clock.now_s = 10.0
    assert proposals.next() is None
    assert "time" in proposals.ended


def test_a_refused_configuration_fails_once_and_the_rest_goes_on(tmp_path: Path) -> None:
    points = [{"flaw": "unheard-of"}, {"width": 3}]
    study = toy_study(space={}, search={"sampler": "points", "points": points})
    proposals = open_proposals(study, tmp_path)
    assert [p.params for p in drain(proposals)] == [{"width": 3}]
    [number] = proposals.refused
    assert number == 0
    assert "flaw must be one of" in proposals._ledger.trial(0).reason
    trials = proposals._ledger.trials()
    assert [(t.state, t.duplicate) for t in trials] == [
        (TrialState.FAIL, False),
        (TrialState.COMPLETE, False),
    ]


def test_refused_configurations_of_a_small_space_are_proposed_once(tmp_path: Path) -> None:
    space = {"flaw": {"type": "choice", "values": ["none", "unheard-of", "unthought-of"]}}
    study = toy_study(space=space, search={"sampler": "tpe"}, budget={"trials": 50})
    proposals = open_proposals(study, tmp_path)
    assert [p.params for p in drain(proposals)] == [{"flaw": "none"}]
    assert len(proposals.refused) == 2


def test_a_space_that_cannot_be_listed_ends_after_repeats(tmp_path: Path) -> None:
    # one of the two parameters is infinite, but the task rounds it away
    space = {"teacher_seed": {"type": "int", "low": 0, "high": 2**40}}
    study = toy_study(space=space, budget={"trials": 50}, parameters={"method": "vanilla"})
    proposals = open_proposals(study, tmp_path)
    assert len(drain(proposals)) == 1
    assert str(MAX_REPEATS) in proposals.ended


class Stubborn(optuna.samplers.RandomSampler):
    """Always wants the one configuration that has no continuous parameter."""

    def sample_independent(self, study: Any, trial: Any, name: str, domain: Any) -> Any:
        if name == "method":
            return "vanilla"
        return super().sample_independent(study, trial, name, domain)


def test_a_sampler_that_repeats_itself_does_not_end_a_search_with_more_to_find(
    tmp_path: Path,
) -> None:
    space = {
        "method": {"type": "choice", "values": ["vanilla", "kd"]},
        "x": {"type": "float", "low": 0.0, "high": 1.0, "when": {"method": ["kd"]}},
    }
    study = toy_study(space=space, search={"sampler": "random"}, budget={"trials": 6})
    proposals = open_proposals(study, tmp_path)
    proposals._ledger.use(lambda _known: Stubborn(seed=0))
    taken = drain(proposals)
    assert len({key(proposal) for proposal in taken}) == 6
    assert "budget" in proposals.ended


def test_seed_follows_from_the_trials_so_far() -> None:
    study = toy_study()
    drawn = [make_sampler(study, lambda _: {}, known)._rng.rng.random() for known in (0, 0, 7)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_of_points_that_were_added_only_those_run(tmp_path: Path) -> None:
    points = [{"method": "kd", "x": 0.5, "width": width} for width in (2, 4, 8, 4)]
    first, more = (
        toy_study(search={"sampler": "points", "points": chosen}, budget={})
        for chosen in (points[:2], points)
    )
    proposals = open_proposals(first, tmp_path)
    drain(proposals)
    proposals._ledger.extend(more)
    rest = drain(Proposals(more, ToyTask(), proposals._ledger, ManualClock()))
    assert [proposal.config["width"] for proposal in rest] == [8]  # the last one is known
