"""What a task adds so that lies of nodes can be made and found, see `sweeps.nodes.robust`."""

from abc import abstractmethod

from kdtasks.contract.collaboration import LearnsOnShares, SendsTeacher, SharesOutputs, Work
from kdtasks.contract.params import Params
from kdtasks.contract.task import Arrays, TeacherArtifact


class ProbesOutputs(SharesOutputs):
    """A task that can test soft outputs on labelled samples, so that lies are found."""

    @abstractmethod
    def output_error(self, params: Params, samples: Arrays, outputs: Arrays) -> float:
        """Return the error of `outputs` on samples over that of a guess; 0 is perfect.

        A guess knows nothing of the input, so what is worse than 1 is worth nothing.
        """


class FlipsLabels(LearnsOnShares):
    """A task with labels that a hostile edge can exchange."""

    @abstractmethod
    def flipped(self, params: Params, samples: Arrays) -> Arrays:
        """Return samples with wrong labels: a fixed exchange of classes."""


class ProbesTeacher(ProbesOutputs, SendsTeacher):
    """A task whose edges can test a teacher that they receive before they learn from it."""

    @abstractmethod
    def teacher_outputs(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        """Return the teacher's outputs on samples, as `SharesOutputs.outputs` names them."""
