"""Arguments and options that several commands of ``kdsweep`` share."""

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a sweep; see kdsweep list.")]
Home = Annotated[
    Path,
    typer.Option("--home", envvar="KDSWEEP_HOME", help="Folder of all sweeps and of the cache."),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri", help="MLflow server with the runs; default: where the sweep has them."
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        envvar="KDSWEEP_STORAGE",
        help="URI where a copy is kept while it runs: file:///..., s3://..., gs://... . "
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

RUNS = Path("runs")

INTERRUPTED = 130
"""Exit code when the user stopped something, as shells have it for Ctrl-C."""
