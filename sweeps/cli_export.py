"""`kdsweep export`: choose a student, write it, say whether the files give its numbers."""

import json
from pathlib import Path

from analysis import format as text
from analysis.frames import SweepFrames, read_sweep
from analysis.fronts import front_trials
from analysis.pareto import knee
from analysis.ranking import objective_values
from kdtasks.errors import ConfigError
from sweeps.cli_output import line, plain_table, show, shown_path
from sweeps.cli_sweeps import database_uri
from sweeps.export import Exported, ExportedPart, export_student
from sweeps.folder import SweepFolder
from sweeps.model_card import card, results

CARD = "model-card.md"
NETWORKS = ("network", "parameters", "kB", "largest difference", "median", "95 %")
SCORES = ("test split", "PyTorch", "ONNX", "8 bit", "the sweep, mean ± 95 %")


def run_export(
    folder: Path, tracking_uri: str | None, trial: int | None, out: Path | None, *, int8: bool
) -> tuple[Exported, SweepFrames, Path]:
    """Write a student and its card.

    Args:
        folder: Folder of the sweep.
        tracking_uri: MLflow server with the runs; None for where the sweep has them.
        trial: Its number; None for the knee of the front.
        out: Where to; None for a folder in the sweep's.
        int8: Write networks with 8-bit weights, too.
    """
    frames = read_sweep(database_uri(folder, tracking_uri), folder.name)
    number = knee_of(frames) if trial is None else trial
    where = out or folder / "export" / f"trial-{number}"
    exported = export_student(
        SweepFolder(folder), number, where, int8=int8, progress=lambda _done, _total, _unit: None
    )
    (where / CARD).write_text(card(exported, frames), encoding="utf-8")
    return exported, frames, where


def knee_of(frames: SweepFrames) -> int:
    """Return the trial at the knee of the front.

    Raises:
        ConfigError: If there is no front.
    """
    front = front_trials(frames)
    if not len(front):
        raise ConfigError(f"sweep {frames.name} has no front yet; name a --trial")
    index = knee(objective_values(front, frames.study), frames.study.objectives)
    return int(front.iloc[index]["number"])


def show_export(exported: Exported, frames: SweepFrames, where: Path, *, as_json: bool) -> None:
    """Print what was written and what it gives."""
    if as_json:
        line(json.dumps(described(exported, where), indent=2))
        return
    line(f"trial {exported.trial.number} of {frames.name}, in {shown_path(where)}")
    line()
    show(plain_table(NETWORKS, [_part_row(part) for part in exported.parts]))
    line()
    show(plain_table(SCORES, results(exported, frames)))
    line()
    line(f"card:      {shown_path(where / CARD)}")


def _part_row(part: ExportedPart) -> tuple[str, ...]:
    return (
        part.name,
        text.number(part.params),
        f"{part.onnx.stat().st_size / 1e3:.0f}",
        f"{part.difference:.1e}",
        f"{part.latency.median_ms:.3f} ms",
        f"{part.latency.p95_ms:.3f} ms",
    )


def described(exported: Exported, where: Path) -> dict[str, object]:
    """Return all numbers of an export as plain data."""
    return {
        "trial": exported.trial.number,
        "folder": str(where),
        "parts": [
            {
                "name": part.name,
                "onnx": part.onnx.name,
                "weights": part.weights.name,
                "int8": None if part.int8 is None else part.int8.name,
                "params": part.params,
                "bytes": part.onnx.stat().st_size,
                "largest_difference": part.difference,
                "latency_ms": part.latency.median_ms,
                "latency_p95_ms": part.latency.p95_ms,
            }
            for part in exported.parts
        ],
        "test": dict(exported.scores),
        "test_onnx": dict(exported.onnx_scores),
        "test_int8": None if exported.int8_scores is None else dict(exported.int8_scores),
    }
