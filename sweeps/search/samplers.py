"""Optuna's samplers, created for every suggestion."""

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.task import KDTask
from search_spaces.study import Study
from sweeps.common.events import WorkFailedError, at_work
from sweeps.plan.needs import task_params

if TYPE_CHECKING:
    from sweeps.search.known_cost import Known


def _tpe(seed: int) -> BaseSampler:
    """Return TPE with the arguments that suit a study.

    Parameters that exist together are modelled together, else a good learning rate of one method is
    drawn for another; trials that still run count as bad ones, so that slots do not try the same.
    """
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": _tpe,
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
    "nsga3": lambda seed: optuna.samplers.NSGAIIISampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed, scramble=True),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    # `sweeps.search.proposals` gives points for these two; open parameters of points are drawn
    "grid": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "points": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}

COUNTING = ("qmc",)
"""Samplers of a fixed sequence: all their suggestions need the same seed."""


def known_costs(study: Study, task: KDTask) -> "Known":
    """Return what gives the complexity of searched parameters, each computed once."""
    found: dict[str, Mapping[str, float] | None] = {}

    def known(params: Params) -> Mapping[str, float] | None:
        key = fingerprint(params)
        if key not in found:
            try:
                with at_work():
                    found[key] = task.cost(task.complete(task_params(study, params)))
            except WorkFailedError:  # the task refuses it, or fails: such a trial says so
                found[key] = None
        return found[key]

    return known


def make_sampler(study: Study, known_of: "Known", known: int) -> BaseSampler:
    """Return the study's sampler for the suggestion after ``known`` others.

    The seed depends on ``known``, so that a resumed search suggests the same as an uninterrupted
    one.
    """
    if study.search.sampler in COUNTING:
        known = 0
    seed = np.random.SeedSequence([study.seeds.search, known]).generate_state(1)[0]
    if study.search.sampler == "known-cost":
        # scikit-learn takes a second to import
        from sweeps.search.known_cost import KnownCostSampler

        return KnownCostSampler(
            study.space, study.objectives, known_of, study.constraints, seed=int(seed)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[study.search.sampler](int(seed))
