import numpy as np
import pytest
import torch
from csi_examples import drained
from mimo_examples import received

from kdtasks.learning.random import initialised, torch_generator
from kdtasks.mimo_detection.link.link import MimoLink, from_law
from kdtasks.mimo_detection.methods.collective import (
    LARGE_GRADIENT,
    Lesson,
    importance,
    large_gradients,
    learn_stream,
)
from kdtasks.mimo_detection.methods.job import bits_only, on_samples, schedule
from kdtasks.mimo_detection.methods.learngene import Segment, Stack, chosen, place
from kdtasks.mimo_detection.methods.samples import EvaluationSamples, fixed, stream
from kdtasks.mimo_detection.models.family import build, conv_plan, run
from kdtasks.mimo_detection.models.features import InputFeatures, features_of

FEATURES = InputFeatures()
CONV = Stack(bottom=1, middle=6, top=1)
UNROLLED = Stack(bottom=3, middle=6, top=0)


def network():
    return initialised(0, "network", lambda: build(conv_plan(6, 1, (5,))))


def lesson(text, steps=50):
    link = MimoLink.parse(text)
    samples = stream(link, from_law(link), (6, 22), FEATURES, torch_generator(0, f"learn {text}"))
    plan = schedule(steps=steps, batch_size=16, learning_rate=3e-3, cosine=True)
    return Lesson(
        samples=samples,
        judged=EvaluationSamples(received(text, 200, 12.0), FEATURES),
        schedule=plan,
    )


def learnt(replay_share=0.0):
    lessons = [lesson("2x2 qpsk rayleigh"), lesson("2x3 qpsk kronecker-0.5")]
    training = learn_stream(
        network(),
        lessons,
        macs_of=lambda _: 1,
        replay_share=replay_share,
        order=torch_generator(0, "order"),
    )
    return drained(training)[1]


def test_what_is_forgotten_is_counted_from_when_it_was_learnt():
    found = learnt()
    assert np.isnan(found.ratios_TT[0, 1])
    assert found.forgetting[1] == 0.0
    assert found.forgetting[0] == found.ratios_TT[1, 0] - found.ratios_TT[0, 0]
    judged = lesson("2x2 qpsk rayleigh").judged
    assert found.ratios_TT[1, 0] == judged.errors(found.network).ratio


def test_relative_change_of_weights_is_that_of_the_second_task_too():
    first = drained(
        learn_stream(
            network(),
            [lesson("2x2 qpsk rayleigh")],
            macs_of=lambda _: 1,
            replay_share=0.0,
            order=torch_generator(0, "order"),
        )
    )[1]
    both = learnt()
    before, middle, after = (
        torch.cat([p.detach().flatten() for p in net.units["block-1"].parameters()])
        for net in (network(), first.network, both.network)
    )
    assert both.weight_change_TU[0, 1] == pytest.approx(
        float((middle - before).norm() / before.norm())
    )
    assert both.weight_change_TU[1, 1] == pytest.approx(
        float((after - middle).norm() / middle.norm())
    )


def test_large_gradients_are_counted_as_they_are_before_clipping():
    net = network()
    seen = received("2x2 qpsk rayleigh", 32, 10.0)
    objective = on_samples(net, fixed(seen, FEATURES), bits_only)
    units = list(net.units.values())
    with large_gradients(units) as counts:
        objective(torch.arange(32))["total"].backward()
    expected = [
        float(np.mean(np.concatenate([
            (p.grad.abs() > LARGE_GRADIENT).flatten().numpy() for p in unit.parameters()
        ])))
        for unit in units
    ]  # fmt: skip
    assert counts.shares() == pytest.approx(expected)
    objective(torch.arange(32))["total"].backward()
    assert counts.shares() == pytest.approx(expected)


def test_replay_changes_what_is_learnt():
    with_replay, without = learnt(0.5), learnt()
    assert not np.array_equal(with_replay.weight_change_TU[1], without.weight_change_TU[1])
    np.testing.assert_array_equal(with_replay.weight_change_TU[0], without.weight_change_TU[0])


def test_importance_of_a_batch_of_one_sample_is_its_squared_gradient():
    # The same sample again and again: B times the square of the mean gradient.
    net = network()
    seen = received("2x2 qpsk rayleigh", 1, 10.0)
    samples = fixed(seen, FEATURES)
    one = Lesson(
        samples=samples,
        judged=EvaluationSamples(seen, FEATURES),
        schedule=lesson("2x2 qpsk rayleigh").schedule,
    )
    found = importance(net, [one, one])
    on_samples(net, samples, bits_only)(torch.arange(1))["total"].backward()
    name, parameter = "head/last.weight", net.head.last.weight
    np.testing.assert_allclose(found[name], 16.0 * parameter.grad.square().numpy(), rtol=1e-3)


def test_a_stream_never_repeats_and_few_samples_do():
    link = MimoLink.parse("2x2 qpsk rayleigh")
    draw = stream(link, from_law(link), (6, 22), FEATURES, torch_generator(0, "draw"))
    first, second = (draw(torch.arange(5)).inputs.node_BNF for _ in range(2))
    assert not torch.equal(first, second)
    seen = received("2x2 qpsk rayleigh", 4, 10.0)
    batch = fixed(seen, FEATURES)(torch.tensor([1, 5, 3]))
    whole = run(network(), features_of(seen, FEATURES))
    torch.testing.assert_close(run(network(), batch.inputs), whole[:, [1, 1, 3]])
    assert torch.equal(batch.bits_BNM, seen.bits_BNM[[1, 1, 3]])


@pytest.mark.parametrize(
    ("segment", "individual", "where"),
    [
        (Segment(0, 2), Stack(bottom=1, middle=4, top=1), 0),
        (Segment(3, 2), Stack(bottom=1, middle=4, top=1), 2),
        (Segment(6, 2), Stack(bottom=1, middle=4, top=1), 4),
        (Segment(1, 1), Stack(bottom=1, middle=9, top=1), 1),
        (Segment(6, 1), Stack(bottom=1, middle=9, top=1), 9),
        (Segment(0, 8), CONV, 0),
    ],
)
def test_a_segment_of_convolutions_goes_where_it_came_from(segment, individual, where):
    assert place(segment, CONV, individual) == where


@pytest.mark.parametrize(
    ("segment", "where"), [(Segment(0, 2), 0), (Segment(2, 2), 2), (Segment(8, 1), 4)]
)
def test_a_segment_of_an_unrolled_network_goes_where_it_came_from(segment, where):
    assert place(segment, UNROLLED, Stack(bottom=3, middle=2, top=0)) == where


@pytest.mark.parametrize("segment", [Segment(1, 3), Segment(0, 4), Segment(4, 4), Segment(0, 8)])
def test_a_segment_that_does_not_fit_is_refused(segment):
    with pytest.raises(ValueError, match="blocks do not fit into 2"):
        place(segment, CONV, Stack(bottom=1, middle=2, top=1))


def test_the_published_rule_takes_what_is_small_and_flat():
    statistics = np.array(
        [[0.1, 0.9, 0.9, 0.9], [0.5, 0.2, 0.2, 0.4], [0.5, 0.2, 0.2, 0.0]], dtype=np.float32
    )
    # Unit 3 is as small on average, but not flat; the first task counts for nothing.
    assert chosen(statistics, 1) == Segment(1, 1)
    assert chosen(statistics, 2) == Segment(1, 2)
    assert chosen(statistics, 4) == Segment(0, 4)
    assert chosen(statistics[:1], 1) == Segment(0, 1)
