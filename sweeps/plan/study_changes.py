"""What differs between two studies.

A sweep goes on with another budget, on other machines, in other words, or with more points.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from search_spaces.report_spec import ReportSpec
from search_spaces.study import Study

MAY_DIFFER = (
    "text",
    "budget.trials",
    "budget.time_s",
    "resources.cpus",
    "resources.gpus",
    "resources.slots",
    "title",
    "description",
)
POINTS = "search.points."
MISSING = "nothing"


def differences(new: Study, old: Study) -> list[str]:
    """Return what is new in a study, one entry per field, but for what may differ.

    That is what stands in `MAY_DIFFER`, tables and claims of the report, which decide about no
    trial, and points behind those that there were, where nothing but points is run.
    """
    if new.text == old.text:
        return []
    before, after = dict(_leaves("", _run_of(old))), dict(_leaves("", _run_of(new)))
    if new.search.sampler == old.search.sampler == "points":
        known = len(old.search.points)
        after = {name: value for name, value in after.items() if not _is_behind(name, known)}
    names = dict.fromkeys([*after, *before])
    return [
        f"{name} is {after.get(name, MISSING)!r}, was {before.get(name, MISSING)!r}"
        for name in names
        if name not in MAY_DIFFER and after.get(name, MISSING) != before.get(name, MISSING)
    ]


def _run_of(study: Study) -> Study:
    return replace(study, report=ReportSpec())


def _is_behind(name: str, known: int) -> bool:
    """Return whether a field belongs to a point after the first ``known`` ones."""
    index = name.removeprefix(POINTS).split(".")[0]
    return name.startswith(POINTS) and int(index) >= known


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield dotted place and value of everything in ``value`` that has no parts."""
    if is_dataclass(value):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
    elif isinstance(value, Mapping):
        parts = {str(name): part for name, part in value.items()}
    elif isinstance(value, list | tuple):
        parts = {str(index): part for index, part in enumerate(value)}
    else:
        yield place, value
        return
    for name, part in parts.items():
        yield from _leaves(f"{place}.{name}" if place else name, part)
