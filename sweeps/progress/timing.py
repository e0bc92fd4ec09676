"""Time that a sweep's last driver spent in each part, from its log."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

ABOUT: Mapping[str, str] = {
    "imports": "from the start of the command, or the call of kd.sweep, until the study is read",
    "checks": "of the study, the space and the machine; digests of source",
    "data": "loading or generating the data",
    "start": "imports and database of MLflow; waiting for the start of Ray",
    "teachers": "training teachers that were not in the cache",
    "workers": "from the start of the search to the first trial: worker processes, their imports",
    "trials": "from the first trial to the end of the search",
    "confirm": "repetitions, teachers and baselines on the test split",
    "tracking": "writing the remaining entries to MLflow",
    "report": "figures and tables",
}
"""Parts in order, with descriptions."""

NAMES = {"record": "tracking"}
"""Names of parts that differ from the phase of the log."""

ENDS = ("trial_finished", "trial_stopped", "trial_failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The time spent in a part of a sweep [s], and its share of the whole, in [0, 1]."""

    name: str
    seconds: float
    share: float
    about: str


def parts(events: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return the time spent in each part; empty if no driver has begun."""
    marks = list(_marks(_last_driver(events)))
    spent: dict[str, float] = {}
    for (name, begin_s), (_, end_s) in pairwise(marks):
        spent[name] = spent.get(name, 0.0) + end_s - begin_s
    total_s = sum(spent.values()) or 1.0
    return [
        Part(name=name, seconds=spent[name], share=spent[name] / total_s, about=about)
        for name, about in ABOUT.items()
        if name in spent
    ]


def first_trial_s(events: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the time until the last driver's first trial ended [s]; None if none has."""
    last = _last_driver(events)
    begun_s = next((begin_s for _, begin_s in _marks(last)), 0.0)
    ended = (event["time"] for event in last if event["event"] in ENDS)
    return next((end_s - begun_s for end_s in ended), None)


def _last_driver(events: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    begins = [index for index, event in enumerate(events) if event["event"] == "opened"]
    return events[begins[-1] :] if begins else []


def _marks(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """Yield the start of each part, and at last the end."""
    waited = True
    for event in events:
        kind, now_s = event["event"], event["time"]
        if kind == "process":
            yield "imports", now_s - event["seconds"]
            yield "checks", now_s - event.get("checks", 0.0)  # earlier versions did not note it
        elif kind == "phase":
            waited = event["name"] == "search"
            yield "workers" if waited else NAMES.get(event["name"], event["name"]), now_s
        elif kind == "trial_started" and waited:
            waited = False
            yield "trials", now_s
    if events:
        yield "", events[-1]["time"]
