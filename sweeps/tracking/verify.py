"""Check that ledger, results file, MLflow and front agree."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import eq
from pathlib import Path
from typing import Any

from analysis import layout
from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.data.reading import checked_inside, damage_named, file_sha256, read_bytes, read_json
from search_spaces.study import Study
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.front import pareto_state
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.sqlite_file import sqlite_path
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.ledger.totals import counts
from sweeps.tracking.client import Run, read_runs
from sweeps.tracking.results import differences
from sweeps.tracking.runs import ChildRun, ranked_children

TOLERANCE = 1e-12
"""Largest relative difference that counts as rounding by a database."""

MOST_SUMS_BYTES = 4096
"""Largest file of a report's hashes [bytes]."""

FOR_VIEWS = (layout.NEAR, layout.RUN_COLOUR)
"""Tags that are not results, of which older versions wrote others."""


def verify_sweep(folder: Path, tracking_uri: str | None = None) -> list[str]:
    """Return every difference between ledger, results file, MLflow and ``front.json``, a line each.

    Raises:
        UserError: If the folder is not that of a sweep, or MLflow does not have it.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} does not exist; check the sweep's name and --home")
    sweep = SweepFolder(folder.absolute())
    ledger = Ledger.open(sweep.journal)
    study, trials = ledger.study, ledger.trials()
    parent, runs = read_runs(sweep, tracking_uri)
    children = ranked_children(trials, ledger.jobs(), ledger.exports(), study)
    expected = {child.key: child for child in children}
    return [
        *_trials_that_never_ended(trials, ended=ledger.milestones.ended(study.budget)),
        *differences(sweep, ledger),
        *_runs_against_ledger(runs, expected),
        *_parent(parent, trials, study),
        *_front_file(sweep, parent, trials, study),
        *TeacherStore(sweep.teachers).damages(ledger.jobs()),
        *_damaged_students(sweep, trials),
        *_damaged_report(sweep.report),
        *_damaged_artifacts(sweep, tracking_uri, ledger, parent, runs),
    ]


def _damaged_students(sweep: SweepFolder, trials: Sequence[TrialRecord]) -> Iterator[str]:
    store = StudentStore(sweep.weights)
    for trial in trials:
        if trial.sha256 and (damage := store.damage(trial.number, trial.sha256)):
            yield f"trial {trial.number}: {damage}"


def _damaged_report(folder: Path) -> Iterator[str]:
    """Yield a line per damaged file of the report."""
    sums = folder / layout.REPORT_SUMS
    if not sums.is_file():
        return  # no report, or one of an older version
    for line in read_bytes(sums, MOST_SUMS_BYTES).decode("utf-8", "replace").splitlines():
        sha256, _, name = line.partition("  ")
        file = folder / name  # missing ones are reported elsewhere
        if name in layout.REPORT_FILES and file.is_file() and not _is(file, sha256):
            yield f"{file} is not what was written; kdsweep report makes it again"


def _damaged_artifacts(
    sweep: SweepFolder,
    tracking_uri: str | None,
    ledger: Ledger,
    parent: Run,
    runs: Iterable[Run],
) -> Iterator[str]:
    """Yield a line per damaged artifact of a local database; runs written again may lack some."""
    database = sqlite_path(tracking_uri or sweep.tracking_uri)
    if database is None:
        return
    ids = {"": parent.info.run_id}
    ids |= {key: run.info.run_id for run in runs if (key := run.data.tags.get(layout.CHILD_KEY))}
    for artifact in ledger.artifacts():
        folder = database.parent / "artifacts" / ids.get(artifact.run, "-") / "artifacts"
        file = checked_inside(folder, folder / artifact.path)
        if file.is_file() and not _is(file, artifact.sha256):
            yield f"{file} is not what was written: its SHA-256 differs from the ledger's"


def _is(file: Path, sha256: str) -> bool:
    try:
        return file_sha256(file) == sha256
    except (OSError, DataError):
        return False


def without_hash(folder: Path) -> int:
    """Return the number of students without a recorded hash, whose damage cannot be detected."""
    trials = Ledger.open(SweepFolder(folder).journal).trials()
    return sum(trial.state is TrialState.COMPLETE and not trial.sha256 for trial in trials)


def _trials_that_never_ended(trials: Sequence[TrialRecord], *, ended: str) -> Iterator[str]:
    # an interrupted trial may wait forever if the time budget is spent
    states = (TrialState.RUNNING,) if ended else (TrialState.RUNNING, TrialState.WAITING)
    for trial in trials:
        if trial.state in states:
            yield f"trial {trial.number}: still {trial.state.value} in the ledger"


def _runs_against_ledger(runs: Sequence[Run], expected: Mapping[str, ChildRun]) -> Iterator[str]:
    keys = Counter(run.data.tags.get(layout.CHILD_KEY, "") for run in runs)
    for key, count in keys.items():
        if key not in expected:
            yield f"{key or 'a run without key'}: {count} in MLflow, none in the ledger"
        elif count > 1:
            yield f"{key}: {count} runs in MLflow, one in the ledger"
    for key in expected:
        if key not in keys:
            yield f"{key}: in the ledger, missing in MLflow"
    for run in runs:
        child = expected.get(run.data.tags.get(layout.CHILD_KEY, ""))
        if child is not None:
            yield from _run(run, child)


def _run(run: Run, child: ChildRun) -> Iterator[str]:
    if run.info.status != child.status:
        yield f"{child.key}: status {run.info.status} in MLflow, {child.status} by the ledger"
    yield from _entries(child.key, "parameter", run.data.params, child.params)
    wanted = {name: child.tags[name] for name in child.tags if name not in FOR_VIEWS}
    names = {*wanted, layout.ON_FRONT, layout.RANK}
    tags = {name: value for name, value in run.data.tags.items() if name in names}
    yield from _entries(child.key, "tag", tags, wanted)
    yield from _entries(child.key, "metric", run.data.metrics, child.metrics, _equal)


def _entries(
    key: str,
    kind: str,
    found: Mapping[str, Any],
    wanted: Mapping[str, Any],
    equal: Callable[[Any, Any], bool] = eq,
) -> Iterator[str]:
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found or name not in wanted or not equal(found[name], wanted[name]):
            there, here = found.get(name, "missing"), wanted.get(name, "missing")
            yield f"{key}: {kind} {name}: {there} in MLflow, {here} by the ledger"


def _equal(found: float, wanted: float) -> bool:
    if math.isnan(found) or math.isnan(wanted):
        return math.isnan(found) and math.isnan(wanted)
    if math.isinf(wanted):
        return abs(found) > 1e308 and (found > 0) == (wanted > 0)  # as MLflow stores it
    return math.isclose(found, wanted, rel_tol=TOLERANCE)


def _parent(parent: Run, trials: list[TrialRecord], study: Study) -> Iterator[str]:
    if parent.info.status == "RUNNING":
        yield "the sweep: still RUNNING in MLflow"
    expected = counts(trials)
    metrics = {name: value for name, value in parent.data.metrics.items() if name in expected}
    yield from _entries("the sweep", "metric", metrics, expected, _equal)
    volume = pareto_state(trials, study).hypervolume
    found = parent.data.metrics.get(layout.HYPERVOLUME)
    if expected["trials_complete"] and (found is None or not _equal(found, volume)):
        yield f"the sweep: hypervolume: {found} in MLflow, {volume} by the ledger"


def _front_file(
    sweep: SweepFolder, parent: Run, trials: Sequence[TrialRecord], study: Study
) -> Iterator[str]:
    path = sweep.report / layout.FRONT_JSON
    if not path.is_file():
        if parent.info.status == "FINISHED":
            yield f"{path.name}: missing, though the sweep is finished"
        return
    try:
        with damage_named(path, "kdsweep report makes it again"):
            rows = {int(row["trial"]): dict(row) for row in read_json(path)["front"]}
    except DataError as error:
        yield str(error)
        return
    wanted = {row.number: row.objectives for row in pareto_state(trials, study).rows}
    yield from _front_rows(path.name, rows, wanted)


def _front_rows(
    file: str,
    rows: Mapping[int, Mapping[str, Any]],
    wanted: Mapping[int, Mapping[str, float]],
) -> Iterator[str]:
    for number in sorted(rows.keys() - wanted.keys()):
        yield f"{file}: trial {number} is listed, but not on the front by the ledger"
    for number in sorted(wanted.keys() - rows.keys()):
        yield f"{file}: trial {number} is on the front by the ledger, but not listed"
    for number in sorted(wanted.keys() & rows.keys()):
        for metric, value in wanted[number].items():
            found = rows[number].get(metric)
            if not isinstance(found, int | float) or not _equal(found, value):
                yield f"{file}: trial {number}: {metric}: {found} there, {value} by the ledger"
