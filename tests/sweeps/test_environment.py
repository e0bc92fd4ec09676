"""What the machines of a cluster are told and sent."""

import sysconfig
from pathlib import Path

import sweeps
from sweeps.environment import ONE_THREAD, PACKAGES, WORKER_SETTINGS, modules_to_send

OURS = {Path(sweeps.__file__).parent.parent / package for package in PACKAGES}


def test_a_task_of_the_project_needs_the_project() -> None:
    assert set(modules_to_send("csi-feedback", "")) == OURS


def test_a_task_of_the_users_own_is_sent_with_what_it_may_import(tmp_path: Path) -> None:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    for name in ("task.py", "helper.py", "notes.txt"):
        (tmp_path / name).touch()
    in_package = modules_to_send("package.inner:Task", str(tmp_path))
    assert set(in_package) - OURS == {tmp_path / "package"}
    beside = modules_to_send("task:Task", str(tmp_path))
    assert set(beside) - OURS == {tmp_path / "task.py", tmp_path / "helper.py"}


def test_a_task_that_was_installed_is_not_sent() -> None:
    assert set(modules_to_send("theirs:Task", sysconfig.get_path("purelib"))) == OURS


def test_every_worker_computes_with_one_thread() -> None:
    assert set(ONE_THREAD.items()) <= set(WORKER_SETTINGS.items())
    assert set(ONE_THREAD.values()) == {"1"}
