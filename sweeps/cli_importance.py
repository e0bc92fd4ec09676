"""The command ``kdsweep importance``."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli_options import RUNS, Home, Json, Name, TrackingUri

if TYPE_CHECKING:
    from analysis.importance import Importance


def importance(
    name: Name,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD", help="Only trials of this method; may be repeated."),
    ] = None,
    as_json: Json = False,
    home: Home = RUNS,
    tracking_uri: TrackingUri = None,
) -> None:
    """Say how much each searched parameter matters for each objective.

    Permutation importance of a random forest on held-out trials, on validation. Parameters of some
    methods show best among trials of these methods: over all trials, the method hides them.
    """
    from sweeps.cli_output import line
    from sweeps.cli_sweeps import database_uri, find_sweep

    folder = find_sweep(home, name)
    from analysis.frames import read_sweep
    from analysis.fronts import of_methods
    from analysis.importance import importances

    frames = read_sweep(database_uri(folder, tracking_uri), name)
    if method:
        frames = of_methods(frames, method)
    found = importances(frames)
    if as_json:
        entries = [_entry(one) for one in found]
        line(json.dumps({"trials": len(frames.feasible), "objectives": entries}, indent=2))
        return
    _show(found, len(frames.feasible))


def _entry(found: "Importance") -> dict[str, object]:
    return {
        "metric": found.objective.metric,
        "shares": dict(found.shares),
        "explained": found.explained,
        "note": found.note,
    }


def _show(found: "list[Importance]", trials: int) -> None:
    from analysis import format as text
    from sweeps.cli_output import line, plain_table, show

    told = [one for one in found if one.shares]
    line(f"Shares of what parameters explain, of {text.plural(trials, 'trial')} [%]")
    line()
    if told:
        names = dict.fromkeys(name for one in told for name in one.shares)
        rows = [[name, *(f"{100 * one.shares[name]:.0f}" for one in told)] for name in names]
        show(plain_table(["parameter", *(one.objective.label for one in told)], rows))
        line()
    for one in found:
        told_of = one.note or f"a model explains {100 * one.explained:.0f} % of the variance"
        line(f"{one.objective.label}: {told_of}")
