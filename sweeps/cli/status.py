"""`kdsweep status`: what a sweep is doing, on a terminal, in a log or as JSON."""

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis import format as text
from analysis import layout
from analysis.failures import spoken, trials_named
from kdtasks.contract.error_text import printable
from sweeps.cli.output import (
    MOST_REFERENCES,
    cell,
    command_line,
    facts_table,
    line,
    plain_table,
    show,
    show_json,
    shown_path,
)
from sweeps.progress import timing
from sweeps.progress.log import LogReader
from sweeps.progress.status import State, StatusReader, SweepStatus
from sweeps.progress.terminal import BAR_WIDTH, KEPT, PHASES, time_text, work_done

EVERY_S = 1.0
"""How often a terminal is drawn anew while it is watched [s]."""
LINE_EVERY_S = 5.0
"""How often a line is written while a sweep is watched where there is no terminal [s]."""
MOST_RUNNING, MOST_REASONS = 16, 10
"""Lines of what trains now and of why trials failed; JSON has all."""

WORDS: dict[State, tuple[str, str]] = {
    "running": ("running", "bold green"),
    "finished": ("finished", "bold green"),
    "interrupted": ("stopped by the user", "bold yellow"),
    "failed": ("stopped by an error", "bold red"),
    "died": ("stopped without a word", "bold red"),
    "unknown": ("unknown", "bold yellow"),
}
"""Name and style of a state."""

Row = tuple[str, RenderableType]


def show_status(folder: Path, home: Path, *, as_json: bool, watch: bool) -> None:
    """Print the status of a sweep; with ``watch`` repeatedly until no process drives it."""
    reader, terminal = StatusReader(folder), sys.stdout.isatty()
    live = Live(console=Console(), auto_refresh=False)
    redrawn = watch and terminal and not as_json
    with live if redrawn else nullcontext():
        while True:
            status = reader.read(time.time())
            goes_on = watch and status.state == "running"
            if redrawn:
                live.update(picture(status, home, bar=True), refresh=True)
            elif as_json:
                show_json(status, None if watch else 2)
            elif goes_on:
                line("  ".join(filter(None, (_phase(status), _trials(status), _front(status)))))
            else:
                show(picture(status, home, bar=terminal))
            sys.stdout.flush()
            if not goes_on:
                return
            time.sleep(EVERY_S if redrawn else LINE_EVERY_S)


def picture(status: SweepStatus, home: Path, *, bar: bool) -> Table:
    """Return the status of a sweep as a table of two columns, with a progress bar if ``bar``."""
    return facts_table(_rows(status, home, bar=bar))


def _rows(status: SweepStatus, home: Path, *, bar: bool) -> Iterator[Row]:
    done: RenderableType = ""
    if bar and status.state == "running":
        done = ProgressBar(total=1.0, completed=status.share, width=BAR_WIDTH)
    rows: list[Row] = [
        (status.name, _head(status)),
        ("phase", _phase(status)),
        ("", done),
        ("trials", _trials(status)),
        ("time", _time(status)),
        ("slots", _slots(status)),
        ("front", _front(status) or _without_front(status, home)),
        ("best", "\n".join(_best(status))),
        ("beside", "\n".join(_references(status, home))),
        ("now", Group(*_running(status)) if status.running else ""),
        ("failed", "\n".join(_failures(status))),
        ("report", shown_path(Path(status.report)) if status.report else ""),
        ("next", "\n".join(_next(status, home))),
    ]
    yield from (row for row in rows if row[1])


def _head(status: SweepStatus) -> Text:
    word, style = WORDS[status.state]
    head = Text(word, style)
    if status.state == "running" and status.since_s is not None:
        begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.since_s))
        head.append(cell(f" since {begun}, process {status.pid} on {status.host}"))
    elif status.why:
        head.append(cell(f": {status.why}"))
    return head


def _phase(status: SweepStatus) -> str:
    if not status.phase or status.state == "finished":
        return ""
    name = next((words for name, words in PHASES.items() if name == status.phase), status.phase)
    parts = [f"{name} for {time_text(status.phase_s)}" if status.pid is not None else name]
    return ", ".join([*parts, *work_done(status.data, status.jobs, status.left_s)])


def _trials(status: SweepStatus) -> str:
    if not status.drivers:
        return ""
    ended = status.complete + status.stopped + status.failed
    parts = [f"{status.complete} complete"]
    if status.stopped:
        parts.append(f"{status.stopped} stopped early")
    parts.append(f"{status.failed} failed")
    if running := sum(one.name.startswith("trial ") for one in status.running):
        parts.append(f"{running} running")
    return f"{ended} of {status.budget}: {', '.join(parts)}"


def _time(status: SweepStatus) -> str:
    if not status.drivers:
        return ""
    spent = text.duration(status.elapsed_s)
    if status.drivers > 1:
        spent += f", in {status.drivers} parts"
    if status.silent_s is not None and status.pid is None:
        spent += f"; ended {text.duration(status.silent_s)} ago"
    return spent


def _slots(status: SweepStatus) -> str:
    parts = []
    if status.utilisation is not None:
        parts.append(f"{100 * status.utilisation:.1f} % busy once warm")
    if status.utilisation_whole is not None:
        parts.append(f"{100 * status.utilisation_whole:.1f} % of the whole search")
    return f"{status.slots}, {', '.join(parts)}" if parts else ""


def _front(status: SweepStatus) -> str:
    if not status.front:
        return ""
    volume = text.number(status.hypervolume)
    return f"{text.plural(status.front, 'trial')}, hypervolume {volume}"


def _has_results(status: SweepStatus, home: Path) -> bool:
    """Return whether the sweep has ended, and its ledger is beside its log."""
    return status.state == "finished" and (home / status.name / layout.JOURNAL_FILE).is_file()


def _without_front(status: SweepStatus, home: Path) -> str:
    """Return why finished trials make no front; empty before the first."""
    if not status.complete:
        return ""
    if not _has_results(status, home):
        return "no finished trial is feasible yet"
    from analysis.summary import summary
    from sweeps.tracking.read import sweep_frames

    return summary(sweep_frames(home / status.name))[0]


def _best(status: SweepStatus) -> Iterator[str]:
    for best in status.best:
        value = text.with_unit(text.number(best.value), best.unit)
        yield f"{best.label} {value} (trial {best.trial})"


def _references(status: SweepStatus, home: Path) -> Iterator[str]:
    """Yield the first objective of teachers and baselines, on the split of ``best``."""
    if not (status.front and _has_results(status, home)):
        return
    from analysis.front_rows import reference_rows
    from analysis.fronts import front_trials
    from sweeps.tracking.read import sweep_frames

    frames = sweep_frames(home / status.name)
    goal = frames.study.objectives[0]
    for row in reference_rows(frames, front_trials(frames))[:MOST_REFERENCES]:
        if row[goal.metric] is not None:
            value = text.with_unit(text.number(row[goal.metric]), goal.unit)
            yield f"{goal.label} {value} ({row['method']})"


def _running(status: SweepStatus) -> Iterator[Text]:
    for one in status.running[:MOST_RUNNING]:
        epochs = f"epoch {one.epoch}/{one.epochs}, " if one.epochs else ""
        words = f"{one.name}: {epochs}{time_text(one.seconds)}  {text.params(one.params, ' ')}"
        yield Text(printable(words.rstrip(), keep=KEPT), overflow="ellipsis", no_wrap=True)
    if more := len(status.running[MOST_RUNNING:]):
        yield Text(f"and {more} more")


def _failures(status: SweepStatus) -> Iterator[str]:
    for group in status.failures[:MOST_REASONS]:
        noun = "trial" if group.count == 1 else "trials"
        named = trials_named(group)
        yield f"{group.count} × {spoken(group.kind)}: {group.reason} ({noun} {named})"
    if more := len(status.failures[MOST_REASONS:]):
        yield f"and {text.plural(more, 'more reason')}"


def _next(status: SweepStatus, home: Path) -> Iterator[str]:
    commands = {
        "running": ["status {} --watch"],
        "finished": ["front {}"] if status.front else [],
    }.get(status.state, ["resume {}"])
    if status.front and status.state != "finished":
        commands.append("front {}")
    if status.front and not status.report:
        commands.append("report {}")
    if status.failures:
        commands.append("status {} --failed")
    for command in commands or ["list"]:
        yield command_line(command, status.name, home)


def show_timing(folder: Path, *, as_json: bool) -> None:
    """Print the time of each part, of the last driver."""
    events = LogReader(folder / layout.LOG_FILE).new()
    found = timing.parts(events)
    if as_json:
        show_json(found)
        return
    if not found:
        line(f"{folder.name} has no log: it never began, or was run by an earlier version")
        return
    rows = [(p.name, f"{p.seconds:.1f}", f"{100 * p.share:.0f}", p.about) for p in found]
    show(plain_table(("part", "s", "%", "content"), rows))
    first_s = timing.first_trial_s(events)
    if first_s is not None:
        line(f"the first trial ended after {first_s:.1f} s")
