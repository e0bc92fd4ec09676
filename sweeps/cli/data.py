"""Commands of ``kdsweep`` that inspect data on disk, with lazy imports and no torch or Ray."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.options import Json, at_home

if TYPE_CHECKING:
    from kdtasks.sensing.deepsense.inspect import Inspection

NOT_USABLE = 1
"""Exit code of ``inspect`` for data that cannot be trained on."""

SHOWN = 5
"""Most defects of a kind that are listed; ``--json`` lists all."""

STUDY = "beam-tracking"
"""The study for pictures and radar."""

OTHER_STUDIES = {"gps": "beam-gps", "lidar": "lidar-datafree"}
"""The study for files of another sensor only; that of positions needs past powers, too."""

ALONE = {
    "image": ("image-student", "image-teacher-gru1"),
    "radar": ("radar-student", "radar-teacher"),
    "gps": ("gps-student", "gps-teacher"),
}
"""Student and teacher of `STUDY` for files of one sensor alone."""

MEANINGS = {
    "image": "camera pictures",
    "power": "powers of the beams",
    "lidar": "laser scans",
    "radar": "radar",
    "gps": "position of the vehicle",
    "base": "position of the base station",
    "label": "best beam",
    "sequence": "number of the sequence",
    "split": "train, val or test",
    "condition": "day, night or rain",
}
"""Descriptions of columns."""

app = typer.Typer(
    help="Inspect measured data before a sweep reads them.",
    epilog="Example: kdsweep data inspect scenario9",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def data(context: typer.Context) -> None:
    """Inspect measured data before a sweep reads them."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog="Example: kdsweep data inspect scenario9 --sensors image,radar --json")
def inspect(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            callback=at_home,
            help="Folder of a DeepSense 6G scenario, or its CSV; file or folder of channels; "
            "scenario folder of DeepMIMO v4.",
        ),
    ],
    as_json: Json = False,
    sensors: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Sensors of windows, from image,radar,lidar,gps; default: image and radar if "
            "there are files, else gps, else lidar.",
        ),
    ] = None,
) -> None:
    """Show the content of measured data, its defects, and what can be trained on it.

    Reads tables, small files and channels whole, and the heads of pictures, cubes and scans.
    """
    from kdtasks.csi_feedback.data.channel_inspect import holds_channels

    if holds_channels(path):
        from sweeps.cli.channels import inspect_channels

        raise typer.Exit(0 if inspect_channels(path, sensors, as_json=as_json) else NOT_USABLE)
    from kdtasks.sensing.deepsense.inspect import inspect as inspect_folder
    from sweeps.cli.output import show_json

    names = None if sensors is None else tuple(name.strip() for name in sensors.split(","))
    found = inspect_folder(path, sensors=names)
    if as_json:
        show_json(found.as_dict())
    else:
        _show(found)
    if found.problem:
        raise typer.Exit(NOT_USABLE)


def _show(found: "Inspection") -> None:
    from analysis.format import plural
    from sweeps.cli.output import line, plain_table, show

    line(f"{', '.join(found.tables)}: {found.frames} frames in {found.sequences} sequences")
    line(f"a row of the table is {'a frame' if found.layout == 'frames' else 'a window of frames'}")
    for note in found.notes:
        line(note)
    line()
    rows = [
        (
            MEANINGS.get(meaning, meaning),
            columns,
            f"{found.files[meaning]} of {found.needed[meaning]}" if meaning in found.files else "–",
        )
        for meaning, columns in found.columns.items()
    ]
    show(plain_table(("what", "column", "usable files"), rows))
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
    _show_windows(found)


def _show_windows(found: "Inspection") -> None:
    from sweeps.cli.output import dict_table, line, show

    where = ", one at every frame where one fits" if found.layout == "frames" else ""
    line(f"windows with {' and '.join(found.sensors) or 'beams alone'}{where}:")
    splits = [
        {
            "split": name,
            "sequences": split.sequences,
            "frames": split.frames,
            "windows": split.windows,
            "different beams": sum(count > 0 for count in split.labels),
            "most frequent beam": _most(split.labels),
            "slots without a known beam": split.unknown,
        }
        for name, split in found.splits.items()
    ]
    if splits:
        show(dict_table(splits))
    line(
        f"left out: {found.without_sensor} windows without data of a sensor, "
        f"{found.without_label} without a known beam"
    )
    if len(set(found.alone.values())) > 1:
        alone = ", ".join(f"{sensor} {count}" for sensor, count in found.alone.items())
        line(f"windows with one sensor alone: {alone}")
    if found.problem:
        line(f"cannot be trained on: {found.problem}")
        return
    published = "; of windows published for val and test it takes all"
    line(
        "a study takes one of every window_stride windows: with 2 every second"
        f"{published if found.layout == 'windows' else ''}"
    )
    command = next_command(found.path, found.sensors, powers="power" in found.alone)
    line(f"can be trained on: {command}")


def next_command(path: str, sensors: Sequence[str], *, powers: bool = True) -> str:
    """Return the command that trains on files whose windows have ``sensors``, at least one.

    With ``powers`` windows can look back on powers as well.
    """
    words = ["kdsweep", "run", STUDY, "--data", path]
    if {"image", "radar"} <= set(sensors):
        return shlex.join(words)
    sensor = next(kind for kind in ("image", "radar", "gps", "lidar") if kind in sensors)
    if sensor == "lidar" or (sensor == "gps" and powers):
        return shlex.join(["kdsweep", "run", OTHER_STUDIES[sensor], "--data", path])
    student, teacher = ALONE[sensor]
    changes = {
        "parameters.sensors": sensor,
        "space.model.values": f"[{student}]",
        "space.teacher.values": f"[{teacher}]",
        "search.points.0.model": student,
    }
    return shlex.join([*words, *(f"--set={name}={value}" for name, value in changes.items())])


def _most(labels: list[int]) -> str:
    best = max(range(len(labels)), key=lambda beam: labels[beam])
    return f"{best} ({labels[best] / sum(labels):.0%})" if sum(labels) else "–"
