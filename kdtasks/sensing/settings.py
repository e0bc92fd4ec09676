"""Parameters that the tasks on passages through a street have in common."""

from functools import partial
from typing import Literal, Self

from kdtasks.contract.deployment import NetworkSettings, TopologyName
from kdtasks.contract.effort import EPOCHS, EffortSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.privacy import NETWORK
from kdtasks.contract.settings import (
    TRAINED,
    When,
    epochs_param,
    param,
    rate_param,
    share_param,
    unlike_default,
    weights_param,
)
from kdtasks.learning.random import seed_for
from kdtasks.sensing.street.ray_traced import TracingConfig

ON_STREET = When(lambda s: s.on_street, "scenarios street and rt-street")
TAUGHT = When(lambda s: s.has_teacher, "methods with a teacher")

made_param = partial(param, when=ON_STREET, decides="made data")
teacher_param = partial(param, when=(TAUGHT, TRAINED), decides="teacher")

_passages = partial(made_param, low=1, high=10**6, unit="passages")
_relating = partial(
    param, when=When(lambda s: s.method == "relation", "method relation"), strict=True
)


class PassageSettings(EffortSettings, NetworkSettings):
    """A deployment of one-sided students, whose samples are windows over frames of a passage.

    A task gives its own defaults where it has others.
    """

    preset: Literal["quick", "standard", "paper"] = param(
        "quick", decides=("data", "teacher", "student"), key="", help="sizes of all else"
    )
    scenario: Literal["street", "rt-street", "deepsense"] = param(
        "street",
        decides="data",
        help="the synthetic street, the same with paths traced by Sionna RT, or files of your own",
    )
    data_path: str = param("", decides="data", help="your own DeepSense 6G folder or table")
    data_seed: int = made_param(0, low=0, help="seed of the passages")
    site_seed: int = made_param(
        1,
        low=0,
        when=(ON_STREET, unlike_default("site_seed")),
        help="seed of the street itself: what stands there, and the beams' gains",
    )
    distractors: float = made_param(
        0.7, low=0, high=4, unit="vehicles", help="other vehicles per passage, on average"
    )
    train_passages: int = _passages(
        {"quick": 100, "standard": 200, "paper": 95},
        help="that a student is trained on; in a network, of all nodes",
    )
    val_passages: int = _passages(
        {"quick": 60, "standard": 100, "paper": 20}, help="of the validation split"
    )
    test_passages: int = _passages(
        {"quick": 100, "standard": 200, "paper": 100}, help="of the test split"
    )
    window_stride: int = param(
        {"quick": 2, "standard": 2, "paper": 1},
        low=1,
        high=100,
        decides="data",
        unit="frames",
        help="from one window to the next",
    )
    method: str = param("vanilla", decides=("teacher", "student"), key="", help="of training")
    teacher_weights: str = weights_param(when=TAUGHT)
    alpha: float = share_param(
        0.5, when=TAUGHT, strict=True, help="weight of the distillation term"
    )
    relation_distance: float = _relating(25.0, low=0, help="weight of distances between features")
    relation_angle: float = _relating(50.0, low=0, help="weight of angles between features")
    relation_partners: int = _relating(
        4,
        low=1,
        high=1000,
        unit="windows",
        help="to each of which a window's relations are matched",
    )
    epochs: int = epochs_param(
        {"quick": 20, "standard": 30, "paper": 100}, when=EPOCHS, help="of the student"
    )
    learning_rate: float = rate_param(
        {"quick": 2e-3, "standard": 2e-3, "paper": 1e-3}, help="peak learning rate of the student"
    )
    weight_decay: float = share_param(0.0, help="weight decay of the student")
    teacher_epochs: int = teacher_param(
        {"quick": 40, "standard": 40, "paper": 90},
        low=1,
        unit="epochs",
        key="epochs",
        help="of the teacher",
    )
    teacher_rate: float = teacher_param(
        {"quick": 2e-3, "standard": 2e-3, "paper": 1e-3},
        above=0,
        high=1,
        key="rate",
        help="peak learning rate of the teacher",
    )
    teacher_decay: float = teacher_param(
        {"quick": 0.0, "standard": 0.0, "paper": 1e-4},
        low=0,
        high=1,
        key="decay",
        help="weight decay of the teacher",
    )
    teacher_seed: int = teacher_param(0, low=0, key="seed", help="seed of the teacher")
    seed: int = param(0, low=0, help="seed of the student")

    topology: TopologyName = NetworkSettings.again("topology", when=NETWORK)
    edge_part_only: bool = NetworkSettings.unused(
        "edge_part_only", "models that have a part at the server"
    )
    server_coverage: float = NetworkSettings.unused(
        "server_coverage", "tasks whose samples each have one place"
    )
    server_age: float = NetworkSettings.unused("server_age", "tasks whose site changes")

    @property
    def on_street(self) -> bool:
        """Whether data are made; others are files of the user's own."""
        return self.scenario != "deepsense"

    @property
    def tracing(self) -> TracingConfig | None:
        """How paths are traced, None where they are not."""
        return TracingConfig() if self.scenario == "rt-street" else None

    @property
    def has_teacher(self) -> bool:
        """Whether the method distils."""
        return self.method != "vanilla"

    def with_batch_up_to(self, windows: int) -> Self:
        """Return settings whose batch is no larger than the windows at hand."""
        raise NotImplementedError

    def at_node(self, windows: int, stream_name: str) -> Self:
        """Return a node's settings: its batch fits its windows, its random streams are its own."""
        own = {"seed": seed_for(self.seed, stream_name)} if stream_name else {}
        return self.model_copy(update=own).with_batch_up_to(windows)

    def check_source(self) -> None:
        """Refuse a scenario of the user's own without files, and files without it.

        Raises:
            ConfigError: Naming the parameter, its value and the way out.
        """
        if self.on_street == bool(self.data_path):
            raise ConfigError(
                "scenario 'deepsense' reads your own files: set data_path"
                if self.scenario == "deepsense"
                else f"data_path={self.data_path!r} has no effect with scenario "
                f"{self.scenario!r}: remove it, or set scenario to deepsense"
            )
