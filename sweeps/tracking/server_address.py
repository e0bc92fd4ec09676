"""MLflow's environment variables: the one that is used, and warnings about ignored ones."""

from collections.abc import Iterator, Mapping

TRACKING = "MLFLOW_TRACKING_URI"
"""Address of a new sweep's runs without ``--tracking-uri``; existing sweeps keep theirs."""

UNUSED = {
    "MLFLOW_EXPERIMENT_NAME": "a sweep's experiment is named like its study",
    "MLFLOW_EXPERIMENT_ID": "a sweep's experiment is named like its study",
    "MLFLOW_RUN_ID": "a sweep creates its own runs",
    "MLFLOW_REGISTRY_URI": "models are registered where the runs are",
}
"""Ignored variables of MLflow, and why."""


def tracking_from(environment: Mapping[str, str]) -> str | None:
    """Return the tracking address in the environment; None if there is none."""
    return environment.get(TRACKING) or None


STAYS = f"{TRACKING} is set and has no effect: the sweep's runs stay where they are"


def left_out(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning per variable that is set and has no effect."""
    for name, why in UNUSED.items():
        if environment.get(name):
            yield f"{name} is set and has no effect: {why}"
