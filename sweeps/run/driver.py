"""Drives a sweep whose data are loaded: opens its records, runs its phases, and summarises it."""

import json
from dataclasses import replace

from analysis import layout
from sweeps.common.clock import SystemClock
from sweeps.common.environment import describe_environment
from sweeps.ledger.front import pareto_state
from sweeps.ledger.identity import flat
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import put_text
from sweeps.ledger.totals import counts
from sweeps.progress.events import PhaseBegun
from sweeps.run.phases import Sweep
from sweeps.run.site import NOWHERE
from sweeps.run.start import Start
from sweeps.run.summary import SweepSummary
from sweeps.tracking.data_inputs import data_inputs
from sweeps.tracking.double_entry import RunRecorder
from sweeps.tracking.writer import Tracker


def drive(start: Start) -> SweepSummary:
    """Complete a sweep and return its summary.

    Raises:
        UserError: If MLflow does not answer, or a teacher cannot be trained.
    """
    return _run(_open(start))


def _open(start: Start) -> Sweep:
    folder, site, held = start.folder, start.site, start.held
    recorder = _open_recorder(start)
    put_text(folder.views, json.dumps(recorder.offer_views()))
    if site is None:  # the site was described when trials ran
        site = NOWHERE
    else:
        recorder.attach(layout.ENVIRONMENT_FILE, describe_environment(site.allocation))
    task, contents = start.left.study.task, start.identity.data
    found = {
        key: {**scenario.provenance, "content": flat(contents[key])}
        for key, scenario in start.data.items()
    }
    recorder.attach(layout.PROVENANCE_FILE, found)
    data = start.data.items()
    recorder.attach_data(
        [one for key, scenario in data for one in data_inputs(task, key, scenario, contents[key])]
    )
    recorder.attach_file(folder.study)
    return Sweep(
        study=start.left.study,
        plan=start.plan,
        folder=folder,
        tracking_uri=start.left.settings.tracking_uri or folder.tracking_uri,
        site=site,
        data=start.data,
        teachers=start.teachers,
        recorder=recorder,
        display=start.display,
        interrupts=held.interrupts,
        pool=site.pool(held.interrupts),
        utilisation=start.utilisation,
        ray=start.ray,
    )


def _open_recorder(start: Start) -> RunRecorder:
    folder, study = start.folder, start.left.study
    settings, ledger = start.left.settings, start.left.ledger
    clock, tracker = SystemClock(), None
    if ledger is None:
        ledger = Ledger.create(folder.journal, study, start.earlier)
    else:
        tracker = Tracker.resume(folder, settings.tracking_uri, settings.id)
    ledger.identify(start.identity)
    if (started_ms := ledger.sweep.started_ms) is None:
        begun = [trial.started_ms for trial in ledger.trials() if trial.started_ms is not None]
        started_ms = min(begun, default=clock.epoch_ms())
        ledger.put_sweep(replace(ledger.sweep, started_ms=started_ms))
    if tracker is None:
        tracker = Tracker.start(folder, settings.tracking_uri, study, started_ms, settings.id)
    recorder = RunRecorder(folder, ledger, tracker, clock, start.display)
    recorder.lost = start.held.lost
    recorder.catch_up()
    return recorder


def _run(run: Sweep) -> SweepSummary:
    clock = run.recorder.clock
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
        if lost := run.recorder.lost():
            interrupted, ended = True, lost
        run.display.handle(PhaseBegun("record"))
        run.recorder.settle(run.utilisation, "KILLED" if interrupted else "FINISHED")
    except BaseException:
        run.recorder.give_up()
        raise
    report = None if interrupted else run.report()
    trials = run.recorder.ledger.trials()
    order = pareto_state(trials, run.study)
    totals = counts(trials)
    return SweepSummary(
        name=run.folder.name,
        folder=run.folder.path,
        tracking_uri=run.tracking_uri,
        complete=totals["trials_complete"],
        pruned=totals["trials_pruned"],
        epochs_saved=totals["epochs_saved"],
        failed=totals["trials_failed"],
        jobs_failed=sum(bool(job.reason) for job in run.recorder.ledger.jobs()),
        confirmations=run.recorder.confirmed(),
        front=order.rows,
        hypervolume=order.hypervolume,
        report=report,
        interrupted=interrupted,
        ended=ended,
        seconds=clock.elapsed_s() - started_s,
        utilisation=run.utilisation.share(),
    )
