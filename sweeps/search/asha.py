"""Early stopping of trials, which `sweeps.search.rungs` compares, but not of all of a kept kind."""

from collections.abc import Iterable, Mapping

from kdtasks.contract.params import Params
from kdtasks.contract.task import KDTask
from search_spaces.study import Study
from sweeps.common.events import Event
from sweeps.common.records import RungEntry, Stop, TrialRecord, TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.search.rungs import Rungs

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


class EarlyStopping:
    """Compares trials at the rungs of a study; without ``stopping`` it stops none.

    Trials that differ in a parameter of ``stopping.within`` have rungs of their own.
    Metrics that training cannot change come from ``KDTask.cost``, the others from reports. A report
    without an objective leaves its trial out of that rung. `Kept` may protect a trial
    from being stopped.
    """

    def __init__(self, study: Study, task: KDTask, ledger: Ledger) -> None:
        self._study = study
        self._task = task
        self._ledger = ledger
        self._costs: dict[int, Mapping[str, float]] = {}
        self._noted: dict[int, list[RungEntry]] = {}
        self._groups: dict[tuple[object, ...], Rungs] = {}
        self._rungs: dict[int, Rungs] = {}
        self._kept = Kept(study, ledger.trials())
        for trial in ledger.trials() if study.stopping is not None else ():
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                for entry in trial.rungs:
                    self._group(trial.config).restore(trial.number, entry)

    def _group(self, config: Params) -> Rungs:
        """Return the rungs at which a trial of a study with ``stopping`` is compared."""
        study = self._study
        assert study.stopping is not None
        key = tuple(config.get(name) for name in study.stopping.within)
        if key not in self._groups:
            self._groups[key] = Rungs(study.stopping, study.objectives, study.constraints)
        return self._groups[key]

    @property
    def lacking(self) -> frozenset[str]:
        """Objectives that were missing in reports at rungs."""
        return frozenset().union(*(rungs.lacking for rungs in self._groups.values()))

    def before(self, number: int, config: Params) -> Stop | None:
        """Return why a trial need not start, if its cost alone makes it infeasible."""
        if self._study.stopping is None:
            return None
        self._rungs[number] = self._group(config)
        cost = self._costs[number] = self._cost(config)
        violations = self._violations(cost)
        missed = [name for name, violation in violations.items() if violation > 0.0]
        if not missed:
            taught = self._task.teacher_fingerprint(config) is not None
            self._kept.begin(number, config, taught=taught)
            return None
        what = ", ".join(f"{name} is {cost[name]:g}" for name in missed)
        reason = f"infeasible before training: {what}"
        return Stop(reason=reason, metrics=cost, violations=violations)

    def after(self, number: int, event: Event) -> Stop | None:
        """Return why a trial must stop after a report; None if it continues."""
        rungs = self._rungs.get(number)
        if rungs is None or event.done:
            return None
        cost = self._costs[number]
        metrics = {**cost, **event.metrics}
        entry = rungs.report(number, event.epoch, event.epochs, metrics)
        if entry is None:
            return None
        # after a restart, later rungs belong to the first attempt
        earlier = [e for e in self._noted.get(number, []) if e.rung < entry.rung]
        self._noted[number] = [*earlier, entry]
        self._ledger.at_rungs(number, self._noted[number])
        if rungs.continues(number, entry.rung) or self._kept.protects(number):
            return None
        self._kept.end(number)
        return Stop(
            reason=f"not among the best at {100 * entry.rung:g} % of its training",
            epoch=event.epoch,
            epochs=event.epochs,
            metrics=metrics,
            violations=self._violations(cost),
        )

    def missing(self) -> list[str]:
        """Return the values in ``stopping.keep`` with which no trial has finished."""
        return self._kept.missing()

    def ended(self, number: int, state: TrialState) -> None:
        """Record the end of a trial; its metrics stay in its rungs unless it failed."""
        self._costs.pop(number, None)
        self._noted.pop(number, None)
        self._kept.end(number, finished=state is TrialState.COMPLETE)
        rungs = self._rungs.pop(number, None)
        if state is TrialState.FAIL and rungs is not None:
            rungs.forget(number)

    def _cost(self, config: Params) -> Mapping[str, float]:
        try:
            return {name: float(value) for name, value in self._task.cost(config).items()}
        except Exception:  # noqa: BLE001 - the trial calls it too and fails with the reason
            return {}

    def _violations(self, cost: Mapping[str, float]) -> dict[str, float]:
        return {
            bound.metric: bound.violation(cost[bound.metric])
            for bound in self._study.constraints
            if bound.metric in cost
        }
