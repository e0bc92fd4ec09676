"""Where tensors are made, and that it changes no draw; devices are stood in for by ``meta``."""

import numpy as np
import pytest
import torch
from torch import nn

from kdtasks.contract.errors import UserError
from kdtasks.learning import device
from kdtasks.learning.random import drawing_from, initialised, torch_generator
from kdtasks.learning.tensors import as_tensor, load_state, state_arrays, state_specs


def where(make):
    with device.using("meta"):
        return make().device.type


def test_tensors_are_made_where_the_process_computes():
    assert where(lambda: torch.zeros(2)) == "meta"
    assert where(lambda: torch.arange(3)) == "meta"
    assert where(lambda: as_tensor(np.zeros(3, np.float32))) == "meta"
    assert where(lambda: torch.zeros(2, device="cpu")) == "cpu"
    assert torch.zeros(2).device.type == "cpu"

    def here():
        with device.on_host():
            return torch.rand(2)

    assert where(here) == "cpu"
    with device.using("meta"):
        made = initialised(1, "net", lambda: nn.Linear(2, 3))
    assert {p.device.type for p in made.parameters()} == {"meta"}


@pytest.mark.parametrize(
    "draw",
    [
        lambda one: torch.randperm(9, generator=one),
        lambda one: torch.rand(3, 2, generator=one),
        lambda one: torch.randint(5, (4,), generator=one),
    ],
)
def test_a_device_draws_what_the_cpu_draws(draw):
    here, there = torch_generator(0, "a"), torch_generator(0, "a")
    draw(here)
    assert where(lambda: draw(there)) == "meta"
    assert torch.equal(here.get_state(), there.get_state())


def test_dropout_draws_what_it_draws_on_the_cpu():
    here, there = torch_generator(0, "a"), torch_generator(0, "a")
    drop, given = nn.Dropout(0.3), torch.rand(5, 7)
    with drawing_from(here):
        expected = drop(given)
    with drawing_from(there), device.using("meta"):
        assert drop(given.to("meta")).device.type == "meta"
        torch.testing.assert_close(drop.eval()(given), given)
    assert torch.equal(here.get_state(), there.get_state())
    assert expected.ne(0).any()


def test_data_that_nobody_writes_to_are_moved_once():
    shared, own = np.ones((4, 2), np.float32), np.ones(3, np.float32)
    shared.setflags(write=False)
    with device.using("meta"):
        kept = as_tensor(shared)
        assert as_tensor(shared) is kept
        assert as_tensor(shared[1:]) is not kept
        assert as_tensor(own) is not as_tensor(own)
    with device.using("meta"):  # the next trial
        assert as_tensor(shared) is kept


def test_what_was_not_wanted_longest_makes_room(monkeypatch):
    arrays = [np.zeros(100, np.float32) for _ in range(3)]
    for array in arrays:
        array.setflags(write=False)
    monkeypatch.setattr(device, "_kept", type(device._kept)())
    monkeypatch.setattr(device, "_room", lambda: 800.0)
    with device.using("meta"):
        first, second, _third = map(as_tensor, arrays)
        assert as_tensor(arrays[1]) is second
        assert as_tensor(arrays[0]) is not first


def test_weights_in_bfloat16_become_arrays_and_come_back():
    network, other = nn.Linear(2, 3).bfloat16(), nn.Linear(2, 3).bfloat16()
    arrays = state_arrays(network)
    assert all(not state_specs(network)[name].misfit(arrays[name]) for name in arrays)
    load_state(other, arrays)
    assert torch.equal(network.weight, other.weight)


def test_a_gpu_that_torch_cannot_use_is_refused():
    if device.count_gpus():
        pytest.skip("there is one")
    with pytest.raises(UserError, match=r"resources\.gpus.*0\.5.*set resources\.gpus to 0"):
        device.take_gpu(0.5)


def test_numbers_are_read_at_once():
    assert device.numbers({"a": torch.tensor(0.5), "b": torch.tensor(2.0)}) == {"a": 0.5, "b": 2.0}
