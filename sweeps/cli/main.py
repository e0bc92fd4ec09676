"""The command ``kdsweep``, with lazy imports: reading results needs no torch or Ray."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from sweeps.cli import data as cli_data
from sweeps.cli import results as cli_results
from sweeps.cli.guard import any_encoding, guarded
from sweeps.cli.options import (
    RUNS,
    Address,
    Commands,
    Home,
    Json,
    Name,
    Storage,
    TrackingUri,
    Trust,
    at_home,
    known_studies,
    studies_and_tasks,
    task_names,
)
from sweeps.common.interrupts import Interrupts

UNFIT, BROKEN = 1, 1
"""Exit codes of ``doctor`` when sweeps cannot run here, of ``check`` when a check fails."""

OTHERS_WRITE = 0o002
"""Mode bits removed from every file; groups may share a home on purpose."""

app = typer.Typer(
    name="kdsweep",
    cls=Commands,
    help="Sweeps for knowledge distillation on radio nodes: accuracy against complexity.",
    epilog="Example: kdsweep run csi-feedback --time 10m",
    invoke_without_command=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
studies_app = typer.Typer(
    help="List the shipped studies, or show one.",
    epilog="Example: kdsweep studies show csi-feedback > my-study.yaml",
    invoke_without_command=True,
    rich_markup_mode=None,
)
app.add_typer(studies_app, name="studies")
app.add_typer(cli_data.app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kdsweep {version('kdsweep')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - _version has printed it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[  # noqa: ARG001 - main passes it as the context's obj
        bool, typer.Option("--debug", help="Show where an error was raised; works anywhere.")
    ] = False,
) -> None:
    """Accept options of every command; print help without a command."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(
    epilog="Example: kdsweep run csi-feedback --time 10m --set space.alpha.high=0.9\n\n"
    "Example: kdsweep run topologies --actors 2\n\n"
    "Example: kdsweep run beam-tracking --data scenario9 --trials 20\n\n"
    "Example: kdsweep run csi-feedback lidar-kd --json > events.jsonl"
)
def run(  # noqa: PLR0913 - one argument per option
    context: typer.Context,
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY...",
            help="Names of kdsweep studies, or .yaml files; they run one after the other.",
            autocompletion=known_studies,
        ),
    ],
    trials: Annotated[int | None, typer.Option(help="Short for --set budget.trials=N.")] = None,
    time: Annotated[
        str | None, typer.Option(help="Short for --set budget.time=10m; also 90s, 2h.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the sweep; default: the study's, with -2, -3 ...")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the study; repeatable."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            callback=at_home,
            help="Train on your own files: a DeepSense 6G scenario (beam-tracking, lidar-beam), "
            "COST2100 or MATLAB channels (csi-feedback), a folder of DeepMIMO v4 (csi-feedback, "
            "user-positioning, channel-estimation). Inspect them first with kdsweep data inspect.",
        ),
    ] = None,
    home: Home = RUNS,
    tracking_uri: TrackingUri = None,
    slots: Annotated[
        int | None, typer.Option(help="Trials at once; default: resources.slots of the study.")
    ] = None,
    transport: Annotated[
        Literal["ray", "inprocess"],
        typer.Option(
            help="Nodes of a trial: in Ray actors, or all in the trial's process. Same numbers."
        ),
    ] = "ray",
    actors: Annotated[
        int | None,
        typer.Option(help="Ray actors per trial that share its nodes; default: 1."),
    ] = None,
    backend: Annotated[
        Literal["ray", "inline"],
        typer.Option(
            help="What runs trials: worker processes of Ray, or this process, one after the other, "
            "for debugging: breakpoints work. Same numbers."
        ),
    ] = "ray",
    address: Address = None,
    storage: Storage = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print a JSON object per event; text for people goes to standard error."
        ),
    ] = False,
) -> None:
    """Run studies, each from its data to its report.

    Loads data, trains teachers, searches, repeats the front on the test split, writes a report.
    With the name of a finished sweep of the study, and more trials or points, it extends that
    sweep. The exit code is 1 without a front, or if a method failed in all trials, two or more;
    of several studies the largest.
    """
    from sweeps.cli.run import RunOptions, overrides
    from sweeps.cli.several import run_studies
    from sweeps.common.capacity import ResourceRequest

    request = ResourceRequest(
        slots=slots, transport=transport, actors=actors, address=address, backend=backend
    )
    options = RunOptions(
        name=name,
        home=home,
        tracking_uri=tracking_uri,
        request=request,
        storage=storage,
        data=data,
    )
    found = overrides(settings or [], trials, time)
    code = run_studies(studies, found, options, as_json=as_json, debug=bool(context.obj))
    raise typer.Exit(code)


@app.command(epilog="Example: kdsweep resume csi-feedback")
def resume(  # noqa: PLR0913 - one argument per option
    context: typer.Context,
    name: Name,
    home: Home = RUNS,
    tracking_uri: TrackingUri = None,
    slots: Annotated[
        int | None, typer.Option(help="Trials at once; default: as when it was started.")
    ] = None,
    backend: Annotated[
        Literal["ray", "inline"] | None,
        typer.Option(help="What runs trials; default: as when it was started."),
    ] = None,
    address: Address = None,
    storage: Storage = None,
    trust: Trust = False,
) -> None:
    """Resume a sweep that was stopped.

    Finished trials are kept, interrupted ones run again, and the rest of the budget is used.
    A sweep that the home does not have is fetched from its storage.
    """
    from sweeps.cli.run import RunOptions, exit_code, resume_sweep

    options = RunOptions(name=name, home=home, tracking_uri=tracking_uri, storage=storage)
    changes = {"slots": slots, "address": address, "backend": backend}
    debug = bool(context.obj)
    raise typer.Exit(exit_code(resume_sweep(name, options, changes, trust=trust, debug=debug)))


@app.command(
    epilog="Example: kdsweep check my-study.yaml --set parameters.epochs=1\n\n"
    "Example: kdsweep check my_package.module:MyTask --set epochs=1"
)
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
        bool,
        typer.Option(
            "--verbose", help="Print each check when done, and what other topologies need."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check that a study fits its task, and that the task keeps its contract.

    Trains in this process, without Ray. Every check that fails is printed with its fix; the exit
    code is then 1.
    """
    from sweeps.cli.check import run_check

    debug = bool(context.obj)
    if not run_check(what, settings or [], as_json=as_json, verbose=verbose, debug=debug):
        raise typer.Exit(BROKEN)


@app.command(epilog="Example: kdsweep status csi-feedback --watch")
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
    from sweeps.cli.status import show_status, show_timing

    if timing:
        show_timing(folder, as_json=as_json)
        return
    show_status(folder, home, as_json=as_json, watch=watch)


cli_results.add_to(app)


@studies_app.callback()
def studies(context: typer.Context, as_json: Json = False) -> None:
    """List the shipped studies, or show one."""
    if context.invoked_subcommand is not None:
        return
    from search_spaces.study import available
    from sweeps.cli.output import plain_table, show, show_json

    if as_json:
        show_json(available())
        return
    show(plain_table(("study", "title"), list(available().items())))


@studies_app.command("show", epilog="Example: kdsweep studies show csi-feedback > my-study.yaml")
def show_study(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help="A name, or a .yaml file.", autocompletion=known_studies
        ),
    ],
) -> None:
    """Print the YAML of a study after checking it, as a template for your own."""
    from search_spaces.study import load_study
    from sweeps.cli.output import line

    line(load_study(study).text.rstrip("\n"))


@studies_app.command("schema", epilog="Example: kdsweep studies schema > my-study.yaml")
def schema(as_json: Json = False) -> None:
    """Print a line by which editors complete and check studies, or their JSON Schema.

    Put the line at the top of a study for the YAML language server of VS Code, Neovim and others.
    """
    from search_spaces.json_schema import json_schema
    from search_spaces.study import schema_file
    from sweeps.cli.output import line, show_json

    if as_json:
        show_json(json_schema())
        return
    line(f"# yaml-language-server: $schema={schema_file()}")


@app.command(epilog="Example: kdsweep models csi-feedback --json")
def models(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK", help="A task, or package.module:Class.", autocompletion=task_names
        ),
    ],
    as_json: Json = False,
) -> None:
    """Print the published networks of a task.

    With parameters, FLOPs by the paper's convention, MACs and batch-1 latency on this machine.
    """
    from sweeps.cli.output import dict_table, line, show, show_json
    from sweeps.cli.run import make_importable

    make_importable(task)
    from kdtasks.contract.registry import load_task

    rows = load_task(task).models()
    if as_json:
        show_json(rows)
    elif rows:
        show(dict_table(rows))
    else:
        line(f"{task} publishes no networks; its method models() may return them, a dict for each")


@app.command(
    epilog="Example: kdsweep parameters csi-feedback\n\n"
    "Example: kdsweep parameters my_package.module:MyTask --json"
)
def parameters(
    tasks: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK...", help="Tasks, or package.module:Class.", autocompletion=task_names
        ),
    ],
    own: Annotated[
        bool, typer.Option("--own", help="Only those that the task itself declares.")
    ] = False,
    as_json: Json = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a page of Markdown.")
    ] = False,
) -> None:
    """Print the parameters of a task, as a study fixes or searches them.

    With default by preset, range, unit, when it has an effect, what it determines, and its meaning.
    """
    from sweeps.cli.parameters import show_parameters

    show_parameters(tasks, own=own, as_json=as_json, as_markdown=as_markdown)


@app.command(epilog="Example: kdsweep doctor --home runs")
def doctor(home: Home = RUNS, as_json: Json = False) -> None:
    """Check whether sweeps can run here: packages, cores, memory, GPU, disk, MLflow, Ray.

    Takes about 15 seconds. Every problem is printed with its fix; the exit code is then 1.
    """
    from sweeps.cli.doctor import show_doctor

    if not show_doctor(home, as_json=as_json):
        raise typer.Exit(UNFIT)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; a user error prints one line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    any_encoding()
    os.umask(os.umask(0) | OTHERS_WRITE)
    words = [word for word in given if word != "--debug"]
    debug = len(words) < len(given)
    with Interrupts().installed():
        code = guarded(
            lambda: app(words, prog_name="kdsweep", standalone_mode=False, obj=debug),
            debug=debug,
        )
    sys.exit(code)
