"""What differs between two studies; a sweep goes on with another budget or on other machines."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from search_spaces.study import Study

MAY_DIFFER = (
    "text",
    "budget.trials",
    "budget.time_s",
    "resources.cpus",
    "resources.gpus",
    "resources.slots",
)
MISSING = "nothing"


def differences(new: Study, old: Study) -> list[str]:
    """Return what is new in a study, one entry per field, but for `MAY_DIFFER`."""
    if new.text == old.text:
        return []
    before, after = dict(_leaves("", old)), dict(_leaves("", new))
    names = dict.fromkeys([*after, *before])
    return [
        f"{name} is {after.get(name, MISSING)!r}, was {before.get(name, MISSING)!r}"
        for name in names
        if name not in MAY_DIFFER and after.get(name, MISSING) != before.get(name, MISSING)
    ]


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
