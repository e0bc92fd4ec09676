"""Commands that check a study or a task, and show the state of a sweep."""

from typing import Annotated

import typer

from sweeps.cli.options import RUNS, Home, Json, Name, studies_and_tasks

BROKEN = 1
"""Exit code of ``check`` when a task breaks its contract."""


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        epilog="Example: kdsweep check my-study.yaml --set parameters.epochs=1\n\n"
        "Example: kdsweep check my_package.module:MyTask --set epochs=1"
    )(check)
    app.command(epilog="Example: kdsweep status csi-feedback --watch")(status)


def check(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|TASK",
            help="A study as for kdsweep run, or a task or package.module:Class.",
            autocompletion=studies_and_tasks,
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Field of the study, or parameter of the task; repeatable. Choose short runs, "
            "because a trial of every kind is trained three times.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print each law when it has been checked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check that a study fits its task, and that the task keeps its contract.

    Trains in this process, without Ray. Every broken law is printed with its fix; the exit code
    is then 1.
    """
    from sweeps.cli.check import run_check

    debug = bool(context.obj)
    if not run_check(what, settings or [], as_json=as_json, verbose=verbose, debug=debug):
        raise typer.Exit(BROKEN)


def status(  # noqa: PLR0913 - one parameter per option
    name: Name,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Update it until the sweep ends.")] = False,
    trial: Annotated[
        int | None,
        typer.Option(metavar="N", help="Show this trial instead: metrics, or its error."),
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Show all failures with tracebacks instead.")
    ] = False,
    timing: Annotated[
        bool, typer.Option("--timing", help="Show the time of each part instead.")
    ] = False,
    home: Home = RUNS,
) -> None:
    """Show what a sweep is doing, or why it ended.

    Works from any terminal while the sweep runs, without affecting it.
    """
    from sweeps.cli.sweeps import find_sweep

    folder = find_sweep(home, name)
    if trial is not None or failed:
        from sweeps.cli.trial import show_failed, show_trial

        if trial is not None:
            show_trial(folder, trial, as_json=as_json)
        else:
            show_failed(folder, as_json=as_json)
        return
    if timing:
        from sweeps.cli.timing import show_timing

        show_timing(folder, as_json=as_json)
        return
    from sweeps.cli.status import show_status

    show_status(folder, home, as_json=as_json, watch=watch)
