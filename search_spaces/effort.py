"""What ends the training of the students of a study, so that they are compared at equal effort."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, StrictFloat, model_validator
from pydantic.dataclasses import dataclass

from search_spaces.errors import StudyError
from search_spaces.fields import Count, Part, Value

Regime: TypeAlias = Literal["as-published", "gflop", "plateau"]


@dataclass(frozen=True, kw_only=True)
class Effort(Part):
    """What ends the training of every student.

    `plateau` and `as-published` can be written as one word, equal computation as `{gflop: 40}`.
    """

    regime: Regime
    """as-published: each student is trained for the epochs that the study sets, whatever they cost.
    gflop: all have the same computation, and epochs follow from their cost. plateau: until
    validation no longer improves."""
    gflop: Annotated[StrictFloat, Field(gt=0)] | None = None
    """Computation of a student's training, forward and backward passes [GFLOP].

    Left out if points or space vary the task's parameter effort_gflop.
    """
    epochs: Count | None = None
    """Of a plateau: so many in a row without improvement; null leaves the task's default."""
    gain: Annotated[StrictFloat, Field(ge=0)] | None = None
    """Of a plateau: what counts as an improvement, in the unit of the validation score."""
    cap: Count | None = None
    """Of a plateau: epochs of a stage at most; the report names trainings that end there."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        owners = {"gflop": "gflop", "epochs": "plateau", "gain": "plateau", "cap": "plateau"}
        for name, owner in owners.items():
            if getattr(self, name) is not None and self.regime != owner:
                raise StudyError(
                    f"belongs to regime {owner}, not {self.regime}; drop it", place=name
                )
        return self

    def parameters(self) -> dict[str, Value]:
        """Return the parameters of the task that it sets."""
        if self.regime == "as-published":
            return {}
        found = {
            "effort": self.regime,
            "effort_gflop": self.gflop,
            "plateau_epochs": self.epochs,
            "plateau_gain": self.gain,
            "plateau_cap": self.cap,
        }
        return {name: value for name, value in found.items() if value is not None}


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return {"regime": value}
    if isinstance(value, dict) and "gflop" in value:
        return {"regime": "gflop", **value}
    return value


EffortField: TypeAlias = Annotated[
    Effort | None, BeforeValidator(_whole, json_schema_input_type=Regime | Effort | None)
]
"""An `Effort` as a study writes it."""
