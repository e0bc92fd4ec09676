"""The file of results says what the ledger says, and is never read where it does not."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from in_process import Engine
from toy_study import toy_study

from analysis import layout
from analysis.results_file import read_runs, write_runs
from kdtasks.contract.errors import DataError
from kdtasks.data.reading import file_sha256
from sweeps.progress.events import Display
from sweeps.progress.state import Utilisation
from sweeps.tracking.read import sweep_frames
from sweeps.tracking.results import differences


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A sweep whose results were written while it ran and at its end."""
    engine = Engine(toy_study(budget={"trials": 4}), tmp_path / "home")
    engine.teach()
    engine.recorder.attach(layout.PROVENANCE_FILE, {"toy": {"synthetic": True}})
    engine.search()
    engine.confirm()
    engine.recorder.settle(Utilisation(1, engine.clock))
    return engine


def shown(folder: Path) -> dict[str, str]:
    frames = sweep_frames(folder)
    return {name: str(getattr(frames, name)) for name in frames.__dataclass_fields__}


def is_read(engine: Engine) -> bool:
    return read_runs(engine.folder.results, file_sha256(engine.folder.journal)) is not None


def test_file_and_ledger_give_the_same(engine: Engine) -> None:
    assert is_read(engine)
    assert list(differences(engine.folder, engine.ledger)) == []
    before = shown(engine.folder.path)
    engine.folder.results.unlink()
    assert shown(engine.folder.path) == before
    assert "synthetic" in before["provenance"]
    frames = sweep_frames(engine.folder.path)
    assert (len(frames.trials), len(frames.teachers)) == (4, 1)
    assert len(frames.confirmations) > 0
    assert frames.metrics["trials_complete"] == (frames.trials["state"] == "COMPLETE").sum()


@pytest.mark.parametrize("kind", ["stale", "cut", "text", "pipe", "folder", "other table"])
def test_another_file_is_not_read(engine: Engine, kind: str) -> None:
    path, before = engine.folder.results, shown(engine.folder.path)
    if kind == "stale":  # a driver was killed between ledger and file
        known = engine.ledger.sweep
        engine.ledger.put_sweep(replace(known, texts={**known.texts, "x": "y"}))
    elif kind == "other table":
        pq.write_table(pq.read_table(path).drop(["texts"]), path)
    elif kind in ("cut", "text"):
        path.write_bytes(path.read_bytes()[:-100] if kind == "cut" else b"PAR1" * 100)
    else:
        path.unlink()
        os.mkfifo(path) if kind == "pipe" else path.mkdir()
    assert not is_read(engine)
    assert shown(engine.folder.path) == before
    named = str(path) in "".join(differences(engine.folder, engine.ledger))
    assert named == (kind != "stale")


def test_verify_names_what_the_file_has_differently(engine: Engine) -> None:
    path = engine.folder.results
    runs = read_runs(path, None, all_curves=True)
    assert runs is not None
    number = next(n for n, run in enumerate(runs) if run.name == "trial 1")
    changed = replace(runs[number], metrics={**runs[number].metrics, "ue_flops": 1.0})
    write_runs(path, [*runs[:number], changed, *runs[number + 2 :]], "")
    found = list(differences(engine.folder, engine.ledger))
    assert any(line.startswith("trial/1: metrics:") for line in found)
    assert any(line.startswith("trial/2: ") for line in found)
    assert not any(line.startswith("trial/0") for line in found)


def test_a_full_disk_costs_the_file_and_not_the_sweep(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    notes: list[str] = []
    monkeypatch.setattr("sweeps.tracking.results.write_runs", full)
    monkeypatch.setattr(Display, "note", lambda _, text: notes.append(text))
    before = engine.folder.results.read_bytes()
    engine.recorder.write_results()
    assert any(str(engine.folder.results) in note for note in notes)
    assert engine.folder.results.read_bytes() == before
    assert [path.name for path in engine.folder.path.glob(".*part")] == []


def test_texts_of_older_versions_are_found_beside_mlflows_database(engine: Engine) -> None:
    known = engine.ledger.sweep
    engine.ledger.put_sweep(replace(known, texts={}, started_ms=None))
    place = engine.folder.path / "artifacts" / "0123" / "artifacts"
    place.mkdir(parents=True)
    (place / layout.ENVIRONMENT_FILE).write_text(json.dumps({"cores": 3}))
    frames = sweep_frames(engine.folder.path)
    assert (frames.environment, frames.provenance, frames.wall_time_s) == ({"cores": 3}, {}, None)
    (place / layout.PROVENANCE_FILE).symlink_to("/etc/passwd")
    with pytest.raises(DataError, match=layout.PROVENANCE_FILE):
        sweep_frames(engine.folder.path)
