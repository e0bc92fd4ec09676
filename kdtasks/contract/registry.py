"""Names to tasks; a task's module is imported only when it is asked for.

A package of one's own makes a task known by an entry point of the group ``kdsweep.tasks``::

    [project.entry-points."kdsweep.tasks"]
    my-task = "my_package.module:MyTask"

See `kdtasks.contract.plugins` for when it is imported.
"""

from collections.abc import Mapping, Set

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.plugins import load_named, load_target, names_of
from kdtasks.contract.task import KDTask

TASKS = {
    "channel-estimation": "kdtasks.site_tasks.channel_estimation:ChannelEstimation",
    "user-positioning": "kdtasks.site_tasks.positioning:UserPositioning",
    "beam-tracking": "kdtasks.beam_tracking.task:BeamTracking",
    "csi-feedback": "kdtasks.csi_feedback.task:CsiFeedback",
    "lidar-beam": "kdtasks.lidar_beam.task:LidarBeam",
    "mimo-detection": "kdtasks.mimo_detection.task:MimoDetection",
}

TOGETHER = "+"
"""Joins the names of tasks that are deployed in one network, as in csi-feedback+beam-tracking."""
NETWORK = "kdtasks.network.task:network_of"
"""Makes one task of several."""

FIELDS = {
    "name": str,
    "metrics": Mapping,
    "resource_parameters": Set,
    "baseline_parameters": Set,
}
"""Class attributes that every task sets, with their types, see `kdtasks.contract.task.KDTask`."""
SHAPES = 'name is a str, metrics a dict, the others are written as frozenset({"method"})'
"""Their pattern."""


def known_tasks() -> dict[str, str]:
    """Return where every task is, by name: the project's own, then those of installed packages.

    The project's own names cannot be taken.
    """
    return {**names_of("task"), **TASKS}


def load_task(name: str) -> KDTask:
    """Return the task of that name.

    A name of the form ``package.module:Class`` loads a task of the user's own that is not in an
    installed package. Several names with ``+`` between them load a network of these tasks.

    Raises:
        ConfigError: If there is no such task, or what is named is not a task.
    """
    if TOGETHER in name:
        return _network(name)
    if name in TASKS:
        task_class = load_target("task", name, TASKS[name])
    else:
        task_class = load_named("task", name, TASKS)
    if not (isinstance(task_class, type) and issubclass(task_class, KDTask)):
        raise ConfigError(f"task {name!r} is not a subclass of kdtasks.contract.task.KDTask")
    _check_complete(name, task_class)
    return task_class()


def _check_complete(name: str, task_class: type[KDTask]) -> None:
    """Check that a task's class has all that a task needs.

    Raises:
        ConfigError: If it has not.
    """
    missing = {*task_class.__abstractmethods__}
    if task_class.complete is KDTask.complete and not hasattr(task_class, "settings"):
        missing.add("complete (or parameters)")
    if missing:
        raise ConfigError(f"task {name!r} lacks {', '.join(sorted(missing))}")
    unset = [field for field in FIELDS if not hasattr(task_class, field)]
    if unset:
        raise ConfigError(f"task {name!r} does not set {', '.join(unset)}")
    for field, kind in FIELDS.items():
        if not isinstance(value := getattr(task_class, field), kind):
            raise ConfigError(f"task {name!r}: {field} is {value!r}; {SHAPES}")


def _network(name: str) -> KDTask:
    addresses = name.split(TOGETHER)
    if len({*addresses}) < len(addresses):
        raise ConfigError(f"task {name!r} names a task twice: the tasks of a network must differ")
    network: KDTask = load_target("task", name, NETWORK)({a: load_task(a) for a in addresses})
    return network
