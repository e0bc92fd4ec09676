import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.learning.random import initialised
from kdtasks.lidar_beam.models.objects import (
    EDGE_RAYS,
    NEAREST,
    SPREAD,
    ObjectGenerator,
    Objects,
    hand_set_objects,
    hard_step,
    render,
)

LAST_RAY = 215


def objects(*each, dtype=torch.float64):
    """Return one window with two objects, each given by its seven numbers."""
    return Objects(*torch.tensor(each, dtype=dtype).T[:, None, :])


ABSENT = (0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0)

NUMBERS = st.tuples(
    st.floats(-20, 236),
    st.floats(-12, 12),
    st.floats(-0.5, 0.5),
    st.floats(0.1, 40),
    st.floats(0.05, 4.5),
    st.floats(-0.3, 0.3),
    st.sampled_from([0.0, 1.0]),
)


def slow(*each):
    """Return the same, ray by ray."""
    scans = torch.zeros(8, LAST_RAY + 1, dtype=torch.float64)
    for step in range(8):
        t = step - 3.5
        for ray in range(LAST_RAY + 1):
            ranges = [
                max(NEAREST, start + rate * t)
                for centre, speed, acceleration, half, start, rate, present in each
                if present and half - abs(ray - (centre + speed * t + acceleration * t * t)) > 0
            ]
            scans[step, ray] = min(ranges, default=0.0)
    return scans


@settings(max_examples=times(25))
@given(NUMBERS, NUMBERS)
def test_rendering_by_hand(one, other):
    torch.testing.assert_close(render(objects(one, other))[0], slow(one, other))


@settings(max_examples=times(25))
@given(NUMBERS, NUMBERS)
def test_the_order_of_objects_does_not_matter(one, other):
    torch.testing.assert_close(render(objects(one, other)), render(objects(other, one)))


@settings(max_examples=times(25))
@given(NUMBERS, NUMBERS)
def test_a_mirrored_street_gives_mirrored_scans(one, other):
    def mirrored(numbers):
        centre, speed, acceleration, *rest = numbers
        return (LAST_RAY - centre, -speed, -acceleration, *rest)

    there = render(objects(mirrored(one), mirrored(other)))
    ours = render(objects(one, other)).flip(-1)
    # Rays that an edge hits exactly may fall on either side of it.
    assert ((there - ours).abs() > 1e-9).sum() <= 2 * 16


def test_an_object_moves_by_its_speed_and_the_nearer_hides_the_farther():
    far, near = (50.0, 2.0, 0.0, 5.5, 2.0, 0.1, 1.0), (53.0, 2.0, 0.0, 1.5, 1.0, 0.0, 1.0)
    alone, both = render(objects(far, ABSENT))[0], render(objects(far, near))[0]
    assert torch.equal(alone[1:, 2:] > 0, alone[:-1, :-2] > 0)
    assert alone[0].max() == pytest.approx(2.0 - 0.35)
    assert torch.equal(alone > 0, both > 0)
    hidden = both == 1.0
    assert (hidden.sum(1) == 3).all()
    assert torch.equal(both[~hidden], alone[~hidden])


def test_steps_are_hard_forward_and_logistic_backward():
    value = torch.linspace(-3, 3, 13, requires_grad=True)
    step = hard_step(value, EDGE_RAYS)
    assert torch.equal(step, (value > 0).float())
    step.sum().backward()
    soft = torch.sigmoid(value / EDGE_RAYS)
    torch.testing.assert_close(value.grad, (soft * (1 - soft) / EDGE_RAYS).detach())


def test_every_number_of_an_object_has_a_gradient():
    parts = [part.requires_grad_() for part in objects((60, 1, 0.1, 8, 2, 0.02, 1.0), ABSENT)]
    weight = torch.rand(8, LAST_RAY + 1, generator=torch.Generator().manual_seed(0)).double()
    (render(Objects(*parts))[0] * weight).sum().backward()
    assert all(part.grad[0, 0] != 0.0 for part in parts)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("width", [0.5, 1.0])
def test_a_new_generator_has_its_objects_everywhere(seed, width):
    generator = initialised(seed, "generator", lambda: ObjectGenerator(width=width))
    drawn = torch.randn(4000, 32, generator=torch.Generator().manual_seed(seed + 10))
    with torch.no_grad():
        numbers = generator.numbers(generator.trunk(drawn[:, :-1])).unflatten(-1, (2, -1))
        made = generator.objects(drawn)
    torch.testing.assert_close(numbers.std(0), torch.tensor([SPREAD, SPREAD]), rtol=0.15, atol=0.0)
    assert numbers.mean(0).abs().max() < 0.15
    assert (made.speed > 0).float().mean() == pytest.approx(0.5, abs=0.15)
    assert made.centre.quantile(0.05) < 30 < 190 < made.centre.quantile(0.95)


def test_the_second_object_is_there_as_often_as_its_logit_states():
    generator = initialised(0, "generator", ObjectGenerator)
    with torch.no_grad():
        generator.numbers.weight.zero_()
        generator.numbers.bias.zero_()[6 + 7] = 0.5 + math.log(0.2 / 0.8)
        drawn = torch.randn(20_000, 32, generator=torch.Generator().manual_seed(0))
        present = generator.objects(drawn).present
    assert (present[:, 0] == 1.0).all()
    assert present[:, 1].mean() == pytest.approx(0.2, abs=0.015)


def test_objects_set_by_hand_keep_their_bounds():
    made = hand_set_objects(5000, torch.Generator().manual_seed(0))
    bounds = {
        "centre": (0, 216),
        "speed": (-4, 4),
        "acceleration": (-0.1, 0.1),
        "half_width": (1, 20),
        "range": (0.5, 3),
    }
    for name, (low, high) in bounds.items():
        drawn = getattr(made, name)
        assert low <= drawn.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < drawn.max() <= high
        assert drawn.mean() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
    assert made.present[:, 1].mean() == pytest.approx(1 / (1 + math.e), abs=0.03)
    assert (made.present[:, 0] == 1).all()
    assert not made.range_rate.any()
