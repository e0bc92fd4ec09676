"""A MLflow that does not answer costs a sweep seconds, and its word is never lost or overdone."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import pytest
from in_process import Engine, Watching
from mlflow import MlflowClient
from toy_study import toy_study

from kdtasks.contract.errors import UserError
from sweeps.progress.state import Utilisation
from sweeps.run.phases import Sweep, drive
from sweeps.tracking.double_entry import PAUSE_S
from sweeps.tracking.writer import Tracker

TRIES = 2
"""Connections that one request takes which nobody answers."""


class SilentServer:
    """Accepts connections, counts them and says nothing."""

    def __init__(self) -> None:
        self.connections = 0
        self._held: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]

    @contextmanager
    def serving(self) -> Iterator["SilentServer"]:
        taker = threading.Thread(target=self._take)
        taker.start()
        try:
            yield self
        finally:
            with closing(self._listening):
                self._listening.shutdown(socket.SHUT_RDWR)
            taker.join()
            for connection in self._held:
                connection.close()

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._held.append(connection)
            self.connections += 1


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentServer]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(TRIES - 1))
    with SilentServer().serving() as server:
        yield server


def engine_at(server: SilentServer, home: Path, display: Watching) -> Engine:
    engine = Engine(toy_study(), home, display)
    client = MlflowClient(tracking_uri=f"http://user:s3cret@127.0.0.1:{server.port}")
    engine.recorder.tracker = Tracker(client, "0", "abc")
    return engine


class Stopped:
    """A sweep that the user stops before anything else happens."""

    def __init__(self, engine: Engine) -> None:
        self.recorder, self.utilisation = engine.recorder, Utilisation(1, engine.clock)
        self.display = Watching()

    def searched(self) -> str:
        return ""

    def work_left(self) -> bool:
        raise KeyboardInterrupt


def test_a_silent_server_is_waited_for_once_and_not_by_every_trial(
    tmp_path: Path, silent: SilentServer
) -> None:
    display = Watching()
    engine = engine_at(silent, tmp_path, display)
    with engine.recorder.deferring():
        engine.teach()
        engine.search()
    assert silent.connections == TRIES
    [note] = display.notes
    assert "written at the end" in note
    assert "s3cret" not in note
    with pytest.raises(UserError, match="resume continues it") as error:  # Ctrl-C
        drive(cast("Sweep", Stopped(engine)))
    assert silent.connections == TRIES
    assert "complete" not in str(error.value)
    with pytest.raises(UserError, match="complete sweep is in") as error:
        engine.recorder.settle(Utilisation(1, engine.clock))  # at its own end it asks again
    assert silent.connections == 2 * TRIES
    assert "s3cret" not in str(error.value)


def test_a_server_that_falls_silent_is_waited_for_once_after_ctrl_c(
    tmp_path: Path, silent: SilentServer
) -> None:
    engine = engine_at(silent, tmp_path, Watching())
    with pytest.raises(UserError, match="resume continues it"):
        drive(cast("Sweep", Stopped(engine)))
    assert silent.connections == TRIES


def test_by_default_a_request_takes_ten_seconds_at_most() -> None:
    timeout_s = int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    assert timeout_s * (1 + int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])) <= 10


def test_after_a_pause_mlflow_is_written_again_and_at_the_end_everything(tmp_path: Path) -> None:
    display = Watching()
    engine = Engine(toy_study(), tmp_path, display)
    engine.tracker.broken = True
    engine.recorder.attach("environment.json", {"cores": 2})
    engine.tracker.broken = False
    engine.teach()
    assert not engine.tracker.children
    engine.clock.now_s += PAUSE_S
    engine.search()
    assert len(engine.tracker.children) == 8
    engine.recorder.settle(Utilisation(1, engine.clock))
    assert len(engine.tracker.children) == 8 + 1
    assert list(engine.tracker.texts) == ["environment.json", "failures.json"]
    assert engine.tracker.ended == ["FINISHED"]
    assert len(display.notes) == 1


def test_a_report_that_cannot_be_attached_stays_in_the_folder(tmp_path: Path) -> None:
    display = Watching()
    engine = Engine(toy_study(), tmp_path, display)
    engine.tracker.broken = True
    engine.recorder.attach_report([tmp_path / "report.html"])
    [note] = display.notes
    assert "the report is in the sweep's folder" in note


def test_a_study_that_could_not_be_attached_is_at_the_end(tmp_path: Path) -> None:
    engine = Engine(toy_study(), tmp_path)
    engine.tracker.broken = True
    engine.recorder.attach_file(engine.folder.study)
    engine.tracker.broken = False
    engine.recorder.settle(Utilisation(1, engine.clock))
    assert engine.tracker.attached == [engine.folder.study]
