"""MLflow's own UI on a sweep, in a real browser: found, clicked through, photographed."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_process import Engine
from toy_study import toy_study

from benchmarks.mlflow_screens import Served, Tour, browsing, find_browser, served
from sweeps.common.records import ExportRecord
from sweeps.export.mlflow_models import Models
from sweeps.export.selection import KNEE, SMALLEST
from sweeps.ledger.front import pareto_state

BROWSER = find_browser()

pytestmark = [
    pytest.mark.slow,  # MLflow's server and a browser
    pytest.mark.timeout(300),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A sweep in MLflow, two members of whose front are registered."""
    engine = Engine(toy_study(budget={"trials": 12}), tmp_path_factory.mktemp("home"))
    engine.teach()
    engine.search()
    engine.into_mlflow()
    models = Models.open(engine.folder, None)
    for row in front(engine)[:2]:
        export = ExportRecord(trial=row, metrics={}, measured_on="here", exported_ms=1)
        models.attach(export, [], {"": [engine.folder.study]})
        models.register(row, {}, "made up")
    first, second = models.versions().values()
    models.settle("made up", {first: True, second: True}, {KNEE: first, SMALLEST: second})
    return engine


@pytest.fixture(scope="module")
def ui(engine: Engine) -> Iterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with served(engine.folder.name, engine.home, port) as found:
        yield found


def front(engine: Engine) -> list[int]:
    return [row.number for row in pareto_state(engine.ledger.trials(), engine.study).rows]


def test_the_views_are_found_and_clicked(engine: Engine, ui: Served, tmp_path: Path) -> None:
    assert BROWSER is not None
    with browsing(BROWSER) as page:
        tour = Tour(page, ui, tmp_path)
        assert tour.table() == len(front(engine)) > 1
        tour.compare(("x", "width", "val_nmse_db"))
        tour.charts()
        assert tour.registry(engine.folder.name) == {KNEE, SMALLEST}
        tour.description()
    assert len(tour.pictures) == 8
    assert all(path.read_bytes().startswith(PNG) for path in tour.pictures)
