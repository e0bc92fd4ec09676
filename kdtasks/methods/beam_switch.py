"""A node with two students, of which one runs: the switch between them.

Nguyen et al., section III, describe such nodes (camera by day, radar or positions at night) and
give no rule; the one here is ours. The condition of a window is taken as known: a node knows day
from night by its clock or by the brightness of its pictures.

Shape suffixes in this file: W = windows of a split, T = predicted slots, C = beams.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kdtasks.beam_format import CONDITIONS, IGNORED
from kdtasks.beam_metrics import best_beams, hits
from kdtasks.errors import DataError
from kdtasks.methods.beam_job import scores_of
from kdtasks.task import Arrays

SWITCH = "switch"
"""Array that holds a switch: the student of each condition, and the best single one."""

Answers = tuple[Tensor, Tensor]
"""Logits [W, T, C] of the first and of the second student for the same windows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """Which student answers when; 0 is the first, 1 the second.

    Attributes:
        by_condition: The student of each of `CONDITIONS`, in their order.
        single: The student that is best alone; it answers where no condition is known.
    """

    by_condition: tuple[int, ...]
    single: int

    def second_runs(self, condition_W: Tensor) -> Tensor:
        """Return whether the second student answers, [W]."""
        runs_W = torch.full_like(condition_W, self.single, dtype=torch.bool)
        for number, student in zip(CONDITIONS.values(), self.by_condition, strict=True):
            runs_W[condition_W == number] = bool(student)
        return runs_W

    def answers(self, said: Answers, condition_W: Tensor) -> Tensor:
        """Return the logits of the student that answers, [W, T, C]."""
        return torch.where(self.second_runs(condition_W)[:, None, None], said[1], said[0])

    def arrays(self) -> Arrays:
        """Return the switch as it is stored with the weights."""
        return {SWITCH: np.array([*self.by_condition, self.single], np.int8)}

    @classmethod
    def of(cls, arrays: Arrays) -> "Switch":
        """Return the switch that is stored with weights.

        Raises:
            DataError: If there is none, or it is none of ours.
        """
        stored = arrays[SWITCH].tolist() if SWITCH in arrays else None
        if stored is None or len(stored) != len(CONDITIONS) + 1 or not set(stored) <= {0, 1}:
            raise DataError(
                f"{SWITCH}={stored}: weights of two students hold {len(CONDITIONS) + 1} numbers, "
                "0 for the first and 1 for the second; these are weights of another trial"
            )
        return cls(by_condition=tuple(stored[:-1]), single=stored[-1])


def choose(said: Answers, label_WT: Tensor, condition_W: Tensor) -> Switch:
    """Choose who answers when: in each condition the student with the higher mean top-2 accuracy.

    A slot weighs in a condition by its share of the slot's labels in the split. That makes the
    node's mean top-2 accuracy over slots the sum of what is chosen from, so that on the windows
    chosen by no single student is better; with labels everywhere it is the plain mean.

    Of equals, and in conditions without a label, the student that is better over all windows
    answers; of equals over all windows, the first.

    Args:
        said: What the students say of some windows, the validation split.
        label_WT: Index of the best beam, or `IGNORED`.
        condition_W: Condition of each window.

    Raises:
        DataError: If a logit is not finite: a network diverged.
    """
    first_W, second_W = (_worth(logits_WTC, label_WT) for logits_WTC in said)
    ahead_W = second_W - first_W
    single = int(ahead_W.sum() > 0.0)
    leads = [float(ahead_W[condition_W == number].sum()) for number in CONDITIONS.values()]
    chosen = tuple(single if lead == 0.0 else int(lead > 0.0) for lead in leads)
    return Switch(by_condition=chosen, single=single)


def _worth(logits_WTC: Tensor, label_WT: Tensor) -> Tensor:
    """Return what each window adds to the sum over slots of the top-2 accuracy, [W]."""
    count_T = (label_WT != IGNORED).sum(0).clamp(min=1)
    hits_WT = hits(best_beams(logits_WTC, 2), label_WT, k=2)
    return (hits_WT.double() / count_T).sum(-1)


def switch_scores(
    switch: Switch, said: Answers, label_WT: Tensor, condition_W: Tensor
) -> dict[str, float]:
    """Return the scores of a node with two students.

    Those of `scores_of` [%]; ``top2_single`` [%], the mean top-2 accuracy of the student that was
    best alone when the switch was made; and for each condition whether the second student answers,
    ``second_night`` = 1, or the first, 0.
    """
    found = scores_of(switch.answers(said, condition_W), label_WT, condition_W)
    found["top2_single"] = scores_of(said[switch.single], label_WT, condition_W)["top2"]
    runs = zip(CONDITIONS, switch.by_condition, strict=True)
    return found | {f"second_{name}": float(student) for name, student in runs}
