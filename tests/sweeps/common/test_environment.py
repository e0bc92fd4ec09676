"""What the machines of a cluster are told and sent."""

import sweeps
from sweeps.common.environment import ONE_THREAD, WORKER_SETTINGS, our_packages


def test_a_cluster_is_sent_our_packages() -> None:
    assert all((package / "__init__.py").is_file() for package in our_packages())
    assert sweeps.__file__ in {str(package / "__init__.py") for package in our_packages()}


def test_every_worker_computes_with_one_thread() -> None:
    assert set(ONE_THREAD.items()) <= set(WORKER_SETTINGS.items())
    assert set(ONE_THREAD.values()) == {"1"}
