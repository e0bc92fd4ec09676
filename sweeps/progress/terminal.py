"""Displays of the command line: a live view on terminals, plain lines elsewhere."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis import format as text
from kdtasks.contract.error_text import printable
from search_spaces.study import Study
from sweeps.common.clock import Clock, SystemClock
from sweeps.common.records import FailureKind, FrontRow, JobKind
from sweeps.progress.events import (
    Display,
    JobFinished,
    LineLogged,
    Note,
    Phase,
    SweepEvent,
    TrialFailed,
)
from sweeps.progress.state import Progress, Running

LINE_EVERY_S = 5.0
"""Shortest time between two status lines without a terminal [s]."""

MOST_ROWS = 8
"""Largest number of rows of the front on the screen; the report has all."""

BAR_WIDTH = 30
"""Width of the progress bar of a phase [characters]."""

KEPT = "\n\t\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
"""White space that is printed unchanged."""

PHASES: Mapping[Phase, str] = {
    "data": "loading data",
    "start": "starting",
    "teachers": "training teachers",
    "search": "searching",
    "confirm": "confirming on the test split",
    "record": "writing to MLflow",
    "report": "writing the report",
}
JOBS: Mapping[JobKind, str] = {
    "teacher": "teachers",
    "baseline": "baselines",
    "confirmation": "repetitions",
}


class SweepDisplay(Display, ABC):
    """Tracks the progress of a sweep; subclasses decide what to show and when."""

    def __init__(self, clock: Clock) -> None:
        self.progress = Progress(clock=clock)
        # the live view is drawn by another thread
        self._lock = threading.RLock()

    @abstractmethod
    def print_line(self, line: str) -> None:
        """Show a permanent line."""

    def changed(self) -> None:
        """Show the progress if that is due; a view that is redrawn periodically does nothing."""

    def handle(self, event: SweepEvent) -> None:
        if line := permanent_line(event):
            self.print_line(line)
        if isinstance(event, Note | LineLogged):
            return
        with self._lock:
            self.progress.handle(event)
        self.changed()


def permanent_line(event: SweepEvent) -> str:
    """Return the line about an event that is shown once and stays; empty for none."""
    match event:
        case Note(words):
            return words
        case JobFinished(kind, key, reason) if reason:
            return f"{kind} {key} failed: {reason}"
        case TrialFailed(number, kind, reason):
            failed = "" if kind is FailureKind.INTERRUPTED else " failed"
            return f"trial {number}{failed}: {reason}"
    return ""


def status(progress: Progress) -> str:
    """Return the status in one line, without the phase and its time."""
    parts = _search_status(progress) if progress.phase == "search" else []
    return ", ".join([*parts, *work_done(progress.data, progress.jobs_done, progress.left_s())])


def work_done(
    data: tuple[int, int, str], jobs: Mapping[JobKind, tuple[int, int]], left_s: float | None
) -> Iterator[str]:
    """Yield how many data are loaded, how many jobs have ended, and the time left of a phase.

    The kind of jobs is named where there are several.
    """
    if data[1]:
        yield "{} of {} {}".format(*data)
    if jobs:
        parts = [
            f"{done} of {planned}{f' {JOBS[kind]}' if len(jobs) > 1 else ''}"
            for kind, (done, planned) in jobs.items()
        ]
        yield f"{', '.join(parts)} done"
    if left_s is not None:
        yield f"about {time_text(left_s)} left"


def _search_status(progress: Progress) -> list[str]:
    total, _, slots = progress.budget
    if not total:
        return []
    if not (progress.finished or progress.trials or progress.failed or progress.stopped_s):
        at_once = f"{min(slots, total)} at once" if min(slots, total) > 1 else "one at a time"
        return [f"starting {text.plural(total, 'trial')}, {at_once}"]
    parts = [
        f"{progress.finished} of {total} finished",
        f"{len(progress.trials)} running",
        f"{progress.failed} failed",
    ]
    if stopped := len(progress.stopped_s):
        saved = text.plural(progress.epochs_saved, "epoch")
        parts.insert(1, f"{stopped} stopped early ({saved} saved)")
    if progress.front:
        parts.append(f"{len(progress.front)} on the front")
        parts.append(f"hypervolume {text.number(progress.hypervolume)}")
    return parts


def time_text(seconds: float) -> str:
    """Format a time in whole seconds."""
    return f"{seconds:.0f} s" if seconds < 59.5 else text.duration(seconds)


class LineDisplay(SweepDisplay):
    """Writes lines: at every phase and start of a search, else every `LINE_EVERY_S` at most."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        super().__init__(clock)
        self._stream = stream
        self._begun_s = clock.elapsed_s()
        self._last: tuple[tuple[Phase | None, int], float] = ((None, 0), 0.0)

    def print_line(self, line: str) -> None:
        elapsed_s = round(self.progress.clock.elapsed_s() - self._begun_s)
        stamp = f"{elapsed_s // 60:3d}:{elapsed_s % 60:02d}"
        self._stream.write(f"[{stamp}] {printable(' '.join(line.split()), keep=KEPT)}\n")
        self._stream.flush()

    def changed(self) -> None:
        phase, now_s = self.progress.phase, self.progress.clock.elapsed_s()
        before, last_s = self._last
        step = (phase, self.progress.budget[0])
        if phase is None or (step == before and now_s - last_s < LINE_EVERY_S):
            return
        self._last = (step, now_s)
        busy = [f"{kind} {key} {epochs(job)}" for (kind, key), job in self.progress.jobs.items()]
        parts = [part for part in (status(self.progress), *busy) if part]
        self.print_line(f"{PHASES[phase]}: {', '.join(parts)}" if parts else PHASES[phase])


class LiveDisplay(SweepDisplay):
    """Redraws a few lines in place: phase, time left, running trials, and the front."""

    def __init__(self, study: Study, name: str, console: Console, clock: Clock) -> None:
        super().__init__(clock)
        self._study = study
        self._name = printable(name)
        self._console = console
        self.live = Live(
            get_renderable=self.render, console=console, refresh_per_second=4, transient=True
        )

    def print_line(self, line: str) -> None:
        self._console.print(Text(printable(" ".join(line.split()), keep=KEPT)))

    def render(self) -> RenderableType:
        """Return the current view."""
        with self._lock:
            progress = self.progress
            if progress.phase is None:
                return Text(f"{self._name}: starting")
            head = Text.assemble(
                (self._name, "bold"),
                f"  {PHASES[progress.phase]}  {time_text(progress.phase_s)}",
            )
            lines = [
                Text(printable(f"  {line}", keep=KEPT), "dim", overflow="ellipsis", no_wrap=True)
                for line in busy_lines(progress)
            ]
            done = Table.grid(padding=(0, 1))
            done.add_row(
                ProgressBar(total=1.0, completed=progress.share, width=BAR_WIDTH),
                Text(status(progress)),
            )
            parts: list[RenderableType] = [head, done, *lines]
            if progress.front:
                parts += [live_front(self._study, progress.front)]
            return Group(*parts)


def epochs(job: Running) -> str:
    """Return the progress of a job."""
    return f"epoch {job.epoch}/{job.epochs}" if job.epochs else "starting"


def busy_lines(progress: Progress) -> Iterator[str]:
    """Yield a line per running job and trial."""
    for (kind, key), job in progress.jobs.items():
        yield f"{epochs(job)}  {kind} {key}"
    for number, trial in progress.trials.items():
        yield f"{epochs(trial)}  trial {number}: {text.params(trial.params, ' ')}"


def live_front(study: Study, rows: Sequence[FrontRow]) -> Table:
    """Return the best rows of the current front on the validation split."""
    table = Table(box=None, padding=(0, 1), title_justify="left", caption_justify="left")
    table.title = "front on the validation split"
    table.add_column("trial", justify="right")
    for goal in study.objectives:
        # as Text: rich would read a unit in brackets as markup
        label = text.with_unit(goal.label, f"[{goal.unit}]") if goal.unit else goal.label
        table.add_column(Text(printable(label, keep=KEPT)), justify="right")
    table.add_column("parameters", no_wrap=True, overflow="ellipsis")
    for row in rows[:MOST_ROWS]:
        values = [text.number(row.objectives[goal.metric]) for goal in study.objectives]
        table.add_row(
            str(row.number), *values, Text(printable(text.params(row.params, " "), keep=KEPT))
        )
    if len(rows) > MOST_ROWS:
        table.caption = f"and {len(rows) - MOST_ROWS} more on the front"
    return table


@contextmanager
def console_display(
    study: Study, name: str, stream: TextIO, *, lines: bool = False
) -> Iterator[Display]:
    """Yield the display for ``stream``: live on a terminal, else plain lines without codes.

    With ``lines``, terminals get plain lines too, between which a debugger can be used.
    """
    console = Console(file=stream)
    # not left to rich, which treats a log as a terminal under FORCE_COLOR
    if lines or not stream.isatty() or console.is_dumb_terminal:
        yield LineDisplay(stream, SystemClock())
        return
    display = LiveDisplay(study, name, console, SystemClock())
    with display.live:
        yield display
