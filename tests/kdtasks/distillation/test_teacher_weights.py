"""A teacher that is trained already, from a file."""

import numpy as np
import pytest
import torch
from csi_examples import drained, silent
from safetensors.torch import save_file
from two_networks import Clusters, Net

from kdtasks.contract.errors import DataError
from kdtasks.data.weight_files import read_weights
from sweeps.plan.contract import broken_laws


@pytest.fixture
def teacher():
    return Net(32)


def saved(path, state):
    torch.save(state, path)
    return str(path)


def trained_by(file):
    task = Clusters()
    params = task.complete({"teacher_weights": file})
    data = task.load_scenario(params, cache_dir=None, progress=silent)
    return drained(task.train_teacher(params, data.train, data.val))[1], data


@pytest.mark.parametrize("kind", ["safetensors", "pt", "checkpoint.pth"])
def test_a_teacher_is_read_and_judged_and_not_trained(kind, teacher, tmp_path):
    file, state = tmp_path / f"teacher.{kind}", teacher.state_dict()
    if kind == "safetensors":
        save_file(state, file)
    else:
        torch.save(state if kind == "pt" else {"state_dict": state, "epoch": 3}, file)
    found, data = trained_by(str(file))
    assert all(np.array_equal(found.weights[name], state[name].numpy()) for name in state)
    with torch.no_grad():
        outputs = teacher.eval()(torch.from_numpy(data.val["x"]))
    right = (outputs.argmax(-1).numpy() == data.val["y"]).mean()
    assert found.metrics["val_accuracy"] == pytest.approx(100 * right, abs=1e-4)
    assert found.metrics["train_core_seconds"] == 0.0
    assert len(found.outputs["outputs"]) == len(data.train["y"])


def test_it_keeps_the_contract(teacher, tmp_path):
    params = {"epochs": 1, "teacher_weights": saved(tmp_path / "t.pt", teacher.state_dict())}
    assert broken_laws("two_networks:Clusters", params, tmp_path) == []


def test_every_tensor_that_does_not_fit_is_named_with_both_shapes(tmp_path):
    state = Net(31).state_dict()
    state["extra"] = state.pop("head.bias")
    with pytest.raises(DataError) as refused:
        trained_by(saved(tmp_path / "t.pt", state))
    for words in (
        "t.pt do not fit Net",
        "body.0.weight is [31, 2], the network has [32, 2]",
        "body.0.bias is [31], the network has [32]",
        "head.weight is [5, 31], the network has [5, 32]",
        "head.bias is missing",
        "extra is left over",
    ):
        assert words in str(refused.value)


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": Evil()}, "damaged or truncated"),
        ([1, 2], "holds no state dict"),
        ({"a": "text"}, "holds no state dict"),
    ],
)
def test_a_file_of_something_else_is_refused_and_runs_nothing(content, words, tmp_path, capsys):
    with pytest.raises(DataError, match=words):
        trained_by(saved(tmp_path / "t.pt", content))
    assert "executed" not in capsys.readouterr().out


def test_missing_damaged_and_infinite_weights_are_refused(teacher, tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_weights(tmp_path / "none.pt")
    (tmp_path / "t.safetensors").write_bytes(b"nothing of that kind")
    with pytest.raises(DataError, match="damaged or truncated"):
        read_weights(tmp_path / "t.safetensors")
    state = {**teacher.state_dict(), "head.bias": torch.full((5,), torch.inf)}
    with pytest.raises(DataError, match=r"head\.bias has values that are NaN"):
        trained_by(saved(tmp_path / "t.pt", state))


def test_what_would_train_it_has_no_effect_then():
    assert "teacher_epochs" not in Clusters().complete({"teacher_weights": "t.pt"})
    assert "teacher_weights" not in Clusters().complete(
        {"method": "vanilla", "teacher_weights": "t.pt"}
    )


def test_a_file_counts_by_its_content_and_not_by_its_place(teacher, tmp_path):
    def print_of(file):
        return Clusters().teacher_fingerprint({"teacher_weights": str(file)})

    one, other = tmp_path / "one.pt", tmp_path / "other.pt"
    saved(one, teacher.state_dict())
    other.write_bytes(one.read_bytes())
    before = print_of(one)
    assert print_of(other) == before
    saved(one, Net(32).state_dict())
    assert print_of(one) != before
    with pytest.raises(DataError, match=r"gone\.pt: there is no such file"):
        print_of(tmp_path / "gone.pt")
