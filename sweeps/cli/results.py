"""Commands of ``kdsweep`` that read existing sweeps, with lazy imports and no torch or Ray."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.options import RUNS, Home, Json, Name, TrackingUri, Trust, at_home, known_sweeps

if TYPE_CHECKING:
    from analysis.frames import SweepFrames

DIFFERENT = 1
"""Exit code of ``verify`` if ledger, MLflow and front differ."""


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program, in the order of the help."""
    app.command(epilog="Example: kdsweep front csi-feedback --json > front.json")(front)
    app.command(epilog="Example: kdsweep best csi-feedback --max ue_params=1e5")(best)
    app.command(epilog="Example: kdsweep importance csi-feedback --method encoder-kd")(importance)
    app.command(epilog="Example: kdsweep export csi-feedback --int8")(export)
    app.command(epilog="Example: kdsweep register csi-feedback --limit 5")(register)
    app.command(epilog="Example: kdsweep compare first second --page both.html")(compare)
    app.command(epilog="Example: kdsweep tables csi-tables")(tables)
    app.command(epilog="Example: kdsweep report csi-feedback --paper figures")(report)
    app.command(epilog="Example: kdsweep verify csi-feedback")(verify)
    app.command(epilog="Example: kdsweep ui csi-feedback --port 5050")(ui)
    app.command("list", epilog="Example: kdsweep list --home runs")(list_sweeps)


def _frames(home: Path, name: str) -> "SweepFrames":
    """Return the results of a sweep."""
    from sweeps.cli.sweeps import find_sweep
    from sweeps.tracking.read import sweep_frames

    return sweep_frames(find_sweep(home, name))


def front(name: Name, as_json: Json = False, home: Home = RUNS) -> None:
    """Print the Pareto front of a sweep.

    The search used validation values; test values are means over seeds. "on front" is how
    likely a repeated trial's mean is on the front, by a bootstrap over its seeds.
    """
    from sweeps.cli.output import show_front, show_json, show_near, show_notes

    frames = _frames(home, name)
    if as_json:
        from analysis.export import front_document

        show_json(front_document(frames))
        return
    show_front(frames)
    show_notes(frames)
    show_near(frames)


def best(  # noqa: PLR0913 - one parameter per option
    name: Name,
    at_most: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="METRIC=N", help="Upper limit; repeatable."),
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="METRIC=N", help="Lower limit; repeatable."),
    ] = None,
    topology: Annotated[str | None, typer.Option(help="Only trials of this topology.")] = None,
    by: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Objective; default: the study's first.")
    ] = None,
    as_json: Json = False,
    home: Home = RUNS,
) -> None:
    """Choose a model within budgets, and show the gain from raising each.

    Chosen by validation results; test results are shown as well.
    """
    frames = _frames(home, name)
    from analysis.best import find_best, parse_budget
    from sweeps.cli.best import show_best
    from sweeps.cli.output import command_line

    budgets = [parse_budget(text, "max") for text in at_most or ()]
    budgets += [parse_budget(text, "min") for text in at_least or ()]
    found = find_best(frames, budgets, topology=topology, by=by)
    command = partial(command_line, name=name, home=home)
    show_best(found, frames.study, command, as_json=as_json)


def importance(
    name: Name,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD", help="Only trials of this method; repeatable."),
    ] = None,
    as_json: Json = False,
    home: Home = RUNS,
) -> None:
    """Show how much each searched parameter matters for each objective.

    Permutation importance of a random forest on held-out trials. For a parameter that only some
    methods have, select these methods.
    """
    frames = _frames(home, name)
    from analysis.format import plural
    from analysis.fronts import of_methods
    from analysis.importance import importances
    from sweeps.cli.output import line, plain_table, show, show_json

    kept = of_methods(frames, method) if method else frames
    found, trials = importances(kept), len(kept.feasible)
    if as_json:
        objectives = [
            {
                "metric": one.objective.metric,
                "shares": dict(one.shares),
                "explained": one.explained,
                "note": one.note,
            }
            for one in found
        ]
        show_json({"trials": trials, "objectives": objectives})
        return
    line(f"Shares of the explained importance, over {plural(trials, 'trial')} [%]")
    line()
    explained = [one for one in found if one.shares]
    if explained:
        names = dict.fromkeys(name for one in explained for name in one.shares)
        rows = [[name, *(f"{100 * one.shares[name]:.0f}" for one in explained)] for name in names]
        show(plain_table(["parameter", *(one.objective.label for one in explained)], rows))
        line()
    for one in found:
        note = one.note or f"a model explains {100 * one.explained:.0f} % of the variance"
        line(f"{one.objective.label}: {note}")


def export(  # noqa: PLR0913 - one parameter per option
    name: Name,
    trial: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of the trial; default: the knee of the front."),
    ] = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option(
            "--max",
            metavar="METRIC=N",
            help="In place of --trial: the best trial within this upper limit, as kdsweep best "
            "chooses it; repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(callback=at_home, help="Folder of the files; default: in the sweep's own."),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Also write networks with 8-bit weights, with their scores."),
    ] = False,
    as_json: Json = False,
    home: Home = RUNS,
    tracking_uri: TrackingUri = None,
    trust: Trust = False,
) -> None:
    """Write a trained student as ONNX and safetensors with a model card.

    The ONNX networks are run on the test split and compared with PyTorch. Their latency becomes the
    trial's metric onnx_latency_ms, for kdsweep best; MLflow gets the files.
    """
    from sweeps.cli.export import run_export, show_export
    from sweeps.cli.sweeps import find_to_import

    folder = find_to_import(home, name, trust=trust)
    done = run_export(folder, tracking_uri, trial, out, at_most=at_most or (), int8=int8)
    show_export(done, as_json=as_json)


def register(  # noqa: PLR0913 - one parameter per option
    name: Name,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, help="Largest number of members of the front.")
    ] = 10,
    time: Annotated[
        str,
        typer.Option(metavar="TIME", help="Time after which no further one is exported: 90s, 10m."),
    ] = "5m",
    as_json: Json = False,
    home: Home = RUNS,
    tracking_uri: TrackingUri = None,
    trust: Trust = False,
) -> None:
    """Register the front's students as versions of a model in MLflow.

    Each is exported and checked as in kdsweep export. The knee and the ends of the front come
    first, with the aliases knee, smallest and most-accurate. A second call continues.
    """
    from sweeps.cli.sweeps import find_to_import

    folder = find_to_import(home, name, trust=trust)
    from sweeps.cli.register import run_register

    code = run_register(folder, tracking_uri, limit, time, as_json=as_json)
    if code:
        raise typer.Exit(code)


def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Two or more sweeps with the same objectives.",
            autocompletion=known_sweeps,
        ),
    ],
    page: Annotated[
        Path | None,
        typer.Option(callback=at_home, help="Also write their fronts to this page (HTML)."),
    ] = None,
    as_json: Json = False,
    home: Home = RUNS,
) -> None:
    """Compare sweeps of one problem: fronts, hypervolume, settings.

    With the best values within budgets, and a permutation test if studies were run with several
    search seeds. Where trials were repeated, also which sweep attains more on the test split, and
    with how many seeds.
    """
    from sweeps.cli.compare import show_comparison

    show_comparison(names, home, page, as_json=as_json)


def tables(name: Name, as_json: Json = False, home: Home = RUNS) -> None:
    """Print a paper's tables with the sweep's numbers, and check its claims."""
    from sweeps.cli.output import command_line, line, paper_json, show_json, show_paper

    frames = _frames(home, name)
    if as_json:
        show_json(paper_json(frames))
        return
    if not (frames.study.report.tables or frames.study.report.claims):
        see = command_line("front {}", name, home)
        line(f"study {frames.study.name} has no tables of a paper; see {see}")
    show_paper(frames)


def report(
    name: Name,
    paper: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            callback=at_home,
            help="Write figures and tables for a paper there instead.",
        ),
    ] = None,
    home: Home = RUNS,
) -> None:
    """Write the report again and print its path.

    With --paper: figures of a column's width (PDF, PNG), tables in LaTeX and Markdown.
    """
    from sweeps.cli.output import line, shown_path

    if paper is None:
        line(shown_path(_build_report(home, name)))
        return
    frames = _frames(home, name)
    from analysis.printed.files import write_paper_files

    for path in write_paper_files(frames, paper):
        line(shown_path(path))


def _build_report(home: Path, name: str) -> Path:
    from analysis import layout
    from analysis.beside import process_beside
    from sweeps.cli.sweeps import find_sweep

    folder = find_sweep(home, name)
    with process_beside() as beside:
        # slow imports come after the other process has started
        from analysis.importance import begin_importances
        from analysis.report import build_report
        from sweeps.tracking.read import sweep_frames

        frames = sweep_frames(folder)
        found = begin_importances(frames, beside=beside)
        beside.shutdown(wait=False)
        return build_report(frames, folder / layout.REPORT_DIR, found)


def verify(name: Name, home: Home = RUNS, tracking_uri: TrackingUri = None) -> None:
    """Check that ledger, results file, MLflow and front agree.

    If they do not, every difference is a line and the exit code is 1.
    """
    from sweeps.cli.output import line
    from sweeps.cli.sweeps import find_sweep, known_uri

    folder = find_sweep(home, name)
    from sweeps.tracking.verify import verify_sweep, without_hash

    differences = verify_sweep(folder, known_uri(folder, tracking_uri))
    for difference in differences:
        line(difference)
    if differences:
        raise typer.Exit(DIFFERENT)
    line(f"{name}: ledger, results file, MLflow and front agree")
    if count := without_hash(folder):
        line(
            f"no hash recorded of {count} students (an older version): their weights are unchecked"
        )


def ui(
    name: Name,
    port: Annotated[
        int | None, typer.Option(help="Default: the first free of 5000 to 5019.")
    ] = None,
    optuna: Annotated[
        bool, typer.Option("--optuna", help="Serve Optuna Dashboard, from a copy of the ledger.")
    ] = False,
    home: Home = RUNS,
) -> None:
    """Serve MLflow's UI for a sweep, or Optuna Dashboard.

    It can be reached only from this machine, with the token in the address; Ctrl-C ends it.
    """
    from secrets import token_urlsafe

    from sweeps.cli.output import line
    from sweeps.cli.sweeps import find_sweep, free_port, prepare_ui, serve_ui, view_lines

    folder = find_sweep(home, name)
    if optuna:
        from sweeps.tracking.optuna_ui import check_installed

        check_installed()
    else:
        prepare_ui(folder)  # raises errors before the address is printed
    chosen = free_port(port)
    token = token_urlsafe(32)
    address = f"http://127.0.0.1:{chosen}/?token={token}"
    if optuna:
        from analysis import layout
        from sweeps.tracking.optuna_ui import serve

        line(f"Optuna Dashboard of {name} as it is now: {address}  (Ctrl-C ends it)")
        sys.stdout.flush()
        serve(folder / layout.JOURNAL_FILE, chosen, token)
        return
    line(f"MLflow UI of {name}: {address}  (ready in some 10 seconds; Ctrl-C ends it)")
    for view in view_lines(folder, address):
        line(view)
    sys.stdout.flush()
    serve_ui(folder, chosen, token)


def list_sweeps(as_json: Json = False, home: Home = RUNS) -> None:
    """List the sweeps of a home."""
    from sweeps.cli.output import line, plain_table, show, show_json
    from sweeps.cli.sweeps import sweep_lines

    sweeps = list(sweep_lines(home))
    if as_json:
        show_json(sweeps)
        return
    rows = [(one.name, one.study, str(one.complete), str(one.failed), one.state) for one in sweeps]
    if not rows:
        line(f"no sweeps in {home}; start one with: kdsweep run csi-feedback")
        return
    show(plain_table(("sweep", "study", "finished", "failed", "state"), rows))
