"""Every method of LiDAR beam tracking keeps the laws of a task."""

from lidar_trials import METHODS, networked, tiny

from sweeps.plan.contract import TaskContract


class TestContract(TaskContract):
    task = "lidar-beam"
    tolerance = 0.0
    trials = (*(tiny(method=method) for method in METHODS), networked(method="datafree"))
