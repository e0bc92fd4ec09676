"""Where a sweep's data come from, in lines for readers; the whole provenance stands below them."""

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.frames import SweepFrames


def origin_lines(frames: SweepFrames) -> list[str]:
    """Return what the data are and what is wrong with their files, each line once."""
    return list(dict.fromkeys(_lines(frames.provenance)))


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of everything in ``facts`` that names its source, however deep."""
    if "source" in facts:
        yield f"Data: {facts['source']}."
    notes = facts.get("notes", ())
    yield from (f"In the data: {note}." for note in (notes if isinstance(notes, list) else ()))
    for part in facts.values():
        if isinstance(part, Mapping):
            yield from _lines(part)
