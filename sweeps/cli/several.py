"""`kdsweep run`: studies one after the other, on one Ray, with a table or events at the end."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from analysis import format as text
from kdtasks.contract.errors import ConfigError
from search_spaces.study import Study
from sweeps.cli.guard import print_error, shown, verdict
from sweeps.cli.options import INTERRUPTED
from sweeps.cli.output import line, plain_table, show
from sweeps.cli.run import RunOptions, exit_code, make_importable, run_sweep
from sweeps.cli.sweeps import free_name
from sweeps.common.capacity import LOCAL
from sweeps.common.custom_code import named_modules
from sweeps.common.environment import PACKAGES, share_cores
from sweeps.common.interrupts import BackgroundContext
from sweeps.plan.own_data import study_on
from sweeps.progress.events import Display, LineLogged, SweepEvent
from sweeps.progress.log import stamp
from sweeps.run.summary import SweepSummary


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a study ended; its fields are those of the event ``ended``.

    Attributes:
        sweep: Name of its sweep.
        exit: The exit code that it would have had alone; None if it was not begun.
        error: Why it did not run to its end, in one line; empty if it did.
        complete, stopped, failed: Trials by how they ended.
        front: Trials on the front.
        best: Best value of the first objective, on validation; None without a front.
        seconds: Wall time [s].
        report: The report; empty if there is none.
    """

    sweep: str
    study: str
    exit: int | None = None
    error: str = ""
    complete: int = 0
    stopped: int = 0
    failed: int = 0
    front: int = 0
    best: float | None = None
    hypervolume: float | None = None
    seconds: float = 0.0
    folder: str = ""
    report: str = ""


class EventStream(Display):
    """Writes the events of a sweep, with its name, as lines of JSON."""

    def __init__(self, stream: TextIO, sweep: str) -> None:
        self._stream, self._sweep = stream, sweep

    def handle(self, event: SweepEvent) -> None:
        if isinstance(event, LineLogged):
            self.write(event.line)

    def write(self, line: Mapping[str, Any]) -> None:
        """Write a line."""
        self._stream.write(json.dumps({**line, "sweep": self._sweep}) + "\n")
        self._stream.flush()

    def ended(self, ended: Ended) -> None:
        """The study has ended, or is not begun."""
        now = time.time_ns() // 1_000_000
        self.write({"time": stamp(now), "event": "ended", **asdict(ended)})


def run_studies(
    names: Sequence[str],
    settings: Sequence[str],
    options: RunOptions,
    *,
    as_json: bool,
    debug: bool,
) -> int:
    """Run studies one after the other and return the largest exit code.

    All are checked before the first begins. One that cannot run to its end does not keep the
    others from running; an interruption does.

    Raises:
        UserError: If one of the studies cannot run.
        StudyError: If one of the studies is wrong.
    """
    share_cores()
    for name in names:
        make_importable(name)
    studies = [study_on(name, settings, options.data) for name in names]
    if len(studies) == 1 and not as_json:
        return exit_code(run_sweep(studies[0], options, debug=debug))
    _check_all(names, studies, options)
    out = sys.stdout if as_json else None
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        ended = list(_run_each(studies, options, out, debug=debug))
        if len(ended) > 1:
            _show_all(studies, ended)
    return max(one.exit for one in ended if one.exit is not None)


def _check_all(names: Sequence[str], studies: Sequence[Study], options: RunOptions) -> None:
    from sweeps.plan.preflight import check_study  # torch takes a second to import

    if options.name is not None and len(studies) > 1:
        raise ConfigError(
            f"--name {options.name} is the name of one sweep, but there are {len(studies)} "
            "studies; leave it out, or run each by a command of its own"
        )
    folders = {place: name for name, study in zip(names, studies, strict=True)
               for place in _own_folder(name, study)}  # fmt: skip
    if len(folders) > 1:
        where = ", ".join(f"{name} in {place}" for place, name in folders.items())
        raise ConfigError(
            f"the studies name code in several folders ({where}), of which Python could mix up "
            "files of one name; run each by a command of its own"
        )
    for study in studies:
        check_study(study)


def _own_folder(name: str, study: Study) -> Iterator[Path]:
    """Yield the folder in which Python finds code that a study names, if that is the user's."""
    tops = {module.partition(".")[0] for module in named_modules(study)}.difference(PACKAGES)
    for folder in dict.fromkeys([Path.cwd(), Path(name).expanduser().resolve().parent]):
        if any((folder / top).is_dir() or (folder / f"{top}.py").is_file() for top in tops):
            yield folder
            return


@contextmanager
def _one_ray(studies: Sequence[Study], options: RunOptions) -> Iterator[BackgroundContext | None]:
    """Yield the Ray that all studies run on; None where they have a cluster, or need no Ray."""
    request = options.request
    if len(studies) == 1 or request.backend == "inline" or request.address not in (None, LOCAL):
        yield None
        return
    from sweeps.run.ray_cluster import ray_for  # takes a second to import

    ray = ray_for(studies)
    try:
        yield ray
    finally:
        ray.end()


def _run_each(
    studies: Sequence[Study], options: RunOptions, out: TextIO | None, *, debug: bool
) -> Iterator[Ended]:
    """Run studies and yield how each ended, also to ``out``; after an interruption none is begun.

    Their events go there as well.
    """
    code: int | None = 0
    begun_s = None
    with _one_ray(studies, options) as ray:
        for study in studies:
            ended = Ended(
                sweep=options.name or free_name(options.home, study.name), study=study.name
            )
            events = EventStream(out, ended.sweep) if out else None
            if code not in (None, INTERRUPTED):
                run = partial(
                    run_sweep, study, options, ray=ray, events=events, begun_s=begun_s, debug=debug
                )
                ended = _ending(ended, study, run, debug=debug)
            if events:
                events.ended(ended)
            yield ended
            code, begun_s = ended.exit, time.time()


def _ending(ended: Ended, study: Study, run: Callable[[], SweepSummary], *, debug: bool) -> Ended:
    """Run one of the studies and return how it ended, whatever it raised."""
    found: list[SweepSummary] = []

    def invoke() -> int:
        found.append(run())
        return exit_code(found[0])

    code, error = verdict(invoke, debug=debug)
    if error:
        print_error(error)
    if not found:
        return replace(ended, exit=code, error=shown(error))
    summary, goal = found[0], study.objectives[0].metric
    return replace(
        ended,
        sweep=summary.name,
        exit=code,
        complete=summary.complete,
        stopped=summary.pruned,
        failed=summary.failed,
        front=len(summary.front),
        best=summary.front[0].objectives[goal] if summary.front else None,
        hypervolume=summary.hypervolume,
        seconds=summary.seconds,
        folder=str(summary.folder),
        report="" if summary.report is None else str(summary.report),
    )


def _show_all(studies: Sequence[Study], ended: Sequence[Ended]) -> None:
    rows = []
    for study, one in zip(studies, ended, strict=True):
        goal = study.objectives[0]
        best = f"{goal.label} {text.with_unit(text.number(one.best), goal.unit)}"
        took = text.duration(one.seconds) if one.exit is not None else ""
        code = "not begun" if one.exit is None else str(one.exit)
        trials = f"{one.complete} finished, {one.stopped} stopped, {one.failed} failed"
        facts = ("", "") if one.best is None else (best, text.number(one.hypervolume))
        rows.append((one.sweep, trials if one.folder else "", *facts, took, code))
    line()
    heads = ("sweep", "trials", "best on validation", "hypervolume", "time", "exit")
    show(plain_table(heads, rows))
