"""`kdsweep export`: writes a student's files and compares their scores with the sweep's."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis import format as text
from analysis.best import find_best, parse_budget
from analysis.frames import SweepFrames
from kdtasks.contract.error_text import printable
from kdtasks.contract.errors import ConfigError, UserError
from sweeps.cli.output import line, plain_table, show, show_json, shown_path
from sweeps.cli.sweeps import known_uri
from sweeps.export.export import Exported, ExportedPart, Exporter, OnnxFile
from sweeps.export.model_card import CARD, results, write_card
from sweeps.export.records import recording
from sweeps.export.selection import knee_of
from sweeps.ledger.paths import SweepFolder
from sweeps.progress.events import Display
from sweeps.tracking.read import sweep_frames

EXPORT_DIR = "export"
"""Default folder of a sweep's exported students."""

NETWORKS = ("network", "parameters", "kB", "largest difference", "median", "95th percentile")
SCORES = ("test split", "PyTorch", "ONNX", "8 bit", "the sweep, mean ± 95 %")


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A finished export; ``unrecorded`` is why it is not in the sweep's records, empty if it is."""

    exported: Exported
    frames: SweepFrames
    folder: Path
    unrecorded: str


def note(words: str) -> None:
    """Print a note that is not part of the result."""
    sys.stderr.write(f"{printable(words)}\n")


def chosen(frames: SweepFrames, trial: int | None, at_most: Sequence[str]) -> int:
    """Return the trial to export: by default the front's knee, within limits as in kdsweep best.

    Raises:
        ConfigError: If a trial and limits are given, or no trial is within the limits.
    """
    if not at_most:
        return knee_of(frames) if trial is None else trial
    if trial is not None:
        raise ConfigError(
            f"--trial {trial} and --max {at_most[0]}: --max chooses the trial; leave one out"
        )
    return find_best(frames, [parse_budget(one, "max") for one in at_most]).chosen.trial


def run_export(
    folder: Path,
    tracking_uri: str | None,
    trial: int | None,
    out: Path | None,
    *,
    at_most: Sequence[str] = (),
    int8: bool,
) -> Done:
    """Write the `chosen` student with its card, and record its measurements.

    The files are kept even if they cannot be recorded, because the sweep runs or MLflow does not
    answer; the result has the reason.
    """
    frames = sweep_frames(folder)
    number = chosen(frames, trial, at_most)
    where = out or folder / EXPORT_DIR / f"trial-{number}"
    sweep = SweepFolder(folder)
    exported = Exporter(sweep, Display().data_progress).export(number, where, int8=int8)
    if not exported.trial.sha256:
        note(f"no hash recorded of trial {number} (an older version): its weights are unchecked")
    path, unrecorded = write_card(exported, frames, where), ""
    try:
        with recording(sweep, known_uri(folder, tracking_uri), note) as recorder:
            recorder.enter(exported, path)
    except UserError as error:
        unrecorded = str(error)
    return Done(exported=exported, frames=frames, folder=where, unrecorded=unrecorded)


def show_export(done: Done, *, as_json: bool) -> None:
    """Print the written files and their scores."""
    exported, where = done.exported, done.folder
    if as_json:
        show_json({**described(exported, where), "unrecorded": done.unrecorded})
        return
    line(f"trial {exported.trial.number} of {done.frames.name}, in {shown_path(where)}")
    line()
    show(plain_table(NETWORKS, [row for part in exported.parts for row in _part_rows(part)]))
    line()
    show(plain_table(SCORES, results(exported, done.frames)))
    line()
    line(f"card:      {shown_path(where / CARD)}")
    if done.unrecorded:
        line(f"not in the sweep's records: {done.unrecorded}")


def _part_rows(part: ExportedPart) -> list[tuple[str, ...]]:
    files = {part.name: part.onnx, f"{part.name}, 8 bit": part.int8}
    return [
        (
            name,
            text.number(part.params),
            f"{file.path.stat().st_size / 1e3:.0f}",
            f"{file.difference:.1e}",
            f"{file.latency.median_ms:.3f} ms",
            f"{file.latency.p95_ms:.3f} ms",
        )
        for name, file in files.items()
        if file is not None
    ]


def described(exported: Exported, where: Path) -> dict[str, object]:
    """Return all results of an export as plain data."""
    return {
        "trial": exported.trial.number,
        "folder": str(where),
        "parts": [
            {
                "name": part.name,
                "weights": part.weights.name,
                "params": part.params,
                "onnx": _file(part.onnx),
                "int8": None if part.int8 is None else _file(part.int8),
            }
            for part in exported.parts
        ],
        "test": dict(exported.scores),
        "test_onnx": dict(exported.onnx_scores),
        "test_int8": None if exported.int8_scores is None else dict(exported.int8_scores),
    }


def _file(file: OnnxFile) -> dict[str, object]:
    return {
        "file": file.path.name,
        "bytes": file.path.stat().st_size,
        "largest_difference": file.difference,
        "latency_ms": file.latency.median_ms,
        "latency_p95_ms": file.latency.p95_ms,
    }
