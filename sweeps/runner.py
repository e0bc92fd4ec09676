"""Run a study from its file to its report, or go on with a sweep that was stopped."""

import json
import shutil
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from kdtasks.errors import ConfigError
from search_spaces.study import Study
from sweeps.ahead import Ahead
from sweeps.books import Books, counts
from sweeps.clock import SystemClock
from sweeps.display import Display
from sweeps.environment import describe_environment
from sweeps.event_log import EventLog, Outcome
from sweeps.fan_out import FanOut
from sweeps.fetching import check_unknown, fetch_missing, kept
from sweeps.folder import SETTINGS_FILE, SweepFolder, check_new, create, create_missing, put_text
from sweeps.front import standings
from sweeps.interrupts import Interrupts
from sweeps.lease import Lease, driving
from sweeps.ledger import Ledger
from sweeps.mirror import Mirror
from sweeps.opening import Left, find_left, task_path, work_left
from sweeps.phases import Sweep
from sweeps.preflight import Plan, check_study
from sweeps.ray_cluster import NOWHERE, Site, find_site
from sweeps.ray_pool import RayPool
from sweeps.records import EarlierTrial
from sweeps.resources import by_teacher, load_data
from sweeps.seats import SeatWishes
from sweeps.settings import SweepSettings, new_id, read_settings, settled_uri, write_settings
from sweeps.summary import SweepSummary
from sweeps.tracking import Tracker
from sweeps.utilisation import Utilisation
from sweeps.warm_start import find_earlier

__all__ = ["SweepSummary", "resume_sweep", "run_study"]


def run_study(  # noqa: PLR0913 - what, where, on what, watched by whom: each has its own word
    study: Study,
    *,
    name: str,
    home: Path,
    tracking_uri: str | None,
    seats: SeatWishes,
    display: Display,
    storage: str | None = None,
) -> SweepSummary:
    """Run ``study`` as the sweep ``name`` and return what came of it.

    Args:
        study: What to run.
        name: Name of the sweep. If there is one of this name, ``study`` may differ in trials and
            time of the budget, and the sweep goes on with those.
        home: Folder of all sweeps and of the cache.
        tracking_uri: Where MLflow keeps the runs; None for a database in the sweep's folder.
        seats: Where trials are to run, how many at once, and how their nodes are to be connected.
        display: Watches.
        storage: URI of a durable file system in which a copy of the sweep is kept, for a machine
            whose own disk does not last; None for no copy.

    Raises:
        UserError: If the study cannot run as it is, its data cannot be had, MLflow or the storage
            do not answer or another process drives the sweep, before anything is started; or if a
            teacher cannot be trained.
        StudyError: If a parameter that decides on data or teacher has no end of values.
    """
    old = SweepFolder(home.resolve() / name)
    if old.study.is_file():
        return _go_on(old, study, tracking_uri, seats, display, storage)
    plan = check_study(study)
    if storage is not None:
        check_unknown(storage, name)
    settings = SweepSettings(
        id=new_id(),
        tracking_uri=settled_uri(tracking_uri),
        seats=seats,
        task_path=task_path(plan.task, study.task),
        storage=storage,
    )
    site = find_site(study, settings)
    folder = check_new(home, name)
    create(folder, study.text, {SETTINGS_FILE: settings.text})
    interrupts = Interrupts()
    try:
        with (
            driving(folder.path) as lease,
            kept(storage, folder, display.note, interrupts) as mirror,
        ):
            left = Left(study=study, settings=settings, ledger=None)
            held = Held(lease=lease, interrupts=interrupts, mirror=mirror)
            summary = _drive(folder, left, plan, display, held, site)
        return _stored(summary, mirror)
    except BaseException:
        if not folder.journal.is_file():
            shutil.rmtree(folder.path)  # nothing was tried yet: the name stays free
        raise


def resume_sweep(
    name: str,
    *,
    home: Path,
    tracking_uri: str | None,
    seats: SeatWishes | None,
    display: Display,
    storage: str | None = None,
) -> SweepSummary:
    """Go on with a sweep that was stopped, wherever that was, and return what came of it.

    Args:
        name: Name of the sweep.
        home: Folder of all sweeps and of the cache.
        tracking_uri: Where MLflow has the runs now; None for where it had them.
        seats: As in `run_study`; None for what was asked for then.
        display: Watches.
        storage: Where a copy of the sweep is kept now; None for where it was. A sweep that the
            home does not have is fetched from there.

    Raises:
        UserError: As in `run_study`, or if the sweep's files are damaged.
    """
    if storage is not None:
        fetch_missing(home, name, storage)
    folder = SweepFolder(home.resolve() / name)
    if not folder.study.is_file():
        raise ConfigError(f"{folder.path} is not the folder of a sweep; see kdsweep list")
    return _go_on(folder, None, tracking_uri, seats, display, storage)


def _go_on(
    folder: SweepFolder,
    wanted: Study | None,
    tracking_uri: str | None,
    seats: SeatWishes | None,
    display: Display,
    storage: str | None,
) -> SweepSummary:
    interrupts = Interrupts()
    with driving(folder.path) as lease:
        storage = storage or read_settings(folder.path).storage
        # what was done elsewhere comes first
        with kept(storage, folder, display.note, interrupts) as mirror:
            left = find_left(
                folder, wanted, tracking_uri=tracking_uri, seats=seats, display=display
            )
            left = replace(left, settings=replace(left.settings, storage=storage))
            plan = check_study(left.study)
            write_settings(folder.path, left.settings)
            create_missing(folder)
            held = Held(lease=lease, interrupts=interrupts, mirror=mirror)
            summary = _drive(folder, left, plan, display, held)
    return _stored(summary, mirror)


def _stored(summary: SweepSummary, mirror: Mirror | None) -> SweepSummary:
    return summary if mirror is None else replace(summary, unstored=mirror.lacking)


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a driver holds while it drives.

    Attributes:
        lease: The sweep's folder.
        interrupts: The user's wish to stop.
        mirror: The sweep's place in storage; None if it has none.
    """

    lease: Lease
    interrupts: Interrupts
    mirror: Mirror | None

    def lost(self) -> bool:
        """Return whether another driver has taken the sweep over: MLflow is left to that one."""
        return self.mirror is not None and self.mirror.lost


def _drive(
    folder: SweepFolder,
    left: Left,
    plan: Plan,
    display: Display,
    held: Held,
    site: Site | None = None,
) -> SweepSummary:
    """Do what is left of a sweep, and keep its log; without a site, look for one if need be."""
    if held.mirror is not None:
        held.mirror.teachers = tuple(by_teacher(plan.needs))
    trials = [] if left.ledger is None else left.ledger.trials()
    order = standings(trials, left.study)
    log = EventLog(folder.log, left.study, SystemClock(), display)
    watching = FanOut(display, log)
    with log.kept(), held.interrupts.installed():
        log.opened(folder.name, socket.gethostname(), counts(trials))
        if order.rows:
            watching.front(order.rows, order.hypervolume)
        if site is None and work_left(left.study, plan, left.ledger):
            site = find_site(left.study, left.settings)
        run = _open(folder, left, plan, watching, held, site)
        try:
            summary = _run(run)
        finally:
            run.ray.end()
        outcome: Outcome = "interrupted" if summary.interrupted else "finished"
        log.closed(outcome, summary.ended, run.utilisation)
    return summary


def _open(
    folder: SweepFolder,
    left: Left,
    plan: Plan,
    display: Display,
    held: Held,
    site: Site | None,
) -> Sweep:
    """Load the data, then open the books: a sweep without its data leaves nothing behind."""
    study, ledger = left.study, left.ledger
    earlier: tuple[EarlierTrial, ...] = ()
    if ledger is None:
        earlier = find_earlier(study, plan.task, folder.path.parent, display)
    else:
        ledger.recover()
    display.phase("data")
    data = load_data(plan.needs, plan.task, cache=folder.scenarios, display=display)
    ray = Ahead((site or NOWHERE).ray(held.lease.starting))
    if site is not None:
        ray.begin()  # it takes as long to come up as the books to be opened
    try:
        books = _open_books(folder, left, earlier, display, held)
        put_text(folder.views, json.dumps(books.offer_views()))
        if site is None:  # what ran the trials was described then
            site = NOWHERE
        else:
            books.attach("environment.json", describe_environment(site.seats))
        books.attach("provenance.json", {key: found.provenance for key, found in data.items()})
        books.attach_file(folder.study)
    except BaseException:
        ray.end()
        raise
    return Sweep(
        study=study,
        plan=plan,
        folder=folder,
        tracking_uri=left.settings.tracking_uri or folder.tracking_uri,
        site=site,
        data=data,
        books=books,
        display=display,
        interrupts=held.interrupts,
        pool=RayPool(site.seats, held.interrupts.requested),
        utilisation=Utilisation(site.seats.slots, books.clock),
        ray=ray,
    )


def _open_books(
    folder: SweepFolder,
    left: Left,
    earlier: tuple[EarlierTrial, ...],
    display: Display,
    held: Held,
) -> Books:
    study, settings, ledger = left.study, left.settings, left.ledger
    clock, tracker = SystemClock(), None
    if ledger is None:
        ledger = Ledger.create(folder.journal, study, earlier)
    else:
        tracker = Tracker.resume(folder, settings.tracking_uri, settings.id)
    if tracker is None:
        begun = [trial.started_ms for trial in ledger.trials() if trial.started_ms is not None]
        started_ms = min(begun, default=clock.epoch_ms())
        tracker = Tracker.start(folder, settings.tracking_uri, study, started_ms, settings.id)
    books = Books(study, ledger, tracker, clock, display)
    books.lost = held.lost
    books.catch_up()
    return books


def _run(run: Sweep) -> SweepSummary:
    clock = run.books.clock
    started_s = clock.elapsed_s()
    ended, interrupted = run.searched(), False
    try:
        try:
            if run.work_left():
                with run.ray:
                    resources = run.prepare()
                    ended = run.search(resources)
                    run.confirm(resources)
        except KeyboardInterrupt:
            interrupted, ended = True, "the user stopped the sweep"
        if run.books.lost():
            interrupted, ended = True, "another driver has taken the sweep over"
        run.books.settle(run.utilisation, "KILLED" if interrupted else "FINISHED")
    except BaseException:
        run.books.give_up()
        raise
    report = None if interrupted else run.report()
    trials = run.books.ledger.trials()
    order = standings(trials, run.study)
    tally = counts(trials)
    return SweepSummary(
        name=run.folder.name,
        folder=run.folder.path,
        tracking_uri=run.tracking_uri,
        complete=tally["trials_complete"],
        pruned=tally["trials_pruned"],
        epochs_saved=tally["epochs_saved"],
        failed=tally["trials_failed"],
        confirmations=run.books.confirmed(),
        front=order.rows,
        hypervolume=order.hypervolume,
        report=report,
        interrupted=interrupted,
        ended=ended,
        seconds=clock.elapsed_s() - started_s,
        utilisation=run.utilisation.share(),
    )
