"""Errors that name the field of a study that a task rejects."""

import re
from dataclasses import dataclass

from kdtasks.contract.collaboration import LearnsOnShares
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.effort import EffortSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.settings import Settings
from kdtasks.contract.task import KDTask
from kdtasks.network.task import NetworkTask, parts_of
from search_spaces.domains import Choice
from search_spaces.errors import StudyError
from search_spaces.study import Study
from search_spaces.study_yaml import dump_yaml
from sweeps.nodes.topologies.base import CapabilityError
from sweeps.nodes.topologies.catalog import collaborative
from sweeps.plan.needs import task_params


def point_place(study: Study, index: int) -> str:
    """Return the place of a point; without its number if the file has lists that made several."""
    lines = {} if study.origin is None else study.origin.lines
    written = sum(len(at) == 3 and at[:2] == ("search", "points") for at in lines)
    counted = not lines or written == len(study.search.points)
    return f"search.points.{index}" if counted else "search.points"


def written(value: Value) -> str:
    """Return a value as a study file has it, in quotes if it needs them."""
    return dump_yaml([value]).removeprefix("- ").strip()


def completed(study: Study, task: KDTask, place: str, searched: Params) -> dict[str, Value]:
    """Return searched parameters from a place in the study, completed by the task.

    Raises:
        StudyError: If the task rejects it; names the user's field and the fix.
    """
    params = task_params(study, searched)
    try:
        config = task.complete(params)
    except ConfigError as error:
        raise _Rejected(study, task, place, searched, str(error)).named() from error
    check_capabilities(study, task, place, searched, config)
    return config


def check_capabilities(
    study: Study, task: KDTask, place: str, searched: Params, config: Params
) -> None:
    """Check that the task can run the topology of a completed configuration.

    Raises:
        StudyError: If it cannot; names the field, the capability and what to add.
    """
    for part in parts_of(task, config):
        if part.params.get("topology", "none") == "none":
            continue
        try:
            collaborative(part.task, part.params)
        except CapabilityError as error:
            rejected = _Rejected(study, task, place, searched, str(error))
            name = part.outside(error.parameter)
            raise study.error(rejected.place_of(name), str(error)) from error


@dataclass(frozen=True, slots=True)
class _Rejected:
    """A configuration that a task rejects.

    Attributes:
        place: Where the study has it: ``space``, or a point.
        searched: The searched parameters.
        message: Why the task rejects it.
    """

    study: Study
    task: KDTask
    place: str
    searched: Params
    message: str

    def named(self) -> StudyError:
        """Return the error that names the field."""
        name = self._blamed()
        place, problem = self.place_of(name), _explained(self.task, name, self.message)
        if place == f"space.{name}" and problem == self.message:
            end, problem = self._in_domain(name)
            place = f"{place}{end}"
            fix = "" if end else self._condition(name)
            if end or fix:
                return self.study.error(place, f"{problem}{fix and f'; write when: {fix}'}")
        return self.study.error(place, f"{problem}{self._given(name, problem)}")

    def place_of(self, name: str) -> str:
        """Return the field that gives a parameter its value; all of the place if none does."""
        study = self.study
        if name in self.searched:
            return f"{self.place}.{name}"
        if study.effort is not None and name in study.effort.parameters():
            return "effort"
        if name == "epochs" and study.budget.epochs is not None:
            return "budget.epochs"
        if name in study.parameters:
            return f"parameters.{name}"
        return "seeds.trial" if name == "seed" else self.place

    def _given(self, name: str, problem: str) -> str:
        """Return the value or configuration that a problem is about, if it does not say so."""
        params, fixed = self._params(), task_params(self.study, {})
        alone = {name: params[name]} if name else {}
        if self.message not in (self._answer(alone), self._answer(fixed)):
            return f" (in {dict(self.searched)})"
        shown = not name or any(repr(one) in problem for one in (name, params[name]))
        return "" if shown else f" (got {params[name]!r})"

    def _params(self) -> dict[str, Value]:
        return task_params(self.study, self.searched)

    def _answer(self, params: Params) -> str:
        """Return why the task rejects other parameters; empty if it does not."""
        try:
            self.task.complete(params)
        except ConfigError as error:
            return str(error)
        return ""

    def _blamed(self) -> str:
        """Return a parameter without which the task raises another error or none; else empty.

        Parameters are tried in the order in which the message names them, since removing either
        of two that conflict would do.
        """
        params = self._params()
        for name in sorted(params, key=self._position):
            rest = {other: value for other, value in params.items() if other != name}
            if self._answer(rest) != self.message:
                return name
        return ""

    def _position(self, name: str) -> int:
        own = re.escape(name.rpartition("/")[2])
        found = re.search(rf"(?<![\w/]){own}(?!\w)", self.message)
        return len(self.message) if found is None else found.start()

    def _in_domain(self, name: str) -> tuple[str, str]:
        """Return the part of a searched parameter's domain that is wrong, and the problem there.

        Without a part, the parameter itself is.
        """
        domain, params = self.study.space.parameters[name], self._params()
        if isinstance(domain, Choice):
            parts = {f".values.{i}": value for i, value in enumerate(domain.options)}
        else:
            parts = {".low": domain.low, ".high": domain.high}
        plain, wrong = self.message.replace(repr(params[name]), ""), {}
        for part, value in parts.items():
            answer = self._answer({**params, name: value})
            if answer.replace(repr(value), "") == plain:
                wrong[part] = answer
        return next(iter(wrong.items())) if 0 < len(wrong) < len(parts) else ("", self.message)

    def _condition(self, blamed: str) -> str:
        """Return the values of a choice that the task accepts beside it, as ``when`` has them."""
        params = self._params()
        for name, domain in self.study.space.parameters.items():
            if isinstance(domain, Choice) and name != blamed:
                fine = [v for v in domain.options if not self._answer({**params, name: v})]
                if 0 < len(fine) < len(domain.options):
                    return f"{{{name}: [{', '.join(map(written, fine))}]}}"
        return ""


def _explained(task: KDTask, name: str, message: str) -> str:
    if isinstance(task, NetworkTask):
        return message
    if name in EffortSettings.model_fields and not issubclass(
        getattr(task, "settings", Settings), EffortSettings
    ):
        return (
            f"task {task.name} trains for its own epochs: {message}; take effort: as-published, or "
            "let the task's settings extend EffortSettings"
        )
    if name in NetworkSettings.model_fields and not isinstance(task, LearnsOnShares):
        return (
            f"{name} describes a network of nodes, and task {task.name} has none: it trains every "
            f"student on one node; drop {name}, or use a task with topologies, such as csi-feedback"
        )
    return message
