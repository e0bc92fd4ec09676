"""Tasks whose students cannot be exported: one line, with the fix, once."""

from pathlib import Path

import pytest
import torch
from deployed_toy import DeployedToy
from in_process import Engine
from torch import nn
from toy_study import toy_study

from kdtasks.contract.deployable import Deployable
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays
from sweeps.cli.register import _line
from sweeps.export import export
from sweeps.export.export import Exporter
from sweeps.export.registration import Member
from sweeps.progress.events import Display


class Parent(DeployedToy):
    def deployable(self, params: dict[str, object], weights: Arrays) -> Deployable:
        layers = nn.Sequential(*[nn.Linear(2, 2) for _ in range(60)])
        layers.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
        raise AssertionError


class Child(Parent):
    """Other students, and no ``deployable`` for them."""


def sweep(home: Path, task: str) -> Engine:
    engine = Engine(toy_study(task=task, budget={"trials": 1}), home)
    engine.teach()
    engine.search()
    return engine


def test_a_task_without_deployable_is_refused_once_with_the_fix(tmp_path: Path) -> None:
    engine = sweep(tmp_path, "toy_task:ToyTask")
    with pytest.raises(ConfigError, match=r"task toy .*method deployable.*docs/own-task\.md"):
        Exporter(engine.folder, Display().data_progress)


def test_a_deployable_of_another_class_is_named_in_few_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sweep(tmp_path, "deployed_toy:DeployedToy")
    monkeypatch.setattr(export, "open_task", lambda _: Child())
    exporter = Exporter(engine.folder, Display().data_progress)
    with pytest.raises(ConfigError) as raised:
        exporter.export(0, tmp_path / "out", int8=False)
    message = str(raised.value)
    assert "Parent.deployable" in message
    assert "Child inherits it" in message
    assert len(message) < 400


def test_a_repeated_reason_is_printed_once() -> None:
    first = Member(trial=3, aliases=(), reason="it has two students")
    assert _line(first, None) == "trial 3: not registered: it has two students"
    assert _line(Member(trial=5, aliases=(), reason=first.reason), first).endswith("as trial 3")
