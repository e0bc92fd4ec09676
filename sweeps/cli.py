"""The command ``kdsweep``.

Thin: every command imports what it needs itself, so that reading results loads neither torch nor
Ray, and help comes at once.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.errors import ResultsError
from kdtasks.errors import UserError
from search_spaces.errors import StudyError

USER_ERROR = 2
"""Exit code when something is the user's to mend."""

DIFFERENT = 1
"""Exit code of ``verify`` when ledger, MLflow and front do not agree."""

app = typer.Typer(
    name="kdsweep",
    help="Sweeps for knowledge distillation on radio nodes: accuracy against complexity.",
    epilog="Example: kdsweep run csi-feedback --time 10m",
    no_args_is_help=True,
    add_completion=False,
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
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]

RUNS = Path("runs")


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error was raised; works anywhere.")
    ] = False,
) -> None:
    """Take options that go with every command."""


@app.command(
    epilog="Example: kdsweep run csi-feedback --time 10m --set space.alpha.high=0.9\n\n"
    "Example: kdsweep run topologies --actors 2"
)
def run(  # noqa: PLR0913 - one argument per option
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A name of kdsweep studies, or a .yaml file.")
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
    home: Home = RUNS,
    tracking_uri: TrackingUri = None,
    slots: Annotated[
        int | None, typer.Option(help="Trials at once; default: as many as the cores carry.")
    ] = None,
    transport: Annotated[
        Literal["ray", "inprocess"],
        typer.Option(
            help="Nodes of a trial: in Ray actors, or all in the trial's process. Same numbers."
        ),
    ] = "ray",
    actors: Annotated[
        int | None,
        typer.Option(help="Ray actors per trial, a core each, that share its nodes; default: 1."),
    ] = None,
) -> None:
    """Run a study, from its data to its report.

    Loads the data, trains the teachers, searches, repeats the front on the test split, reports.
    With the name of a finished sweep of the same study, and more trials, it extends that.
    """
    from sweeps.cli_run import RunOptions, overrides, run_sweep
    from sweeps.seats import SeatWishes

    seats = SeatWishes(slots=slots, transport=transport, actors=actors)
    options = RunOptions(name=name, home=home, tracking_uri=tracking_uri, seats=seats)
    raise typer.Exit(run_sweep(study, overrides(settings or [], trials, time), options))


@app.command(epilog="Example: kdsweep resume csi-feedback")
def resume(
    name: Name,
    home: Home = RUNS,
    tracking_uri: TrackingUri = None,
    slots: Annotated[
        int | None, typer.Option(help="Trials at once; default: as when it was started.")
    ] = None,
) -> None:
    """Go on with a sweep that was stopped.

    What is finished stays, what was interrupted runs again, what is left of the budget is spent.
    """
    from sweeps.cli_run import ResumeOptions, resume_sweep

    options = ResumeOptions(home=home, tracking_uri=tracking_uri, slots=slots)
    raise typer.Exit(resume_sweep(name, options))


@app.command(epilog="Example: kdsweep front csi-feedback --json > front.json")
def front(
    name: Name, as_json: Json = False, home: Home = RUNS, tracking_uri: TrackingUri = None
) -> None:
    """Print the Pareto front of a sweep.

    Validation values are what was searched on; test values are means over seeds.
    """
    from sweeps.cli_output import front_table, line, show
    from sweeps.cli_sweeps import database_uri, find_sweep

    folder = find_sweep(home, name)
    from analysis.frames import read_sweep

    frames = read_sweep(database_uri(folder, tracking_uri), name)
    if as_json:
        from analysis.export import describe
        from analysis.fronts import front_rows

        line(json.dumps({**describe(frames), "front": front_rows(frames)}, indent=2))
        return
    show(front_table(frames))


@app.command(epilog="Example: kdsweep tables csi-tables")
def tables(name: Name, home: Home = RUNS, tracking_uri: TrackingUri = None) -> None:
    """Print a paper's tables beside the sweep's own numbers, and judge its claims."""
    from sweeps.cli_output import line, show_paper
    from sweeps.cli_sweeps import database_uri, find_sweep

    folder = find_sweep(home, name)
    from analysis.frames import read_sweep

    frames = read_sweep(database_uri(folder, tracking_uri), name)
    if not (frames.study.report.tables or frames.study.report.claims):
        line(f"study {frames.study.name} has no tables of a paper; see kdsweep front {name}")
    show_paper(frames)


@app.command(epilog="Example: kdsweep report csi-feedback")
def report(name: Name, home: Home = RUNS, tracking_uri: TrackingUri = None) -> None:
    """Write the report anew and print its path."""
    from sweeps.cli_output import line, shown_path
    from sweeps.cli_sweeps import database_uri, find_sweep

    folder = find_sweep(home, name)
    from analysis import layout
    from analysis.frames import read_sweep
    from analysis.report import build_report

    frames = read_sweep(database_uri(folder, tracking_uri), name)
    line(shown_path(build_report(frames, folder / layout.REPORT_DIR).html))


@app.command(epilog="Example: kdsweep verify csi-feedback")
def verify(name: Name, home: Home = RUNS, tracking_uri: TrackingUri = None) -> None:
    """Check that ledger, MLflow and front agree.

    If they do not, every difference is a line and the exit code is 1.
    """
    from sweeps.cli_output import line
    from sweeps.cli_sweeps import find_sweep, known_uri

    folder = find_sweep(home, name)
    from sweeps.verify import verify_sweep

    differences = verify_sweep(folder, known_uri(folder, tracking_uri))
    for difference in differences:
        line(difference)
    if differences:
        raise typer.Exit(DIFFERENT)
    line(f"{name}: ledger, MLflow and front agree")


@app.command(epilog="Example: kdsweep ui csi-feedback --port 5050")
def ui(
    name: Name,
    port: Annotated[
        int | None, typer.Option(help="Default: the first free of 5000 to 5019.")
    ] = None,
    home: Home = RUNS,
) -> None:
    """Serve MLflow's UI for a sweep.

    Only this machine can reach it; Ctrl-C ends it.
    """
    from sweeps.cli_output import line
    from sweeps.cli_sweeps import find_sweep, free_port, serve_ui, ui_command, view_lines

    folder = find_sweep(home, name)
    ui_command(folder, 0)  # what is wrong is told before the address is
    chosen = free_port(port)
    address = f"http://127.0.0.1:{chosen}"
    line(f"MLflow UI of {name}: {address}  (ready in some 10 seconds; Ctrl-C ends it)")
    for view in view_lines(folder, address):
        line(view)
    sys.stdout.flush()
    serve_ui(folder, chosen)


@app.command("list", epilog="Example: kdsweep list --home runs")
def list_sweeps(home: Home = RUNS) -> None:
    """List the sweeps of a home."""
    from sweeps.cli_output import line, plain_table, show
    from sweeps.cli_sweeps import sweep_lines

    rows = [
        (sweep.name, sweep.study, str(sweep.complete), str(sweep.failed), sweep.state)
        for sweep in sweep_lines(home)
    ]
    if not rows:
        line(f"no sweeps in {home}; start one with: kdsweep run csi-feedback")
        return
    show(plain_table(("sweep", "study", "finished", "failed", "state"), rows))


@studies_app.callback()
def studies(context: typer.Context) -> None:
    """List the shipped studies, or show one."""
    if context.invoked_subcommand is not None:
        return
    from search_spaces.study import available
    from sweeps.cli_output import plain_table, show

    show(plain_table(("study", "title"), list(available().items())))


@studies_app.command("show", epilog="Example: kdsweep studies show csi-feedback > my-study.yaml")
def show_study(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A name, or a .yaml file.")],
) -> None:
    """Print the YAML of a study, after checking it: the start of one of your own."""
    from search_spaces.study import load_study
    from sweeps.cli_output import line

    line(load_study(study).text.rstrip("\n"))


@app.command(epilog="Example: kdsweep models csi-feedback --json")
def models(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task, or package.module:Class.")],
    as_json: Json = False,
) -> None:
    """Print the published networks of a task.

    With parameters, FLOPs by the paper's convention, MACs and batch-1 latency on this machine.
    """
    from sweeps.cli_output import dict_table, line, show
    from sweeps.cli_run import make_importable

    make_importable(task)
    from kdtasks.registry import load_task

    rows = load_task(task).models()
    if as_json:
        line(json.dumps(rows, indent=2))
        return
    show(dict_table(rows))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; what is the user's to mend is told in one line.

    Args:
        arguments: Without the program's name; None takes those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    words = [word for word in given if word != "--debug"]
    sys.exit(
        _guarded(
            lambda: app(words, prog_name="kdsweep", standalone_mode=False),
            debug=len(words) < len(given),
        )
    )


def _guarded(invoke: Callable[[], object], *, debug: bool) -> int:
    try:
        code = invoke()
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader, `head` for instance, has seen enough; nothing may be flushed to it any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except typer.TyperException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "kdsweep")
        return _told(f"{error.format_message()} (see {command} --help)", error, debug=debug)
    except (UserError, StudyError, ResultsError, OSError) as error:
        return _told(str(error), error, debug=debug)
    return code if isinstance(code, int) else 0


def _told(message: str, error: Exception, *, debug: bool) -> int:
    if debug:
        raise error
    sys.stderr.write(f"kdsweep: {' '.join(message.split())}\n")
    return USER_ERROR
