"""Collaborative tasks whose samples are windows over frames of passages: beam tracking."""

from kdtasks.beam_format import NUM_BEAMS, NUM_SLOTS
from kdtasks.collaboration import TensorSpec
from kdtasks.config import Params
from kdtasks.one_sided import OneSidedTask
from kdtasks.task import Arrays
from kdtasks.tasks.beam_shares import pointing_nowhere, windows_between, windows_together


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

    def output_tensors(self, params: Params) -> dict[str, TensorSpec]:  # noqa: ARG002
        return {"logits": TensorSpec(shape=(None, NUM_SLOTS, NUM_BEAMS), dtype="float32")}
