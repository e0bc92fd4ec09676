"""Arguments and options that several commands of ``kdsweep`` share."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

RUNS = Path("runs")


def at_home(path: Path | None) -> Path | None:
    """Expand ``~`` in the path of an option, which not every shell does."""
    return None if path is None else path.expanduser()


def _storage(uri: str | None) -> str | None:
    return str(Path(uri).expanduser()) if uri is not None and uri.startswith("~") else uri


# what the shell completes; Typer leaves out names that begin otherwise


def known_sweeps(context: typer.Context) -> list[str]:
    """Return the names of the sweeps of a home."""
    from sweeps.cli.sweeps import sweep_names

    home = context.params.get("home") or os.environ.get("KDSWEEP_HOME") or RUNS
    return sweep_names(Path(home).expanduser())


def known_studies() -> list[str]:
    """Return the names of the shipped studies."""
    from search_spaces.study import names

    return [*names()]


def task_names() -> list[str]:
    """Return the names of the tasks."""
    from kdtasks.contract.registry import known_tasks

    return [*known_tasks()]


def studies_and_tasks() -> list[str]:
    """Return the names of shipped studies and of tasks."""
    return sorted({*known_studies(), *task_names()})


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name of a sweep; see kdsweep list.", autocompletion=known_sweeps
    ),
]
Home = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar="KDSWEEP_HOME",
        callback=at_home,
        help="Folder of all sweeps and of the cache.",
    ),
]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Allow the code named by another user's sweep to run."),
]

TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        help="MLflow server with the runs; default: that of the sweep, for a new one "
        "MLFLOW_TRACKING_URI or a database in its folder.",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        envvar="KDSWEEP_STORAGE",
        callback=_storage,
        help="URI for a copy of the running sweep: file:///..., s3://..., gs://... . "
        "Credentials come from the environment.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="RAY_ADDRESS",
        help="Run on the Ray cluster of which this machine is a part: host:port, or auto. "
        "local stands for this machine alone.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]

INTERRUPTED = 130
"""Exit code after an interruption, as in shells after Ctrl-C."""


class StoppedError(Exception):
    """A signal stopped a command; the message is how to resume, if possible."""


class Commands(TyperGroup):
    """Commands that report an interruption; Typer would exit silently."""

    def invoke(self, ctx: Any) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise StoppedError(str(stop)) from stop
