"""Why trials failed, put together: one line per reason instead of one per trial."""

from collections.abc import Iterable
from dataclasses import dataclass

EXAMPLES = 5
"""Trials that are named per reason."""

UNKNOWN = "unknown"
"""Kind of a failure of which none was noted, in sweeps of earlier versions."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Trials of one kind and reason of failure: how many, and the numbers of the first of them."""

    kind: str
    reason: str
    count: int
    trials: tuple[int, ...]


def group_failures(failures: Iterable[tuple[str, str, int]]) -> list[FailureGroup]:
    """Group failures (kind, reason, trial) of one kind and first line; the most frequent first."""
    groups: dict[tuple[str, str], list[int]] = {}
    for kind, reason, number in failures:
        first = (reason.strip().splitlines() or ["no reason was recorded"])[0]
        groups.setdefault((kind or UNKNOWN, first), []).append(number)
    found = [
        FailureGroup(kind, reason, len(numbers), tuple(sorted(numbers)[:EXAMPLES]))
        for (kind, reason), numbers in groups.items()
    ]
    return sorted(found, key=lambda group: (-group.count, group.kind, group.reason))


def spoken(kind: str) -> str:
    """Return a kind of failure as people write it: ``process_died`` is ``process died``."""
    return kind.replace("_", " ")


def trials_named(group: FailureGroup) -> str:
    """Return the numbers of a group's trials: ``3, 9`` or ``3, 9, 11, 14, 20 ...``."""
    more = " ..." if group.count > len(group.trials) else ""
    return ", ".join(map(str, group.trials)) + more
