"""Limits of the distillation term when students are trained on, and what is frozen."""

from dataclasses import replace

import pytest
import torch
from csi_examples import drained

from kdtasks.csi_feedback.methods import fine_tuning as csi_refine
from kdtasks.csi_feedback.methods.codewords import normalised_mse
from kdtasks.csi_feedback.methods.fine_tuning import Course, Guide, train_on
from kdtasks.csi_feedback.methods.job import Plan, reconstruction_terms
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.models.crnet import CRNetDecoder
from kdtasks.csi_feedback.models.light_encoder import LightEncoder, LightShape
from kdtasks.learning.random import initialised, torch_generator
from kdtasks.learning.tensors import as_tensor
from kdtasks.learning.training import Schedule, fit

PLAN = Plan(
    epochs=1,
    encoder_epochs=1,
    finetune_epochs=1,
    batch_size=20,
    learning_rate=1.0,
    finetune_rate=1.0,
    alpha=0.9,
    temperature=5.0,
    paper_scale=False,
    pair_bits=0,
    codeword_loss=normalised_mse,
)
SCHEDULE = Schedule(epochs=2, batch_size=20, learning_rate=1e-2)


def student(seed=0):
    return initialised(
        seed,
        "student",
        lambda: Autoencoder(LightEncoder(8, 8, 32, LightShape()), CRNetDecoder(8, 8, 32)),
    )


@pytest.fixture(scope="module")
def pictures(tiny_data):
    return as_tensor(tiny_data.train["pictures"])


def course(pictures, guide=None, **changes):
    plain = Course(
        model=student(),
        pictures_N2AC=pictures[:80],
        guide=guide,
        plan=PLAN,
        schedule=SCHEDULE,
        generator=torch_generator(1, "order"),
        server_part=True,
    )
    return replace(plain, **changes)


def guide(pictures, weight, count=50, seed=1):
    given = pictures[100 : 100 + count]
    outputs = 0.5 + 0.5 * (given - 0.5)
    generator = torch_generator(seed, "guidance order")
    return Guide(pictures_N2AC=given, outputs_N2AC=outputs, weight=weight, generator=generator)


def states(*courses):
    return [drained(train_on(one))[1].autoencoder.state_dict() for one in courses]


def same(one, other):
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_without_a_guide_it_is_the_tasks_loss_and_nothing_else(pictures):
    (ours,) = states(course(pictures))
    model = student()
    list(
        fit(
            [model],
            lambda index: reconstruction_terms(model, pictures[:80][index]),
            num_samples=80,
            schedule=SCHEDULE,
            generator=torch_generator(1, "order"),
        )
    )
    assert same(ours, model.state_dict())


def test_at_weight_one_labelled_samples_are_not_even_seen(pictures):
    other = 1.0 - pictures[:80]
    one, two = states(
        course(pictures, guide(pictures, 1.0)),
        course(pictures, guide(pictures, 1.0), pictures_N2AC=other),
    )
    assert same(one, two)
    # and below one they are
    one, two = states(
        course(pictures, guide(pictures, 0.9)),
        course(pictures, guide(pictures, 0.9), pictures_N2AC=other),
    )
    assert not same(one, two)


@pytest.mark.parametrize("weight", [0.25, 0.9])
def test_the_total_is_the_weighted_sum(pictures, weight, monkeypatch):
    seen = []

    def listening(*args, **options):
        for epoch in fit(*args, **options):
            seen.append(epoch.terms)
            yield epoch

    monkeypatch.setattr(csi_refine, "fit", listening)
    drained(train_on(course(pictures, guide(pictures, weight))))
    assert len(seen) == 2
    for terms in seen:
        expected = (1.0 - weight) * terms["task"] + weight * terms["distill"]
        assert terms["total"] == pytest.approx(expected, rel=1e-5)


def test_a_student_that_is_its_own_target_has_nothing_to_distil(pictures):
    model = student().eval()
    with torch.no_grad():
        message = model(pictures[100:150])
    model.train()
    own = replace(guide(pictures, 1.0), outputs_N2AC=message)
    far = guide(pictures, 1.0)
    rate = replace(SCHEDULE, epochs=1, learning_rate=1e-9)
    losses = [
        drained(train_on(course(pictures, given, model=student(), schedule=rate)))[0][0].metrics[
            "train_loss"
        ]
        for given in (own, far)
    ]
    # not exactly 0, for batch norm has other statistics while it trains
    assert losses[0] < 0.2 * losses[1]


def test_the_order_of_labelled_samples_does_not_depend_on_the_guide(pictures, monkeypatch):
    queried = []

    def listening(model, batch):
        queried.append(batch.sum().item())
        return reconstruction_terms(model, batch)

    monkeypatch.setattr(csi_refine, "reconstruction_terms", listening)
    drained(train_on(course(pictures)))
    plain, queried[:] = list(queried), []
    drained(train_on(course(pictures, guide(pictures, 0.5))))
    assert queried == plain


def test_guiding_samples_go_round_in_new_orders(pictures):
    given = guide(pictures, 0.5, count=50)
    rounds = csi_refine._rounds(given, 20)
    drawn = torch.stack([next(rounds) for _ in range(6)])
    for first in range(0, 6, 2):
        twice = drawn[first : first + 2].flatten().tolist()
        assert len(set(twice)) == 40  # none twice in a round
        assert set(twice) <= set(range(50))
    assert drawn[:2].tolist() != drawn[2:4].tolist()
    few = csi_refine._rounds(guide(pictures, 0.5, count=3), 20)
    assert sorted(next(few).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("weight", [None, 0.5, 1.0])
def test_a_frozen_decoder_keeps_weights_and_statistics(pictures, weight):
    given = None if weight is None else guide(pictures, weight)
    before = {name: t.clone() for name, t in student().state_dict().items()}
    (after,) = states(course(pictures, given, server_part=False))
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert moved
    assert all(name.startswith("encoder.") for name in moved)
    (whole,) = states(course(pictures, given))
    assert not torch.equal(whole["decoder.dense.weight"], before["decoder.dense.weight"])


@pytest.mark.parametrize(
    ("weight", "samples", "together"), [(None, 160, 1), (0.5, 320, 2), (1.0, 160, 1)]
)
def test_stints_count_labelled_and_guiding_samples(pictures, weight, samples, together):
    given = None if weight is None else guide(pictures, weight)
    for server_part, decoder in ((True, 3), (False, 2)):
        trained = drained(train_on(course(pictures, given, server_part=server_part)))[1]
        (training_stage,) = trained.training_stages
        assert (training_stage.samples, training_stage.together) == (samples, together)
        assert (training_stage.encoder, training_stage.decoder) == (3, decoder)
