"""What nodes do with CSI students: limits of every step, and what it is counted as."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from csi_examples import METHODS, TASK, drained, tiny, trained_student
from csi_network_examples import assert_same, learnt, networked, trained_on

from kdtasks.contract.collaboration import Guidance, Work
from kdtasks.contract.task import TeacherArtifact
from kdtasks.csi_feedback.methods.ip_encoder_kd.pairs import quantise
from kdtasks.csi_feedback.settings import resolve
from kdtasks.csi_feedback.students import make_decoder
from kdtasks.learning.tensors import load_state


def part(weights, prefix):
    return {name: array for name, array in weights.items() if name.startswith(prefix)}


def silenced(teacher):
    return TeacherArtifact(metrics={}, weights=teacher.weights, outputs={})


# --- learn ---


@pytest.mark.parametrize("method", ["vanilla", "autoencoder-kd", "encoder-kd"])
def test_learning_at_the_server_is_a_lone_trial_on_its_share(
    network_data, shares, server_teacher, method
):
    teacher = None if method == "vanilla" else server_teacher
    ours = learnt(networked(method=method), shares.server, teacher)
    alone = replace(network_data, train=shares.server)
    _, lone = trained_student(alone, teacher, method=method)
    assert_same(ours.weights, lone.weights)
    assert ours.server_part_moved


@pytest.mark.parametrize(
    ("method", "moved"), [("vanilla", True), ("autoencoder-kd", True), ("encoder-kd", False)]
)
def test_an_edge_leaves_the_teachers_decoder_alone(shares, server_teacher, method, moved):
    params = networked("decentralized", method=method)
    teacher = None if method == "vanilla" else silenced(server_teacher)
    result = learnt(params, shares.edges[0], teacher, server_part=False, stream_name="edge-0")
    assert result.server_part_moved is moved
    if not moved:
        assert_same(part(result.weights, "decoder."), part(server_teacher.weights, "decoder."))
        free = learnt(params, shares.edges[0], teacher, stream_name="edge-0")
        assert free.server_part_moved
        with pytest.raises(AssertionError):
            assert_same(part(free.weights, "decoder."), part(result.weights, "decoder."))


@pytest.mark.parametrize("method", ["autoencoder-kd", "encoder-kd"])
def test_a_teacher_without_outputs_runs_once(shares, server_teacher, method):
    params = networked(method=method)
    text = learnt(params, shares.server, server_teacher)
    queried = learnt(params, shares.server, silenced(server_teacher))
    count = len(shares.server["pictures"])
    assert text.work.teacher_samples == 0
    assert queried.work.teacher_samples == count
    assert queried.work.flops > text.work.flops
    for name, message in queried.teacher_outputs.items():  # so that nobody has to ask again
        np.testing.assert_allclose(message, server_teacher.outputs[name], atol=1e-5)
    longer = learnt({**params, "epochs": 3, "encoder_epochs": 3}, shares.server, queried_of(params))
    assert longer.work.teacher_samples == count


def queried_of(params):
    """A teacher of random weights that has said nothing."""
    specs = TASK.teacher_tensors(params)
    rng = np.random.default_rng(0)
    weights = {
        name: np.asarray(rng.uniform(0.1, 0.2, spec.shape)).astype(spec.dtype)
        for name, spec in specs.items()
    }
    return TeacherArtifact(metrics={}, weights=weights, outputs={})


def test_of_uploaded_samples_only_the_new_ones_are_shown_to_the_teacher(shares, server_teacher):
    more = {"pictures": np.concatenate([shares.server["pictures"], shares.edges[0]["pictures"]])}
    result = learnt(networked(method="encoder-kd"), more, server_teacher)
    assert result.work.teacher_samples == len(shares.edges[0]["pictures"])


def test_a_batch_is_no_larger_than_what_a_node_has(shares):
    few = {"pictures": shares.edges[0]["pictures"][:7]}
    result = learnt(networked("decentralized"), few, stream_name="edge-0")
    forward = result.work.flops / (3 * 7 * 2)
    full = learnt(networked("decentralized"), shares.edges[0], stream_name="edge-0")
    steps = len(shares.edges[0]["pictures"]) // 40
    assert full.work.flops / (3 * steps * 40 * 2) == pytest.approx(forward)


# --- train_on ---


def test_full_weight_is_no_label(student, shares):
    message, _ = TASK.outputs(networked(), student.weights, shares.server)
    guidance = Guidance(samples=shares.server, outputs=message)
    turned = {"pictures": np.ascontiguousarray(shares.edges[0]["pictures"][:, ::-1])}
    one, other = (
        trained_on(student.weights, labelled, guidance, guidance_weight=1.0).weights
        for labelled in (shares.edges[0], turned)
    )
    assert_same(one, other)


def test_the_servers_part_stays_if_it_is_to(student, shares):
    kept = trained_on(student.weights, shares.edges[0], server_part=False)
    assert_same(part(kept.weights, "decoder."), part(student.weights, "decoder."))
    assert not kept.server_part_moved
    whole = trained_on(student.weights, shares.edges[0])
    assert whole.server_part_moved
    assert kept.work.flops < whole.work.flops


# --- soft outputs ---


def test_outputs_score_what_the_student_scores(student, shares):
    message, work = TASK.outputs(networked(), student.weights, shares.edges[0])
    truth = shares.edges[0]["pictures"]
    error = np.square(message["pictures"] - truth).sum((1, 2, 3), dtype=np.float64)
    ratio = (error / np.square(truth - 0.5).sum((1, 2, 3), dtype=np.float64)).mean()
    lone = TASK.evaluate(tiny(), student.weights, shares.edges[0])
    assert lone["nmse_db"] == pytest.approx(10 * np.log10(ratio), abs=1e-4)
    assert message["pictures"].flags.c_contiguous
    assert work.flops > 0.0
    assert work.peak_bytes == 0.0


def test_a_blend_is_the_mean_and_of_one_voice_itself():
    rng = np.random.default_rng(0)
    voices = [{"pictures": rng.random((5, 2, 8, 8)).astype(np.float32)} for _ in range(3)]
    blend = TASK.blend(networked(), voices)["pictures"]
    mean = np.mean([voice["pictures"].astype(np.float64) for voice in voices], axis=0)
    np.testing.assert_allclose(blend, mean, rtol=1e-6)
    assert_same(TASK.blend(networked(), voices[:1]), voices[0])


# --- pairs ---

IP = {"topology": "decentralized", "method": "ip-encoder-kd"}
SEQUENTIAL = {"topology": "decentralized", "method": "sequential", "encoder": "crnet"}


def test_the_teachers_pairs_are_its_codewords(shares, server_teacher):
    params = networked(**IP)
    known, free = TASK.pair_knowledge(params, server_teacher, shares.server)
    np.testing.assert_array_equal(known["codewords"], server_teacher.outputs["codewords"])
    assert free.flops == 0.0
    queried, work = TASK.pair_knowledge(params, silenced(server_teacher), shares.server)
    np.testing.assert_allclose(queried["codewords"], known["codewords"], atol=1e-5)
    assert work.flops > 0.0


def test_both_halves_of_sequential_training_make_the_lone_trial(
    network_data, shares, server_teacher
):
    params = networked(**SEQUENTIAL)
    pairs, _ = TASK.pair_knowledge(params, server_teacher, shares.server)
    _, edge = drained(TASK.learn_pairs(params, shares.server, pairs, stream_name=""))
    alone = replace(network_data, train=shares.server)
    _, lone = trained_student(alone, server_teacher, method="sequential", encoder="crnet")
    assert_same(edge.weights, part(lone.weights, "encoder."))
    assert TASK.answer_pairs(params, edge.weights, shares.edges[0]) == ({}, Work())


@pytest.mark.parametrize("bits", [0, 6])
def test_pairs_teach_an_encoder_and_its_pairs_a_decoder(shares, server_teacher, bits):
    params = networked(**IP)
    pairs, _ = TASK.pair_knowledge(params, server_teacher, shares.server)
    if bits:
        pairs = {"codewords": quantise(torch.tensor(pairs["codewords"]), bits).numpy()}
    reports, edge = drained(TASK.learn_pairs(params, shares.server, pairs, stream_name="edge-1"))
    assert edge.weights.keys() == TASK.tensors(params, "edge").keys()
    assert not edge.server_part_moved
    answer, _ = TASK.answer_pairs(params, edge.weights, shares.edges[1])
    more, server = drained(
        TASK.adopt(params, server_teacher, shares.edges[1], answer, stream_name="adopt edge-1")
    )
    assert server.weights.keys() == TASK.tensors(params, "server").keys()
    assert server.server_part_moved
    epochs = [report.epoch for report in (*reports, *more)]
    assert epochs == list(range(1, TASK.planned_epochs(params) + 1))
    assert {report.epochs for report in (*reports, *more)} == {len(epochs)}


@pytest.mark.parametrize("method", METHODS[:3])
def test_epochs_are_as_planned(shares, server_teacher, method):
    teacher = None if method == "vanilla" else server_teacher
    params = networked(method=method)
    reports, _ = drained(
        TASK.learn(params, shares.server, teacher, server_part=True, stream_name="")
    )
    assert [r.epoch for r in reports] == list(range(1, TASK.planned_epochs(params) + 1))
    assert not any(name.startswith("val_") for report in reports for name in report.metrics)


# --- rehearsal ---


def test_made_up_samples_are_decoded_codewords_and_nobodys(student, shares):
    params = networked("semi-centralized")
    statistics, _ = TASK.synthesis(params, student.weights, shares.server)
    for name, spec in TASK.statistics_tensors(params).items():
        assert spec.misfit(statistics[name]) == ""
    made, work = TASK.synthesise(params, student.weights, statistics, 50, stream_name="edge-0")
    for name, spec in TASK.sample_tensors(params, shares.server).items():
        assert spec.misfit(made[name]) == ""
    assert len(made["pictures"]) == 50
    assert work.flops > 0.0
    own = shares.server["pictures"].reshape(1, -1, 128)
    distance = np.abs(made["pictures"].reshape(50, 1, 128) - own).max(axis=2)
    assert distance.min() > 1e-4
    again, _ = TASK.synthesise(params, student.weights, statistics, 50, stream_name="edge-0")
    other, _ = TASK.synthesise(params, student.weights, statistics, 50, stream_name="edge-1")
    assert_same(made, again)
    assert not np.array_equal(made["pictures"], other["pictures"])


def test_without_variance_a_made_up_sample_is_the_mean_codeword_decoded(student):
    params = networked("semi-centralized")
    mean = np.linspace(-1, 1, 32, dtype=np.float32)
    statistics = {"mean": mean, "covariance": np.zeros((32, 32), np.float32)}
    made, _ = TASK.synthesise(params, student.weights, statistics, 2, stream_name="edge-0")
    decoder = make_decoder(resolve(params)).eval()
    load_state(decoder, student.weights, "decoder.")
    with torch.no_grad():
        expected = decoder(torch.tensor(mean)[None])[0]
    np.testing.assert_allclose(made["pictures"][0], expected, atol=1e-6)
