"""Which trials early stopping must spare: of every kind that is to be kept, one has to finish."""

from collections.abc import Iterable

from kdtasks.contract.params import Params
from search_spaces.study import Study
from sweeps.common.records import TrialRecord, TrialState

Kind = tuple[str, object]
"""A parameter and one of its values."""

BASELINE: Kind = ("teacher", None)
"""The kind of all trials without a teacher."""


class Kept:
    """Keeps account of the kinds of trials of which one at least must be trained to its end.

    These are the trials without a teacher, and those with one value of a parameter that the study
    names in ``stopping.keep``.
    """

    def __init__(self, study: Study, trials: Iterable[TrialRecord]) -> None:
        self._study = study
        self._running: dict[int, set[Kind]] = {}
        self._finished: set[Kind] = set()
        for trial in trials:
            if trial.state is TrialState.COMPLETE:
                self._finished |= self._kinds(trial.config, taught=trial.taught is not False)

    def begin(self, number: int, config: Params, *, taught: bool) -> None:
        """Note that a trial runs."""
        self._running[number] = self._kinds(config, taught=taught)

    def end(self, number: int, *, finished: bool = False) -> None:
        """Note that a trial has ended or is to be stopped; again for the same trial is harmless."""
        kinds = self._running.pop(number, set())
        if finished:
            self._finished |= kinds

    def spares(self, number: int) -> bool:
        """Return whether a trial must go on: none other of its kind has finished, or still runs."""
        others = [kinds for other, kinds in self._running.items() if other != number]
        return bool(self._running[number] - self._finished.union(*others))

    def missing(self) -> list[str]:
        """Return the values of which no trial has finished, for example ``method=plain``."""
        domains = {name: self._study.space.parameters[name] for name in self._names}
        return [
            f"{name}={value}"
            for name, domain in domains.items()
            for value in domain.values() or ()
            if (name, value) not in self._finished
        ]

    @property
    def _names(self) -> tuple[str, ...]:
        return () if self._study.stopping is None else self._study.stopping.keep

    def _kinds(self, config: Params, *, taught: bool) -> set[Kind]:
        space = self._study.space
        names = [name for name in self._names if name in config and space.active(name, config)]
        kinds: set[Kind] = {(name, config[name]) for name in names}
        return kinds if taught else kinds | {BASELINE}
