"""How long a student is trained, so that methods can be compared at equal effort."""

from collections.abc import Callable
from typing import Any, Literal

from kdtasks.contract.arithmetic import ArithmeticSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.settings import When, epochs_param, param, unlike_default
from kdtasks.contract.task import MetricInfo, down

MOST_EPOCHS = 100_000
"""More than any training needs; a budget that allows more is a mistake."""

ALONE = When(lambda s: getattr(s, "topology", "none") == "none", "topology none")
EPOCHS = When(lambda s: s.effort == "epochs", "effort epochs; other efforts find their epochs")
GFLOP = When(lambda s: s.effort == "gflop", "effort gflop")
PLATEAU = When(lambda s: s.effort == "plateau", "effort plateau")


class EffortSettings(ArithmeticSettings):
    """What ends the training of a student."""

    effort: Literal["epochs", "gflop", "plateau"] = param(
        "epochs",
        when=(unlike_default("effort"), ALONE),
        strict=True,
        help="what ends the student's training: its epochs, so much computation, or a plateau",
    )
    effort_gflop: float = param(
        100.0,
        above=0,
        when=(ALONE, GFLOP),
        strict=True,
        unit="GFLOP",
        help="computation of the student's training: as many epochs as fit into it",
    )
    plateau_epochs: int = epochs_param(
        5,
        when=(ALONE, PLATEAU),
        strict=True,
        help="without improvement until the rate falls, twice to a fifth, and then training ends",
    )
    plateau_gain: float = param(
        0.0,
        low=0,
        when=(ALONE, PLATEAU),
        strict=True,
        help="what counts as an improvement of the validation score, in the score's unit",
    )
    plateau_cap: int = epochs_param(
        200, when=(ALONE, PLATEAU), strict=True, help="at most, for each stage of the training"
    )


EFFORT_METRICS: dict[str, MetricInfo] = {
    "train_core_seconds": down("s", "CPU time of the student's training"),
    "train_samples": down("", "samples that the student was trained on, repetitions included"),
    "train_gflop": down(
        "GFLOP",
        "of the student's training, in a network at its edge and its share at the server; "
        "backward = 2 x forward",
    ),
    "train_epochs": down("epochs", "of the student's training, all stages together"),
    "teacher_forward_gflop": down("GFLOP", "of a teacher that was run in the trial, beside that"),
    "train_capped": down("", "1 if effort plateau ended at plateau_cap before a plateau"),
}
"""What a student's training took, the same for every task."""


def epochs_within(settings: Any, flop_of: Callable[[int], float]) -> int:
    """Return the greatest number of epochs whose training stays within ``effort_gflop``.

    Args:
        settings: `EffortSettings` of a trial.
        flop_of: Operations of the whole training for a number of epochs, which must not decrease.

    Raises:
        ConfigError: If one epoch is too many, or `MOST_EPOCHS` are too few.
    """
    budget = settings.effort_gflop * 1e9
    if (least := flop_of(1)) > budget:
        raise ConfigError(
            f"effort_gflop={settings.effort_gflop:g} is less than a training of one epoch takes, "
            f"{least / 1e9:.4g} GFLOP: raise it"
        )
    low, high = 1, MOST_EPOCHS
    if flop_of(high) <= budget:
        raise ConfigError(
            f"effort_gflop={settings.effort_gflop:g} would be more than {MOST_EPOCHS} epochs: "
            "lower it"
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if flop_of(middle) <= budget else (low, middle)
    return low
