"""Run a study from its file to its report: Ray, its pool of workers, and the Tuner."""

import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune

from analysis.frames import read_sweep
from analysis.report import build_report
from kdtasks.task import ScenarioData
from search_spaces.study import Study
from sweeps.books import Books, counts
from sweeps.clock import SystemClock
from sweeps.confirm import Confirmation
from sweeps.display import Display
from sweeps.environment import describe_environment, usable_cores
from sweeps.folder import SweepFolder, check_new, create
from sweeps.front import standings
from sweeps.interrupts import Interrupts
from sweeps.ledger import Ledger
from sweeps.nodes.ray_actors import bundles
from sweeps.preflight import Plan, check_study
from sweeps.proposals import Proposals
from sweeps.ray_pool import RayPool, local_ray
from sweeps.resources import Resources, load_data, share_data
from sweeps.schedule import SessionScheduler
from sweeps.search import SessionCallback, SessionSearcher, make_sampler
from sweeps.seats import Seats, SeatWishes, share_cores
from sweeps.session import SearchSession
from sweeps.summary import SweepSummary
from sweeps.teacher_store import TeacherStore
from sweeps.teachers import prepare_teachers
from sweeps.tracking import Tracker
from sweeps.trial import Shared, StudentTrial
from sweeps.utilisation import Utilisation

__all__ = ["SweepSummary", "run_study"]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What the phases of one sweep share."""

    study: Study
    plan: Plan
    folder: SweepFolder
    tracking_uri: str
    seats: Seats
    data: dict[str, ScenarioData]
    books: Books
    display: Display
    interrupts: Interrupts
    pool: RayPool
    utilisation: Utilisation

    def prepare(self) -> Resources:
        """Share the data and make teachers available."""
        resources = share_data(self.plan.needs, self.data, self.pool)
        self.data.clear()  # workers read the copy in the object store; one copy is enough
        self.display.phase("teachers")
        with self.interrupts.deferred():
            prepare_teachers(
                resources,
                self.study.task,
                store=TeacherStore(self.folder.teachers),
                pool=self.pool,
                books=self.books,
                display=self.display,
            )
        return resources

    def search(self, resources: Resources) -> str:
        """Run the trials; return why the search ended.

        Raises:
            KeyboardInterrupt: If the user stopped it; open trials are closed by then.
        """
        self.display.phase("search")
        budget = self.study.budget
        self.display.search_started(budget.trials, budget.time_s, self.seats.slots)
        ledger = self.books.ledger
        ledger.use(partial(make_sampler, self.study))
        session = SearchSession(
            study=self.study,
            task=self.plan.task,
            resources=resources,
            proposals=Proposals(self.study, self.plan.task, ledger, self.books.clock),
            books=self.books,
            display=self.display,
            utilisation=self.utilisation,
        )
        try:
            with self.interrupts.deferred():
                _tuner(self, session, resources).fit()
        finally:
            session.abandon()
            shutil.rmtree(self.folder.scratch, ignore_errors=True)
        if session.fault is not None:
            raise session.fault
        return session.proposals.ended

    def confirm(self, resources: Resources) -> None:
        """Look at the test split."""
        self.display.phase("confirm")
        confirmation = Confirmation(
            study=self.study,
            task=self.plan.task,
            resources=resources,
            folder=self.folder,
            pool=self.pool,
            books=self.books,
            display=self.display,
        )
        with self.interrupts.deferred():
            failures = confirmation.run()
        if failures:
            self.display.note(f"{failures} jobs of the confirmation failed; see the report")

    def report(self) -> Path:
        """Write the report and attach it."""
        self.display.phase("report")
        frames = read_sweep(self.tracking_uri, self.folder.name)
        files = build_report(frames, self.folder.report)
        paths = [files.html, files.png, files.parquet, files.json]
        self.books.tracker.files(paths, "report")
        return files.html


def _trial_id(trial: Any) -> str:
    # Tune would put the whole configuration into the name
    return str(trial.trial_id)


def _tuner(run: _Run, session: SearchSession, resources: Resources) -> tune.Tuner:
    shared = Shared(
        task=run.study.task,
        weights=run.folder.weights,
        splits={key: (s.train, s.val) for key, s in resources.scenarios.items()},
        teachers=resources.teachers,
        actors=run.seats.actors,
    )
    place = tune.PlacementGroupFactory(bundles(run.seats.actors))
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(StudentTrial, shared=shared), place),
        tune_config=tune.TuneConfig(
            search_alg=SessionSearcher(session),
            scheduler=SessionScheduler(session),
            num_samples=-1,  # the session owns the budget
            max_concurrent_trials=run.seats.slots,  # without it trials run one by one
            reuse_actors=True,
            trial_dirname_creator=_trial_id,
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(run.folder.scratch),
            callbacks=[SessionCallback(session, run.interrupts.requested)],
            failure_config=tune.FailureConfig(max_failures=1),  # a process that died, once
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
            verbose=0,
        ),
    )


def run_study(
    study: Study,
    *,
    name: str,
    home: Path,
    tracking_uri: str | None,
    seats: SeatWishes,
    display: Display,
) -> SweepSummary:
    """Run ``study`` as the sweep ``name`` and return what came of it.

    Args:
        study: What to run.
        name: Name of the sweep; its folder ``home/name`` must not exist yet.
        home: Folder of all sweeps and of the cache.
        tracking_uri: Where MLflow keeps the runs; None for a database in the sweep's folder.
        seats: How many trials are to run at once, on how many cores, and how their nodes are
            to be connected.
        display: Watches.

    Raises:
        UserError: If the study cannot run as it is, its data cannot be had or MLflow does not
            answer, before anything is started; or if a teacher cannot be trained.
        StudyError: If a parameter that decides on data or teacher has no end of values.
    """
    plan = check_study(study)
    shared_out = share_cores(seats, usable_cores())
    folder = check_new(home, name)
    create(folder, study.text)
    try:
        run = _open(study, plan, folder, tracking_uri, shared_out, display)
    except BaseException:
        shutil.rmtree(folder.path)  # nothing was tried yet: the name stays free
        raise
    return _run(run)


def _open(
    study: Study,
    plan: Plan,
    folder: SweepFolder,
    tracking_uri: str | None,
    seats: Seats,
    display: Display,
) -> _Run:
    """Load the data, then open the books: a sweep without its data leaves nothing behind."""
    clock, interrupts = SystemClock(), Interrupts()
    display.phase("data")
    data = load_data(plan.needs, plan.task, cache=folder.scenarios, display=display)
    ledger = Ledger.create(folder.journal, study)
    tracker = Tracker.start(folder, tracking_uri, study, clock.epoch_ms())
    books = Books(study, ledger, tracker, clock, display)
    folder.views.write_text(json.dumps(books.offer_views()), encoding="utf-8")
    books.attach("environment.json", describe_environment(seats))
    books.attach("provenance.json", {key: found.provenance for key, found in data.items()})
    tracker.files([folder.study], "")
    return _Run(
        study=study,
        plan=plan,
        folder=folder,
        tracking_uri=tracking_uri or folder.tracking_uri,
        seats=seats,
        data=data,
        books=books,
        display=display,
        interrupts=interrupts,
        pool=RayPool(seats.cores, interrupts.requested),
        utilisation=Utilisation(seats.slots, clock),
    )


def _run(run: _Run) -> SweepSummary:
    clock = run.books.clock
    started_s = clock.elapsed_s()
    ended, interrupted = "", False
    try:
        with run.interrupts.installed():
            try:
                with local_ray(run.seats.cores):
                    resources = run.prepare()
                    ended = run.search(resources)
                    run.confirm(resources)
            except KeyboardInterrupt:
                interrupted, ended = True, "the user stopped the sweep"
            run.books.settle(run.utilisation.share())
            run.books.tracker.end("KILLED" if interrupted else "FINISHED", clock.epoch_ms())
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
