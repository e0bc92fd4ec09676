import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from csi_examples import DISTILLING, METHODS, TASK, drained, tiny, trained_student, trained_teacher

from kdtasks.contract.task import TeacherArtifact
from kdtasks.csi_feedback.methods import autoencoder_kd, codeword_kd, encoder_kd, vanilla
from kdtasks.csi_feedback.methods import job as csi_job
from kdtasks.csi_feedback.methods.codewords import normalised_mse
from kdtasks.csi_feedback.methods.ip_encoder_kd import method as ip
from kdtasks.csi_feedback.methods.job import Job, Plan, Teacher
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.models.crnet import CRNetDecoder, CRNetEncoder
from kdtasks.csi_feedback.models.light_encoder import LightEncoder, LightShape
from kdtasks.csi_feedback.settings import resolve
from kdtasks.csi_feedback.students import method_of
from kdtasks.csi_feedback.workload import forward_flops
from kdtasks.learning.random import initialised, torch_generator
from kdtasks.learning.tensors import as_tensor
from kdtasks.learning.training import run_frozen

TIMES = {"train_core_seconds", "distill_core_seconds", "finetune_core_seconds", "ue_latency_ms"}
"""Metrics that no seed decides."""

PLAN = Plan(
    epochs=2,
    encoder_epochs=2,
    finetune_epochs=1,
    batch_size=40,
    learning_rate=1e-2,
    finetune_rate=2e-3,
    alpha=0.7,
    temperature=5.0,
    paper_scale=False,
    pair_bits=0,
    codeword_loss=normalised_mse,
)

EPOCHS = dict.fromkeys(METHODS, 2) | {"encoder-kd": 3, "ip-encoder-kd": 3}


def teacher(seed=0, pictures=None):
    network = initialised(
        seed, "teacher", lambda: Autoencoder(CRNetEncoder(8, 8, 32), CRNetDecoder(8, 8, 32))
    )
    if pictures is None:
        return Teacher(network)
    codewords = run_frozen(network.eval().encoder, pictures)
    return Teacher(network, codewords, run_frozen(network.decoder, codewords))


def job_for(data, frozen, **plan):
    return Job(
        train_N2AC=as_tensor(data.train["pictures"]),
        val_N2AC=as_tensor(data.val["pictures"]),
        encoder=initialised(1, "encoder", lambda: LightEncoder(8, 8, 32, LightShape())),
        decoder=initialised(1, "decoder", lambda: CRNetDecoder(8, 8, 32)),
        teacher=frozen,
        plan=replace(PLAN, **plan),
        generator=torch_generator(1, "order"),
    )


def snapshot(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same(module, state):
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def assert_equal_weights(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def same_numbers(one, other):
    return all(one[name] == other[name] for name in one.keys() - TIMES)


def settings_for(method):
    """The teacher of sequential training has the student's encoder, which the fixture's has not."""
    return {"method": method, **({"encoder": "crnet"} if method == "sequential" else {})}


@pytest.mark.parametrize("method", ["autoencoder-kd", "feature", "relation"])
def test_alpha_zero_is_vanilla_bit_for_bit(tiny_data, tiny_teacher, method):
    _, plain = trained_student(tiny_data, method="vanilla", seed=3)
    reports, distilled = trained_student(tiny_data, tiny_teacher, method=method, alpha=0.0, seed=3)
    assert_equal_weights(plain.weights, distilled.weights)
    assert same_numbers(plain.metrics, distilled.metrics)
    assert reports[-1].metrics["val_nmse_db"] == plain.metrics["val_nmse_db"]


def test_alpha_zero_asks_the_teacher_nothing(tiny_data):
    frozen = teacher()
    drained(autoencoder_kd.train(job_for(tiny_data, frozen, alpha=0.0)))
    assert frozen.forward_samples == 0


def test_at_alpha_one_the_labels_term_has_no_influence(tiny_data, monkeypatch):
    def weights():
        frozen = teacher(pictures=as_tensor(tiny_data.train["pictures"]))
        job = job_for(tiny_data, frozen, alpha=1.0)
        return snapshot(drained(autoencoder_kd.train(job))[1].autoencoder)

    expected = weights()

    def broken(pictures, _outputs):
        return torch.full((len(pictures),), math.inf)

    monkeypatch.setattr(autoencoder_kd, "relative_errors", broken)
    for name, tensor in weights().items():
        assert torch.equal(tensor, expected[name])


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_alpha_weighs_the_distillation(tiny_data, alpha, monkeypatch):
    seen = []
    fit = csi_job.fit

    def listening(*args, **options):
        for epoch in fit(*args, **options):
            seen.append(epoch.terms)
            yield epoch

    monkeypatch.setattr(csi_job, "fit", listening)
    frozen = teacher(pictures=as_tensor(tiny_data.train["pictures"]))
    drained(autoencoder_kd.train(job_for(tiny_data, frozen, alpha=alpha)))
    for terms in seen:
        total = (1.0 - alpha) * terms["task"] + alpha * terms["distill"]
        assert terms["total"] == pytest.approx(total, rel=1e-5)
    assert len(seen) == PLAN.epochs


def test_temperature_and_scale_matter_only_to_autoencoder_kd(tiny_data, tiny_teacher):
    outcomes = [
        trained_student(tiny_data, tiny_teacher, method="autoencoder-kd", **changes)[1]
        for changes in ({}, {"temperature": 1.0}, {"soft_scale": "paper"})
    ]
    scores = {outcome.metrics["val_nmse_db"] for outcome in outcomes}
    assert len(scores) == 3


@pytest.mark.parametrize("method", DISTILLING)
@pytest.mark.parametrize("cached", [True, False])
def test_the_teachers_own_tensors_never_change(tiny_data, method, cached):
    train = method_of(resolve(tiny(method=method)))
    frozen = teacher(pictures=as_tensor(tiny_data.train["pictures"]) if cached else None)
    before = snapshot(frozen.autoencoder)
    training = train(job_for(tiny_data, frozen))
    for _ in training:
        assert_same(frozen.autoencoder, before)
        assert not any(module.training for module in frozen.autoencoder.modules())
    assert_same(frozen.autoencoder, before)
    for parameter in frozen.autoencoder.parameters():
        assert not parameter.requires_grad
        assert parameter.grad is None


@pytest.mark.parametrize("train", [encoder_kd.train, ip.train])
def test_the_decoder_is_the_teachers_until_the_fine_tune(tiny_data, train, monkeypatch):
    starts = []
    module = encoder_kd if train is encoder_kd.train else ip.bs
    fit = module.fit

    def listening(trained, *args, **options):
        trained = list(trained)
        starts.append(snapshot(trained[0]))
        yield from fit(trained, *args, **options)

    monkeypatch.setattr(module, "fit", listening)
    frozen = teacher(pictures=as_tensor(tiny_data.train["pictures"]))
    _, trained = drained(train(job_for(tiny_data, frozen)))
    (start,) = starts
    for name, tensor in snapshot(frozen.autoencoder.decoder).items():
        assert torch.equal(start.get(f"decoder.{name}", start.get(name)), tensor)
    # and after it, it is a decoder of its own
    assert trained.autoencoder.decoder is not frozen.autoencoder.decoder
    moved = trained.autoencoder.decoder.dense.weight
    assert not torch.equal(moved, frozen.autoencoder.decoder.dense.weight)


def test_sequential_training_uses_the_decoder_as_it_is(tiny_data):
    frozen = teacher(pictures=as_tensor(tiny_data.train["pictures"]))
    before = snapshot(frozen.autoencoder.decoder)
    _, trained = drained(ip.train_sequential(job_for(tiny_data, frozen)))
    assert_same(trained.autoencoder.decoder, before)


def test_the_ip_variant_leaves_the_finished_encoder_alone(tiny_data):
    # Step 3 trains the decoder on pairs; the encoder is the user equipment's.
    frozen = teacher(pictures=as_tensor(tiny_data.train["pictures"]))
    job = job_for(tiny_data, frozen)
    training = ip.train(job)
    for _ in range(PLAN.encoder_epochs):
        next(training)
    finished = snapshot(job.encoder)
    drained(training)
    assert_same(job.encoder, finished)


def test_encoder_kd_without_quantisation_learns_as_the_ip_variant_does(tiny_data):
    # Step 2 of section IV-C on unquantised pairs is eq. (11): the encoders are bit-equal.
    pictures = as_tensor(tiny_data.train["pictures"])
    states = []
    for train in (encoder_kd.train, ip.train):
        job = job_for(tiny_data, teacher(pictures=pictures))
        training = train(job)
        for _ in range(PLAN.encoder_epochs):
            next(training)
        states.append(snapshot(job.encoder))
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name])


def test_a_student_of_the_teachers_shape_can_learn_its_code(tiny_data):
    # Codewords of a linear code are learnt by a linear student, up to what Adam leaves.
    pictures = as_tensor(tiny_data.train["pictures"])
    linear = initialised(
        0,
        "linear",
        lambda: Autoencoder(LightEncoder(8, 8, 32, LightShape(depth=0)), CRNetDecoder(8, 8, 32)),
    )
    frozen = Teacher(linear, run_frozen(linear.encoder.eval(), pictures))
    job = replace(
        job_for(tiny_data, frozen, encoder_epochs=60, learning_rate=0.03),
        encoder=initialised(1, "x", lambda: LightEncoder(8, 8, 32, LightShape(depth=0))),
    )
    reports, _ = drained(encoder_kd.train(job))
    losses = [
        r.metrics["train_codeword_loss"] for r in reports if "train_codeword_loss" in r.metrics
    ]
    assert losses[-1] < 0.02 * losses[0]


@pytest.mark.parametrize("method", METHODS)
def test_reports_count_the_epochs_of_the_plan(tiny_data, tiny_teacher, method):
    artifact = None if method == "vanilla" else tiny_teacher
    reports, outcome = trained_student(tiny_data, artifact, **settings_for(method))
    count = EPOCHS[method]
    assert [report.epoch for report in reports] == list(range(1, count + 1))
    assert {report.epochs for report in reports} == {count}
    assert all(math.isfinite(v) for report in reports for v in report.metrics.values())
    if method != "sequential":
        assert reports[-1].metrics["val_nmse_db"] == outcome.metrics["val_nmse_db"]


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_numbers_other_seed_others(tiny_data, tiny_teacher, method):
    artifact = None if method == "vanilla" else tiny_teacher
    one, same, other = (
        trained_student(tiny_data, artifact, **settings_for(method), seed=seed)[1]
        for seed in (5, 5, 6)
    )
    assert_equal_weights(one.weights, same.weights)
    assert same_numbers(one.metrics, same.metrics)
    assert one.metrics["val_nmse_db"] != other.metrics["val_nmse_db"]


def test_global_random_numbers_do_not_reach_a_trial(tiny_data):
    outcomes = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        outcomes.append(trained_student(tiny_data, method="vanilla")[1])
    assert_equal_weights(outcomes[0].weights, outcomes[1].weights)


@pytest.mark.parametrize("method", DISTILLING)
def test_cached_outputs_spare_the_teacher_and_change_nothing(tiny_data, tiny_teacher, method):
    without = replace(tiny_teacher, outputs={})
    _, spared = trained_student(tiny_data, tiny_teacher, **settings_for(method))
    _, queried = trained_student(tiny_data, without, **settings_for(method))
    assert spared.metrics["teacher_forward_samples"] == 0.0
    assert queried.metrics["teacher_forward_samples"] == 240.0  # once each, whatever the epochs
    assert spared.metrics["val_nmse_db"] == pytest.approx(queried.metrics["val_nmse_db"], abs=1e-4)


@pytest.mark.parametrize("method", ["ip-encoder-kd", "sequential"])
@pytest.mark.parametrize("bits", [0, 4, 7])
def test_exchanged_bytes_by_their_formula(tiny_data, tiny_teacher, method, bits):
    _, outcome = trained_student(tiny_data, tiny_teacher, **settings_for(method), pair_bits=bits)
    numbers = 240 * (2 * 8 * 8 + 32)
    one_way = math.ceil(numbers * (bits or 32) / 8) + (4 * 4 if bits else 0)
    ways = 2 if method == "ip-encoder-kd" else 1
    assert outcome.metrics["exchange_bytes"] == ways * one_way


@pytest.mark.parametrize("method", ["feature", "relation"])
def test_codewords_of_teacher_and_student_may_differ_in_length(tiny_data, tiny_teacher, method):
    # A teacher that compresses to a quarter, and a student to an eighth.
    params = {"method": method, "compression": 8, "teacher_compression": 4}
    assert TASK.teacher_fingerprint(tiny(**params)) == TASK.teacher_fingerprint(tiny(method=method))
    _, outcome = trained_student(tiny_data, tiny_teacher, **params, alpha=0.5)
    _, plain = trained_student(tiny_data, method="vanilla", compression=8)
    assert outcome.weights.keys() == plain.weights.keys()  # a projection is dropped
    assert outcome.metrics["payload_bits"] == plain.metrics["payload_bits"]
    assert outcome.metrics["val_nmse_db"] != plain.metrics["val_nmse_db"]
    again = TASK.evaluate(tiny(**params), outcome.weights, tiny_data.val)
    assert again["nmse_db"] == pytest.approx(outcome.metrics["val_nmse_db"])
    teacher = TASK.evaluate_teacher(tiny(**params), tiny_teacher.weights, tiny_data.val)
    assert teacher["nmse_db"] == pytest.approx(tiny_teacher.metrics["val_nmse_db"])
    specs = TASK.teacher_tensors(TASK.complete(tiny(**params)))
    assert {name: spec.shape for name, spec in specs.items()} == {
        name: array.shape for name, array in tiny_teacher.weights.items()
    }


def test_relations_are_blind_to_a_rotation_of_the_code(tiny_data):
    # What feature distillation is not.
    pictures = as_tensor(tiny_data.train["pictures"])
    turned = initialised(0, "x", lambda: LightEncoder(8, 8, 32, LightShape(depth=0)))
    turned.convolutions = torch.nn.Identity()  # batch norm differs between training and use
    codewords = run_frozen(turned, pictures)
    rotation = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))[0]
    known = Teacher(teacher().autoencoder, 3.0 * codewords @ rotation.T)
    terms = {}
    for method in ("feature", "relation"):
        job = replace(job_for(tiny_data, known, learning_rate=1e-12, epochs=1), encoder=turned)
        settings = resolve(tiny(method=method, alpha=1.0))
        reports, _ = drained(codeword_kd.train(job, settings))
        terms[method] = reports[0].metrics["train_loss"]
    assert terms["relation"] < 1e-9
    assert terms["feature"] > 0.1


def test_core_seconds_add_up(tiny_data, tiny_teacher):
    metrics = trained_student(tiny_data, tiny_teacher, method="encoder-kd")[1].metrics
    stages = metrics["distill_core_seconds"] + metrics["finetune_core_seconds"]
    assert metrics["train_core_seconds"] == pytest.approx(stages)
    assert min(metrics["distill_core_seconds"], metrics["finetune_core_seconds"]) > 0.0


@pytest.mark.parametrize("method", METHODS)
def test_effort_is_that_of_all_stages(tiny_data, tiny_teacher, method):
    artifact = None if method == "vanilla" else replace(tiny_teacher, outputs={})
    _, outcome = trained_student(tiny_data, artifact, **settings_for(method))
    settings = resolve(tiny(**settings_for(method)))
    encoder, decoder = (forward_flops(settings, part) for part in ("encoder", "decoder"))
    both, code, end = 3 * (encoder + decoder), 3 * encoder, 3 * decoder
    flops = {
        **dict.fromkeys(("vanilla", "autoencoder-kd", "feature", "relation"), 2 * both),
        "encoder-kd": 2 * code + both,
        "ip-encoder-kd": 2 * code + encoder + end,
        "sequential": 2 * code,
    }
    found = outcome.metrics
    assert found["train_samples"] == 240 * EPOCHS[method]
    assert found["train_epochs"] == EPOCHS[method]
    assert found["train_gflop"] == pytest.approx(240e-9 * flops[method])
    queried = forward_flops(settings, "teacher encoder") + (method == "autoencoder-kd") * decoder
    assert found["teacher_forward_gflop"] == pytest.approx(
        240e-9 * queried * (method != "vanilla"), rel=1e-12
    )


def test_vanilla_without_a_teacher_is_the_same_loop(tiny_data):
    job = job_for(tiny_data, None)
    before = copy.deepcopy(job.encoder)
    reports, trained = drained(vanilla.train(job))
    assert len(reports) == PLAN.epochs
    assert not torch.equal(trained.autoencoder.encoder.dense.weight, before.dense.weight)


def test_sequential_training_of_a_light_pair(tiny_data):
    light = trained_teacher(tiny_data, method="sequential")
    assert light.metrics["ue_flops"] == TASK.cost(tiny(method="sequential"))["ue_flops"]
    _, outcome = trained_student(tiny_data, light, method="sequential")
    for name, array in light.weights.items():
        if name.startswith("decoder."):
            np.testing.assert_array_equal(outcome.weights[name], array)
    assert isinstance(light, TeacherArtifact)


@pytest.mark.parametrize("train", [encoder_kd.train, ip.train, ip.train_sequential])
def test_encoders_that_learn_codewords_are_judged_at_every_eighth(tiny_data, train):
    pictures = as_tensor(tiny_data.train["pictures"])
    frozen = teacher(pictures=pictures)
    before = {name: t.clone() for name, t in frozen.autoencoder.state_dict().items()}
    job = job_for(tiny_data, frozen, encoder_epochs=20, finetune_epochs=4)
    reports, seen = drained(train(job))
    first = [r for r in reports if "train_codeword_loss" in r.metrics]
    of = reports[0].epochs
    judged = [r.epoch for r in first if "val_nmse_db" in r.metrics]
    marks = [math.ceil(of * k / 8) for k in range(1, 8)]
    assert judged == [mark for mark in marks if mark <= 20]
    assert all(math.isfinite(r.metrics["val_nmse_db"]) for r in first if r.epoch in judged)
    # looking changes nothing
    unseen_job = replace(job_for(tiny_data, teacher(pictures=pictures)), val_N2AC=None)
    unseen_job = replace(unseen_job, plan=job.plan)
    _, unseen = drained(train(unseen_job))
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            seen.autoencoder.state_dict().values(),
            unseen.autoencoder.state_dict().values(),
            strict=True,
        )
    )
    assert all(torch.equal(before[n], t) for n, t in frozen.autoencoder.state_dict().items())
    assert not frozen.autoencoder.training
