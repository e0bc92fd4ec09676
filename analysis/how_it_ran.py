"""The report's chapter on the machine: how busy the slots were, what it cost, why trials failed."""

from collections import Counter

import pandas as pd

from analysis import format as text
from analysis import layout
from analysis.failures import UNKNOWN, group_failures, spoken, trials_named
from analysis.frames import SweepFrames
from analysis.report_tables import Cell, Heading, HtmlTable, failed_rows


def run_facts(frames: SweepFrames) -> list[tuple[str, str]]:
    """Return what is known of how the sweep ran, as name and value."""
    numbers = frames.metrics
    shares = {
        "slots busy once warm": layout.UTILISATION,
        "slots busy in the whole search": layout.UTILISATION_WHOLE,
    }
    facts = [
        (name, text.with_unit(f"{100.0 * numbers[metric]:.1f}", "%"))
        for name, metric in shares.items()
        if metric in numbers
    ]
    costs = {
        "processor time of finished trials": (layout.TRIALS_CPU_S, "core s"),
        "wall time of all trials, summed": (layout.TRIALS_WALL_S, "s"),
    }
    for name, (metric, unit) in costs.items():
        if metric in numbers:
            facts.append((name, text.with_unit(text.number(numbers[metric], 1), unit)))
    facts.append(("failed trials", _by_kind(frames)))
    counted = {
        "interrupted trials": "trials_interrupted",
        "suggestions that were known already": "suggestions_repeated",
    }
    for name, metric in counted.items():
        if numbers.get(metric):
            facts.append((name, text.number(numbers[metric])))
    return facts


def _by_kind(frames: SweepFrames) -> str:
    kinds = Counter(str(row["failure"] or UNKNOWN) for row in failed_rows(frames.trials))
    return ", ".join(f"{count} {spoken(kind)}" for kind, count in kinds.most_common()) or "none"


def reasons_table(trials: pd.DataFrame) -> HtmlTable | None:
    """Return why trials failed, a row per reason, the most frequent first; None if none did."""
    groups = group_failures(
        (str(row["failure"] or ""), str(row["reason"] or ""), int(row["number"]))
        for row in failed_rows(trials)
    )
    if not groups:
        return None
    headings = (
        Heading("trials"),
        Heading("kind", numeric=False),
        Heading("reason", numeric=False),
        Heading("which", numeric=False),
    )
    rows = tuple(
        (
            Cell(str(group.count), float(group.count)),
            Cell(spoken(group.kind), group.kind),
            Cell(group.reason, group.reason),
            Cell(trials_named(group), float(group.trials[0])),
        )
        for group in groups
    )
    return HtmlTable(headings, rows)
