"""Parameters that are paths: relative ones start at the folder of the study file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENDINGS = ("path", "file", "folder", "dir", "weights")
"""Last words of names of parameters that hold paths: ``data_path``, ``teacher_weights``."""


def is_path(name: str) -> bool:
    """Return whether a parameter of this name holds a path."""
    return name.rpartition("/")[2].rpartition("_")[2] in ENDINGS


def settle_paths(raw: Any, folder: Path) -> bool:
    """Make the paths in a study absolute from ``folder``, in place; return whether any changed."""
    settled = False
    for holder, key in list(_places(raw)):
        value = holder[key]
        if isinstance(value, str) and value and (new := _settled(value, folder)) != value:
            holder[key] = new
            settled = True
    return settled


def _settled(value: str, folder: Path) -> str:
    # links are kept: they are the user's names
    return os.path.abspath(folder / Path(value).expanduser())  # noqa: PTH100


def _places(raw: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what holds the value of a path, and its key there."""
    for values in [_part(raw, "parameters"), *_points(raw)]:
        for name, value in values.items():
            if is_path(str(name)):
                yield from _each(values, name, value)
    for name, domain in _part(raw, "space").items():
        if is_path(str(name)) and isinstance(domain, dict):
            yield from _each(domain, "values", domain.get("values"))


def _each(holder: Any, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, list):
        yield from ((value, index) for index in range(len(value)))
    elif value is not None:
        yield holder, key


def _part(raw: Any, name: str) -> dict[Any, Any]:
    part = raw.get(name) if isinstance(raw, dict) else None
    return part if isinstance(part, dict) else {}


def _points(raw: Any) -> Iterator[dict[Any, Any]]:
    points = _part(raw, "search").get("points")
    if isinstance(points, list):
        yield from (point for point in points if isinstance(point, dict))
