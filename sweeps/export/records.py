"""What an export leaves in the records: numbers in the ledger, numbers and files in MLflow."""

import platform
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from analysis import layout
from kdtasks.data.reading import file_sha256
from kdtasks.learning.onnx_export import RUNTIME
from sweeps.common.clock import SystemClock
from sweeps.common.interrupts import Interrupts
from sweeps.common.records import ArtifactRecord, ExportRecord
from sweeps.export.export import Exported, ExportedPart, OnnxFile
from sweeps.export.mlflow_models import Models, place_of
from sweeps.export.model_card import MLMODEL, mlmodel
from sweeps.ledger.journal import mend_tail
from sweeps.ledger.launch_settings import followed, read_settings, write_settings
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.process_lock import driving
from sweeps.mirror.restore import kept
from sweeps.tracking.runs import trial_key

CPU_INFO = Path("/proc/cpuinfo")
"""Where Linux names the processor."""


def numbers_of(exported: Exported) -> dict[str, float]:
    """Return what was measured of an exported student, by the name of a metric.

    A sample passes through all networks of a node, so their medians are added; 95 % quantiles
    cannot be, and are told per network where there are several. Of several nodes it is the mean,
    as that of other costs; so it is of several networks of which one runs.
    """
    parts = exported.parts
    latency_ms, size = _of_node(exported, {part.name: part.onnx for part in parts})
    found = {layout.ONNX_LATENCY: latency_ms, layout.ONNX_BYTES: size}
    small = {part.name: part.int8 for part in parts if part.int8 is not None}
    if small:
        found["onnx_int8_latency_ms"], found["onnx_int8_bytes"] = _of_node(exported, small)
    if len(parts) == 1:
        return {**found, "onnx_latency_p95_ms": parts[0].onnx.latency.p95_ms}
    for part in parts:
        found[f"onnx_{part.name}_latency_ms"] = part.onnx.latency.median_ms
        found[f"onnx_{part.name}_latency_p95_ms"] = part.onnx.latency.p95_ms
    return found


def _of_node(exported: Exported, files: Mapping[str, OnnxFile]) -> tuple[float, float]:
    """Return latency [ms] and bytes of a node, the mean over nodes."""
    nodes = [[files[name] for name in chain] for chain in exported.chains]
    latency = [sum(file.latency.median_ms for file in node) for node in nodes]
    if exported.one_runs:
        latency = [total / len(node) for total, node in zip(latency, nodes, strict=True)]
    size = [sum(file.path.stat().st_size for file in node) for node in nodes]
    return sum(latency) / len(nodes), sum(size) / len(nodes)


def measured_on() -> str:
    """Return what runs exported networks here: runtime, threads, processor, machine."""
    model = platform.machine()
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
                break
    return f"{RUNTIME}, one thread, {model}, {socket.gethostname()}"


class ExportRecorder:
    """Enters exports into the records of one sweep; the ledger first, as everything."""

    def __init__(self, ledger: Ledger, models: Models) -> None:
        self.models = models
        self._ledger = ledger

    def measured(self) -> dict[int, ExportRecord]:
        """Return what is known of exported students, by trial."""
        return self._ledger.exports()

    def enter(self, exported: Exported, card: Path) -> ExportRecord:
        """Enter an exported student.

        Raises:
            UserError: If ledger or MLflow cannot be written to.
        """
        record = ExportRecord(
            trial=exported.trial.number,
            metrics=numbers_of(exported),
            measured_on=measured_on(),
            exported_ms=SystemClock().epoch_ms(),
        )
        self._ledger.put_export(record)
        with tempfile.TemporaryDirectory() as scratch:
            files = _files(exported.parts, card, Path(scratch))
            for folder, paths in files.items():
                for path in paths:
                    self._note(record.trial, f"{place_of(folder)}/{path.name}", path)
            self.models.attach(record, exported.splits, files)
        return record

    def _note(self, trial: int, path: str, file: Path) -> None:
        key = trial_key(trial)
        self._ledger.put_artifact(ArtifactRecord(run=key, path=path, sha256=file_sha256(file)))


def _files(
    parts: Sequence[ExportedPart], card: Path, scratch: Path
) -> Mapping[str, Sequence[Path]]:
    """Return what MLflow is given, by folder: a network of several has one of its own."""
    found: dict[str, list[Path]] = {"": [card]}
    for part in parts:
        described = scratch / part.name / MLMODEL
        described.parent.mkdir()
        described.write_text(mlmodel(part), encoding="utf-8")
        files = [described, part.onnx.path, part.weights]
        files += [part.int8.path] if part.int8 is not None else []
        found.setdefault(part.name if len(parts) > 1 else "", []).extend(files)
    return found


@contextmanager
def recording(
    folder: SweepFolder, tracking_uri: str | None, note: Callable[[str], None]
) -> Iterator[ExportRecorder]:
    """Open the records of a sweep for exports, as its one driver.

    Args:
        folder: The sweep.
        tracking_uri: Where MLflow has its runs; None for the database in its folder.
        note: Tells the user something about the copy in storage, if there is one.

    Raises:
        UserError: If another process drives the sweep, or its records cannot be written to.
    """
    settings = replace(read_settings(folder.path), tracking_uri=tracking_uri)
    with driving(folder.path), kept(settings.storage, folder, note, Interrupts()):
        if (now := followed(settings, folder.path)) != settings:
            write_settings(folder.path, now)
        mend_tail(folder.journal)
        yield ExportRecorder(Ledger.open(folder.journal), Models.open(folder, tracking_uri))
