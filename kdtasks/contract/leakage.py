"""What a task adds so that leaks of its students can be measured, see `sweeps.nodes.privacy`."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.collaboration import SendsTeacher, Shares, SynthesisesSamples, Work
from kdtasks.contract.gaussian_mechanism import Mechanism
from kdtasks.contract.params import Params
from kdtasks.contract.poisoning import ProbesTeacher
from kdtasks.contract.task import Arrays, TeacherArtifact


class MeasuresLeaks(ProbesTeacher):
    """A task of which it can be measured how well training samples are told from others.

    Its `share_out` gives the withheld ``privacy_share`` of the training split to no node.

    Attributes:
        neutral_output: Every number of outputs that say nothing, about which noise is added.
    """

    neutral_output: ClassVar[float] = 0.0

    @abstractmethod
    def withheld(self, params: Params, train: Arrays) -> Shares:
        """Return the training samples that no node has, by whose distribution they are of."""

    @abstractmethod
    def fit_scores(self, params: Params, samples: Arrays, outputs: Arrays) -> NDArray[Any]:
        """Return how well outputs fit each sample, shape [N]: greater is better, natural logs.

        NaN for a sample without label.
        """

    def sample_clusters(self, samples: Arrays) -> NDArray[Any]:
        """Return a number per sample that is shared by those that are not independent, [N]."""
        return np.arange(self.sample_count(samples))


class NoisesStatistics(SynthesisesSamples):
    """A task whose statistics can be sent with noise."""

    @abstractmethod
    def noisy_synthesis(
        self,
        params: Params,
        weights: Arrays,
        samples: Arrays,
        mechanism: Mechanism,
        rng: np.random.Generator,
    ) -> tuple[Arrays, Work]:
        """Return the statistics of `synthesis` with noise.

        Neighbours are sets of as many samples that differ in one of them. What a sample adds is cut
        to ``mechanism.clip``. The student in ``weights`` is none of the samples' business: it was
        trained on them, and is sent without noise.
        """


class NoisesExtras(SendsTeacher):
    """A task that can send statistics beside its teacher with noise."""

    @abstractmethod
    def noisy_extras(
        self,
        params: Params,
        teacher: TeacherArtifact,
        samples: Arrays,
        mechanism: Mechanism,
        rng: np.random.Generator,
    ) -> tuple[Arrays, Work]:
        """Return the statistics of `teacher_extras` with noise, of the server's samples.

        Neighbours are as in `NoisesStatistics.noisy_synthesis`; the teacher is sent without noise.
        """
