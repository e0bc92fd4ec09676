"""Runs read by MLflow's client: any server, any database."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.errors import ResultsError
from analysis.runs import PARENT, RecordedRun, read_texts

if TYPE_CHECKING:
    from mlflow.entities import Run

_PAGE = 1000


class MlflowRuns:
    """Reads runs by MLflow's client."""

    def __init__(self, tracking_uri: str) -> None:
        # Set before MLflow is imported: it starts its reporting thread then.
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow import MlflowClient

        # its errors are shown in one line; it would log the traceback as well
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        self._client = MlflowClient(tracking_uri=tracking_uri)

    def tagged(self, name: str, value: str) -> list[RecordedRun]:
        experiments = [str(found.experiment_id) for found in self._experiments()]
        return self._search(experiments, f"tags.`{name}` = '{value}'")

    def below(self, run: RecordedRun) -> list[RecordedRun]:
        return self._search([run.experiment], f"tags.`{PARENT}` = '{run.id}'")

    def history(self, run: RecordedRun, metric: str) -> list[tuple[int, int, float]]:
        found = self._client.get_metric_history(run.id, metric)
        return [(point.step, point.timestamp, point.value) for point in found]

    def texts(self, run: RecordedRun, files: tuple[str, ...]) -> dict[str, str]:
        present = {entry.path for entry in self._client.list_artifacts(run.id)}
        with tempfile.TemporaryDirectory() as folder:
            for path in present.intersection(files):
                self._client.download_artifacts(run.id, path, folder)
            return read_texts(Path(folder), files)

    def _experiments(self) -> Iterator[Any]:
        token: str | None = None
        while True:
            page = self._client.search_experiments(max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _search(self, experiments: list[str], query: str) -> list[RecordedRun]:
        found: list[RecordedRun] = []
        token: str | None = None
        while True:
            page = self._client.search_runs(experiments, query, max_results=_PAGE, page_token=token)
            found += map(_recorded, page)
            token = page.token
            if not token:
                return found


@contextmanager
def client_runs(tracking_uri: str, sweep_name: str) -> Iterator[MlflowRuns]:
    """Open what MLflow's client can read.

    Raises:
        ResultsError: If it cannot be read.
    """
    runs = MlflowRuns(tracking_uri)
    from mlflow.exceptions import MlflowException

    try:
        yield runs
    except MlflowException as error:
        raise ResultsError(
            f"cannot read sweep {sweep_name!r} from {tracking_uri}: {error}"
        ) from None


def _recorded(run: "Run") -> RecordedRun:
    return RecordedRun(
        id=run.info.run_id,
        name=str(run.info.run_name),
        experiment=str(run.info.experiment_id),
        started_ms=run.info.start_time,
        ended_ms=run.info.end_time,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )
