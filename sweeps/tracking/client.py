"""MLflow's client: its configuration, and how a sweep's runs are found and read."""

import logging
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# before MLflow is imported, which starts its reporting thread
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# a progress bar per downloaded file would break the live display
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
# and so would a line per closed run
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
# by default MLflow waits and retries for minutes if a server does not answer
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")

import mlflow
from mlflow import MlflowClient as MlflowClient
from mlflow.entities import Dataset as Dataset
from mlflow.entities import DatasetInput as DatasetInput
from mlflow.entities import InputTag as InputTag
from mlflow.entities import Metric as Metric
from mlflow.entities import Param as Param
from mlflow.entities import Run as Run
from mlflow.entities import RunTag as RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model as Model
from mlflow.models import ModelSignature as ModelSignature
from mlflow.store.db import utils as database_utils
from mlflow.types import Schema as Schema
from mlflow.types import TensorSpec as TensorSpec
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from analysis import layout
from kdtasks.contract.errors import ConfigError, UserError
from sweeps.common.secrets import redacted
from sweeps.ledger.launch_settings import read_settings
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.sqlite_file import readable
from sweeps.tracking.database_file import check_artifacts, made_by_one

# MLflow would create a folder named by the escaped address; ours exist
database_utils._make_parent_dirs_if_sqlite = lambda db_uri: None  # noqa: ARG005
database_utils.MAX_RETRY_COUNT = 4  # by default a missing database is retried for 100 s

TrackingError = MlflowException
"""MLflow does not answer or rejects a request."""

PAGE = 200  # runs per answer, which must arrive in time


def connect(folder: SweepFolder, tracking_uri: str | None) -> MlflowClient:
    """Return a client of the MLflow with the runs of a sweep.

    Raises:
        OSError: If the database cannot be created.
        TrackingError: If it cannot be opened.
    """
    for noisy in ("alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    address = tracking_uri or folder.tracking_uri
    with made_by_one(address):
        # else MLFLOW_REGISTRY_URI would decide where models go
        registry = None if address.startswith("databricks") else address
        return MlflowClient(tracking_uri=address, registry_uri=registry)


def front_end(client: MlflowClient) -> tuple[int, int]:
    """Return the minor version of the MLflow that shows a client's runs; zeros if unknown."""
    version, address = mlflow.__version__, str(client.tracking_uri)
    if address.startswith(("http://", "https://")):
        answer = http_request(  # type: ignore[no-untyped-call]
            get_default_host_creds(address),  # type: ignore[no-untyped-call]
            "/version",
            "GET",
        )
        version = answer.text if answer.ok else ""
    found = re.match(r"(\d+)\.(\d+)\.", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def pages(search: Any) -> Iterator[Any]:
    """Yield all results of a search, which takes the token of a page and returns the page."""
    token: str | None = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def own_run(
    client: MlflowClient, folder: SweepFolder, tracking_uri: str | None, sweep_id: str
) -> Run | None:
    """Return a sweep's own run: that with its identifier, else with its name; None without any.

    A renamed folder keeps its run, and the run in the database in its folder is its own.

    Raises:
        ConfigError: If there are several, or that with its name has another identifier.
    """
    found = pages(lambda token: client.search_experiments(max_results=PAGE, page_token=token))
    experiments = [experiment.experiment_id for experiment in found]
    query = f"tags.`{layout.ROLE}` = '{layout.ROLE_SWEEP}'"
    runs = pages(lambda token: client.search_runs(experiments, query, 1, PAGE, page_token=token))
    known, others = list(runs), set[str]()
    if tracking_uri is not None:
        ours = [run for run in known if sweep_id and run.data.tags.get(layout.SWEEP_ID) == sweep_id]
        known = ours or [run for run in known if run.info.run_name == folder.name]
        others = {run.data.tags.get(layout.SWEEP_ID, "") for run in known} - {sweep_id, ""}
    if len(known) > 1 or (sweep_id and others):
        raise ConfigError(
            f"MLflow has another sweep {folder.name}; delete its run there, or rename the folder "
            f"{folder.path}"
        )
    return known[0] if known else None


@contextmanager
def answering() -> Iterator[None]:
    """Turn errors of writing to MLflow inside into user errors."""
    try:
        yield
    except (TrackingError, OSError) as error:
        raise UserError(redacted(f"MLflow cannot be written to: {error}")) from error


def rename(client: MlflowClient, run_id: str, before: str, name: str) -> None:
    """Rename a sweep's run, and its registered model, to the present name of its folder."""
    client.update_run(run_id, name=name)
    try:
        client.get_registered_model(before)
    except MlflowException:
        return  # not registered
    client.rename_registered_model(before, name)


def children_of(client: MlflowClient, experiment_id: str, run_id: str) -> Iterator[Run]:
    """Yield the runs below that of a sweep."""
    query = f"tags.`{layout.PARENT}` = '{run_id}'"
    yield from pages(
        lambda token: client.search_runs([experiment_id], query, 1, PAGE, page_token=token)
    )


def sweep_runs(
    folder: SweepFolder, tracking_uri: str | None
) -> tuple[MlflowClient, Run, list[Run]]:
    """Return a client, the run of a sweep and those below it.

    Raises:
        UserError: If MLflow does not answer or does not have exactly one such sweep.
    """
    database = folder.path / layout.MLFLOW_FILE
    if tracking_uri is None and not database.is_file():
        raise ConfigError(f"{database} does not exist; name the server with --tracking-uri")
    try:
        client = connect(folder, tracking_uri)
        parent = own_run(client, folder, tracking_uri, read_settings(folder.path).id)
        if parent is None:
            raise ConfigError(
                f"MLflow has no sweep named {folder.name}; kdsweep resume "
                f"{shlex.quote(folder.name)} writes what is missing"
            )
        children = children_of(client, parent.info.experiment_id, parent.info.run_id)
        return client, parent, list(children)
    except (MlflowException, OSError) as error:
        raise UserError(redacted(f"MLflow cannot be read: {error}")) from error


def read_runs(folder: SweepFolder, tracking_uri: str | None) -> tuple[Run, list[Run]]:
    """Return the run of a sweep and those below it, after `check_artifacts`, as `sweep_runs`."""
    check_artifacts(tracking_uri or folder.tracking_uri)
    if tracking_uri is None:
        with readable(folder.path / layout.MLFLOW_FILE) as database:
            return sweep_runs(SweepFolder(database.parent), None)[1:]
    return sweep_runs(folder, tracking_uri)[1:]
