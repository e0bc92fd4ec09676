"""Runs a study from its file to its report, or resumes a sweep."""

import os
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from kdtasks.contract.errors import ConfigError
from search_spaces.study import Study
from sweeps.common.capacity import ResourceRequest
from sweeps.common.clock import SystemClock
from sweeps.common.custom_code import check_importable, code_path, mixed_up
from sweeps.common.interrupts import BackgroundContext, Interrupts
from sweeps.common.records import EarlierTrial
from sweeps.ledger import launch_settings, paths
from sweeps.ledger.front import pareto_state
from sweeps.ledger.launch_settings import SweepSettings
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.process_lock import driving
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.ledger.totals import counts
from sweeps.ledger.trust import seal
from sweeps.mirror.mirror import Mirror
from sweeps.mirror.restore import check_unknown, fetch_missing, kept
from sweeps.plan.preflight import check_study
from sweeps.plan.rehearsal import rehearse
from sweeps.progress.events import Display, FanOut, FrontChanged, PhaseBegun
from sweeps.progress.log import EventLog, Outcome
from sweeps.progress.state import Utilisation
from sweeps.run.resume import Driven, Start, find_left, has_begun, load_same, work_left
from sweeps.run.site import NOWHERE, find_site, gpu_notes
from sweeps.run.summary import SweepSummary
from sweeps.run.teachers import teacher_identities
from sweeps.search.warm_start import find_earlier
from sweeps.tracking.server_check import check_tracking
from sweeps.workers.ray_safety import dangers

__all__ = ["SweepSummary", "resume_sweep", "run_study"]


def run_study(  # noqa: PLR0913 - independent settings
    study: Study,
    *,
    name: str,
    home: Path,
    tracking_uri: str | None,
    request: ResourceRequest,
    display: Display,
    storage: str | None = None,
    begun_s: float | None = None,
    ray: BackgroundContext | None = None,
) -> SweepSummary:
    """Run ``study`` as the sweep ``name`` and return its summary.

    Args:
        study: The study.
        name: Name of the sweep. An existing sweep of this name is continued with ``study``, which
            may differ in trials and time of the budget.
        home: Folder of all sweeps and of the cache.
        tracking_uri: MLflow's address for the runs; None for a database in the sweep's folder.
        request: Number, place and transport of trials.
        display: Shows progress.
        storage: URI of a durable file system for a copy of the sweep, for machines whose disk does
            not last; None for no copy.
        begun_s: When the user asked for it, seconds since 1970; None: at the start of this process.
        ray: A Ray on this machine that a new sweep runs on and leaves; None for one of its own.

    Raises:
        UserError: Before anything starts, if the study cannot run, its data are not available,
            MLflow or the storage do not answer, or another process drives the sweep; later, if a
            teacher cannot be trained.
        StudyError: If a parameter that determines data or teacher has infinitely many values.
    """
    checked_s = time.time()
    old = SweepFolder(home.resolve() / name)
    if old.study.is_file():
        return _resume(old, study, tracking_uri, request, display, storage)
    folder = paths.check_new(home, name)
    plan = check_study(study)
    check_importable(study)
    if storage is not None:
        check_unknown(storage, name)
    settings = SweepSettings(
        id=uuid4().hex,
        tracking_uri=launch_settings.settled_uri(tracking_uri),
        request=request,
        task_path=code_path(study),
        storage=storage,
        folder=str(folder.path),
    )
    check_tracking(folder, settings.tracking_uri, study.name, "")
    site = find_site(study, settings, ray)
    paths.create(folder, study.text, {paths.SETTINGS_FILE: settings.text})
    seal(folder.path, study)
    interrupts = Interrupts()
    try:
        with (
            driving(folder.path, interrupts.request) as lease,
            kept(storage, folder, display.note, interrupts) as mirror,
        ):
            driven = Driven(
                folder=folder,
                study=study,
                settings=settings,
                ledger=None,
                plan=plan,
                display=display,
                site=site,
                lease=lease,
                interrupts=interrupts,
                mirror=mirror,
                begun_s=begun_s,
                checked_s=checked_s,
            )
            summary = _drive(driven)
        return _stored(summary, mirror)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        if not folder.journal.is_file() or not (stopped or has_begun(folder)):
            shutil.rmtree(folder.path)  # no trial has run: free the name
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
    """Resume a stopped sweep, also of another machine, and return its summary.

    For the arguments see `run_study`; those that are None are unchanged. A sweep that is not in the
    home is fetched from the storage, if one is given.

    Raises:
        UserError: As in `run_study`, or if the sweep's files are damaged.
    """
    if storage is not None:
        fetch_missing(home, name, storage)
    folder = SweepFolder(home.resolve() / name)
    if not folder.study.is_file():
        raise ConfigError(f"{folder.path} is not the folder of a sweep; see kdsweep list")
    return _resume(folder, None, tracking_uri, request, display, storage)


def _resume(
    folder: SweepFolder,
    wanted: Study | None,
    tracking_uri: str | None,
    request: ResourceRequest | None,
    display: Display,
    storage: str | None,
) -> SweepSummary:
    interrupts, checked_s = Interrupts(), time.time()
    with driving(folder.path, interrupts.request) as lease:
        storage = storage or launch_settings.read_settings(folder.path).storage
        # fetch newer trials from storage first
        with kept(storage, folder, display.note, interrupts) as mirror:
            study, settings, ledger = find_left(
                folder, wanted, tracking_uri=tracking_uri, request=request, display=display
            )
            settings = replace(settings, storage=storage)
            plan = check_study(study)
            check_importable(study)
            check_tracking(folder, settings.tracking_uri, study.name, settings.id)
            left = work_left(study, plan, ledger)
            site = find_site(study, settings) if left else NOWHERE
            launch_settings.write_settings(folder.path, settings)
            paths.create_missing(folder)
            driven = Driven(
                folder=folder,
                study=study,
                settings=settings,
                ledger=ledger,
                plan=plan,
                display=display,
                site=site,
                lease=lease,
                interrupts=interrupts,
                mirror=mirror,
                checked_s=checked_s,
            )
            summary = _drive(driven)
    return _stored(summary, mirror)


def _stored(summary: SweepSummary, mirror: Mirror | None) -> SweepSummary:
    return summary if mirror is None else replace(summary, unstored=mirror.lacking)


def _drive(driven: Driven) -> SweepSummary:
    """Complete a sweep and write its log."""
    folder, study = driven.folder, driven.study
    trials = [] if driven.ledger is None else driven.ledger.trials()
    order = pareto_state(trials, study)
    log = EventLog(folder.log, study, SystemClock(), driven.display)
    watching = FanOut(driven.display, log)
    with log.kept(), driven.interrupts.installed():
        log.opened(folder.name, socket.gethostname(), counts(trials))
        log.process(driven.begun_s, driven.checked_s)
        for words in (
            *dangers(os.environ),
            *paths.open_to_all(folder.path.parent),
            *mixed_up(study),
            *gpu_notes(study, driven.plan.task, driven.settings),
        ):
            watching.note(words)
        if order.rows:
            watching.handle(FrontChanged(order.rows, order.hypervolume))
        start = _start(replace(driven, display=watching))
        try:
            # importing MLflow and Tune takes seconds, while Ray starts
            from sweeps.run.phases import drive, open_sweep

            summary = drive(open_sweep(start))
        finally:
            start.ray.end()
        outcome: Outcome = "interrupted" if summary.interrupted else "finished"
        log.closed(outcome, summary.ended, start.utilisation)
    return summary


def _start(driven: Driven) -> Start:
    """Load the data, then start Ray: without data nothing is started."""
    folder, study, plan, site = driven.folder, driven.study, driven.plan, driven.site
    earlier: tuple[EarlierTrial, ...] = ()
    if driven.ledger is None:
        earlier = find_earlier(study, plan.task, folder.path.parent, driven.display)
    data, identity = load_same(folder, study, driven.ledger, plan, driven.display)
    if site is not NOWHERE:
        rehearse(study, plan, data)
    store = TeacherStore(folder.teachers)
    needs = (*plan.needs, *plan.drawn)
    teachers = teacher_identities(plan.task, study.task, needs, identity, store)
    if driven.mirror is not None:
        driven.mirror.teachers = tuple(teacher.key for teacher in teachers.values())
    driven.display.handle(PhaseBegun("start"))
    ray = BackgroundContext(site.ready(driven.lease.starting))
    if site is not NOWHERE:
        ray.begin()
    return Start(
        **vars(driven),
        earlier=earlier,
        data=data,
        identity=identity,
        teachers=teachers,
        ray=ray,
        utilisation=Utilisation(site.allocation.slots, SystemClock()),
    )
