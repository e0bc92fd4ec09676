"""`kdsweep status NAME --timing`: the time of each part of a sweep."""

import json
from dataclasses import asdict
from pathlib import Path

from analysis import layout
from sweeps.cli.output import line, plain_table, show
from sweeps.progress.log import LogReader
from sweeps.progress.timing import first_trial_s, parts


def show_timing(folder: Path, *, as_json: bool) -> None:
    """Print the time of each part, of the last driver."""
    events = LogReader(folder / layout.LOG_FILE).new()
    found = parts(events)
    if as_json:
        line(json.dumps([asdict(part) for part in found], indent=2))
        return
    if not found:
        line(f"{folder.name} has no log: it never began, or was run by an earlier version")
        return
    rows = [(p.name, f"{p.seconds:.1f}", f"{100 * p.share:.0f}", p.about) for p in found]
    show(plain_table(("part", "s", "%", "content"), rows))
    first_s = first_trial_s(events)
    if first_s is not None:
        line(f"the first trial ended after {first_s:.1f} s")
