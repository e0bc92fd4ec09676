"""A teacher that is trained already, from a file: in every task with a teacher."""

import csi_examples
import mimo_trials
import numpy as np
import pytest
import torch
from csi_examples import drained, silent
from safetensors.torch import save_file
from two_networks import Clusters, Net

from kdtasks.contract.errors import ConfigError, DataError
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


def test_each_system_takes_one_for_a_trained_one(system, tmp_path):
    trials, data, trained, params = system
    file = tmp_path / "teacher.pt"
    state = {name: torch.from_numpy(array) for name, array in trained.weights.items()}
    saved(file, state)
    given = {**params, "teacher_weights": str(file)}
    reports, found = drained(trials.TASK.train_teacher(trials.tiny(**given), data.train, data.val))
    assert len(reports) == 1
    assert found.metrics["train_core_seconds"] == 0.0
    assert found.metrics.items() <= trained.metrics.items() | {("train_core_seconds", 0.0)}
    for one, other in ((found.weights, trained.weights), (found.outputs, trained.outputs)):
        drawn = {name for name in one if name.startswith("importance/")}  # from new channel uses
        assert all(np.array_equal(one[name], other[name]) for name in one.keys() - drawn)
    _, same = trials.trained_student(data, found, **given)
    _, ours = trials.trained_student(data, trained, **params)
    assert all(np.array_equal(array, ours.weights[name]) for name, array in same.weights.items())
    # Its content decides what it is, and what would train it has no effect.
    whole = trials.TASK.complete(trials.tiny(**given))
    fingerprints = {trials.TASK.teacher_fingerprint(one) for one in (trials.tiny(**params), whole)}
    saved(file, {**state, next(iter(state)): next(iter(state.values())) + 1})
    assert trials.TASK.teacher_fingerprint(whole) not in fingerprints
    assert len(fingerprints) == 2
    assert not {"teacher_epochs", "stream_steps"} & whole.keys()


def test_crnet_of_other_sizes_is_refused_tensor_by_tensor(tiny_data, tmp_path):
    other = csi_examples.trained_teacher(tiny_data, method="encoder-kd", compression=8)
    file = saved(tmp_path / "crnet.pth", {n: torch.from_numpy(a) for n, a in other.weights.items()})
    params = csi_examples.tiny(method="encoder-kd", teacher_weights=file)
    with pytest.raises(DataError) as refused:
        drained(csi_examples.TASK.train_teacher(params, tiny_data.train, tiny_data.val))
    assert str(refused.value) == (
        f"weights of {file} do not fit Autoencoder: "
        "encoder.dense.weight is [16, 128], the network has [32, 128]; "
        "encoder.dense.bias is [16], the network has [32]; "
        "decoder.dense.weight is [128, 16], the network has [128, 32]"
    )


@pytest.mark.parametrize(
    ("task", "params", "words"),
    [
        (csi_examples.TASK, {"method": "encoder-kd", "topology": "decentralized",
                             "num_teachers": 2}, "num_teachers=2 .*trained here"),
        (mimo_trials.TASK, {"method": "learngene", "gene_rule": "weight-change"},
         "gene_rule='weight-change'.*take gene_rule position"),
    ],
)  # fmt: skip
def test_what_needs_a_training_is_refused_beside_a_file(task, params, words):
    with pytest.raises(ConfigError, match=words):
        task.complete({**params, "teacher_weights": "teacher.pt"})


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
