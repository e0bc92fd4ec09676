"""Every method of MIMO detection keeps the laws of a task."""

from mimo_trials import METHODS, tiny

from sweeps.plan.contract import TaskContract


class TestContract(TaskContract):
    task = "mimo-detection"
    tolerance = 0.0
    trials = tuple(tiny(method=method) for method in METHODS)
