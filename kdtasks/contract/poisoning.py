"""What a task adds so that lies of nodes can be made and found, see `sweeps.nodes.robust`."""

from abc import abstractmethod

from kdtasks.contract.collaboration import LearnsOnShares, SendsTeacher, SharesOutputs, Work
from kdtasks.contract.params import Params
from kdtasks.contract.task import Arrays, MetricInfo, TeacherArtifact, down


class ProbesOutputs(SharesOutputs):
    """A task that can test soft outputs on labelled samples, so that lies are found."""

    @abstractmethod
    def output_error(self, params: Params, samples: Arrays, outputs: Arrays) -> float:
        """Return the error of `outputs` on samples over that of a guess; 0 is perfect.

        A guess knows nothing of the input, so what is worse than 1 is worth nothing.
        """


class FlipsLabels(LearnsOnShares):
    """A task with labels that a hostile edge, or who poisons a teacher, can exchange."""

    @abstractmethod
    def flipped(self, params: Params, samples: Arrays) -> Arrays:
        """Return samples with wrong labels: a fixed exchange of classes."""


class PlantsTrigger(SendsTeacher):
    """A task with labels whose teacher can be given a backdoor.

    Source: Gu et al., "BadNets: Identifying vulnerabilities in the machine learning model supply
    chain", arXiv 1708.06733, section 3. `evaluate` reports `BACKDOOR_METRICS` of such deployments.
    """

    @abstractmethod
    def triggered(self, params: Params, samples: Arrays, share: float) -> Arrays:
        """Return samples of which a share shows a trigger and has the attacker's target as label.

        A share of 0 leaves samples as they are, a larger one changes at least one.
        """


BACKDOOR_METRICS: dict[str, MetricInfo] = {
    "val_backdoor_success": down(
        "%",
        "with attack backdoor: of samples with the trigger that are not of the target, those "
        "for which students of poisoned edges choose the target, mean over slots",
    ),
    "val_backdoor_base": down("%", "the same, of the same students and samples without trigger"),
    "val_backdoor_sound": down("%", "the same, with the trigger, of students with sound teachers"),
}
"""What tasks report that are `PlantsTrigger`."""


class ProbesTeacher(ProbesOutputs, SendsTeacher):
    """A task whose edges can test a teacher that they receive before they learn from it."""

    @abstractmethod
    def teacher_outputs(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        """Return the teacher's outputs on samples, as `SharesOutputs.outputs` names them."""
