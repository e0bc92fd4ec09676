"""Progress of a sweep besides its trials: entries in the journal that a resumed sweep reads."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import optuna

from search_spaces.study import Budget
from sweeps.common.records import JobKind, TrialRecord

CLOSED = "closed:"
SESSIONS, ENDED = "sessions", "ended"


def _terms(budget: Budget) -> dict[str, float | None]:
    return {"trials": budget.trials, "time_s": budget.time_s}


class Milestones:
    """Progress of one sweep, stored in attributes of its journal."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def close_job(self, kind: JobKind, key: str) -> None:
        """Record that a job after the search has ended, whatever its result."""
        self._study.set_user_attr(f"{CLOSED}{kind}/{key}", True)

    def closed_jobs(self) -> set[str]:
        """Return the closed jobs as ``kind/key``."""
        names = self._study.user_attrs
        return {name.removeprefix(CLOSED) for name in names if name.startswith(CLOSED)}

    def begin_session(self, now_ms: int) -> None:
        """Record that a driver begins to search, milliseconds since 1970."""
        self._study.set_user_attr(SESSIONS, [*self._sessions(), now_ms])

    def _sessions(self) -> list[int]:
        return list(self._study.user_attrs.get(SESSIONS, []))

    def searched_s(self, trials: Sequence[TrialRecord]) -> float:
        """Return the search time of all drivers so far [s], from the times of their trials."""
        moments = [trial.started_ms for trial in trials]
        # an interrupted trial is closed on resume, maybe days later
        moments += [trial.ended_ms for trial in trials if not trial.interrupted]
        known = sorted(moment for moment in moments if moment is not None)
        begun = self._sessions()
        total_ms = 0.0
        for start, end in pairwise([*begun, math.inf]):
            inside = [ms for ms in known if start <= ms < end]
            total_ms += max(inside, default=start) - start
        return total_ms / 1000

    def end_search(self, budget: Budget, why: str) -> None:
        """Record that the search with this budget has ended."""
        self._study.set_user_attr(ENDED, {"why": why, **_terms(budget)})

    def ended(self, budget: Budget) -> str:
        """Return why the search with this budget has ended; empty if it has not."""
        ended: Mapping[str, Any] = self._study.user_attrs.get(ENDED, {})
        return str(ended["why"]) if {**ended, **_terms(budget)} == ended else ""
