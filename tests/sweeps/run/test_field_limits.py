"""P7, P8 and P10: what must fit, what must not grow, and what must come out the same again."""

import gc
import tracemalloc
from functools import partial
from pathlib import Path

import pytest
from in_process import Engine
from toy_study import ManualClock, toy_study
from toy_task import ToyTask

from kdtasks.contract.errors import ConfigError
from sweeps.common.capacity import ResourceRequest
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.progress.events import Display
from sweeps.run.runner import run_study
from sweeps.search.proposals import Proposals
from sweeps.search.samplers import known_costs, make_sampler

MANY = 4096


@pytest.mark.parametrize(
    ("wanted", "resources", "words"),
    [
        (ResourceRequest(actors=MANY), {}, f"actors must lie in .* got {MANY}"),
        (ResourceRequest(slots=MANY), {}, "lower slots to"),
        (ResourceRequest(), {"cpus": MANY}, r"resources\.cpus is 4096, but this machine has"),
        (ResourceRequest(), {"gpus": MANY}, r"resources\.gpus is 4096"),
    ],
)
def test_p7_a_trial_that_fits_nowhere_is_refused_before_anything_starts(
    wanted: ResourceRequest, resources: dict[str, float], words: str, tmp_path: Path
) -> None:
    """Ray waits without end for resources that no machine has."""
    with pytest.raises(ConfigError, match=words):
        run_study(
            toy_study(resources=resources),
            name="net",
            home=tmp_path,
            tracking_uri=None,
            request=wanted,
            display=Display(),
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_p8_the_driver_s_memory_grows_by_a_few_kilobytes_per_trial(
    tmp_path: Path,
) -> None:
    """The driver of Tune grows with every trial, and swells by megabytes over a few hundred."""
    study = toy_study(search={"sampler": "nsga2"}, budget={"trials": 600})
    ledger = Ledger.create(tmp_path / "journal.log", study)
    ledger.use(partial(make_sampler, study, known_costs(study, ToyTask())))
    proposals = Proposals(study, ToyTask(), ledger, ManualClock())

    def kilobytes_after(trials: int) -> float:
        for _ in range(trials):
            proposal = proposals.next()
            assert proposal is not None
            error = float(proposal.config["x"])
            values = [error, 1000.0 * float(proposal.config["width"])]
            metrics = {f"m{index}": error + index for index in range(20)}
            ledger.complete(proposal.number, values, metrics, {})
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / 1024

    tracemalloc.start()
    try:
        begun, middle, end = (kilobytes_after(count) for count in (40, 40, 40))
    finally:
        tracemalloc.stop()
    first, second = (middle - begun) / 40, (end - middle) / 40
    assert second < 15.0  # so many kilobytes a trial are 30 MB for 2,000; measured 10
    assert second < 1.5 * first  # and it is not more and more


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_p10_the_same_seed_gives_the_same_sweep_and_nothing_is_run_twice(
    sampler: str, tmp_path: Path
) -> None:
    """In 200 trials over a grid of 100, NSGA-II has tried 53 of its cells and TPE 43."""

    def swept(home: str, seed: int) -> list[TrialRecord]:
        seeds = {"search": seed, "confirm": [101]}
        study = toy_study(search={"sampler": sampler}, budget={"trials": 14}, seeds=seeds)
        (tmp_path / home).mkdir()
        engine = Engine(study, tmp_path / home)
        engine.teach()
        engine.search()
        assert engine.confirm() == 0
        found = [trial for trial in engine.ledger.trials() if not trial.duplicate]
        assert all(trial.state is TrialState.COMPLETE for trial in found)
        return found

    def facts(trials: list[TrialRecord]) -> list[tuple[object, ...]]:
        numbers = ("val_nmse_db", "ue_flops")
        return [(dict(t.config), *(t.metrics[name] for name in numbers)) for t in trials]

    first, again, other = swept("first", 0), swept("again", 0), swept("other", 1)
    assert facts(first) == facts(again)
    assert facts(first) != facts(other)
    assert len({tuple(sorted(trial.config.items())) for trial in first}) == 14
