"""The contract of a task, checked by running the task like the engine.

For authors of tasks: ``kdsweep check TASK``, or three lines in a test::

    class TestMyTask(TaskContract):
        task = "my_package.module:MyTask"
        trials = ({"epochs": 1},)

Both check the same laws on one trial: its data, its teacher, its student (trained three times), and
their evaluation.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar

from kdtasks.contract.errors import UserError
from kdtasks.contract.params import Params
from sweeps.common.events import work_failed
from sweeps.plan.evidence import TOLERANCE, Evidence, Finding, UnfitError
from sweeps.plan.laws import Law
from sweeps.plan.network_laws import NETWORK_LAWS
from sweeps.plan.parameter_laws import CLASS_LAWS, COST_LAWS, PARAMETER_LAWS
from sweeps.plan.training_laws import DATA_LAWS, TRAINING_LAWS

LAWS = (*CLASS_LAWS, *PARAMETER_LAWS, *DATA_LAWS, *COST_LAWS, *TRAINING_LAWS, *NETWORK_LAWS)
"""All laws of tasks, in the order of checking."""


def broken_laws(task: str, params: Params, cache_dir: Path) -> list[str]:
    """Return the laws that a task breaks, one sentence each; see `check_contract`."""
    found = check_contract(task, params, cache_dir)
    return [f"{one.law}: {one.broken}" for one in found if one.broken]


def check_contract(name: str, params: Params, cache_dir: Path) -> Iterator[Finding]:
    """Yield a finding per law for a trial, whose parameters are completed.

    Raises:
        ConfigError: If the task is unknown or rejects the parameters.
    """
    try:
        evidence = Evidence(name, params, cache_dir)
        for law in LAWS:
            if law.subject(evidence) is not None:
                yield Finding(law.sentence, law.broken(evidence))
    except UnfitError as error:
        yield error.finding
    except (UserError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - any error of a task becomes a finding
        failed = work_failed(error)
        yield Finding("a task can be checked", failed.reason, failed.traceback)


class TaskContract:
    """Base of a pytest class, whose name must start with ``Test``: one test per law and trial.

    Attributes:
        task: The task's name, or ``package.module:Class``.
        trials: Parameters of short trials, one per kind of student.
        tolerance: Largest deviation of scores that are computed again.
    """

    task: ClassVar[str]
    trials: ClassVar[Sequence[Params]] = ({},)
    tolerance: ClassVar[float] = TOLERANCE

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make a test per law and trial; called by pytest."""
        if {"law", "trial"} <= set(metafunc.fixturenames):
            tests: dict[tuple[str, str], tuple[Law, int]] = {}
            for trial, params in enumerate(self.trials):
                evidence = Evidence(self.task, params, Path())
                for law in LAWS:
                    subject = law.subject(evidence)
                    if subject is not None:
                        tests.setdefault((law.name, subject), (law, trial))
            ids = [f"{law.name}-{trial}" for law, trial in tests.values()]
            metafunc.parametrize(("law", "trial"), tests.values(), ids=ids)

    def test_law(self, law: Law, trial: int, tmp_path_factory: Any) -> None:
        """Check a law; all laws share the data, teacher and students of a trial."""
        folder = tmp_path_factory.getbasetemp()
        evidence = _evidence(self.task, json.dumps(self.trials[trial]), folder)
        evidence.tolerance = self.tolerance
        broken = law.broken(evidence)
        assert not broken, f"{law.sentence}: {broken}"


@cache
def _made(_task: str, _folder: Path) -> dict[str, Any]:
    return {}


@cache
def _evidence(task: str, params: str, folder: Path) -> Evidence:
    own = Path(mkdtemp(dir=folder))
    return Evidence(task, json.loads(params), own, _made(task, folder))
