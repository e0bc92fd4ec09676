"""Commands of ``kdsweep`` that look at data on disk.

Thin as ``cli``: every command imports what it needs itself, none loads torch or Ray.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli_options import Json

if TYPE_CHECKING:
    from kdtasks.scenarios.deepsense_inspect import Inspection

NOT_USABLE = 1
"""Exit code of ``inspect`` when nothing could be trained on what it found."""

SHOWN = 5
"""Defects of a kind that are listed; ``--json`` has all of them."""

STUDY = "beam-tracking"
"""The study that `inspect` speaks of."""

ALONE = {
    "image": ("image-student", "image-teacher-gru1"),
    "radar": ("radar-student", "radar-teacher"),
}
"""Student and teacher of that study for files that have one of its two sensors only."""

NO_STUDY = f"study {STUDY} wants a camera or a radar; write one of your own for model gps-student"

app = typer.Typer(
    help="Look at measured data before a sweep reads them.",
    epilog="Example: kdsweep data inspect scenario9",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def data() -> None:
    """Look at measured data before a sweep reads them."""


@app.command(epilog="Example: kdsweep data inspect scenario9 --sensors image,radar --json")
def inspect(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Folder of a DeepSense 6G scenario, or its CSV.")
    ],
    as_json: Json = False,
    sensors: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Of image,radar,lidar,gps: what windows need; default: all found."
        ),
    ] = None,
) -> None:
    """Say what a folder of measured data holds, what is wrong with it, and what it trains.

    Reads tables and small files whole, and the heads of pictures, cubes and scans.
    """
    from kdtasks.scenarios.deepsense_inspect import inspect as look
    from sweeps.cli_output import line

    names = None if sensors is None else tuple(name.strip() for name in sensors.split(","))
    found = look(path, sensors=names)
    if as_json:
        line(json.dumps(found.as_dict(), indent=2))
    else:
        _show(found)
    if found.problem:
        raise typer.Exit(NOT_USABLE)


def _show(found: "Inspection") -> None:
    from analysis.format import plural
    from sweeps.cli_output import dict_table, line, plain_table, show

    line(f"{', '.join(found.tables)}: {found.frames} frames in {found.sequences} sequences")
    line(f"a row is {'one frame' if found.layout == 'frames' else 'a window of frames'}")
    line()
    rows = [
        (meaning, columns, f"{found.files[meaning]} of {found.needed[meaning]}")
        if meaning in found.files
        else (meaning, columns, "–")
        for meaning, columns in found.columns.items()
    ]
    show(plain_table(("what", "columns", "usable files"), rows))
    if found.label_column:
        line(found.label_column)
    line()
    line(plural(len(found.defects), "defect"))
    for kind, defects in found.defects_by_kind().items():
        line(f"{kind}: {len(defects)}")
        for defect in defects[:SHOWN]:
            line(f"    {defect.where}: {defect.detail}")
        if len(defects) > SHOWN:
            line(f"    and {len(defects) - SHOWN} more, see --json")
    line()
    line(f"windows with {', '.join(found.sensors)}:")
    splits = [
        {
            "split": name,
            "sequences": split.sequences,
            "frames": split.frames,
            "windows": split.windows,
            "beams": sum(count > 0 for count in split.labels),
            "most frequent beam": _most(split.labels),
            "unknown slots": split.unknown,
        }
        for name, split in found.splits.items()
    ]
    if splits:
        show(dict_table(splits))
    line(
        f"left out: {found.without_sensor} windows without a sensor's data, "
        f"{found.without_label} without any known beam"
    )
    if found.problem:
        line(f"cannot be trained on: {found.problem}")
        return
    command = next_command(found.path, found.sensors)
    line(f"can be trained on: {command}" if command else f"can be trained on, but {NO_STUDY}")


def next_command(path: str, sensors: Sequence[str]) -> str:
    """Return the command that trains on files; empty if no shipped study fits their sensors.

    Args:
        path: The files.
        sensors: What windows of them have.
    """
    words = ["kdsweep", "run", STUDY, "--data", path]
    if {"image", "radar"} <= set(sensors):
        return shlex.join(words)
    for sensor, (student, teacher) in ALONE.items():
        if sensor in sensors:
            changes = {
                "parameters.sensors": sensor,
                "space.model.values": f"[{student}]",
                "space.teacher.values": f"[{teacher}]",
                "search.points.0.model": student,
            }
            settings = [f"--set={name}={value}" for name, value in changes.items()]
            return shlex.join([*words, *settings])
    return ""


def _most(labels: list[int]) -> str:
    best = max(range(len(labels)), key=lambda beam: labels[beam])
    return f"{best} ({labels[best] / sum(labels):.0%})" if sum(labels) else "–"
