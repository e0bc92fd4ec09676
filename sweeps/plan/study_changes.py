"""Differences between a sweep's study and the one with which it is resumed."""

from typing import Any

from search_spaces.study import Study
from search_spaces.study_yaml import leaves

MAY_DIFFER = (
    "budget.trials",
    "budget.time",
    "resources.cpus",
    "resources.gpus",
    "resources.slots",
    "title",
    "description",
)
POINTS = "search.points."
MISSING = "nothing"


def differences(new: Study, old: Study) -> list[str]:
    """Return the differences of two studies, one per field, that prevent resuming.

    Fields in `MAY_DIFFER` and the report may differ, since trials do not depend on them. A study of
    points only may have further points.
    """
    if new.text == old.text:
        return []
    before, after = _fields_of(old), _fields_of(new)
    if new.search.sampler == old.search.sampler == "points":
        known = len(old.search.points)
        after = {name: value for name, value in after.items() if not _is_behind(name, known)}
    names = dict.fromkeys([*after, *before])
    return [
        f"{name} is {after.get(name, MISSING)!r}, was {before.get(name, MISSING)!r}"
        for name in names
        if name not in MAY_DIFFER and after.get(name, MISSING) != before.get(name, MISSING)
    ]


def _fields_of(study: Study) -> dict[str, Any]:
    """Return all values on which trials may depend, by dotted path."""
    return dict(leaves({name: part for name, part in study.plain().items() if name != "report"}))


def _is_behind(name: str, known: int) -> bool:
    """Return whether a field belongs to a point after the first ``known`` ones."""
    index = name.removeprefix(POINTS).split(".")[0]
    return name.startswith(POINTS) and int(index) >= known
