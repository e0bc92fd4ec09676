"""Toy tasks that studies name."""

from typing import ClassVar

from toy_task import DEFAULTS, ToyTask

from kdtasks.contract.task import MetricInfo


class Lenient(ToyTask):
    """Takes whatever parameter it does not know."""

    def complete(self, params):
        known = {name: value for name, value in params.items() if name in DEFAULTS}
        return {**super().complete(known), **params}


class Seedless(ToyTask):
    """Has one teacher, whatever the seed."""

    def complete(self, params):
        return {name: v for name, v in super().complete(params).items() if name != "teacher_seed"}

    def teacher_fingerprint(self, params):
        return super().teacher_fingerprint({**params, "teacher_seed": 0})


class TimedTask(ToyTask):
    metrics: ClassVar[dict[str, MetricInfo]] = {
        **ToyTask.metrics,
        "train_s": MetricInfo(unit="s", direction="minimize", description="known at the end"),
    }


def local_task():
    class Task(ToyTask):
        pass

    return Task
