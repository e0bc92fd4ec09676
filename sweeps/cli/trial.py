"""`kdsweep status NAME --trial N` and `--failed`: a trial's result, and tracebacks of failures."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from textwrap import indent

from analysis import format as text
from analysis import layout
from analysis.failures import spoken
from kdtasks.contract.errors import ConfigError
from sweeps.cli.output import facts_table, line, show, show_json
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.totals import Fault, faults

WORDS = {TrialState.PRUNED: "stopped early", TrialState.FAIL: "failed"}
"""Descriptions of states whose names are unclear."""


def show_trial(folder: Path, number: int, *, as_json: bool) -> None:
    """Print a trial: parameters, metrics, its error, and its failed repetitions.

    Raises:
        ConfigError: If there is no such trial.
        DataError: If the sweep's ledger cannot be read.
    """
    ledger = Ledger.open(folder / layout.JOURNAL_FILE)
    trials = ledger.trials()
    if not 0 <= number < len(trials):
        there = f"it has 0 to {len(trials) - 1}" if trials else "it has none yet"
        raise ConfigError(f"--trial {number}: sweep {folder.name} has no such trial; {there}")
    trial = trials[number]
    repeated = [job for job in ledger.jobs() if job.trial == number]
    if as_json:
        known = {n: value if isfinite(value) else None for n, value in trial.metrics.items()}
        show_json({**asdict(trial), "metrics": known, "confirmations": repeated})
        return
    show(facts_table(_rows(trial)))
    _trace(trial.traceback)
    _print_faults(list(faults([], repeated)))


def _rows(trial: TrialRecord) -> Iterator[tuple[str, str]]:
    kind = f", {spoken(trial.failure)}" if trial.failure else ""
    yield f"trial {trial.number}", WORDS.get(trial.state, trial.state.value.lower()) + kind
    if trial.reason:
        yield "reason", trial.reason
    yield "searched", text.params(trial.params, "  ")
    if trial.config:
        yield "parameters", text.params(trial.config, "  ")
    if trial.metrics:
        numbers = {name: text.number(value) for name, value in trial.metrics.items()}
        yield "metrics", "  ".join(f"{name}={number}" for name, number in numbers.items())


def show_failed(folder: Path, *, as_json: bool) -> None:
    """Print all failures with tracebacks; trials with the same reason are grouped.

    Raises:
        DataError: If the sweep's ledger cannot be read.
    """
    ledger = Ledger.open(folder / layout.JOURNAL_FILE)
    found = list(faults(ledger.trials(), ledger.jobs()))
    if as_json:
        show_json(found)
    else:
        _print_faults(found)
        line("" if found else "nothing has failed")


def _print_faults(found: Sequence[Fault]) -> None:
    for fault in found:
        line(f"\n{fault.what}: {spoken(fault.kind)}: {fault.reason}")
        _trace(fault.traceback)


def _trace(traceback: str) -> None:
    if traceback:
        line(indent(traceback.rstrip(), "  "))
