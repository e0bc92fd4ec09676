"""Records of exports: metrics in the ledger, metrics and files in MLflow."""

import platform
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from sweeps.ledger.journal import repair_tail
from sweeps.ledger.launch_settings import followed, read_settings, write_settings
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.process_lock import driving
from sweeps.mirror.restore import kept
from sweeps.tracking.results import write_results
from sweeps.tracking.runs import trial_key

CPU_INFO = Path("/proc/cpuinfo")
"""File in which Linux names the processor."""


def numbers_of(exported: Exported) -> dict[str, float]:
    """Return the measurements of an exported student, by metric name.

    A sample passes through all networks of a node, so their medians are added; 95 % quantiles do
    not add up and are given per network. Several nodes are averaged, as for other costs, and so are
    several networks of which only one runs.
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
    """Return latency [ms] and size [byte] of a node, averaged over nodes."""
    nodes = [[files[name] for name in chain] for chain in exported.chains]
    latency = [sum(file.latency.median_ms for file in node) for node in nodes]
    if exported.one_runs:
        latency = [total / len(node) for total, node in zip(latency, nodes, strict=True)]
    size = [sum(file.path.stat().st_size for file in node) for node in nodes]
    return sum(latency) / len(nodes), sum(size) / len(nodes)


def measured_on() -> str:
    """Describe the present runtime of exported networks: library, threads, processor, machine."""
    model = platform.machine()
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
                break
    return f"{RUNTIME}, one thread, {model}, {socket.gethostname()}"


@dataclass(frozen=True)
class ExportRecorder:
    """Records exports of one sweep, in the ledger first; this process is its only writer."""

    ledger: Ledger
    models: Models

    def enter(self, exported: Exported, card: Path) -> ExportRecord:
        """Record an exported student with its model card.

        Raises:
            UserError: If ledger or MLflow cannot be written to.
        """
        record = ExportRecord(
            trial=exported.trial.number,
            metrics=numbers_of(exported),
            measured_on=measured_on(),
            exported_ms=SystemClock().epoch_ms(),
        )
        self.ledger.put_export(record)
        run = trial_key(record.trial)
        with tempfile.TemporaryDirectory() as scratch:
            files = _files(exported.parts, card, Path(scratch))
            for folder, paths in files.items():
                for path in paths:
                    place, sha256 = f"{place_of(folder)}/{path.name}", file_sha256(path)
                    self.ledger.put_artifact(ArtifactRecord(run=run, path=place, sha256=sha256))
            self.models.attach(record, exported.inputs, files)
        return record


def _files(
    parts: Sequence[ExportedPart], card: Path, scratch: Path
) -> Mapping[str, Sequence[Path]]:
    """Return the files for MLflow, by folder; several networks have one each."""
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
    """Open the records of a sweep for exports, as its only driver; ``note`` informs the user.

    Raises:
        UserError: If another process drives the sweep, or its records cannot be written.
    """
    settings = replace(read_settings(folder.path), tracking_uri=tracking_uri)
    with driving(folder.path), kept(settings.storage, folder, note, Interrupts()):
        if (now := followed(settings, folder.path)) != settings:
            write_settings(folder.path, now)
        repair_tail(folder.journal)
        ledger = Ledger.open(folder.journal)
        yield ExportRecorder(ledger, Models.open(folder, tracking_uri))
        write_results(folder, ledger)
