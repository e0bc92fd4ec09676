"""The Pareto front of a sweep, the ranks of its trials and its hypervolume."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis import pareto
from search_spaces.study import Study
from sweeps.common.records import FrontRow, TrialRecord, TrialState


@dataclass(frozen=True, kw_only=True, slots=True)
class ParetoState:
    """The Pareto order of finished, feasible trials.

    Attributes:
        rows: The front, best first objective first.
        ranks: Rank by trial number; 0 is the front. Infeasible trials have none.
        hypervolume: Of the front, in log10 for objectives with a logarithmic scale.
    """

    rows: Sequence[FrontRow]
    ranks: Mapping[int, int]
    hypervolume: float


def ranked(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that are ranked: complete and feasible."""
    return [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.feasible]


def values_of(trials: Sequence[TrialRecord], study: Study) -> NDArray[np.float64]:
    """Return the objectives in their own units, shape [trials, objectives]."""
    rows = [[trial.metrics[goal.metric] for goal in study.objectives] for trial in trials]
    return np.array(rows, dtype=np.float64).reshape(len(trials), len(study.objectives))


def undominated(trials: Sequence[TrialRecord], study: Study) -> list[TrialRecord]:
    """Return the ranked ones of ``trials`` that no other dominates.

    Front and hypervolume of a growing sweep depend on no others, so that a search keeps these
    alone (see `analysis.pareto.sweep_front`).
    """
    members = ranked(trials)
    mask = pareto.front_mask(values_of(members, study), pareto.directions_of(study.objectives))
    return [trial for trial, kept in zip(members, mask, strict=True) if kept]


def pareto_state(trials: Sequence[TrialRecord], study: Study) -> ParetoState:
    """Rank the complete, feasible ones of ``trials``."""
    members = ranked(trials)
    values = values_of(members, study)
    ranks = pareto.sweep_ranks(values, study.objectives).tolist()
    front = [trial for trial, rank in zip(members, ranks, strict=True) if rank == 0]
    first = study.objectives[0]
    sign = 1.0 if first.direction == "minimize" else -1.0
    front.sort(key=lambda trial: (sign * trial.metrics[first.metric], trial.number))
    rows = [
        FrontRow(
            number=trial.number,
            params=trial.params,
            objectives={goal.metric: trial.metrics[goal.metric] for goal in study.objectives},
        )
        for trial in front
    ]
    return ParetoState(
        rows=rows,
        ranks={trial.number: rank for trial, rank in zip(members, ranks, strict=True)},
        hypervolume=pareto.sweep_hypervolume(values, study.objectives),
    )
