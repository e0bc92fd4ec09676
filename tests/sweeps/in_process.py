"""The engine's surroundings without Ray and MLflow: one process, one trial after another."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from toy_study import ManualClock

from analysis import layout
from search_spaces.study import Study
from sweeps.common.events import Event
from sweeps.common.interrupts import Interrupts
from sweeps.ledger.identity import code_of, identify
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder, check_new, create
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.ledger.trust import seal
from sweeps.plan.needs import Resources, load_data, share_data
from sweeps.plan.preflight import check_study
from sweeps.progress.events import Display, Note, SweepEvent, TrialStopped
from sweeps.progress.state import Utilisation
from sweeps.run import site
from sweeps.run.confirmation import Confirmation, drawn_teachers
from sweeps.run.teachers import Teaching, teacher_identities
from sweeps.search.proposals import Proposals
from sweeps.search.samplers import known_costs, make_sampler
from sweeps.search.session import SearchSession
from sweeps.tracking.client import DatasetInput, TrackingError
from sweeps.tracking.double_entry import RunRecorder
from sweeps.tracking.runs import ChildRun, Status
from sweeps.tracking.writer import Tracker
from sweeps.workers.jobs import Assignment


class MemoryTracker(Tracker):
    """Keeps runs in a dict; is out of reach while ``broken``."""

    def __init__(self) -> None:
        self.children: dict[str, ChildRun] = {}
        self.series: list[tuple[int, float]] = []
        self.metrics: dict[str, float] = {}
        self.texts: dict[str, str] = {}
        self.attached: list[Path] = []
        self.ended: list[Status] = []
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise TrackingError("no answer")

    def write(self, child: ChildRun) -> None:
        self._check()
        self.children[child.key] = child

    def write_missing(self, children: Iterable[ChildRun]) -> None:
        for child in children:
            self.write(child)

    def hypervolume(self, finished: int, value: float, time_ms: int) -> None:
        self._check()
        self.series.append((finished, value))

    def hypervolumes(self) -> set[int]:
        return set(dict(self.series))

    def facts(self, metrics: Mapping[str, float], time_ms: int) -> None:
        self._check()
        self.metrics.update(metrics)

    def data(self, inputs: Sequence[DatasetInput]) -> None:
        self._check()

    def text(self, name: str, text: str) -> None:
        self._check()
        self.texts[name] = text

    def files(self, paths: Sequence[Path], folder: str) -> None:
        self._check()
        self.attached += paths

    def end(self, status: Status, time_ms: int) -> None:
        self._check()
        self.ended.append(status)


@dataclass
class Engine:
    """A sweep in this process."""

    study: Study
    home: Path
    display: Display = field(default_factory=Display)
    name: str = "sweep"

    def __post_init__(self) -> None:
        plan = check_study(self.study)
        self.folder: SweepFolder = check_new(self.home, self.name)
        create(self.folder, self.study.text)
        seal(self.folder.path, self.study)
        self.clock = ManualClock()
        self.tracker = MemoryTracker()
        self.task = plan.task
        self.ledger = self.start_ledger()
        self.ledger.use(partial(make_sampler, self.study, known_costs(self.study, self.task)))
        self.recorder = RunRecorder(
            self.folder, self.ledger, self.tracker, self.clock, self.display
        )
        self.interrupts = Interrupts()
        self.pool = site.InlinePool(self.interrupts)
        cache = self.folder.scenarios
        data = load_data(plan.needs, plan.task, cache=cache, display=self.display)
        self.resources: Resources = share_data(plan.needs, data, self.pool)
        self.identity = identify(data, code_of(self.study))
        self.ledger.identify(self.identity)

    def start_ledger(self) -> Ledger:
        return Ledger.create(self.folder.journal, self.study)

    def teach(self) -> None:
        store, needs = TeacherStore(self.folder.teachers), self.resources.needs
        Teaching(
            resources=self.resources,
            task_name=self.study.task,
            identities=teacher_identities(self.task, self.study.task, needs, self.identity, store),
            store=store,
            pool=self.pool,
            recorder=self.recorder,
            display=self.display,
        ).run()

    def session(self) -> SearchSession:
        return SearchSession(
            study=self.study,
            task=self.task,
            resources=self.resources,
            proposals=Proposals(self.study, self.task, self.ledger, self.clock),
            recorder=self.recorder,
            students=StudentStore(self.folder.weights),
            display=self.display,
            utilisation=Utilisation(1, self.clock),
        )

    def train(self, assignment: Assignment) -> Iterator[Event]:
        return site.train(self.study, self.resources, assignment)

    def search(self) -> SearchSession:
        session = self.session()
        site.InlineSite().search(session, self.folder.scratch, self.interrupts)
        return session

    def confirm(self) -> int:
        drawn = drawn_teachers(self.study, self.task, self.ledger.trials())
        self.resources.needs = (*self.resources.needs, *drawn)
        self.teach()
        return Confirmation(
            study=self.study,
            task=self.task,
            resources=self.resources,
            students=StudentStore(self.folder.weights),
            pool=self.pool,
            recorder=self.recorder,
            display=self.display,
        ).run()

    def into_mlflow(self) -> None:
        """Write what there is to a database in the sweep's folder, as the driver does."""
        tracker = Tracker.start(self.folder, None, self.study, 0)
        recorder = RunRecorder(self.folder, self.ledger, tracker, self.clock, self.display)
        shown = json.dumps(recorder.offer_views())
        (self.folder.path / layout.VIEWS_FILE).write_text(shown, encoding="utf-8")
        recorder.attach_file(self.folder.study)
        recorder.settle(Utilisation(1, self.clock))


class Watching(Display):
    """Records notes and stopped trials."""

    def __init__(self) -> None:
        self.stopped: dict[int, tuple[int, int]] = {}
        self.notes: list[str] = []

    def handle(self, event: SweepEvent) -> None:
        match event:
            case TrialStopped(number, epoch, epochs):
                self.stopped[number] = (epoch, epochs)
            case Note(text):
                self.notes.append(text)
