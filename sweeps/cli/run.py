"""`kdsweep run` and `kdsweep resume`, with progress and results on the screen."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis import layout
from kdtasks.contract.errors import ConfigError
from search_spaces.errors import StudyError
from search_spaces.study import Study, load_study
from sweeps.cli.options import INTERRUPTED
from sweeps.cli.output import command_line, line, show_front, show_notes, show_paper, shown_path
from sweeps.cli.sweeps import find_to_import, free_name
from sweeps.common.capacity import ResourceRequest
from sweeps.common.environment import put_last, share_cores
from sweeps.common.interrupts import BackgroundContext
from sweeps.common.secrets import redacted
from sweeps.ledger.launch_settings import read_settings
from sweeps.progress.events import Display, FanOut, PhaseBegun, SweepEvent
from sweeps.run.summary import SweepSummary, WithoutTeachersError
from sweeps.tracking.server_check import STAYS, TRACKING, left_out, tracking_from


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """Options of `kdsweep run` and `kdsweep resume`; None is the default, or unchanged.

    Attributes:
        storage: Where a copy is kept, from which a sweep is fetched if the home lacks it.
        request: Number, place and transport of the trials of a new sweep.
        data: The user's files to train on, instead of the study's data.
    """

    name: str | None
    home: Path
    tracking_uri: str | None
    storage: str | None
    request: ResourceRequest = field(default_factory=ResourceRequest)
    data: Path | None = None


class StartNotice(Display):
    """Shows a note about the starting sweep with its first phase, after all checks have passed."""

    def __init__(self, display: Display, words: str) -> None:
        self._display, self._words = display, words

    def handle(self, event: SweepEvent) -> None:
        if isinstance(event, PhaseBegun) and self._words:
            self._display.note(self._words)
            self._words = ""


def overrides(settings: Sequence[str], trials: int | None, time: str | None) -> list[str]:
    """Return all settings of a study; the shorthands come last and take precedence.

    Raises:
        ConfigError: If the time has no unit.
    """
    found = list(settings)
    if trials is not None:
        found.append(f"budget.trials={trials}")
    if time is not None:
        if time.strip().replace(".", "", 1).isdigit():
            raise ConfigError(f"--time {time}: give a unit: {time}s, {time}m or {time}h")
        found.append(f"budget.time={time}")
    return found


def make_importable(study: str) -> None:
    """Add the current folder and that of the study's file to the end of Python's path.

    Users' tasks are found there; at the end, no file there can shadow a library.
    """
    folders = [Path.cwd()]
    if study.endswith((".yaml", ".yml")):
        folders.append(Path(study).expanduser().resolve().parent)
    put_last(folders, sys.path)


def run_sweep(
    study: Study,
    options: RunOptions,
    *,
    ray: BackgroundContext | None = None,
    events: Display | None = None,
    begun_s: float | None = None,
    debug: bool = False,
) -> SweepSummary:
    """Run a sweep, show its progress and its result, and return its summary.

    The folders of the study's code are on Python's path. For ``ray`` and ``begun_s`` see
    `sweeps.run.runner.run_study`; ``events`` gets the events, too; ``debug`` prints tracebacks.
    """
    name = options.name or free_name(options.home, study.name)
    options = _with_environment(options, name)
    on = "" if options.data is None else f", on the data in {shown_path(options.data)}"
    begins = f"sweep {name} in {shown_path(options.home / name)}{on}"
    line(study.title)
    sys.stdout.flush()

    def start(display: Display) -> SweepSummary:
        from sweeps.run.runner import run_study

        return run_study(
            study,
            name=name,
            home=options.home,
            tracking_uri=options.tracking_uri,
            request=options.request,
            display=FanOut(StartNotice(display, begins), display, events or Display()),
            storage=options.storage,
            begun_s=begun_s,
            ray=ray,
        )

    inline = options.request.backend == "inline"
    return _show(study, name, options, start, inline=inline, debug=debug)


def _with_environment(options: RunOptions, name: str) -> RunOptions:
    """Apply MLflow's environment variables, or note that they have no effect."""
    notes = list(left_out(os.environ))
    uri = tracking_from(os.environ)
    if uri is not None and options.tracking_uri is None:
        if (options.home / name).exists():
            notes.insert(0, STAYS)
        else:
            notes.insert(0, f"runs go to MLflow at {redacted(uri)} ({TRACKING})")
            options = replace(options, tracking_uri=uri)
    if (address := options.request.address) and address == os.environ.get("RAY_ADDRESS"):
        notes.append(f"trials run on the Ray cluster at {address} (RAY_ADDRESS)")
    for words in notes:
        line(words)
    return options


def resume_sweep(
    name: str,
    options: RunOptions,
    changes: Mapping[str, Any],
    *,
    trust: bool,
    debug: bool = False,
) -> SweepSummary:
    """Resume a sweep, show its progress and its result, and return its summary.

    Of ``changes``, slots, address and backend of its trials, None is unchanged. With ``trust``,
    code named by another user's sweep may run; ``debug`` prints tracebacks.
    """
    share_cores()
    if options.storage is not None:
        from sweeps.mirror.restore import fetch_missing

        fetch_missing(options.home, name, options.storage)
    folder = find_to_import(options.home, name, trust=trust)
    make_importable(name)
    study, request = _study_of(folder), _request_of(folder, changes)
    begins = f"sweep {name} in {shown_path(folder)} is resumed"
    line(study.title)
    uri = tracking_from(os.environ)
    stays = uri not in (None, options.tracking_uri, read_settings(folder).tracking_uri)
    for words in [*([STAYS] if stays else []), *left_out(os.environ)]:
        line(words)
    sys.stdout.flush()

    def start(display: Display) -> SweepSummary:
        from sweeps.run import runner

        return runner.resume_sweep(
            name,
            home=options.home,
            tracking_uri=options.tracking_uri,
            request=request,
            display=FanOut(StartNotice(display, begins), display),
            storage=options.storage,
        )

    inline = (request or read_settings(folder).request).backend == "inline"
    return _show(study, name, options, start, inline=inline, debug=debug)


def _request_of(folder: Path, changes: Mapping[str, Any]) -> ResourceRequest | None:
    """Return the changed request for resources; None if unchanged."""
    given = {name: value for name, value in changes.items() if value is not None}
    known = read_settings(folder).request
    if given.get("backend", known.backend) != known.backend:
        # other settings were meant for the other backend
        known = ResourceRequest(transport=known.transport)
    return replace(known, **given) if given else None


def _study_of(folder: Path) -> Study:
    try:
        return load_study(folder / layout.STUDY_FILE)
    except StudyError:
        from sweeps.ledger.ledger import Ledger

        return Ledger.open(folder / layout.JOURNAL_FILE).study


def _show(
    study: Study,
    name: str,
    options: RunOptions,
    start: Callable[[Display], SweepSummary],
    *,
    inline: bool,
    debug: bool,
) -> SweepSummary:
    # Ray takes a second to import; the lines above are printed before
    from sweeps.progress.terminal import console_display

    with console_display(study, name, sys.stdout, lines=inline) as display:
        try:
            summary = start(display)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(_next_step(name, options)) from stop
        except WithoutTeachersError:
            line(_failures(name, options))
            raise
    _show_results(name, summary)
    if debug and summary.failed:
        from sweeps.cli.trial import show_failed

        show_failed(summary.folder, as_json=False)
    _show_places(name, options, summary)
    return summary


def exit_code(summary: SweepSummary) -> int:
    """Return the exit code of a sweep: 0, 1 for a bad result, or that of an interruption.

    The result is bad if no trial finished, none keeps the constraints, or every trial of a method
    failed.
    """
    if summary.interrupted:
        return INTERRUPTED
    return 0 if summary.front and not summary.lost_methods else 1


def _failures(name: str, options: RunOptions) -> str:
    return f"failures:  {command_line('status {} --failed', name, options.home)}"


def _next_step(name: str, options: RunOptions) -> str:
    """Return how to continue a sweep that was stopped before its search."""
    if (options.home / name / layout.STUDY_FILE).exists():
        return f"{command_line('resume {}', name, options.home)} resumes it"
    return "nothing had begun and nothing was kept: run the same command again"


def _show_results(name: str, summary: SweepSummary) -> None:
    from analysis import format as text
    from sweeps.tracking.read import sweep_frames

    tally = [f"{text.plural(summary.complete, 'trial')} finished", f"{summary.failed} failed"]
    if summary.pruned:
        saved = text.plural(summary.epochs_saved, "epoch")
        tally.insert(1, f"{summary.pruned} stopped early ({saved} saved)")
    line(f"\n{name}: {', '.join(tally)}, {text.duration(summary.seconds)}; {summary.ended}")
    for method in summary.lost_methods:
        line(f"every trial of {method} failed")
    if summary.complete:
        frames = sweep_frames(summary.folder)
        line("")
        show_front(frames)
        show_notes(frames)
        if frames.study.report.tables or frames.study.report.claims:
            line("")
        show_paper(frames)


def _show_places(name: str, options: RunOptions, summary: SweepSummary) -> None:
    """Print where the results are, and the next commands."""
    line("")
    if summary.failed or summary.jobs_failed:
        line(_failures(name, options))
    if summary.interrupted:
        line(f"resume:    {command_line('resume {}', name, options.home)}")
    if summary.report is not None:
        line(f"report:    {shown_path(summary.report)}")
    elif summary.front:
        command = command_line("report {}", name, options.home)
        line(f"report:    {command} writes one of what there is")
    uri = options.tracking_uri
    ui = command_line("ui {}", name, options.home) if uri is None else f"{uri}, run {name}"
    line(f"MLflow UI: {ui}")
    if summary.unstored:
        line(f"storage:   {summary.unstored}")
