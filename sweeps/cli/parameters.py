"""`kdsweep parameters`: the declared parameters of a task."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.effort import EffortSettings
from kdtasks.contract.registry import load_task
from kdtasks.contract.settings import Parameter, Settings
from kdtasks.contract.task import KDTask
from kdtasks.distillation.settings import DistillationSettings
from kdtasks.network.parts import parameter_of
from kdtasks.network.task import NetworkTask
from kdtasks.network.whole import WholeSettings
from sweeps.cli.output import line, show_json, show_wide
from sweeps.cli.run import make_importable

COLUMNS = ("name", "default", "range", "unit", "has an effect with", "else", "decides", "help")

SHARED = (EffortSettings, NetworkSettings, DistillationSettings)
"""Settings with parameters that several tasks have."""

Row = dict[str, Any]


def show_parameters(
    names: Iterable[str], *, own: bool = False, as_json: bool, as_markdown: bool
) -> None:
    """Print the parameters of tasks, all or those of their own.

    Raises:
        ConfigError: If a task is unknown.
    """
    tasks = {}
    for name in names:
        make_importable(name)
        tasks[name] = load_task(name)
    every = {name: rows_of(task) for name, task in tasks.items()}
    rows = {name: [row for row in e if row["own"] or not own] for name, e in every.items()}
    if as_json:
        show_json(rows)
        return
    if as_markdown:
        line(page(rows))
        return
    for name, task in tasks.items():
        if len(rows) > 1:
            line(name)
        _show(rows[name])
        if shared := len(every[name]) - len(rows[name]):
            line(f"{shared} more that other tasks have as well: leave out --own")
        if not hasattr(task, "settings") and not isinstance(task, NetworkTask):
            line(
                f"{name} does not declare its parameters: these are the names and defaults from "
                "complete; for more, declare them in its class, see docs/own-task.md"
            )


def _show(rows: list[Row]) -> None:
    table = [cells(row) for row in rows]
    filled = [i for i in range(len(COLUMNS)) if any(one[i] for one in table)]
    if table:
        show_wide([COLUMNS[i] for i in filled], [[one[i] for i in filled] for one in table])


def rows_of(task: KDTask) -> list[Row]:
    """Return a row per parameter, the task's own first; undeclared ones have only a default."""
    if isinstance(task, NetworkTask):
        return _of_network(task)
    if hasattr(task, "settings"):
        kind = task.settings
        used = (name for name in kind.in_order() if kind.declared[name].used)
        bases = [base for base in SHARED if issubclass(kind, base)]
        shared = {name for base in bases for name in base.model_fields}
        far = {name: _generality(kind, name) for name in used}
        found = sorted(far, key=lambda name: far[name])
        return [
            {**_declared(kind, name), "own": not far[name] or name not in shared} for name in found
        ]
    return [
        {
            "name": name,
            "default": default,
            "decides": ["data or teacher"] if name in task.resource_parameters else [],
            "own": True,
        }
        for name, default in task.complete({}).items()
    ]


def _of_network(task: NetworkTask) -> list[Row]:
    """Return the parameters of a network, then those of its tasks; shared ones stand once."""
    rows = [{**_declared(WholeSettings, n), "own": True} for n in WholeSettings.in_order()]
    for part, (_, own) in task.tasks.items():
        rows += [{**row, "name": parameter_of(part, row["name"])} for row in rows_of(own)]
    return list({row["name"]: row for row in reversed(rows)}.values())[::-1]


def _generality(kind: type[Settings], name: str) -> int:
    """Return how far up a parameter is inherited from: 0 for the task's own."""
    return max(i for i, one in enumerate(kind.__mro__) if name in getattr(one, "model_fields", {}))


def _declared(kind: type[Settings], name: str) -> Row:
    one, annotation = kind.declared[name], kind.model_fields[name].annotation
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    values = (True, False) if annotation is bool else choices
    return {
        "name": name,
        "default": dict(one.default) if isinstance(one.default, Mapping) else one.default,
        "range": ", ".join(map(_shown, values)) or _interval(one),
        "unit": one.unit,
        "when": [condition.owner for condition in one.conditions],
        "strict": one.strict,
        "decides": [*one.decisions],
        "help": one.help,
    }


def _interval(one: Parameter) -> str:
    if {one.low, one.above, one.high, one.below} == {None}:
        return ""
    left = "(-∞" if one.low is None else f"[{one.low:g}"
    right = "∞)" if one.high is None else f"{one.high:g}]"
    left = left if one.above is None else f"({one.above:g}"
    right = right if one.below is None else f"{one.below:g})"
    return f"{left}, {right}{f' in steps of {one.multiple_of}' if one.multiple_of else ''}"


def cells(row: Row) -> list[str]:
    """Return a parameter as a row of the table."""
    default, when = row["default"], "; ".join(row.get("when", ()))
    if isinstance(default, Mapping):
        values = {preset: _shown(value) for preset, value in default.items()}
        one = next(iter(values.values())) if len({*values.values()}) == 1 else ""
        default = one or ", ".join(f"{preset} {value}" for preset, value in values.items())
    otherwise = ("refused" if row["strict"] else "dropped") if when else ""
    shown = [row["name"], _shown(default), row.get("range", ""), row.get("unit", "")]
    return [*shown, when, otherwise, ", ".join(row["decides"]), row.get("help", "")]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'


def page(rows: Mapping[str, list[Row]]) -> str:
    """Return a page of Markdown with a table for each task."""
    lines = [
        "# Parameters",
        "",
        f"Made by `kdsweep parameters {' '.join(rows)} --markdown`; they are declared in the "
        "`settings.py` of each task. `else`: what happens to a parameter that is set where it has "
        "no effect.",
    ]
    for name, found in rows.items():
        lines += ["", f"## {name}", "", f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
        lines += [f"| {' | '.join(cells(row))} |" for row in found]
    return "\n".join(lines)
