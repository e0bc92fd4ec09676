"""How much of the slots' time an engine leaves to the trials, next to stock Ray Tune.

Three contenders run the same sleeping trials, one after the other on the same machine, each from
its command line to its end: Ray Tune with OptunaSearch as its documentation shows it, the same with
``max_concurrent_trials``, and kdsweep with journal, MLflow and rungs, whose scheduler sorts a rung
after every report but the last of a trial. Only kdsweep keeps records and writes a report.

Every trial notes in its own process when it slept; nothing is taken from an engine's word. All
slots are warm when as many trials have slept at the same time for the first time. Utilisation is
the share of the slots' time that trials slept: from then to the last start of a trial, and from the
command to the last end of one.

Example::

    python benchmarks/dispatch.py                      # both cases, some 6 minutes
    python benchmarks/dispatch.py --case short --contender kdsweep
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CLI = "import sys; from sweeps.cli.main import main; main(sys.argv[1:])"
EPOCHS = 3
RUNGS = {"kind": "asha", "min_share": 0.3333, "eta": 2, "min_trials": 8}
"""Rungs after the first and the second of three epochs. Of two trials that come at one moment the
scheduler may see the later first, so a rung of a few could stop one."""
LIFE_S = 600.0
"""A contender that takes longer hangs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What the contenders run, and what kdsweep must reach.

    Attributes:
        trials: Number of trials.
        trial_s: How long each sleeps [s].
        slots: Trials at once.
        cpus: Cores that each of them claims.
        wall_s: Most time from the command to the last end of a trial [s].
        warm: Least utilisation once all slots are warm.
    """

    trials: int
    trial_s: float
    slots: int
    cpus: float
    wall_s: float
    warm: float


CASES = {
    "short": Case(trials=96, trial_s=1.0, slots=8, cpus=0.25, wall_s=26.0, warm=0.92),
    "long": Case(trials=12, trial_s=5.0, slots=2, cpus=1.0, wall_s=math.inf, warm=0.97),
}
CONTENDERS = ("stock", "stock-limited", "kdsweep")


def study(case: Case, log: Path) -> str:
    """Return the study of a case; its trials note in ``log`` when they slept."""
    value = {"direction": "minimize", "unit": "", "label": "x"}
    fields = {
        "name": "dispatch",
        "title": "dispatch",
        "description": "a benchmark",
        "task": "benchmarks.sleep_task:SleepTask",
        "parameters": {"epochs": EPOCHS, "epoch_s": case.trial_s / EPOCHS, "log": str(log)},
        "space": {
            "x": {"type": "float", "low": 0.0, "high": 1.0},
            "width": {"type": "int", "low": 1, "high": 1000},
        },
        "objectives": [
            {"metric": "val_error", "reference": 0.0, **value},
            {"metric": "flops", "reference": 1e7, **value},
        ],
        "search": {"sampler": "tpe"},
        "budget": {"trials": case.trials},
        "resources": {"cpus": case.cpus},
        "stopping": RUNGS,
        "confirm": {"select": "none"},
    }
    return yaml.safe_dump(fields, sort_keys=False)


def command(contender: str, case: Case, folder: Path, log: Path) -> list[str]:
    """Return the command line of a contender, which works in ``folder``."""
    if contender == "kdsweep":
        path = folder / "dispatch.yaml"
        path.write_text(study(case, log), encoding="utf-8")
        options = ["--slots", str(case.slots), "--transport", "inprocess", "--home", str(folder)]
        return [sys.executable, "-c", CLI, "run", str(path), "--name", "dispatch", *options]
    limit = ["--limited"] if contender == "stock-limited" else []
    shape = {"trials": case.trials, "slots": case.slots, "cpus": case.cpus, "epochs": EPOCHS}
    options = [word for name, value in shape.items() for word in (f"--{name}", str(value))]
    options += ["--epoch-s", str(case.trial_s / EPOCHS), "--log", str(log), *limit]
    return [sys.executable, "-m", "benchmarks.stock_tune", *options]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A trial: when it slept first and last, and in between [s since the command].

    Attributes:
        begin: Its first nap begins.
        end: Its last nap ends.
        naps: Beginning and end of every nap.
    """

    begin: float
    end: float
    naps: tuple[tuple[float, float], ...]


def read_spans(log: Path, started_s: float) -> list[Span]:
    """Return the trials that have slept, from the notes of their processes."""
    spans = []
    for notes in log.glob("*.txt"):
        lines = [line.split() for line in notes.read_text(encoding="utf-8").splitlines()]
        naps = [(float(begin) - started_s, float(end) - started_s) for begin, end in lines]
        for first in range(0, len(naps), EPOCHS):
            part = tuple(naps[first : first + EPOCHS])
            spans.append(Span(begin=part[0][0], end=part[-1][1], naps=part))
    return sorted(spans, key=lambda span: span.begin)


def all_warm(spans: Sequence[Span], slots: int) -> float:
    """Return when ``slots`` trials ran at once for the first time [s]; NaN if they never did."""
    changes = [(span.begin, 1) for span in spans] + [(span.end, -1) for span in spans]
    changes.sort()
    running = accumulate(change for _, change in changes)
    at_once = (
        moment for (moment, _), count in zip(changes, running, strict=True) if count >= slots
    )
    return next(at_once, math.nan)


def slept(spans: Iterable[Span], first_s: float, last_s: float) -> float:
    """Return how long all trials together slept within a time [s]."""
    naps = [nap for span in spans for nap in span.naps]
    return sum(max(0.0, min(end, last_s) - max(begin, first_s)) for begin, end in naps)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What came of one contender in one case.

    Attributes:
        case: Name of the case.
        contender: Name of the contender.
        trials: Trials that slept to their end.
        first_s: From the command to the first trial [s].
        warm_s: From the command to all slots in use [s]; NaN if they never were.
        wall_s: From the command to the last end of a trial [s].
        command_s: From the command to its own end [s].
        used_warm: Utilisation once all slots are warm; NaN if they never were.
        used: Utilisation from the command to the last end of a trial.
    """

    case: str
    contender: str
    trials: int
    first_s: float
    warm_s: float
    wall_s: float
    command_s: float
    used_warm: float
    used: float


def measure(name: str, contender: str, case: Case) -> Row:
    """Run one contender."""
    with tempfile.TemporaryDirectory() as place:
        folder, log = Path(place), Path(place) / "naps"
        log.mkdir()
        words = command(contender, case, folder, log)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        started_s = time.time()
        done = subprocess.run(
            words,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIFE_S,
            check=False,
        )
        command_s = time.time() - started_s
        if done.returncode:
            raise SystemExit(f"{contender} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        spans = read_spans(log, started_s)
    return row(name, contender, case, spans, command_s)


def row(name: str, contender: str, case: Case, spans: Sequence[Span], command_s: float) -> Row:
    """Add up what the trials of a contender have noted."""
    wall_s, warm_s = max(span.end for span in spans), all_warm(spans, case.slots)
    last_s = max(span.begin for span in spans)
    busy_s = slept(spans, warm_s, last_s)
    return Row(
        case=name,
        contender=contender,
        trials=sum(len(span.naps) == EPOCHS for span in spans),
        first_s=spans[0].begin,
        warm_s=warm_s,
        wall_s=wall_s,
        command_s=command_s,
        used_warm=busy_s / (case.slots * (last_s - warm_s)) if warm_s < last_s else math.nan,
        used=slept(spans, 0.0, wall_s) / (case.slots * wall_s),
    )


def table(rows: Sequence[Row]) -> str:
    """Lay the result out for people."""
    heads = ("case", "contender", "trials", "first", "warm", "wall", "command", "used", "used warm")
    lines = [f"{heads[0]:7}{heads[1]:15}" + "".join(f"{head:>11}" for head in heads[2:])]
    for row_ in rows:
        seconds = (row_.first_s, row_.warm_s, row_.wall_s, row_.command_s)
        cells = [f"{value:.1f} s" for value in seconds]
        cells += [f"{100 * value:.1f} %" for value in (row_.used, row_.used_warm)]
        cells = [str(row_.trials), *("-" if "nan" in cell else cell for cell in cells)]
        lines.append(f"{row_.case:7}{row_.contender:15}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(lines)


def broken(rows: Sequence[Row], cases: Mapping[str, Case]) -> list[str]:
    """Return the goals that kdsweep has missed."""
    missed = []
    for row_ in rows:
        case = cases[row_.case]
        if row_.contender != "kdsweep":
            continue
        if row_.trials != case.trials:
            missed.append(f"{row_.case}: {row_.trials} of {case.trials} trials ran to their end")
        if row_.wall_s > case.wall_s:
            missed.append(f"{row_.case}: {row_.wall_s:.1f} s, more than {case.wall_s:g} s")
        if not row_.used_warm >= case.warm:
            missed.append(
                f"{row_.case}: {100 * row_.used_warm:.1f} % of the slots' time once warm, less "
                f"than {100 * case.warm:g} %"
            )
    return missed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if kdsweep misses a goal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--contender", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--json", type=Path, help="write all numbers to this file, too")
    chosen = parser.parse_args(arguments)
    rows = [measure(n, contender, CASES[n]) for n in chosen.case for contender in chosen.contender]
    print(table(rows))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(row_) for row_ in rows], indent=2))
    missed = broken(rows, CASES)
    print("\n".join(missed) or "all goals are kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
