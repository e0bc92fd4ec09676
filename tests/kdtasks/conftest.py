import pytest
import torch
from csi_examples import TASK, silent, tiny, trained_teacher


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """More threads would change the order of sums, and they only get in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    return TASK.load_scenario(tiny(), cache_dir=tmp_path_factory.mktemp("data"), progress=silent)


@pytest.fixture(scope="session")
def tiny_teacher(tiny_data):
    return trained_teacher(tiny_data, method="encoder-kd")


@pytest.fixture
def double_precision():
    """Golden numbers are in it: float32 differs between instruction sets of one CPU."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
