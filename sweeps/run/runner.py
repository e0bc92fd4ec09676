"""Run a study from its file to its report, or go on with a sweep that was stopped."""

import os
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path

from kdtasks.contract.errors import ConfigError
from search_spaces.study import Study
from sweeps.common.capacity import ResourceRequest
from sweeps.common.clock import SystemClock
from sweeps.common.custom_code import check_importable, code_path, mixed_up
from sweeps.common.interrupts import BackgroundContext, Interrupts
from sweeps.common.records import EarlierTrial
from sweeps.ledger.front import pareto_state
from sweeps.ledger.launch_settings import (
    SweepSettings,
    new_id,
    read_settings,
    settled_uri,
    write_settings,
)
from sweeps.ledger.paths import (
    SETTINGS_FILE,
    SweepFolder,
    check_new,
    create,
    create_missing,
    open_to_all,
)
from sweeps.ledger.process_lock import driving
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.ledger.totals import counts
from sweeps.ledger.trust import seal
from sweeps.mirror.mirror import Mirror
from sweeps.mirror.restore import check_unknown, fetch_missing, kept
from sweeps.plan.preflight import Plan, check_study
from sweeps.progress.listener import Display, FanOut
from sweeps.progress.log import EventLog, Outcome
from sweeps.progress.utilisation import Utilisation
from sweeps.run.resume import ResumeState, find_left, has_begun, load_same, work_left
from sweeps.run.site import NOWHERE, Site, find_site
from sweeps.run.start import DriverResources, Start
from sweeps.run.summary import SweepSummary
from sweeps.run.teachers import teacher_identities
from sweeps.search.warm_start import find_earlier
from sweeps.tracking.server_check import check_tracking
from sweeps.workers.ray_safety import dangers

__all__ = ["SweepSummary", "resume_sweep", "run_study"]


def run_study(  # noqa: PLR0913 - what, where, on what, watched by whom: each has its own word
    study: Study,
    *,
    name: str,
    home: Path,
    tracking_uri: str | None,
    request: ResourceRequest,
    display: Display,
    storage: str | None = None,
    begun_s: float | None = None,
) -> SweepSummary:
    """Run ``study`` as the sweep ``name`` and return what came of it.

    Args:
        study: What to run.
        name: Name of the sweep. If there is one of this name, ``study`` may differ in trials and
            time of the budget, and the sweep goes on with those.
        home: Folder of all sweeps and of the cache.
        tracking_uri: Where MLflow keeps the runs; None for a database in the sweep's folder.
        request: Where trials are to run, how many at once, and how their nodes are to be connected.
        display: Watches.
        storage: URI of a durable file system in which a copy of the sweep is kept, for a machine
            whose own disk does not last; None for no copy.
        begun_s: When the user asked for it, seconds since 1970; None if that began this process.

    Raises:
        UserError: If the study cannot run as it is, its data cannot be had, MLflow or the storage
            do not answer or another process drives the sweep, before anything is started; or if a
            teacher cannot be trained.
        StudyError: If a parameter that decides on data or teacher has no end of values.
    """
    checked_s = time.time()
    old = SweepFolder(home.resolve() / name)
    if old.study.is_file():
        return _go_on(old, study, tracking_uri, request, display, storage)
    folder = check_new(home, name)
    plan = check_study(study)
    check_importable(study)
    if storage is not None:
        check_unknown(storage, name)
    settings = SweepSettings(
        id=new_id(),
        tracking_uri=settled_uri(tracking_uri),
        request=request,
        task_path=code_path(study),
        storage=storage,
        folder=str(folder.path),
    )
    check_tracking(folder, settings.tracking_uri, study.name, "")
    site = find_site(study, settings)
    create(folder, study.text, {SETTINGS_FILE: settings.text})
    seal(folder.path, study)
    interrupts = Interrupts()
    try:
        with (
            driving(folder.path, interrupts.request) as lease,
            kept(storage, folder, display.note, interrupts) as mirror,
        ):
            left = ResumeState(study=study, settings=settings, ledger=None)
            held = DriverResources(
                lease=lease,
                interrupts=interrupts,
                mirror=mirror,
                begun_s=begun_s,
                checked_s=checked_s,
            )
            summary = _drive(folder, left, plan, display, held, site)
        return _stored(summary, mirror)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        if not folder.journal.is_file() or not (stopped or has_begun(folder)):
            shutil.rmtree(folder.path)  # nothing was tried yet: the name stays free
        raise


def resume_sweep(
    name: str,
    *,
    home: Path,
    tracking_uri: str | None,
    request: ResourceRequest | None,
    display: Display,
    storage: str | None = None,
) -> SweepSummary:
    """Go on with a sweep that was stopped, wherever that was, and return what came of it.

    Args:
        name: Name of the sweep.
        home: Folder of all sweeps and of the cache.
        tracking_uri: Where MLflow has the runs now; None for where it had them.
        request: As in `run_study`; None for what was asked for then.
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
    return _go_on(folder, None, tracking_uri, request, display, storage)


def _go_on(
    folder: SweepFolder,
    wanted: Study | None,
    tracking_uri: str | None,
    request: ResourceRequest | None,
    display: Display,
    storage: str | None,
) -> SweepSummary:
    interrupts, checked_s = Interrupts(), time.time()
    with driving(folder.path, interrupts.request) as lease:
        storage = storage or read_settings(folder.path).storage
        # what was done elsewhere comes first
        with kept(storage, folder, display.note, interrupts) as mirror:
            left = find_left(
                folder, wanted, tracking_uri=tracking_uri, request=request, display=display
            )
            left = replace(left, settings=replace(left.settings, storage=storage))
            plan = check_study(left.study)
            check_importable(left.study)
            settings, site = left.settings, None
            check_tracking(folder, settings.tracking_uri, left.study.name, settings.id)
            if work_left(left.study, plan, left.ledger):
                site = find_site(left.study, settings)
            write_settings(folder.path, settings)
            create_missing(folder)
            held = DriverResources(
                lease=lease, interrupts=interrupts, mirror=mirror, checked_s=checked_s
            )
            summary = _drive(folder, left, plan, display, held, site)
    return _stored(summary, mirror)


def _stored(summary: SweepSummary, mirror: Mirror | None) -> SweepSummary:
    return summary if mirror is None else replace(summary, unstored=mirror.lacking)


def _drive(
    folder: SweepFolder,
    left: ResumeState,
    plan: Plan,
    display: Display,
    held: DriverResources,
    site: Site | None,
) -> SweepSummary:
    """Do what is left of a sweep, and keep its log; without a site, nothing can be trained."""
    trials = [] if left.ledger is None else left.ledger.trials()
    order = pareto_state(trials, left.study)
    log = EventLog(folder.log, left.study, SystemClock(), display)
    watching = FanOut(display, log)
    with log.kept(), held.interrupts.installed():
        log.opened(folder.name, socket.gethostname(), counts(trials))
        log.process(held.begun_s, held.checked_s)
        for words in (
            *dangers(os.environ),
            *open_to_all(folder.path.parent),
            *mixed_up(left.study),
        ):
            watching.note(words)
        if order.rows:
            watching.front(order.rows, order.hypervolume)
        start = _start(folder, left, plan, watching, held, site)
        try:
            # MLflow and Tune take seconds to import: Ray comes up meanwhile
            from sweeps.run.driver import drive

            summary = drive(start)
        finally:
            start.ray.end()
        outcome: Outcome = "interrupted" if summary.interrupted else "finished"
        log.closed(outcome, summary.ended, start.utilisation)
    return summary


def _start(
    folder: SweepFolder,
    left: ResumeState,
    plan: Plan,
    display: Display,
    held: DriverResources,
    site: Site | None,
) -> Start:
    """Load the data, then ask Ray to start: a sweep without its data starts nothing."""
    earlier: tuple[EarlierTrial, ...] = ()
    if left.ledger is None:
        earlier = find_earlier(left.study, plan.task, folder.path.parent, display)
    data, identity = load_same(folder, left, plan, display)
    store = TeacherStore(folder.teachers)
    needs = (*plan.needs, *plan.drawn)
    teachers = teacher_identities(plan.task, left.study.task, needs, identity, store)
    if held.mirror is not None:
        held.mirror.teachers = tuple(teacher.key for teacher in teachers.values())
    display.phase("start")
    ray = BackgroundContext((site or NOWHERE).ready(held.lease.starting))
    if site is not None:
        ray.begin()
    return Start(
        folder=folder,
        left=left,
        plan=plan,
        display=display,
        held=held,
        site=site,
        earlier=earlier,
        data=data,
        identity=identity,
        teachers=teachers,
        ray=ray,
        utilisation=Utilisation((site or NOWHERE).allocation.slots, SystemClock()),
    )
