"""What nodes do with beam students: limits of every step, and what it is counted as."""

import numpy as np
import pytest
from beam_network_examples import (
    DATA,
    assert_same,
    differ,
    learnt,
    networked,
    random_guidance,
    silenced,
    taught,
    trained_on,
)
from beam_trials import TASK, tiny
from csi_examples import drained

from kdtasks.beam_tracking.methods.batches import windows_of
from kdtasks.beam_tracking.methods.job import run
from kdtasks.beam_tracking.settings import resolve
from kdtasks.beam_tracking.students import restored
from kdtasks.sensing.ownership import taken, windows_together

METHODS = ("vanilla", "response", "feature", "relation")


def text(method, teacher):
    return None if method == "vanilla" else teacher


# --- learn ---


@pytest.mark.parametrize("method", METHODS)
def test_learning_at_the_server_is_a_lone_trial_on_its_share(beam_shares, beam_expert, method):
    # In one epoch there is nothing to select, which nodes without a validation split cannot do.
    ours = learnt(networked(method=method), beam_shares.server, text(method, beam_expert))
    lone = tiny(method=method, teacher="image-radar-teacher", sensors="image radar gps")
    lone |= {"train_passages": 16, "epochs": 1, "batch_chunks": 2}
    if method == "vanilla":
        del lone["teacher"]
    alone = TASK.train_student(lone, beam_shares.server, DATA.val, text(method, beam_expert))
    assert_same(ours.weights, drained(alone)[1].weights)
    assert not ours.server_part_moved


def test_nodes_have_random_streams_of_their_own(beam_shares):
    params = networked("decentralized")
    one, same, other = (
        learnt(params, beam_shares.edges[0], stream_name=stream_name).weights
        for stream_name in ("edge-0", "edge-0", "edge-1")
    )
    assert_same(one, same)
    assert differ(one, other)


def test_a_teacher_without_outputs_runs_once_over_what_is_new(beam_shares, beam_expert):
    params = networked(method="response")
    known = learnt(params, beam_shares.server, beam_expert)
    queried = learnt(params, beam_shares.server, silenced(beam_expert))
    assert known.work.teacher_samples == 0
    assert queried.work.teacher_samples == len(beam_shares.server["label"])
    assert queried.work.flops > known.work.flops
    for name, message in queried.teacher_outputs.items():
        np.testing.assert_allclose(message, beam_expert.outputs[name], atol=1e-4)
    more = windows_together(beam_shares.server, beam_shares.edges[0])
    uploaded, count = learnt(params, more, beam_expert), len(beam_shares.server["label"])
    assert uploaded.work.teacher_samples == len(beam_shares.edges[0]["label"])
    for name, message in uploaded.teacher_outputs.items():
        np.testing.assert_array_equal(message[:count], beam_expert.outputs[name])
        assert len(message) == len(more["label"])


def test_no_node_has_too_few_windows_for_a_batch():
    few = taken(DATA.train, np.arange(3), ["image"])
    result = learnt(networked("decentralized", batch_chunks=64), few, stream_name="edge-0")
    assert result.work.flops > 0.0
    assert differ(result.weights, learnt(networked(), few, stream_name="edge-1").weights)


# --- train on ---


def test_no_weight_is_no_guidance_and_some_weight_is_some(beam_student, beam_shares):
    params, edge = networked("semi-centralized"), beam_shares.edges[0]
    plain = trained_on(params, beam_student, edge)
    guidance = random_guidance(beam_shares.server)
    assert_same(plain.weights, trained_on(params, beam_student, edge, guidance).weights)
    guided = trained_on(params, beam_student, edge, guidance, guidance_weight=0.5)
    assert differ(plain.weights, guided.weights)
    assert guided.work.flops > 1.5 * plain.work.flops


def test_full_weight_is_no_label_and_no_labelled_picture(beam_student, beam_shares):
    params, edge = networked("semi-centralized"), dict(beam_shares.edges[0])
    guidance = random_guidance(beam_shares.server)
    one = trained_on(params, beam_student, edge, guidance, guidance_weight=1.0)
    edge["label"] = (edge["label"] + 7) % 64
    edge["mask"] = 1 - edge["mask"]
    other = trained_on(params, beam_student, edge, guidance, guidance_weight=1.0)
    assert_same(one.weights, other.weights)
    guidance = random_guidance(beam_shares.server, seed=1)
    assert differ(
        one.weights, trained_on(params, beam_student, edge, guidance, guidance_weight=1.0).weights
    )


def test_what_others_state_is_imitated(beam_student, beam_shares):
    params, edge = (
        networked("semi-centralized", temperature=2.0, anchor_weight=1.0),
        beam_shares.edges[0],
    )
    guidance = random_guidance(edge)
    guidance.outputs["logits"][..., 5] = 9.0

    def likes_beam_5(weights):
        logits = TASK.outputs(params, weights, edge)[0]["logits"]
        return (logits[..., 5] - logits.mean(-1)).mean()

    how = {"epochs": 8, "rate": 2e-2}
    alone, guided = (
        trained_on(params, beam_student, edge, guidance, guidance_weight=weight, **how).weights
        for weight in (0.0, 1.0)
    )
    assert likes_beam_5(guided) > likes_beam_5(beam_student) + 1.0
    assert likes_beam_5(guided) > likes_beam_5(alone) + 1.0


def test_without_weights_a_student_starts_anew(beam_shares):
    params, edge = networked("self", rounds=1), beam_shares.edges[0]
    one, same, other = (
        trained_on(params, {}, edge, stream_name=stream_name).weights
        for stream_name in ("e 1", "e 1", "e 2")
    )
    assert_same(one, same)
    assert differ(one, other)


def test_what_was_received_is_not_written_to(beam_student, beam_shares):
    arrays = [*beam_student.values(), *beam_shares.edges[0].values()]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    guidance = random_guidance(beam_shares.edges[0])
    trained_on(networked("self"), beam_student, beam_shares.edges[0], guidance, guidance_weight=0.5)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


# --- logits ---


def test_outputs_are_the_logits_that_are_scored(beam_student, beam_shares):
    samples = beam_shares.edges[0]
    message, work = TASK.outputs(networked(), beam_student, samples)
    for name, spec in TASK.output_tensors(networked()).items():
        assert spec.misfit(message[name]) == ""
    best = (message["logits"].argmax(-1) == samples["label"]).mean()
    lone = TASK.evaluate(tiny(sensors="image radar gps"), beam_student, samples)
    assert lone["top1"] == pytest.approx(100.0 * best)
    assert work.flops > 0.0
    assert work.peak_bytes == 0.0


def test_a_blend_is_the_geometric_mean_of_softened_answers_at_any_temperature():
    rng = np.random.default_rng(0)
    voices = [{"logits": rng.normal(size=(5, 4, 64)).astype(np.float32)} for _ in range(3)]
    blend = TASK.blend(networked(), voices)["logits"].astype(np.float64)
    for temperature in (1.0, 4.0):

        def soft(logits, temperature=temperature):
            powers = np.exp(logits.astype(np.float64) / temperature)
            return powers / powers.sum(-1, keepdims=True)

        product = np.prod([soft(voice["logits"]) for voice in voices], axis=0) ** (1 / 3)
        expected = product / product.sum(-1, keepdims=True)
        np.testing.assert_allclose(soft(blend), expected, rtol=1e-5)
    assert_same(TASK.blend(networked(), voices[:1]), voices[0])


# --- teachers ---


def test_a_servers_teacher_knows_the_servers_share_alone(beam_shares, beam_expert):
    params = networked(method="response")
    assert len(beam_expert.outputs["logits"]) == len(beam_shares.server["label"])
    mine = np.isin(DATA.train["passage"], beam_shares.server["passage"])
    foreign = {**DATA.train, "label": np.where(mine[:, None], DATA.train["label"], 3)}
    again = drained(TASK.train_teacher(params, foreign, DATA.val))[1]
    assert_same(again.weights, beam_expert.weights)
    network = restored(resolve(params), beam_expert.weights, teacher=True)
    windows = windows_of(beam_shares.server, ("image", "radar"))
    np.testing.assert_array_equal(run(network, windows)[0].outputs, beam_expert.outputs["logits"])


def test_several_teachers_are_trained_from_seeds_of_their_own():
    params = networked("decentralized", method="feature", num_teachers=2)
    both = taught(params)
    one, other = (TASK.teacher_of(params, both, number) for number in range(2))
    assert differ(one.weights, other.weights)
    alone = networked("decentralized", method="feature")
    scores = [TASK.evaluate_teacher(alone, t.weights, DATA.val)["top5"] for t in (one, other)]
    found = TASK.evaluate_teacher(params, both.weights, DATA.val)["top5"]
    assert found == pytest.approx(np.mean(scores))
    assert TASK.teacher_of(alone, one, 0) is one


def test_what_training_leaves_does_not_depend_on_the_validation_split(beam_shares):
    with pytest.raises(AssertionError, match="nodes of a network"):
        drained(TASK.train_student(networked(), DATA.train, DATA.val, None))
    reports, _ = drained(
        TASK.learn(networked(epochs=2), beam_shares.server, None, server_part=True, stream_name="")
    )
    assert [report.epoch for report in reports] == [1, 2]
    assert not any(name.startswith("val_") for report in reports for name in report.metrics)
