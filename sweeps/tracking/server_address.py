"""Variables of MLflow in the environment: which one counts, and which are left out and named."""

from collections.abc import Iterator, Mapping

TRACKING = "MLFLOW_TRACKING_URI"
"""Where a new sweep keeps its runs unless ``--tracking-uri`` says; old ones stay."""

UNUSED = {
    "MLFLOW_EXPERIMENT_NAME": "a sweep's experiment is named like its study",
    "MLFLOW_EXPERIMENT_ID": "a sweep's experiment is named like its study",
    "MLFLOW_RUN_ID": "a sweep makes runs of its own",
    "MLFLOW_REGISTRY_URI": "models are registered where the runs are",
}
"""Variables that would change what MLflow does, and why a sweep leaves them out."""


def tracking_from(environment: Mapping[str, str]) -> str | None:
    """Return where the environment says that runs are to go; None if it does not."""
    return environment.get(TRACKING) or None


STAYS = f"{TRACKING} is set and has no effect: the sweep's runs stay where they are"


def left_out(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a line per variable that is set and has no effect."""
    for name, why in UNUSED.items():
        if environment.get(name):
            yield f"{name} is set and has no effect: {why}"
