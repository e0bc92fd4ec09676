"""Errors that name the field of a study that a task rejects."""

from collections.abc import Mapping

from kdtasks.contract.collaboration import LearnsOnShares
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.effort import EffortSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.settings import Settings
from kdtasks.contract.task import KDTask
from kdtasks.network.task import NetworkTask, parts_of
from search_spaces.study import Study
from sweeps.nodes.topologies.base import CapabilityError
from sweeps.nodes.topologies.catalog import collaborative
from sweeps.plan.needs import task_params


def completed(study: Study, task: KDTask, place: str, searched: Params) -> dict[str, Value]:
    """Return searched parameters from a place in the study, completed by the task.

    Raises:
        ConfigError: If the task rejects it; names the user's field and the fix.
    """
    params = task_params(study, searched)
    try:
        config = task.complete(params)
    except ConfigError as error:
        name = _blamed(task, params, str(error))
        where = _where(study, place, searched, name)
        raise ConfigError(
            f"study {study.name}: {where}: {_explained(task, name, error)}"
        ) from error
    check_capabilities(study, task, place, searched, config)
    return config


def check_capabilities(
    study: Study, task: KDTask, place: str, searched: Params, config: Params
) -> None:
    """Check that the task can run the topology of a completed configuration.

    Raises:
        ConfigError: If it cannot; names the field, the capability and what to add.
    """
    for part in parts_of(task, config):
        if part.params.get("topology", "none") == "none":
            continue
        try:
            collaborative(part.task, part.params)
        except CapabilityError as error:
            where = _where(study, place, searched, part.outside(error.parameter))
            raise ConfigError(f"study {study.name}: {where}: {error}") from error


def _where(study: Study, place: str, searched: Params, name: str) -> str:
    if name in study.parameters and name not in searched:
        return f"parameters.{name} = {study.parameters[name]!r}"
    if name in searched and place == "space" and name in study.space.names:
        return f"space.{name}, for example {dict(searched)}"
    if study.effort is not None and name in study.effort.parameters():
        return f"effort {study.effort.regime}, {name} = {study.effort.parameters()[name]!r}"
    return f"{place} {dict(searched)}"


def _explained(task: KDTask, name: str, error: ConfigError) -> str:
    if isinstance(task, NetworkTask):
        return str(error)
    if name in EffortSettings.model_fields and not issubclass(
        getattr(task, "settings", Settings), EffortSettings
    ):
        return (
            f"task {task.name} trains for its own epochs: {error}; take effort: as-published, or "
            "let the task's settings extend EffortSettings"
        )
    if name in NetworkSettings.model_fields and not isinstance(task, LearnsOnShares):
        return (
            f"{name} describes a network of nodes, and task {task.name} has none: it trains every "
            f"student on one node; drop {name}, or use a task with topologies, such as csi-feedback"
        )
    return str(error)


def _blamed(task: KDTask, params: Mapping[str, Value], message: str) -> str:
    """Return a parameter without which the task raises another error or none; else empty.

    Parameters in the message are tried first, since removing either of two that conflict would do.
    """
    for name in sorted(params, key=lambda name: name not in message):
        rest = {other: value for other, value in params.items() if other != name}
        try:
            task.complete(rest)
        except ConfigError as error:
            if str(error) == message:
                continue
        return name
    return ""
