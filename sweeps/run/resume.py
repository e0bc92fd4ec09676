"""State of a sweep before it runs: whether it can be resumed, and what its driver holds."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import ScenarioData
from search_spaces.errors import StudyError
from search_spaces.study import Study, load_study
from search_spaces.study_yaml import leaves
from sweeps.common.capacity import ResourceRequest
from sweeps.common.interrupts import BackgroundContext, Interrupts
from sweeps.common.records import EarlierTrial
from sweeps.ledger.identity import (
    Identity,
    TeacherIdentity,
    check_code,
    check_data,
    code_of,
    identify,
)
from sweeps.ledger.journal import repair_tail
from sweeps.ledger.launch_settings import SweepSettings, followed, read_settings, settled_uri
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder, check_room, put_text
from sweeps.ledger.process_lock import Lease
from sweeps.ledger.totals import counts
from sweeps.ledger.trust import find_code
from sweeps.mirror.mirror import Mirror
from sweeps.plan.needs import by_scenario, load_data
from sweeps.plan.preflight import Plan
from sweeps.progress.events import Display, PhaseBegun
from sweeps.progress.state import Utilisation
from sweeps.run.confirmation import open_jobs
from sweeps.run.site import Site

NAMED = 3
"""Largest number of differences that are named."""

MAY_DIFFER = (
    "budget.trials",
    "budget.time",
    "resources.cpus",
    "resources.gpus",
    "resources.slots",
    "title",
    "description",
)
POINTS = "search.points."
MISSING = "nothing"


def find_left(
    folder: SweepFolder,
    wanted: Study | None,
    *,
    tracking_uri: str | None,
    request: ResourceRequest | None,
    display: Display,
) -> tuple[Study, SweepSettings, Ledger | None]:
    """Return the state of a sweep, after repairing what a killed driver left.

    It has no ledger if it was stopped before it had one.

    This process is its driver. ``wanted`` is the study to continue with, None for the one in the
    folder; address of the runs and request for resources are None if unchanged.

    Raises:
        UserError: If it cannot be resumed, or names untrusted code; names file or field and the
            fix.
    """
    check_room(folder.path.parent)
    settings = read_settings(folder.path)
    if tracking_uri is not None:
        settings = replace(settings, tracking_uri=settled_uri(tracking_uri))
    settings = followed(settings, folder.path)
    if request is not None:
        settings = replace(settings, request=request)
    for partial in folder.weights.glob(".*.part"):
        partial.unlink(missing_ok=True)
    ledger = _open_ledger(folder, display)
    study = _agree(folder, ledger, wanted)
    find_code(folder.path, study)
    return study, settings, ledger


def load_same(
    folder: SweepFolder, study: Study, ledger: Ledger | None, plan: Plan, display: Display
) -> tuple[dict[str, ScenarioData], Identity]:
    """Load scenarios by fingerprint, check the identity of data and code, and reopen the ledger.

    Raises:
        ConfigError: If code or data differ from those of the sweep's trials.
        DataError: If data are missing or damaged.
    """
    known = None if ledger is None else ledger.identity
    code = code_of(study)
    if known is not None:
        check_code(folder.name, known.code, code)
    display.handle(PhaseBegun("data"))
    data = load_data(plan.needs, plan.task, cache=folder.scenarios, display=display)
    identity = identify(data, code)
    if known is not None:
        params = {key: need.params for key, need in by_scenario(plan.needs).items()}
        check_data(folder.name, known, identity, params)
    if ledger is not None:
        if study.text != ledger.study.text:
            put_text(folder.study, study.text)
            ledger.extend(study)
        ledger.recover()
    return data, identity


def has_begun(folder: SweepFolder) -> bool:
    """Return whether a sweep has trials or a failed job; its teachers are in the shared cache."""
    ledger = Ledger.open(folder.journal)
    return bool(ledger.trials() or any(job.reason for job in ledger.jobs()))


def _open_ledger(folder: SweepFolder, display: Display) -> Ledger | None:
    if not folder.journal.is_file():
        if folder.weights.is_dir() and any(folder.weights.iterdir()):
            raise ConfigError(
                f"{folder.journal} is missing, but the sweep has trials; restore it, or remove "
                f"{folder.path} and run the study again"
            )
        return None
    if repaired := repair_tail(folder.journal):
        display.note(repaired)
    return Ledger.open(folder.journal)


def _agree(folder: SweepFolder, ledger: Ledger | None, wanted: Study | None) -> Study:
    """Return the study to continue with, after comparing it with the one that was run."""
    known = None if ledger is None else ledger.study
    study = wanted or _study_in(folder, known)
    known = known or load_study(folder.study)
    if differ := differences(study, known):
        named = "; ".join(differ[:NAMED]) + ("; ..." if len(differ) > NAMED else "")
        fix = "undo the change" if wanted is None else "choose another --name"
        raise ConfigError(
            f"sweep {folder.name} was run with another study: {named}; only trials and time of the "
            "budget, resources, title, description and report may change, and points may be added "
            f"if only points are run; {fix}"
        )
    if wanted is not None and replace(wanted, text=known.text) == known:
        raise ConfigError(
            f"{folder.path} exists already, with this study; kdsweep resume "
            f"{shlex.quote(folder.name)} resumes it, more than {known.budget.trials} trials extend "
            "it, another --name starts a new sweep"
        )
    spent = 0 if ledger is None else num_spent(ledger)
    if study.budget.trials < spent:
        raise ConfigError(
            f"study {study.name}: budget.trials is {study.budget.trials}, but the sweep has "
            f"{spent} trials already; increase it"
        )
    return study


def _study_in(folder: SweepFolder, known: Study | None) -> Study:
    try:
        return load_study(folder.study)
    except StudyError:
        if known is None:
            raise
        return known  # the ledger has a copy


def num_spent(ledger: Ledger) -> int:
    """Return the number of ended trials that count against the budget."""
    ended = counts(ledger.trials())
    return sum(ended[name] for name in ("trials_complete", "trials_pruned", "trials_failed"))


def work_left(study: Study, plan: Plan, ledger: Ledger | None) -> bool:
    """Return whether anything must be trained or evaluated; a ledger of None has not begun."""
    if ledger is None or not ledger.milestones.ended(study.budget):
        return True
    return bool(open_jobs(study, plan.task, plan.needs, ledger))


@dataclass(frozen=True, kw_only=True)
class Driven:
    """A sweep that this process drives.

    Attributes:
        study: The study, possibly extended.
        ledger: None if it was stopped before it had one.
        site: The site; `NOWHERE` if nothing is left to run.
        lease: The right to drive the sweep.
        mirror: The sweep's copy in storage; None if it has none.
        checked_s: When the checks of the study began, seconds since 1970.
        begun_s: When the user asked for the sweep; None: at the start of this process.
    """

    folder: SweepFolder
    study: Study
    settings: SweepSettings
    ledger: Ledger | None
    plan: Plan
    display: Display
    site: Site
    lease: Lease
    interrupts: Interrupts
    mirror: Mirror | None
    checked_s: float
    begun_s: float | None = None

    def lost(self) -> str:
        """Return why this driver no longer owns the sweep; empty if it does."""
        if self.mirror is not None and self.mirror.lost:
            return "another driver has taken the sweep over"
        return "its folder was moved or removed while it ran" if self.lease.lost else ""


@dataclass(frozen=True, kw_only=True)
class Start(Driven):
    """A sweep whose data are loaded, before its records are opened.

    Attributes:
        earlier: Trials of earlier sweeps for the sampler.
        data: Scenarios by fingerprint.
        teachers: Identity of each teacher, by fingerprint.
        ray: Starts if there is a site; the holder must end it.
    """

    earlier: tuple[EarlierTrial, ...]
    data: dict[str, ScenarioData]
    identity: Identity
    teachers: Mapping[str, TeacherIdentity]
    ray: BackgroundContext
    utilisation: Utilisation


def differences(new: Study, old: Study) -> list[str]:
    """Return the differences of two studies, one per field, that prevent resuming.

    Fields in `MAY_DIFFER` and the report may differ, since trials do not depend on them. A study of
    points only may have further points.
    """
    if new.text == old.text:
        return []
    before, after = _fields_of(old), _fields_of(new)
    if new.search.sampler == old.search.sampler == "points":
        known = len(old.search.points)
        after = {name: value for name, value in after.items() if not _is_behind(name, known)}
    names = dict.fromkeys([*after, *before])
    return [
        f"{name} is {after.get(name, MISSING)!r}, was {before.get(name, MISSING)!r}"
        for name in names
        if name not in MAY_DIFFER and after.get(name, MISSING) != before.get(name, MISSING)
    ]


def _fields_of(study: Study) -> dict[str, Any]:
    """Return all values on which trials may depend, by dotted path."""
    return dict(leaves({name: part for name, part in study.plain().items() if name != "report"}))


def _is_behind(name: str, known: int) -> bool:
    """Return whether a field belongs to a point after the first ``known`` ones."""
    index = name.removeprefix(POINTS).split(".")[0]
    return name.startswith(POINTS) and int(index) >= known
