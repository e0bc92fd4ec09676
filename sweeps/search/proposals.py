"""Proposes trials: the study's points first, then suggestions; no configuration twice."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.task import KDTask
from search_spaces.space import Space
from search_spaces.study import Study
from sweeps.common.clock import Clock
from sweeps.common.events import WorkFailedError, at_work, work_failed
from sweeps.common.records import FailureKind, TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.optuna_trials import FAILURE, TRACEBACK
from sweeps.plan.needs import task_params

PATIENCE = 5
"""Number of duplicate suggestions in a row after which configurations are drawn at random."""
MAX_REPEATS = 30
"""Number of duplicate suggestions in a row after which the space counts as searched."""

MAX_LISTED = 20_000
"""Largest finite space whose unseen configurations are listed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A trial to run: its number in the ledger, and its parameters, searched and completed."""

    number: int
    params: Params
    config: Params


class Proposals:
    """Proposes configurations until the budget is spent or no new one is left."""

    def __init__(self, study: Study, task: KDTask, ledger: Ledger, clock: Clock) -> None:
        self._study = study
        self._task = task
        self._ledger = ledger
        self._clock = clock
        everything = ledger.trials()
        self._started_s = clock.elapsed_s() - ledger.milestones.searched_s(everything)
        trials = [trial for trial in everything if not trial.duplicate and not trial.interrupted]
        self._spent = sum(trial.state is not TrialState.WAITING for trial in trials)
        self._seen = {fingerprint(trial.config) for trial in trials if trial.config}
        failed = [trial for trial in trials if trial.state is TrialState.FAIL]
        self._refused = {fingerprint(trial.params) for trial in failed if not trial.config}
        self.refused: list[int] = []
        """Trials that the task rejected since this list was last cleared."""
        taken = ledger.points_taken()
        points = enumerate(study.search.points)
        self._points = iter([entry for entry in points if entry[0] not in taken])
        self._repeats = ledger.repeats()
        # points leave nothing to a sampler: other parameters have the task's defaults
        alone = study.search.sampler == "points"
        self._space = Space({}) if alone else study.space
        self._grid: Iterator[Params] = iter(())
        if study.search.sampler == "grid":
            self._grid = study.space.enumerate()
        self.ended = ""
        """Why there are no more proposals; empty while there may be some."""

    def next(self) -> Proposal | None:
        """Return the next trial to run; None if the search has ended."""
        while not self._over():
            proposal = self._propose()
            if proposal is None:
                self.ended = self.ended or "every configuration has been tried"
            elif self._spend(proposal):
                return proposal
        return None

    def _over(self) -> bool:
        limit = self._study.budget.time_s
        if self._spent >= self._study.budget.trials:
            self.ended = self.ended or "the budget of trials is spent"
        elif limit is not None and self._clock.elapsed_s() - self._started_s >= limit:
            self.ended = self.ended or "the time is up"
        return bool(self.ended)

    def _spend(self, proposal: Proposal) -> bool:
        """Count a proposal; return whether it can run."""
        self._spent += 1
        if proposal.config:
            taught = self._task.teacher_fingerprint(proposal.config) is not None
            now_ms = self._clock.epoch_ms()
            self._ledger.start(proposal.number, proposal.config, now_ms, taught=taught)
        return bool(proposal.config)

    def _propose(self) -> Proposal | None:
        """Return a new configuration, or None if there is none; an empty config means it failed."""
        if (proposal := self._given()) is not None:
            return proposal
        if self._study.search.sampler == "points":
            return None
        if self._study.search.sampler == "grid":
            return self._first_new(self._grid)
        # a resumed search continues the count of duplicates
        for repeats in range(self._repeats, MAX_REPEATS):
            self._repeats = 0
            if repeats and (self._study.space.size() or inf) <= MAX_LISTED:
                return self._first_new(self._unseen())
            if (proposal := self._ask(self._drawn(repeats))) is not None:
                return proposal
        self.ended = f"the last {MAX_REPEATS} suggestions repeated known configurations"
        return None

    def _drawn(self, repeats: int) -> Params | None:
        """Return a random configuration after too many duplicates, else None.

        A sampler returns to a good configuration whose parameters are all discrete, although other
        branches of the space have new ones.
        """
        if repeats < PATIENCE:
            return None
        seed = [self._study.seeds.search, self._spent, repeats]
        return self._study.space.sample(np.random.default_rng(seed))

    def _given(self) -> Proposal | None:
        """Return a waiting configuration of an earlier driver, or a point of the study."""
        while self._ledger.waiting:
            if (proposal := self._ask(None)) is not None:
                return proposal
        for index, point in self._points:
            if (proposal := self._ask(point, index)) is not None:
                return proposal
        return None

    def _first_new(self, candidates: Iterator[Params]) -> Proposal | None:
        for candidate in candidates:
            if self._known(candidate):
                continue
            if (proposal := self._ask(candidate)) is not None:
                return proposal
        return None

    def _unseen(self) -> Iterator[Params]:
        whole = list(self._study.space.enumerate())
        rng = np.random.default_rng([self._study.seeds.search, self._spent])
        return (whole[index] for index in rng.permutation(len(whole)))

    def _known(self, searched: Params) -> bool:
        try:
            with at_work():
                config = self._task.complete(task_params(self._study, searched))
        except WorkFailedError:  # reported by _ask
            return fingerprint(searched) in self._refused
        return fingerprint(config) in self._seen

    def _ask(self, fixed: Params | None, point: int | None = None) -> Proposal | None:
        """Open a trial; close it and return None if its configuration is known."""
        number, params = self._ledger.ask(self._space, fixed, point)
        try:
            config = self._task.complete(task_params(self._study, params))
        except ConfigError as error:
            refused = FailureKind.REFUSED
            return self._refuse(number, params, f"refused by the task: {error}", {FAILURE: refused})
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - an error of the task fails only this trial
            failed = work_failed(error)
            attrs = {FAILURE: failed.kind, TRACEBACK: failed.traceback}
            return self._refuse(number, params, f"complete: {failed.reason}", attrs)
        key = fingerprint(config)
        if key in self._seen:
            self._ledger.reject_duplicate(number, config)
            return None
        self._seen.add(key)
        return Proposal(number=number, params=params, config=config)

    def _refuse(
        self, number: int, params: Params, reason: str, attrs: Mapping[str, str]
    ) -> Proposal | None:
        key = fingerprint(params)
        if key in self._refused:
            self._ledger.reject_duplicate(number, {})
            return None
        self._refused.add(key)
        self._ledger.fail(number, reason, attrs)
        self.refused.append(number)
        return Proposal(number=number, params=params, config={})
