"""Names to tasks; a task's module is imported only when it is asked for.

A package of one's own makes a task known by an entry point of the group ``kdsweep.tasks``::

    [project.entry-points."kdsweep.tasks"]
    my-task = "my_package.module:MyTask"

It is not imported before a study or a command names it: one that fails is in nobody else's way.
"""

import inspect
from importlib import import_module
from importlib.metadata import entry_points

from kdtasks.errors import ConfigError
from kdtasks.task import KDTask

TASKS = {
    "beam-tracking": "kdtasks.tasks.beam_tracking:BeamTracking",
    "csi-feedback": "kdtasks.tasks.csi_feedback:CsiFeedback",
    "lidar-beam": "kdtasks.tasks.lidar_beam:LidarBeam",
    "mimo-detection": "kdtasks.tasks.mimo_detection:MimoDetection",
}

GROUP = "kdsweep.tasks"
"""Group of entry points in which installed packages name their tasks."""

FIELDS = ("name", "metrics", "resource_parameters", "baseline_parameters")
"""Class attributes that every task sets; `kdtasks.task.KDTask` says what they mean."""


def known_tasks() -> dict[str, str]:
    """Return where every task is, by name: the project's own, then those of installed packages.

    The project's own names cannot be taken.
    """
    installed = {entry.name: entry.value for entry in entry_points(group=GROUP)}
    return {**installed, **TASKS}


def load_task(name: str) -> KDTask:
    """Return the task of that name.

    A name of the form ``package.module:Class`` loads a task of the user's own that is not in an
    installed package.

    Raises:
        ConfigError: If there is no such task, or what is named is not a task.
    """
    known = known_tasks()
    target = known.get(name, name)
    module_name, _, class_name = target.partition(":")
    if not (module_name and class_name) or module_name.startswith("."):
        raise ConfigError(
            f"no task {name!r}; there are {', '.join(sorted(known))}, "
            "or name your own as 'package.module:Class'"
        )
    try:
        task_class = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"task {name!r} cannot be imported: {error}") from error
    if not (isinstance(task_class, type) and issubclass(task_class, KDTask)):
        raise ConfigError(f"task {name!r} is not a subclass of kdtasks.task.KDTask")
    if inspect.isabstract(task_class):
        missing = ", ".join(sorted(task_class.__abstractmethods__))
        raise ConfigError(f"task {name!r} lacks {missing}")
    unset = [field for field in FIELDS if not hasattr(task_class, field)]
    if unset:
        raise ConfigError(f"task {name!r} does not set {', '.join(unset)}")
    return task_class()
