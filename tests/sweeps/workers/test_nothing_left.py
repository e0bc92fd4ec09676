"""A finished sweep needs nothing to run on: its MLflow and report are made good anywhere."""

import pytest
from in_process import Engine
from toy_study import toy_study
from toy_task import ToyTask

from kdtasks.contract.errors import UserError
from sweeps.common.capacity import ResourceRequest
from sweeps.ledger.launch_settings import SweepSettings, write_settings
from sweeps.plan.preflight import check_study
from sweeps.progress.events import Display
from sweeps.run import runner
from sweeps.run.resume import work_left
from sweeps.run.runner import resume_sweep
from sweeps.tracking.verify import verify_sweep

GONE = ResourceRequest(address="127.0.0.1:1")
"""A cluster where nobody listens."""


def searched(home):
    """Return a sweep in which only the references and candidates are left to measure."""
    engine = Engine(toy_study(), home)
    engine.teach()
    session = engine.search()
    engine.ledger.milestones.end_search(engine.study.budget, session.proposals.ended)
    write_settings(engine.folder.path, SweepSettings(request=GONE))
    return engine


def resume(engine):
    return resume_sweep(
        engine.folder.name,
        home=engine.home,
        tracking_uri=None,
        request=None,
        display=Display(),
    )


def test_work_is_left_until_all_is_searched_and_measured(tmp_path):
    study = toy_study()
    plan = check_study(study)
    assert work_left(study, plan, None)
    engine = Engine(study, tmp_path)
    engine.teach()
    assert work_left(study, plan, engine.ledger)
    session = engine.search()
    assert work_left(study, plan, engine.ledger)
    engine.ledger.milestones.end_search(study.budget, session.proposals.ended)
    assert work_left(study, plan, engine.ledger)
    engine.confirm()
    assert not work_left(study, plan, engine.ledger)
    more = toy_study(budget={"trials": 9})
    assert work_left(more, check_study(more), engine.ledger)


def test_a_sweep_with_work_left_wants_its_cluster(tmp_path):
    engine = searched(tmp_path)
    with pytest.raises(UserError, match="the Ray cluster cannot be joined"):
        resume(engine)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_a_finished_sweep_does_not(tmp_path):
    engine = searched(tmp_path)
    engine.confirm()
    summary = resume(engine)
    assert (summary.complete, summary.interrupted) == (8, False)
    assert summary.report is not None
    assert summary.report.is_file()
    assert verify_sweep(engine.folder.path) == []


def test_a_new_sweep_queries_the_cluster_once(tmp_path, monkeypatch):
    requests = []

    def find_site(study, settings, ray):
        requests.append(settings.request)
        return runner.NOWHERE

    def no_data(self, params, **_):
        raise UserError("no data")

    monkeypatch.setattr(runner, "find_site", find_site)
    monkeypatch.setattr(ToyTask, "load_scenario", no_data)
    with pytest.raises(UserError, match="no data"):
        runner.run_study(
            toy_study(),
            name="toy",
            home=tmp_path,
            tracking_uri=None,
            request=GONE,
            display=Display(),
        )
    assert requests == [GONE]
