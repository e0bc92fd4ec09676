"""What the methods of beam tracking add to a training, and what they leave alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from beam_trials import DISTILLING, METHODS, TASK, tiny, trained_student, trained_teacher
from csi_examples import drained

from kdtasks.beam_tracking.methods import job as beam_job
from kdtasks.beam_tracking.methods.batches import windows_of
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.beam_tracking.settings import resolve
from kdtasks.beam_tracking.students import student_job, teacher_job
from kdtasks.contract.errors import DataError
from kdtasks.learning.jobs import train
from kdtasks.learning.labels import IGNORED
from kdtasks.learning.random import drawing_from, torch_generator


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    cache = tmp_path_factory.mktemp("beams")
    return TASK.load_scenario(tiny(), cache_dir=cache, progress=lambda *_: None)


@pytest.fixture(scope="module")
def teacher(data):
    return trained_teacher(data, method="response")


@pytest.fixture(scope="module")
def before(data):
    """The generation that teaches, for self-distillation."""
    return trained_teacher(data, method="self")


@pytest.fixture(scope="module")
def vanilla(data):
    return trained_student(data)


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)


@pytest.mark.parametrize("method", DISTILLING)
def test_without_weight_a_method_is_vanilla_bit_for_bit(data, teacher, before, vanilla, method):
    taught = before if method == "self" else teacher
    reports, outcome = trained_student(data, taught, method=method, alpha=0.0)
    assert_same(outcome.weights, vanilla[1].weights)
    assert reports == vanilla[0]


def test_relations_without_weights_are_vanilla_at_any_alpha(data, teacher, vanilla):
    none = {"relation_distance": 0.0, "relation_angle": 0.0}
    _, outcome = trained_student(data, teacher, method="relation", alpha=0.7, **none)
    assert_same(outcome.weights, vanilla[1].weights)


@pytest.mark.parametrize("method", DISTILLING)
def test_with_full_weight_labels_do_not_matter(data, teacher, before, method):
    taught = before if method == "self" else teacher
    turned = {**data.train, "label": 63 - data.train["label"]}
    other = replace(data, train=turned)
    _, one = trained_student(data, taught, method=method, alpha=1.0)
    _, two = trained_student(other, taught, method=method, alpha=1.0)
    assert_same(one.weights, two.weights)
    _, labelled = trained_student(data, taught, method=method, alpha=0.5)
    assert any(
        not np.array_equal(labelled.weights[name], one.weights[name]) for name in one.weights
    )


@pytest.mark.parametrize("method", DISTILLING)
def test_the_teacher_is_not_run_while_a_student_is_trained(
    data, teacher, before, method, monkeypatch
):
    taught = before if method == "self" else teacher
    taught = replace(taught, weights={})  # nothing that could be run
    seen = set()
    original = BeamNetwork.gathered

    def gathered(network, *inputs):
        seen.add(id(network))
        return original(network, *inputs)

    monkeypatch.setattr(BeamNetwork, "gathered", gathered)
    _, outcome = trained_student(data, taught, method=method)
    assert len(seen) == 1
    assert outcome.metrics["teacher_forward_samples"] == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_student_whatever_was_drawn_before(
    data, teacher, before, method
):
    taught = {"vanilla": None, "self": before}.get(method, teacher)
    torch.manual_seed(1)
    reports, outcome = trained_student(data, taught, method=method, seed=5)
    torch.manual_seed(2)
    torch.rand(3)
    state = torch.get_rng_state()
    again = trained_student(data, taught, method=method, seed=5)
    assert_same(again[1].weights, outcome.weights)
    assert again[0] == reports
    assert torch.equal(torch.get_rng_state(), state)


def test_another_seed_gives_another_student(data, vanilla):
    _, other = trained_student(data, seed=1)
    assert any(
        not np.array_equal(array, other.weights[name]) for name, array in vanilla[1].weights.items()
    )


def test_what_a_teacher_states_is_queried_window_by_window(data, teacher):
    # In the order of the windows, of predicted slots, in evaluation mode.
    params = resolve(tiny(method="response"))
    windows = windows_of(data.train, ("image",))
    job, _ = teacher_job(params, 0, windows, windows, None)
    network = job.network
    network.load_state_dict({k: torch.tensor(v) for k, v in teacher.weights.items()})
    chosen = torch.tensor([5, 40, 2])
    with torch.no_grad():
        outputs = network.eval().gathered(*windows.gathered(chosen)).predicted()
    for name, part in (("logits", 0), ("features", 2)):
        assert teacher.outputs[name].shape == (len(windows), 4, 64)
        ours = torch.from_numpy(teacher.outputs[name][chosen.numpy()])
        torch.testing.assert_close(ours, outputs[part], rtol=1e-4, atol=1e-5)


def test_the_best_epoch_is_kept_and_the_first_of_equals(data):
    # A rate this high destroys what was learnt, so that the last epoch is seldom the best.
    reports, outcome = trained_student(data, epochs=6, learning_rate=0.05)
    by_epoch = [report.metrics["val_top2"] for report in reports]
    assert outcome.metrics["val_top2"] == max(by_epoch)
    best = reports[by_epoch.index(max(by_epoch))].metrics
    assert outcome.metrics["val_top5_t3"] == best["val_top5_t3"]


def test_a_narrow_student_learns_features_through_a_projection_that_is_dropped(data, teacher):
    settings = resolve(tiny(method="feature", width=0.5))
    windows = windows_of(data.train, ("image",))
    job, _ = student_job(settings, windows, windows, teacher)
    (mapping,) = job.modules
    start = mapping.linear.weight.detach().clone()
    drained(train(job))
    assert not torch.equal(mapping.linear.weight, start)
    _, outcome = trained_student(data, teacher, method="feature", width=0.5)
    assert outcome.weights.keys() == {name for name, _ in job.network.state_dict().items()}
    same = resolve(tiny(method="feature"))
    assert student_job(same, windows, windows, teacher)[0].modules == ()


def test_generations_learn_from_the_one_before(data):
    windows = windows_of(data.train, ("image",))
    settings = resolve(tiny(method="self"))
    _, first = drained(train(teacher_job(settings, 0, windows, windows, None)[0]))
    outputs, _ = beam_job.run(first.network, windows)
    reports, _ = drained(train(teacher_job(settings, 1, windows, windows, outputs)[0]))
    assert all("train_distill_loss" in report.metrics for report in reports)


def test_unknown_labels_train_nothing(data):
    # A window of which no slot is known must not change what is learnt from the task's loss alone.
    label = data.train["label"].copy()
    label[:] = IGNORED
    blind = replace(data, train={**data.train, "label": label})
    _, outcome = trained_student(blind, epochs=1)
    _, start = trained_student(blind, epochs=1, learning_rate=1.0)
    for name, array in outcome.weights.items():
        if "running" not in name and "num_batches" not in name:
            np.testing.assert_array_equal(array, start.weights[name])


def test_too_few_windows_are_refused_with_what_to_change(data):
    with pytest.raises(DataError, match=r"batch_chunks=500 is more than the .* chunks"):
        trained_student(data, batch_chunks=500)


def test_dropout_draws_from_the_generator_it_is_given():
    def draws():
        return torch.nn.functional.dropout(torch.ones(64), 0.5)

    torch.manual_seed(0)
    before = torch.get_rng_state()
    generator = torch_generator(3, "dropout")
    with drawing_from(generator):
        one = draws()
    with drawing_from(generator):
        two = draws()
    assert not torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)
    again = torch_generator(3, "dropout")
    with drawing_from(again):
        assert torch.equal(torch.cat([one, two]), torch.cat([draws(), draws()]))
