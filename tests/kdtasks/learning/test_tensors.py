import numpy as np
import pytest
import torch
from torch import nn

from kdtasks.contract.errors import DataError
from kdtasks.learning.tensors import as_tensor, load_state, state_arrays


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))


@pytest.mark.parametrize("prefix", ["", "encoder."])
def test_a_state_goes_to_arrays_and_back(prefix):
    source, target = network(0), network(1)
    load_state(
        target, {**state_arrays(source, prefix), **({"x": np.ones(1)} if prefix else {})}, prefix
    )
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor)


def test_arrays_of_a_state_do_not_follow_the_module():
    module = network()
    arrays = state_arrays(module)
    with torch.no_grad():
        module[0].weight.add_(1.0)
    assert not np.array_equal(arrays["0.weight"], module[0].weight.detach().numpy())


@pytest.mark.parametrize("fault", ["missing", "left over", "shape"])
def test_weights_that_do_not_fit_are_refused(fault):
    arrays = state_arrays(network())
    if fault == "missing":
        del arrays["0.weight"]
    elif fault == "left over":
        arrays["2.weight"] = arrays["0.weight"]
    else:
        arrays["0.weight"] = arrays["0.weight"][:1]
    with pytest.raises(DataError, match="weights do not fit Sequential"):
        load_state(network(), arrays)


def test_shared_memory_is_not_copied_and_gives_no_warning():
    array = np.arange(6, dtype=np.float32)
    array.flags.writeable = False
    tensor = as_tensor(array)
    assert tensor.data_ptr() == array.ctypes.data


def test_weights_that_do_not_fit_are_summed_up():
    many = nn.Sequential(*[nn.Linear(2, 3 if n == 4 else 2) for n in range(60)])
    arrays = state_arrays(many, "edge-0/")
    with pytest.raises(DataError) as raised:
        load_state(nn.Sequential(*[nn.Linear(2, 2) for _ in range(61)]), arrays, "edge-0/")
    message = str(raised.value)
    assert "60.bias is missing; 4.weight is [3, 2], the network has [2, 2]" in message
    with pytest.raises(DataError, match=r"; and 234 more$") as raised:
        load_state(nn.Sequential(*[nn.Linear(2, 2) for _ in range(61)]), arrays)
    assert len(str(raised.value)) < 300
