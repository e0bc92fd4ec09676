"""Trials that early stopping must not stop, so that one of every kept kind finishes."""

from collections.abc import Iterable

from kdtasks.contract.params import Params
from search_spaces.study import Study
from sweeps.common.records import TrialRecord, TrialState

Kind = tuple[str, object]
"""A parameter and one of its values."""

BASELINE: Kind = ("teacher", None)
"""The kind of all trials without a teacher."""


class Kept:
    """Tracks kinds of trials of which at least one must finish.

    These are trials without a teacher, and for each parameter in ``stopping.keep`` the trials with
    each of its values.
    """

    def __init__(self, study: Study, trials: Iterable[TrialRecord]) -> None:
        self._study = study
        self._running: dict[int, set[Kind]] = {}
        self._finished: set[Kind] = set()
        for trial in trials:
            if trial.state is TrialState.COMPLETE:
                self._finished |= self._kinds(trial.config, taught=trial.taught is not False)

    def begin(self, number: int, config: Params, *, taught: bool) -> None:
        """Record that a trial runs."""
        self._running[number] = self._kinds(config, taught=taught)

    def end(self, number: int, *, finished: bool = False) -> None:
        """Record that a trial has ended or is being stopped; calls may be repeated."""
        kinds = self._running.pop(number, set())
        if finished:
            self._finished |= kinds

    def protects(self, number: int) -> bool:
        """Return whether a trial must continue: no other of its kind has finished or still runs."""
        others = [kinds for other, kinds in self._running.items() if other != number]
        return bool(self._running[number] - self._finished.union(*others))

    def missing(self) -> list[str]:
        """Return the values with which no trial has finished, for example ``method=plain``."""
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
