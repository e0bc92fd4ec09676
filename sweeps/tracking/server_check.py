"""Checks MLflow, and its environment variables, before a sweep starts or changes anything."""

import os
import re
from collections.abc import Iterator, Mapping

from kdtasks.contract.errors import ConfigError, UserError
from sweeps.common.secrets import redacted
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.sqlite_file import sqlite_path

TRACKING = "MLFLOW_TRACKING_URI"
"""Address of a new sweep's runs without ``--tracking-uri``; existing sweeps keep theirs."""

UNUSED = {
    "MLFLOW_EXPERIMENT_NAME": "a sweep's experiment is named like its study",
    "MLFLOW_EXPERIMENT_ID": "a sweep's experiment is named like its study",
    "MLFLOW_RUN_ID": "a sweep creates its own runs",
    "MLFLOW_REGISTRY_URI": "models are registered where the runs are",
}
"""Ignored variables of MLflow, and why."""

STAYS = f"{TRACKING} is set and has no effect: the sweep's runs stay where they are"

SYSTEM = re.compile(r"\[Errno -?\d+\] (?P<reason>[\w ,]+)|(?P<late>[Tt]imed out)")
"""The system's error within a message of MLflow's client."""
LONGEST = 120
"""Longest other reason that is quoted [characters]."""


def _cause(error: Exception) -> str:
    """Return the reason of a failed request, without the messages of layers of libraries."""
    why = " ".join(str(error).split())
    if found := SYSTEM.search(why):
        return found["reason"] or "no answer in time"
    return why if len(why) <= LONGEST else f"{why[:LONGEST]} ..."


def check_tracking(
    folder: SweepFolder, tracking_uri: str | None, study: str, sweep_id: str
) -> None:
    """Check that a sweep's runs can be written to their address.

    The database in a sweep's own folder needs no check.

    Raises:
        UserError: If MLflow does not answer, has another sweep of this name, or has removed the
            experiment.
    """
    if tracking_uri is None:
        return
    set_by_variable = tracking_uri == tracking_from(os.environ)
    option = TRACKING if set_by_variable else "--tracking-uri"
    without = f"unset {TRACKING}" if set_by_variable else "leave the option out"
    database = sqlite_path(tracking_uri)
    if database is not None and not database.exists():
        if not os.access(database.parent, os.W_OK | os.X_OK):
            raise UserError(
                f"{option} {tracking_uri}: {database.parent} is not a folder that can be "
                "written to; create it, or name another"
            )
        return
    # MLflow takes seconds to import
    from sweeps.tracking.client import TrackingError, connect, own_run

    try:
        client = connect(folder, tracking_uri)
        known = client.get_experiment_by_name(study)
        own = own_run(client, folder, tracking_uri, sweep_id)
    except ConfigError:
        raise  # of another sweep
    except (TrackingError, OSError, ValueError, ImportError) as error:
        raise UserError(
            redacted(
                f"{option} {tracking_uri}: MLflow cannot be reached: {_cause(error)}; check that "
                f"it runs there, or {without} to keep the runs in the sweep's folder"
            )
        ) from error
    if known is not None and known.lifecycle_stage != "active":
        raise ConfigError(
            f"MLflow has deleted the experiment {study}; mlflow experiments restore "
            f"--experiment-id {known.experiment_id} restores it, or give the study another name"
        )
    if own is not None and not sweep_id:
        raise ConfigError(f"MLflow already has a sweep {folder.name}; choose another --name")


def tracking_from(environment: Mapping[str, str]) -> str | None:
    """Return the tracking address in the environment; None if there is none."""
    return environment.get(TRACKING) or None


def left_out(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning per variable that is set and has no effect."""
    for name, why in UNUSED.items():
        if environment.get(name):
            yield f"{name} is set and has no effect: {why}"
