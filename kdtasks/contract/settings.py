"""A task's parameters, each declared once by `param`; all that is known of them follows from that.

A field of `Settings` declares its default, range, unit and meaning, when it has an effect and what
it decides. From the declarations follow validation, presets, what is refused or dropped where it
has no effect, what fingerprints contain, and ``kdsweep parameters``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.near_names import did_you_mean
from kdtasks.contract.params import Params, Value

Decision = Literal["data", "made data", "teacher", "student", "networks", "baselines", "cost"]
"""What a parameter can decide: data (``made data`` only where these are not read from files of the
user's own), teacher, student, the sizes of their networks, the baselines of a scenario, or costs
alone."""


@dataclass(frozen=True, slots=True)
class When:
    """A condition under which a parameter has an effect.

    Attributes:
        holds: Whether it holds for settings.
        owner: What the parameter belongs to, as in "it belongs to methods with a teacher".
    """

    holds: Callable[[Any], bool]
    owner: str


def unlike_default(name: str) -> When:
    """Return that a parameter counts where it has another value than its default.

    So a parameter that is new leaves trials without it what they were.
    """
    return When(
        lambda s: getattr(s, name) != s.declared[name].default, "another value than the default"
    )


def never(owner: str) -> When:
    """Return the condition of a parameter that has no effect in this task."""
    return When(_never, owner)


def _never(_settings: object) -> bool:
    return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """What is declared of a parameter, see `param`."""

    default: Value | Mapping[str, Value]
    choices: tuple[Value, ...]
    low: float | None
    high: float | None
    above: float | None
    below: float | None
    multiple_of: int | None
    unit: str
    help: str
    when: When | tuple[When, ...]
    strict: bool
    decides: Decision | tuple[Decision, ...]
    key: str | None

    def __post_init__(self) -> None:
        if unknown := {*self.decisions} - {*get_args(Decision)}:
            known = ", ".join(get_args(Decision))
            raise TypeError(f"decides={unknown.pop()!r} must be one of {known}")

    @property
    def conditions(self) -> tuple[When, ...]:
        """All that must hold for it to have an effect."""
        return self.when if isinstance(self.when, tuple) else (self.when,)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All that it decides."""
        return self.decides if isinstance(self.decides, tuple) else (self.decides,)

    @property
    def used(self) -> bool:
        """Whether it can have an effect in its task."""
        return all(condition.holds is not _never for condition in self.conditions)

    def owner_where_idle(self, settings: "Settings") -> str:
        """Return what it belongs to if it has no effect on ``settings``; empty if it has."""
        return next((one.owner for one in self.conditions if not one.holds(settings)), "")

    def field(self) -> Any:
        """Return it as a field of `Settings`."""
        known: dict[str, Any] = {
            "ge": self.low,
            "le": self.high,
            "gt": self.above,
            "lt": self.below,
            "multiple_of": self.multiple_of,
        }
        if not isinstance(self.default, Mapping):
            known["default"] = self.default
        info = Field(**known)
        info.metadata.append(self)
        return info


def param(  # noqa: PLR0913 - one argument per fact
    default: Value | Mapping[str, Value],
    *,
    choices: tuple[Value, ...] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    multiple_of: int | None = None,
    unit: str = "",
    help: str = "",  # noqa: A002 - the word that everybody expects
    when: When | tuple[When, ...] = (),
    strict: bool = False,
    decides: Decision | tuple[Decision, ...] = "student",
    key: str | None = None,
) -> Any:
    """Declare a parameter: as a field of `Settings`, or in a task's ``parameters``.

    Args:
        default: Its default, or one for each preset by the preset's name.
        choices: All values, where no ``Literal`` type names them.
        low: Least value.
        high: Greatest value.
        above: All values are greater than this.
        below: All values are less than this.
        multiple_of: All values are multiples of this.
        unit: Its unit, empty for a pure number.
        help: What it means, in one clause.
        when: When it has an effect; of several conditions all must hold. Without effect it holds
            its default, and does not distinguish trials.
        strict: Whether it is an error to set it where it has no effect. Otherwise it is dropped, so
            that a study can fix it for all methods at once.
        decides: What it decides.
        key: Its name in the fingerprint of what it decides; its own by default, and empty if that
            contains something that the task computes from it.
    """
    return Parameter(**locals()).field()


rate_param = partial(param, above=0, high=1)
share_param = partial(param, low=0, high=1)
epochs_param = partial(param, low=1, unit="epochs")
TRAINED = When(lambda s: not s.teacher_weights, "teachers that are trained here")
GIVEN = When(lambda s: s.teacher_weights, "a file")


def weights_param(*, when: When) -> Any:
    """Declare ``teacher_weights``; without a file trials are what they were before it existed.

    Its content decides the teacher, see `kdtasks.data.weight_files.weights_identity`.
    """
    text = "file of a teacher that is trained already: safetensors, or a state dict (.pt)"
    return param("", when=(when, GIVEN), decides="teacher", key="", help=text)


class Settings(BaseModel):
    """Everything that decides one trial. Fields without effect on it hold their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    task: ClassVar[str] = "this task"
    """Name of the task, for errors."""

    declared: ClassVar[Mapping[str, Parameter]] = {}
    """The parameters by name."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Collect what is declared.

        Raises:
            TypeError: If a field is not declared by `param`, lacks a default for some preset, or
                has the key of another one.
            ValidationError: If a default is outside of its range.
        """
        cls.declared = {
            name: found
            for name, field in cls.model_fields.items()
            for found in field.metadata
            if isinstance(found, Parameter)
        }
        for name in cls.model_fields:
            if name not in cls.declared:
                raise TypeError(f"{cls.__name__}.{name} is not declared: give it a param(...)")
            default = cls.declared[name].default
            if isinstance(default, Mapping) and {*default} != {*cls.preset_names()}:
                names = ", ".join(cls.preset_names()) or "none: there is no field preset"
                raise TypeError(f"{cls.__name__}.{name} needs a default for each preset: {names}")
        keys: dict[tuple[Decision, str], str] = {}
        for name, one in cls.declared.items():
            for decision in one.decisions if one.key != "" else ():
                if (other := keys.setdefault((decision, one.key or name), name)) != name:
                    raise TypeError(
                        f"{cls.__name__}.{name} has the key of {other}: give it another"
                    )
        for preset in cls.preset_names() or ("",):
            _defaults(cls, preset)

    @classmethod
    def made_of(cls, parameters: Mapping[str, Any], task: str) -> type["Settings"]:
        """Return settings with these parameters, each of the type of its default or its choices.

        Args:
            parameters: What `param` returns, by name.
            task: Name of the task, for errors.

        Raises:
            ConfigError: If settings have something else of that name.
        """
        if taken := [name for name in parameters if hasattr(cls, name)]:
            raise ConfigError(f"{task}: a parameter cannot be called {taken[0]!r}: rename it")
        fields: dict[str, Any] = {n: (_type_of(info), info) for n, info in parameters.items()}
        made = create_model("Parameters", __base__=cls, **fields)
        made.task = task
        return made

    @classmethod
    def in_order(cls) -> list[str]:
        """Return the names of the parameters, in the order in which they are shown."""
        return list(cls.model_fields)

    @classmethod
    def preset_names(cls) -> tuple[str, ...]:
        """Return the names of the presets; none without a field ``preset``."""
        field = cls.model_fields.get("preset")
        return get_args(field.annotation) if field else ()

    @classmethod
    def preset_values(cls, preset: str) -> dict[str, Value]:
        """Return the defaults that a preset has of its own."""
        found = {name: one.default for name, one in cls.declared.items()}
        return {n: value[preset] for n, value in found.items() if isinstance(value, Mapping)}

    @classmethod
    def deciding(cls, *decisions: Decision) -> frozenset[str]:
        """Return the names of the parameters that decide any of these."""
        return frozenset(n for n, one in cls.declared.items() if {*one.decisions} & {*decisions})

    @classmethod
    def belonging_to(cls, *conditions: When) -> frozenset[str]:
        """Return the names of the parameters that have an effect only under one of these."""
        return frozenset(n for n, one in cls.declared.items() if {*one.conditions} & {*conditions})

    @classmethod
    def again(cls, name: str, **changes: Any) -> Any:
        """Declare a parameter for a task in which it differs in some arguments of `param`."""
        return replace(cls.declared[name], **changes).field()

    @classmethod
    def unused(cls, name: str, owner: str) -> Any:
        """Declare that a parameter has no effect in a task; it is refused there."""
        return cls.again(name, when=never(owner), strict=True, decides="student")

    @classmethod
    def resolve(cls, params: Params) -> Self:
        """Check parameters and fill in the preset.

        Raises:
            ConfigError: Naming the parameter, its value and what would be accepted.
        """
        settings = cls._checked(params).fitted()
        idle = settings.idle()
        for name in sorted(idle.keys() & params.keys()):
            if cls.declared[name].strict:
                raise ConfigError(
                    f"{name}={params[name]!r} has no effect here: it belongs to {idle[name]}; "
                    "remove it, or make it conditional in the search space with 'when'"
                )
        defaults = _defaults(cls, getattr(settings, "preset", ""))
        return settings.model_copy(update={name: getattr(defaults, name) for name in idle})

    @classmethod
    def _checked(cls, params: Params) -> Self:
        """Return settings with the preset filled in, each parameter checked by itself."""
        for name in params:
            if name not in cls.model_fields:
                used = [known for known, one in cls.declared.items() if one.used]
                hint = did_you_mean(name, used) or ";"
                raise ConfigError(
                    f"{cls.task} has no parameter {name!r}{hint} kdsweep parameters lists all"
                )
        merged: dict[str, Any] = dict(params)
        if presets := cls.preset_names():
            preset = params.get("preset", cls.model_fields["preset"].default)
            if preset not in presets:
                raise ConfigError(f"preset={preset!r} must be one of {', '.join(presets)}")
            merged = {**cls.preset_values(str(preset)), **params}
        try:
            return cls(**merged)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            problem = first["msg"].lower()
            if first["type"].startswith("bool"):
                problem = "must be true or false; yes, no, on and off are text in YAML 1.2"
            raise ConfigError(f"{name}={first['input']!r}: {problem}") from error

    def fitted(self) -> Self:
        """Return settings in one spelling, whose parameters fit to each other.

        Raises:
            ConfigError: If they do not.
        """
        return self

    def idle(self) -> dict[str, str]:
        """Return the parameters without effect on this trial, each with what it belongs to."""
        found = {name: one.owner_where_idle(self) for name, one in self.declared.items()}
        return {name: owner for name, owner in found.items() if owner}

    def completed(self) -> dict[str, Value]:
        """Return what decides this trial: every parameter that has an effect on it."""
        idle, values = self.idle(), self.model_dump()
        return {name: values[name] for name in self.in_order() if name not in idle}

    def identity(self, decision: Decision) -> dict[str, Value]:
        """Return the parameters that decide something, by their keys in its fingerprint."""
        return {
            one.key or name: getattr(self, name)
            for name, one in self.declared.items()
            if decision in one.decisions and one.key != ""
        }


def _type_of(field: Any) -> Any:
    """Return the type of a parameter's values, as its declaration implies."""
    one: Parameter = next(found for found in field.metadata if isinstance(found, Parameter))
    first = next(iter(one.default.values())) if isinstance(one.default, Mapping) else one.default
    return Literal[one.choices] if one.choices else type(first)


@lru_cache(maxsize=64)
def _defaults(kind: type[Settings], preset: str) -> Settings:
    found = {name: one.default for name, one in kind.declared.items()}
    return kind.model_validate({**found, **kind.preset_values(preset)})
