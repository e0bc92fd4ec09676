"""From the parameters of a trial to a task's settings: what every task with presets does alike."""

import difflib
from collections.abc import Mapping, Set
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value

Presets = Mapping[str, Mapping[str, Value]]
"""Values of parameters by the name of a preset."""

SettingsT = TypeVar("SettingsT", bound=BaseModel)


def checked(params: Params, kind: type[SettingsT], presets: Presets, *, task: str) -> SettingsT:
    """Return settings with the preset filled in, each parameter checked by itself.

    Args:
        params: Parameters of a trial.
        kind: The task's settings.
        presets: Its presets; ``quick`` is taken if none is named.
        task: Its name, for errors.

    Raises:
        ConfigError: Naming the parameter, its value and what would be accepted.
    """
    for name in params:
        if name not in kind.model_fields:
            near = difflib.get_close_matches(name, kind.model_fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            known = ", ".join(sorted(kind.model_fields))
            raise ConfigError(f"{task} has no parameter {name!r}{hint} It knows {known}")
    preset = params.get("preset", "quick")
    if preset not in presets:
        raise ConfigError(f"preset={preset!r} must be one of {', '.join(presets)}")
    merged: dict[str, Any] = {**presets[str(preset)], **params}
    try:
        return kind(**merged)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{name}={first['input']!r}: {first['msg'].lower()}") from error


def without_idle(
    settings: SettingsT,
    params: Params,
    inactive: Mapping[str, str],
    must_fit: Set[str],
    preset: Mapping[str, Value],
) -> SettingsT:
    """Return settings in which parameters without effect hold their defaults.

    Args:
        settings: Checked settings.
        params: What was asked for.
        inactive: Parameters without effect, each with what it belongs to.
        must_fit: Those of them that are refused if they were asked for.
        preset: Values of the preset.

    Raises:
        ConfigError: Naming a parameter that was asked for and has no effect.
    """
    for name in sorted(must_fit & inactive.keys() & params.keys()):
        raise ConfigError(
            f"{name}={params[name]!r} has no effect here: it belongs to {inactive[name]}; remove "
            "it, or make it conditional in the search space with 'when'"
        )
    defaults = type(settings).model_validate(preset)
    return settings.model_copy(update={name: getattr(defaults, name) for name in inactive})
