"""Sweeps of several tasks in one network: shared teachers, one report, resumed and verified."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from in_process import Engine
from toy_study import network_study, toy_study

from kdtasks.contract.registry import load_task
from search_spaces.errors import StudyError
from search_spaces.study import Study
from sweeps.cli.parameters import rows_of
from sweeps.common.capacity import ResourceRequest
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.plan.contract import broken_laws
from sweeps.plan.preflight import check_study
from sweeps.progress.events import Display
from sweeps.run.runner import SweepSummary, run_study
from sweeps.tracking.verify import verify_sweep

FIRST, SECOND = "toy_network:ToyNetworkTask", "toy_network:SecondNetworkTask"
TOPOLOGIES = ["none", "centralized", "mutual"]
BESTS = "toy-network error 0.5, second-network error 0.25"


def objective(metric: str, direction: str = "minimize", unit: str = "") -> dict[str, Any]:
    reference = 1e9 if direction == "minimize" else 0.0
    return {"metric": metric, "direction": direction, "unit": unit, "reference": reference}


def study_of_two(**changes: Any) -> Study:
    fields: dict[str, Any] = {
        "task": f"{FIRST}+{SECOND}",
        "parameters": {"own_bests": BESTS, "second-network/topology": "mutual"},
        "space": {"toy-network/topology": {"type": "choice", "values": TOPOLOGIES}},
        "objectives": [
            objective("val_toy-network/error"),
            objective("val_worst_share", "maximize"),
            objective("bytes_over_air", unit="B"),
            objective("deployment_s", unit="s"),
        ],
        "search": {"sampler": "grid"},
        "budget": {"trials": len(TOPOLOGIES)},
        "confirm": {"select": "front", "limit": 1},
    }
    return toy_study(**{**fields, **changes})


def test_a_network_and_a_study_of_one_of_its_tasks_share_teachers(tmp_path: Path) -> None:
    alone = Engine(network_study([{"topology": "centralized"}]), tmp_path, name="alone")
    alone.teach()
    store = TeacherStore(alone.folder.teachers)
    [card] = store.path.glob("*/card.json")
    [identity] = store.known(card.parent.name.rpartition("-")[0])
    both = Engine(study_of_two(), tmp_path, name="both")
    both.teach()
    assert not [job for job in both.ledger.jobs() if job.reason]
    # the second task has no teacher in mutual, so that one trained before is all of the network's
    assert len(list(store.path.glob("*/card.json"))) == 1 + len(both.resources.teachers)
    kept = store.get(identity)
    for handle in both.resources.teachers.values():
        assert kept is not None
        assert {f"toy-network/{name}" for name in kept.weights} == {*handle.weights}


def test_a_network_trains_the_teachers_that_its_tasks_lack(tmp_path: Path) -> None:
    engine = Engine(study_of_two(parameters={"own_bests": BESTS}), tmp_path)
    engine.teach()
    found = engine.resources.teachers.values()  # with one of the first task, and without
    named = [{name.partition("/")[0] for name in teacher.weights} for teacher in found]
    assert sorted(map(sorted, named)) == [["second-network"], ["second-network", "toy-network"]]
    assert all(teacher.metrics["val_second-network/error"] == 0.0 for teacher in found)
    assert len(list(engine.folder.teachers.glob("*/card.json"))) == 2 + len(found)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"parameters": {}}, "own_bests"),
        ({"stopping": {}}, "stopping"),
        ({"parameters": {"own_bests": BESTS, "topology": "mutual"}}, "toy-network/topology"),
        ({"space": {"toy-network/toplogy": {"type": "choice", "values": ["none"]}}}, "toplogy"),
        ({"budget": {"trials": 1, "epochs": 2}}, "toy-network/epochs"),
    ],
)
def test_studies_that_no_network_can_run_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(StudyError, match=named):
        check_study(study_of_two(**changes))


def run(study: Study, home: Path, request: ResourceRequest) -> SweepSummary:
    return run_study(
        study, name="two", home=home, tracking_uri=None, request=request, display=Display()
    )


def trials(sweep: SweepSummary) -> list[TrialRecord]:
    return Ledger.open(sweep.folder / "journal.log").trials()


def numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that no clock of this machine has measured."""
    clocks = ("core_seconds", "trial_wall_s", "trial_cpu_s", "pid")
    return {n: v for n, v in metrics.items() if not any(word in n for word in clocks)}


@pytest.mark.slow
@pytest.mark.timeout(300)
# MLflow's models, with the SQLAlchemy that it allows
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_a_sweep_over_ray_equals_one_in_one_process_that_was_extended(tmp_path: Path) -> None:
    study = study_of_two()
    first = study_of_two(budget={"trials": 2})
    inline = ResourceRequest(backend="inline")
    assert len(trials(run(first, tmp_path / "inline", inline))) == 2
    extended = run(study, tmp_path / "inline", inline)
    over_ray = run(study, tmp_path / "ray", ResourceRequest(slots=1))
    ours, theirs = trials(extended), trials(over_ray)
    assert [trial.state for trial in ours] == [TrialState.COMPLETE] * len(TOPOLOGIES)
    by_config = {str(trial.config): numbers(trial.metrics) for trial in theirs}
    assert {str(trial.config): numbers(trial.metrics) for trial in ours} == by_config
    for sweep in (extended, over_ray):
        assert verify_sweep(sweep.folder) == []
        assert (sweep.folder / "report" / "report.html").is_file()
    jobs = Ledger.open(extended.folder / "journal.log").jobs()
    confirmed = [job.metrics for job in jobs if job.kind == "confirmation"]
    assert confirmed
    assert all(0.0 < metrics["test_worst_share"] <= 1.0 for metrics in confirmed)


def test_a_network_keeps_the_laws_that_its_tasks_keep(tmp_path: Path) -> None:
    name = f"{FIRST}+toy_task:ToyTask"
    whole = {"toy-network/topology": "mutual"}
    broken = {one: broken_laws(one, {}, tmp_path) for one in (FIRST, "toy_task:ToyTask")}
    kept = [law.partition(":")[0] for laws in broken.values() for law in laws]
    found = broken_laws(name, whole, tmp_path)
    assert [law for law in found if law.partition(":")[0] not in kept] == []


def test_parameters_of_a_network_are_listed_once_with_their_tasks() -> None:
    named = [row["name"] for row in rows_of(load_task("csi-feedback+beam-tracking"))]
    assert len(named) == len({*named})
    whole = {name for name in named if "/" not in name}
    assert {"seed", "server_gflops", "own_bests", "server_link_mbps"} <= whole
    assert {f"{task}/topology" for task in ("csi-feedback", "beam-tracking")} <= {*named} - whole
