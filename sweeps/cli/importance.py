"""`kdsweep importance`: how much each parameter matters for each objective."""

from collections.abc import Sequence

from analysis import format as text
from analysis.importance import Importance
from sweeps.cli.output import line, plain_table, show, show_json


def show_importances(found: Sequence[Importance], trials: int, *, as_json: bool) -> None:
    """Print importances over a number of trials, as text or as JSON."""
    if as_json:
        show_json({"trials": trials, "objectives": [_entry(one) for one in found]})
        return
    line(f"Shares of the explained importance, over {text.plural(trials, 'trial')} [%]")
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


def _entry(found: Importance) -> dict[str, object]:
    return {
        "metric": found.objective.metric,
        "shares": dict(found.shares),
        "explained": found.explained,
        "note": found.note,
    }
