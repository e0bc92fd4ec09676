"""The laws of a task, for all parameters that one of our systems takes."""

from pathlib import Path
from typing import ClassVar

from hypothesis import given, settings

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.registry import load_task
from sweeps.plan.contract import TaskContract
from sweeps.plan.evidence import Evidence
from sweeps.plan.parameter_laws import PARAMETER_LAWS, moved_by

QUICK_LAWS = [law for law in PARAMETER_LAWS if law.name != "resources_are_declared"]


class SystemContract(TaskContract):
    """What holds of a system.

    Attributes:
        params: Strategy of parameters that it takes.
        spelt: Whether completed values are those that were given, and not another spelling.
        taught: Parameters of a trial with a teacher.
        teachers: Changes that make another one.
    """

    spelt = True
    tolerance = 0.0
    taught: ClassVar = {}
    teachers: ClassVar = {}

    def __init_subclass__(cls):
        """Make the tests over parameters anew: hypothesis knows each by its own class."""

        @given(params=cls.params)
        def test_parameters_are_completed_and_identified_by_every_law(self, params):
            self.keeps_parameter_laws(params)

        @settings(max_examples=30)
        @given(params=cls.params, others=cls.params)
        def test_what_is_no_resource_needs_no_other_data_and_no_other_teacher(self, params, others):
            self.declares_resources(params, others)

        for test in (
            test_parameters_are_completed_and_identified_by_every_law,
            test_what_is_no_resource_needs_no_other_data_and_no_other_teacher,
        ):
            setattr(cls, test.__name__, test)

    def keeps_parameter_laws(self, params):
        evidence = Evidence(self.task, params, Path())
        assert {law.name: broken for law in QUICK_LAWS if (broken := law.broken(evidence))} == {}
        resolve = evidence.task.settings.resolve
        assert resolve(evidence.config) == resolve(params)
        dropped = params.keys() - evidence.config.keys()
        assert not [name for name in dropped if evidence.task.settings.declared[name].strict]
        if self.spelt:
            assert params.items() <= {**params, **evidence.config}.items()

    def declares_resources(self, params, others):
        task = load_task(self.task)
        config, other = task.complete(params), task.complete(others)
        changed = {}
        for name in (config.keys() & other.keys()) - task.resource_parameters:
            try:
                changed[name] = task.complete({**config, name: other[name]})
            except ConfigError:
                continue  # it does not fit to another
        assert moved_by(task, config, changed) == ""

    def test_what_makes_another_teacher_has_another_fingerprint(self):
        task = load_task(self.task)
        for name, value in self.teachers.items():
            assert name in task.resource_parameters
            other = task.teacher_fingerprint({**self.taught, name: value})
            assert other != task.teacher_fingerprint(self.taught), name
