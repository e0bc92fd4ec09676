import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kdtasks.contract.errors import UserError
from kdtasks.learning.random import initialised
from kdtasks.learning.training import DivergedError, Schedule, batches, fit, run_frozen

SCHEDULE = Schedule(epochs=3, batch_size=4, learning_rate=0.1)


def line(seed=0):
    return initialised(seed, "line", lambda: nn.Linear(3, 1))


INPUTS = torch.randn(18, 3, generator=torch.Generator().manual_seed(0))
TARGETS = INPUTS.sum(-1, keepdim=True)


def squares(model):
    def objective(index):
        loss = (model(INPUTS[index]) - TARGETS[index]).square().mean()
        return {"total": loss, "half": 0.5 * loss}

    return objective


def trained(model, seed=0, schedule=SCHEDULE):
    return list(
        fit(
            [model],
            squares(model),
            num_samples=len(INPUTS),
            schedule=schedule,
            generator=torch.Generator().manual_seed(seed),
        )
    )


def test_epochs_are_numbered_and_their_time_adds_up():
    epochs = trained(line())
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    spent = [epoch.core_seconds for epoch in epochs]
    assert 0.0 < spent[0] < spent[1] < spent[2]


def test_samples_of_the_incomplete_last_batch_are_not_counted():
    assert [epoch.samples for epoch in trained(line())] == [16, 32, 48]


def test_terms_are_means_over_the_steps():
    for epoch in trained(line()):
        assert epoch.terms["half"] == pytest.approx(0.5 * epoch.terms["total"])


def test_it_learns():
    epochs = trained(line(), schedule=Schedule(epochs=40, batch_size=4, learning_rate=0.1))
    assert epochs[-1].terms["total"] < 1e-2 * epochs[0].terms["total"]


def test_each_epoch_visits_samples_once_and_leaves_the_incomplete_batch_out():
    seen = []
    model = line()

    def objective(index):
        seen.append(index)
        return {"total": model(INPUTS[index]).square().mean()}

    generator = torch.Generator().manual_seed(0)
    list(fit([model], objective, num_samples=18, schedule=SCHEDULE, generator=generator))
    assert [len(index) for index in seen] == [4] * 12
    for epoch in range(3):
        visited = torch.cat(seen[4 * epoch : 4 * epoch + 4])
        assert len(visited.unique()) == 16


def test_it_is_adam_written_out():
    ours, theirs = line(), line()
    trained(ours)
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(theirs.parameters())
    step = 0
    for _ in range(3):
        order = torch.randperm(18, generator=generator)
        for start in range(0, 16, 4):
            for group in optimiser.param_groups:
                group["lr"] = 0.1 * SCHEDULE.rate_share(step, 12)
            optimiser.zero_grad()
            squares(theirs)(order[start : start + 4])["total"].backward()
            optimiser.step()
            step += 1
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-7)


def test_order_follows_from_the_generator_alone():
    one, same, other = line(), line(), line()
    for model, seed in ((one, 1), (same, 1), (other, 2)):
        torch.manual_seed(seed)
        trained(model, seed)
    assert torch.equal(one.weight, same.weight)
    assert not torch.equal(one.weight, other.weight)


@given(st.integers(1, 400), st.integers(0, 200))
def test_the_rate_rises_then_falls_to_its_final_share(total, warmup):
    schedule = Schedule(epochs=1, batch_size=1, learning_rate=1.0, warmup_steps=warmup)
    shares = [schedule.rate_share(step, total) for step in range(total + 1)]
    assert all(0.0 < share <= 1.0 for share in shares)
    assert shares[-1] == pytest.approx(schedule.final_share)
    top = shares.index(max(shares))
    assert shares[: top + 1] == sorted(shares[: top + 1])
    assert shares[top:] == sorted(shares[top:], reverse=True)


def test_a_loss_that_is_not_finite_stops_and_states_which_epoch_and_rate():
    model = line()
    generator = torch.Generator()
    calls = iter(range(100))

    def objective(index):
        loss = model(INPUTS[index]).square().mean()
        return {"total": loss * (math.nan if next(calls) >= 4 else 1.0)}

    training = fit([model], objective, num_samples=18, schedule=SCHEDULE, generator=generator)
    assert next(training).number == 1
    with pytest.raises(DivergedError, match=r"nan in epoch 2; lower learning_rate=0\.1"):
        next(training)


@pytest.mark.parametrize("rate_name", ["learning_rate", "teacher_rate"])
def test_a_rate_is_blamed_only_for_what_comes_after_a_step(rate_name):
    """Of what is not finite from the start the error names the terms; later, the rate that is."""
    schedule = replace(SCHEDULE, rate_name=rate_name)

    def error(bad_from):
        model, calls = line(), iter(range(100))

        def objective(index):
            loss = model(INPUTS[index]).square().mean()
            task = loss * (math.inf if next(calls) >= bad_from else 1.0)
            return {"total": task + loss, "task": task, "distill": loss}

        with pytest.raises(DivergedError) as stop:
            list(
                fit(
                    [model],
                    objective,
                    num_samples=18,
                    schedule=schedule,
                    generator=torch.Generator(),
                )
            )
        return str(stop.value)

    early, late = error(0), error(1)
    assert f"lower {rate_name}={schedule.learning_rate:g}" in late
    assert "lower" not in early
    assert "(task)" in early


def test_a_batch_larger_than_the_split_is_refused():
    schedule = Schedule(epochs=1, batch_size=19, learning_rate=0.1)
    with pytest.raises(UserError, match=r"batch_size=19 .* 18 training samples"):
        trained(line(), schedule=schedule)


def test_only_what_is_named_is_trained():
    encoder, decoder = line(0), line(1).requires_grad_(False)
    before = decoder.weight.clone()
    model = nn.ModuleList([encoder, decoder])

    def objective(index):
        return {"total": (model[0](INPUTS[index]) - model[1](INPUTS[index])).square().mean()}

    list(
        fit(
            [encoder],
            objective,
            num_samples=18,
            schedule=SCHEDULE,
            generator=torch.Generator().manual_seed(0),
        )
    )
    assert torch.equal(decoder.weight, before)


@pytest.mark.parametrize("shares", [(), (1.0, 0.25)])
def test_modules_may_be_trained_at_shares_of_the_rate(shares):
    modules = [line(0), line(1)]
    before = [module.weight.detach().clone() for module in modules]

    def objective(index):
        return {"total": sum((m(INPUTS[index]) - TARGETS[index]).square().mean() for m in modules)}

    schedule = replace(SCHEDULE, epochs=1, batch_size=18, warmup_steps=0)
    list(
        fit(
            modules,
            objective,
            num_samples=18,
            schedule=schedule,
            generator=torch.Generator().manual_seed(0),
            rate_shares=shares,
        )
    )
    # Adam's first step has the length of the rate in every direction.
    for module, start, share in zip(modules, before, shares or (1.0, 1.0), strict=True):
        step = (module.weight.detach() - start).abs()
        torch.testing.assert_close(step, torch.full((1, 3), 0.1 * share), rtol=1e-4, atol=0.0)


@given(st.integers(0, 60), st.integers(1, 20))
def test_batches_cover_a_split_once(count, size):
    parts = [list(range(count))[part] for part in batches(count, size)]
    assert [index for part in parts for index in part] == list(range(count))
    assert all(0 < len(part) <= size for part in parts)


@pytest.mark.parametrize("training", [False, True])
def test_a_frozen_run_changes_nothing_and_its_outputs_can_be_trained_on(training):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    outputs = run_frozen(model, INPUTS)
    assert model.training is training
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert not outputs.requires_grad
    torch.testing.assert_close(outputs, model.eval()(INPUTS), rtol=0.0, atol=1e-6)
    weight = torch.ones(4, requires_grad=True)
    (outputs * weight).sum().backward()  # an inference tensor would refuse this
    assert weight.grad is not None


def test_weight_decay_pulls_weights_to_zero_where_there_is_nothing_to_learn():
    model = line()
    before = [p.detach().abs().sum() for p in model.parameters()]
    schedule = replace(SCHEDULE, weight_decay=0.5)
    nothing = fit(
        [model],
        lambda index: {"total": 0.0 * model(INPUTS[index]).sum()},
        num_samples=len(INPUTS),
        schedule=schedule,
        generator=torch.Generator().manual_seed(0),
    )
    assert len(list(nothing)) == 3
    assert all(p.abs().sum() < b for p, b in zip(model.parameters(), before, strict=True))


def test_gradients_are_cut_to_the_norm_and_smaller_ones_left_alone():
    # Adam does not see a common factor; with a decay it does, so that cutting changes the path.
    def weights(clip_norm):
        model = line()
        trained(model, schedule=replace(SCHEDULE, weight_decay=0.1, clip_norm=clip_norm))
        norm = torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in model.parameters()]))
        return torch.cat([p.detach().flatten() for p in model.parameters()]), float(norm)

    free, _ = weights(math.inf)
    wide, _ = weights(1e6)
    torch.testing.assert_close(wide, free, rtol=0.0, atol=0.0)
    cut, norm = weights(0.01)
    assert norm == pytest.approx(0.01, rel=1e-3)
    assert not torch.allclose(cut, free)
