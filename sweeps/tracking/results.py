"""The runs of a sweep as its ledger has them, and the file that repeats them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields

from analysis import layout
from analysis.results_file import RecordedRun, read_runs, write_runs
from kdtasks.data.reading import MOST_TEXT_BYTES, checked_inside, file_sha256, read_bytes
from sweeps.ledger.front import pareto_state
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder, atomic_file, writing
from sweeps.ledger.totals import counts, faults, paid
from sweeps.tracking.runs import ranked_children


def write_results(folder: SweepFolder, ledger: Ledger) -> None:
    """Write the results of a sweep to its file, atomically.

    Raises:
        UserError: If it cannot be written.
    """
    digest = file_sha256(folder.journal)
    with writing(folder.results), atomic_file(folder.results) as partial:
        write_runs(partial, recorded_runs(folder, ledger), digest)


def recorded_runs(folder: SweepFolder, ledger: Ledger) -> Iterator[RecordedRun]:
    """Yield the runs of a sweep as its ledger has them, its own first."""
    study, trials, jobs, known = ledger.study, ledger.trials(), ledger.jobs(), ledger.sweep
    texts = {
        **_attached_before(folder),
        **known.texts,
        layout.STUDY_FILE: study.text,
        layout.FAILURES_FILE: json.dumps([asdict(fault) for fault in faults(trials, jobs)]),
    }
    totals = {**counts(trials), **paid(trials), **known.metrics}
    totals[layout.HYPERVOLUME] = pareto_state(trials, study).hypervolume
    yield RecordedRun(
        name=study.name,  # that of the folder may change
        started_ms=known.started_ms,
        ended_ms=known.ended_ms,
        tags={layout.ROLE: layout.ROLE_SWEEP},
        params={},
        metrics={name: float(value) for name, value in totals.items()},
        texts=texts,
    )
    yield from ranked_children(trials, jobs, ledger.exports(), study)


def _attached_before(folder: SweepFolder) -> dict[str, str]:
    """Return texts that older versions kept only beside MLflow's database."""
    found = {}
    for name in (layout.PROVENANCE_FILE, layout.ENVIRONMENT_FILE):
        for path in folder.path.glob(f"artifacts/*/artifacts/{name}"):
            found[name] = read_bytes(checked_inside(folder.path, path), MOST_TEXT_BYTES).decode()
    return found


def differences(folder: SweepFolder, ledger: Ledger) -> Iterator[str]:
    """Yield a line per run that the results file, if there is one, has differently."""
    if not folder.results.exists():
        return  # of an older version
    found = read_runs(folder.results, None, all_curves=True)
    if found is None:
        yield f"{folder.results} is damaged; kdsweep resume writes it again"
        return
    there, here = _by_key(found), _by_key(recorded_runs(folder, ledger))
    for key in sorted(there.keys() | here.keys()):
        ours, theirs = there.get(key, {}), here.get(key, {})
        for name in sorted(ours.keys() | theirs.keys()):
            if ours.get(name) != theirs.get(name):
                yield f"{key}: {name}: {folder.results.name} differs from the ledger"


def _by_key(runs: Iterable[RecordedRun]) -> dict[str, dict[str, str]]:
    """Return the fields of runs as text, for NaN is not itself."""
    found = {}
    for run in runs:
        values = {field.name: getattr(run, field.name) for field in fields(RecordedRun)}
        found[run.tags.get(layout.CHILD_KEY, "the sweep")] = {
            name: repr(sorted(value.items()) if isinstance(value, Mapping) else value)
            for name, value in values.items()
        }
    return found
