"""Meta-gradients against second implementations, closed forms and limits."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kdtasks.learning.meta import MetaPlan, combined, drawn, path_gradient
from kdtasks.learning.random import torch_generator

X = torch.randn(60, 3, generator=torch_generator(1, "inputs"))
Y = X.sum(1, keepdim=True).sin()
AREAS = (torch.arange(0, 24), torch.arange(24, 60))
SIZE = 4


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 1))


def loss_of(model):
    return lambda index: {"total": (model(X[index]) - Y[index]).square().mean()}


def plan(rule="reptile", inner_steps=3, inner_rate=0.1, weight=1.0):
    return MetaPlan(rule=rule, inner_steps=inner_steps, inner_rate=inner_rate, weight=weight)


def gradients(model, index):
    return torch.autograd.grad(loss_of(model)(index)["total"], list(model.parameters()))


def batches(count, seed=0):
    return drawn(AREAS[1], count, SIZE, torch_generator(seed, "batches"))


def descended(model, path, rate):
    """Return a copy after steps of torch's own gradient descent."""
    phi = copy.deepcopy(model)
    optimiser = torch.optim.SGD(phi.parameters(), lr=rate)
    for index in path:
        optimiser.zero_grad()
        loss_of(phi)(index)["total"].backward()
        optimiser.step()
    return phi


@given(st.integers(1, 6), st.floats(0.01, 0.5), st.floats(0.05, 1.0), st.integers(0, 20))
def test_reptile_moves_towards_where_descent_ends(steps, rate, share, seed):
    model, path = network(), batches(steps, seed)
    phi = descended(model, path, rate)
    _, found = path_gradient(loss_of(model), [model], path, plan(inner_rate=rate))
    for theta, far, gradient in zip(model.parameters(), phi.parameters(), found, strict=True):
        expected = theta + share * (far - theta)  # Nichol et al., Algorithm 1
        moved = theta - share * rate * steps * gradient
        torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5)


def test_reptile_of_one_area_and_one_step_is_gradient_descent():
    inner_rate, meta_rate, generator = 0.2, 0.3, torch_generator(0, "draws")
    model = network()
    own = copy.deepcopy(model)
    objective = combined(
        loss_of(model), [model], plan(inner_steps=1, inner_rate=inner_rate), AREAS[:1], SIZE,
        generator,
    )  # fmt: skip
    outer = torch.optim.SGD(model.parameters(), lr=meta_rate * inner_rate)
    same = torch_generator(0, "draws")
    for _ in range(8):
        outer.zero_grad()
        objective(torch.arange(0))["total"].backward()
        outer.step()
        torch.randint(1, (), generator=same)  # the one area
        (index,) = drawn(AREAS[0], 1, SIZE, same)
        own = descended(own, [index], meta_rate * inner_rate)
    for one, other in zip(model.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_first_order_maml_without_descent_is_training_on_the_query():
    model, path = network(), batches(3)
    _, found = path_gradient(
        loss_of(model), [model], path, plan("fomaml", inner_steps=2, inner_rate=0.0)
    )
    for one, other in zip(found, gradients(model, path[-1]), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@given(st.integers(1, 6), st.floats(0.0, 0.9), st.floats(-3.0, 3.0), st.floats(-3.0, 3.0))
def test_first_order_maml_of_a_parabola_is_known_in_closed_form(steps, rate, start, centre):
    parabola = nn.Linear(1, 1, bias=False)
    nn.init.constant_(parabola.weight, start)
    path = [torch.arange(1)] * (steps + 1)
    _, (found,) = path_gradient(
        lambda _: {"total": 0.5 * (parabola.weight - centre).square().sum()},
        [parabola], path, plan("fomaml", inner_steps=steps, inner_rate=rate),
    )  # fmt: skip
    expected = (1 - rate) ** steps * (start - centre)
    torch.testing.assert_close(found, torch.full((1, 1), expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", ["reptile", "fomaml"])
@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_the_combined_loss_has_both_gradients_and_the_value_of_the_loss(rule, weight):
    model, chosen = network(), plan(rule, weight=weight)
    objective = combined(loss_of(model), [model], chosen, AREAS, SIZE, torch_generator(3, "d"))
    terms = objective(torch.arange(0))
    terms["total"].backward()
    same = torch_generator(3, "d")
    area = AREAS[int(torch.randint(2, (), generator=same))]
    path = drawn(area, chosen.path, SIZE, same)
    (pooled,) = drawn(torch.cat(AREAS), 1, SIZE, same)
    _, meta = path_gradient(loss_of(model), [model], path, chosen)
    plain = gradients(model, pooled)
    for parameter, one, other in zip(model.parameters(), meta, plain, strict=True):
        torch.testing.assert_close(parameter.grad, weight * one + (1 - weight) * other)
    first = path[0] if weight == 1.0 else pooled
    torch.testing.assert_close(terms["total"], loss_of(model)(first)["total"])


@pytest.mark.parametrize("rule", ["reptile", "fomaml"])
@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_every_batch_is_counted(rule, weight):
    model, chosen, seen = network(), plan(rule, weight=weight), []

    def counting(index):
        seen.append(len(index))
        return loss_of(model)(index)

    combined(counting, [model], chosen, AREAS, SIZE, torch_generator(0, "d"))(torch.arange(0))
    assert seen == [SIZE] * chosen.batches


def test_a_network_ends_as_it_began_but_for_the_statistics_of_the_first_batch():
    model, path = network(), batches(4)
    reference = copy.deepcopy(model)
    loss_of(reference)(path[0])
    path_gradient(loss_of(model), [model], path, plan(inner_rate=0.5))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, reference.state_dict()[name]), name


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 8), st.integers(0, 9))
def test_batches_are_of_the_area_and_share_no_sample_as_long_as_there_are_enough(
    area, count, size, seed
):
    samples = torch.arange(100, 100 + area)
    found = drawn(samples, count, size, torch_generator(seed, "d"))
    everything = torch.cat(found)
    assert [len(one) for one in found] == [size] * count
    assert set(everything.tolist()) <= set(samples.tolist())
    most = int(everything.unique(return_counts=True)[1].max())
    assert most == -(-count * size // area)
    again = drawn(samples, count, size, torch_generator(seed, "d"))
    assert torch.equal(everything, torch.cat(again))
