"""Collaborative tasks whose samples are windows over frames of passages: beam tracking."""

from collections.abc import Callable

from kdtasks.beam_format import NUM_BEAMS, NUM_SLOTS
from kdtasks.collaboration import TensorSpec, parted
from kdtasks.config import Params
from kdtasks.deployable import Deployable
from kdtasks.one_sided import OneSidedTask
from kdtasks.task import Arrays
from kdtasks.tasks.beam_deployed import deployment_scores
from kdtasks.tasks.beam_shares import pointing_nowhere, windows_between, windows_together
from kdtasks.tasks.edges_export import ScoreOf, deployed


class WindowTask(OneSidedTask):
    """Windows share the frames that they are over, so a share is not a row per sample."""

    def sample_count(self, samples: Arrays) -> int:
        return len(samples["label"]) if samples else 0

    def sample_slice(self, samples: Arrays, start: int, stop: int) -> Arrays:
        return windows_between(samples, start, stop)

    def samples_together(self, one: Arrays, other: Arrays) -> Arrays:
        return windows_together(one, other)

    def sample_misfit(self, samples: Arrays) -> str:
        return pointing_nowhere(samples)

    def deployment_scores(
        self, params: Params, weights: Arrays, split: Arrays, score: ScoreOf
    ) -> dict[str, float]:
        """Return the quality metrics of a deployment's students, without prefix.

        Args:
            params: Parameters of the trial.
            weights: Of all nodes.
            split: Windows; not those of training, so no edge's share is cut, and students that are
                made without data have one, too.
            score: Scores a student.
        """
        return deployment_scores(score, parted(weights), self.share_out(params, split, "val"))

    def deployed_windows(
        self, params: Params, weights: Arrays, built: Callable[[int, Arrays], Deployable]
    ) -> Deployable:
        """Return the networks of a deployment's students.

        Args:
            params: Parameters of the trial.
            weights: Of all nodes.
            built: Returns the student of an edge with these weights.
        """

        def judged(score: ScoreOf, split: Arrays) -> dict[str, float]:
            return self.deployment_scores(params, weights, split, score)

        return deployed(weights, built, judged)

    def output_tensors(self, params: Params) -> dict[str, TensorSpec]:  # noqa: ARG002
        return {"logits": TensorSpec(shape=(None, NUM_SLOTS, NUM_BEAMS), dtype="float32")}
