"""Parameters that every task of two networks has, beside its own."""

from typing import Literal

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.effort import EPOCHS, EffortSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.privacy import NETWORK
from kdtasks.contract.settings import (
    TRAINED,
    When,
    epochs_param,
    never,
    param,
    rate_param,
    share_param,
    weights_param,
)
from kdtasks.learning.custom_loss import named_loss

METHODS = ("vanilla", "response", "feature", "relation", "self")
"""Ways to train a student; a loss of the user's own is ``module:function``."""

TAUGHT = When(lambda s: s.has_teacher, "methods with a teacher")
DISTILS = When(lambda s: s.method != "vanilla", "methods that distil")
SOFTENED = When(lambda s: s.method in ("response", "self"), "methods response and self")
RELATION = When(lambda s: s.method == "relation", "method relation")
SELF = When(lambda s: s.method == "self", "method self")


class DistillationSettings(EffortSettings, NetworkSettings):
    """How a student is distilled. Fields without effect on the method hold their defaults."""

    method: str = param(
        "response",
        decides=("teacher", "student"),
        key="",
        help=f"{', '.join(METHODS)}, or module:function of student's and teacher's outputs",
    )
    seed: int = param(0, low=0, help="of the student")
    alpha: float = share_param(
        0.5, when=DISTILS, strict=True, help="weight of the distillation term; 1: no labels"
    )
    temperature: float = param(
        2.0, above=0, when=SOFTENED, strict=True, help="softens logits; no effect on numbers"
    )
    relation_distance: float = param(
        25.0, low=0, when=RELATION, strict=True, help="weight of distances between samples"
    )
    relation_angle: float = param(
        50.0, low=0, when=RELATION, strict=True, help="weight of angles between samples"
    )
    generations: int = param(
        2, low=2, high=10, when=SELF, strict=True, help="students, each taught by the one before"
    )
    epochs: int = epochs_param(20, when=EPOCHS, help="of the student, or of each generation")
    learning_rate: float = rate_param(2e-3, help="peak rate of Adam")
    weight_decay: float = param(0.0, low=0, help="factor on squared weights, as Adam has it")
    batch_size: int = param(64, low=1, unit="samples", help="per step of the student")
    teacher_weights: str = weights_param(when=TAUGHT)
    teacher_seed: int = param(
        0, low=0, when=(TAUGHT, TRAINED), decides="teacher", help="of the teacher"
    )
    teacher_epochs: int = epochs_param(
        40, when=(TAUGHT, TRAINED), decides="teacher", help="of the teacher's training"
    )
    teacher_rate: float = rate_param(
        2e-3, when=(TAUGHT, TRAINED), decides="teacher", help="peak rate of the teacher's Adam"
    )
    teacher_batch: int = param(
        64,
        low=1,
        when=(TAUGHT, TRAINED),
        decides="teacher",
        unit="samples",
        help="per step of the teacher",
    )
    partition: Literal["dirichlet"] = param(
        "dirichlet", when=NETWORK, help="samples are divided among edges by shares of labels"
    )
    partition_skew: float = NetworkSettings.again("partition_skew", default=0.3)
    num_teachers: Literal[1] = NetworkSettings.again(
        "num_teachers", when=never("tasks with several teachers"), strict=False, decides="student"
    )

    @property
    def relation_partners(self) -> int:
        """Samples of a batch to each of which a sample's relations are matched."""
        return 8

    @property
    def has_teacher(self) -> bool:
        """Whether a teacher is trained."""
        return self.method not in ("vanilla", "self")

    def fitted(self) -> "DistillationSettings":
        """Refuse what does not fit together."""
        if self.method not in METHODS:
            named_loss(self.method, METHODS)
        if self.networked and self.method == "self":
            raise ConfigError("method='self' trains at one node: set topology to none, or to self")
        if self.in_rounds and self.method != "vanilla":
            raise ConfigError(
                f"method={self.method!r}: topology {self.topology} has no teacher; set method to "
                "vanilla, and anchor_weight for what edges learn from outputs"
            )
        return self
