"""kdsweep beside the script that a user would write by the book, on one study, in one run.

Both search the same space of students with the same seeds, epochs, data, networks and losses, and
are given the same trained teachers: kdsweep in its cache, `plain_script.py` as files. Each runs as
a new process, one after the other; whatever it starts counts for it.

Core-seconds are counted twice: CPU is the CPU time of the run's whole process tree, Ray's own
processes included; SLOTS is the number of slots times the wall time from the start of the command
to its end. Students' steps are what the same steps (epochs of stopped trials included) and one
validation per finished trial cost in a bare loop (`bare_loop.py`), in as many processes side by
side as there are slots, measured per network before and after the runs. Efficiency is students'
steps over core-seconds paid.

The target is 95 % of the best final hypervolume of the runs that are compared, on validation.

Example::

    python benchmarks/sweep_vs_plain.py --trials 32 --json result.json
"""

import argparse
import csv
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from benchmarks.csi_cases import (  # noqa: E402 - found where the line above says
    Case,
    Places,
    Rates,
    make_case,
    mean_rates,
    measure_rates,
    network_of,
    train_teachers,
)
from benchmarks.curves import Curve, Found  # noqa: E402
from benchmarks.plain_script import RESULTS_FILE  # noqa: E402
from benchmarks.process_tree import Spending, measured  # noqa: E402
from sweeps.common.environment import ONE_THREAD  # noqa: E402
from sweeps.common.limits import whole_cores  # noqa: E402
from sweeps.common.records import TrialState  # noqa: E402
from sweeps.ledger.ledger import Ledger  # noqa: E402

METHODS = ("autoencoder-kd", "encoder-kd")
SHARE = 0.95
"""Of the better final hypervolume: the target."""
GOAL_RATIO = 3.0
GOAL_EFFICIENCY = 0.85
KDSWEEP = "import sys; from sweeps.cli.main import main; main(sys.argv[1:])"
PLAIN, FULL, STOPPING = "plain script", "kdsweep, no stopping", "kdsweep, stopping"


@dataclass(frozen=True, kw_only=True, slots=True)
class Student:
    """What a run trained.

    Attributes:
        network: Name of the network.
        epochs: Epochs done, over all stages; None if it was trained to its end.
    """

    network: str
    epochs: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run of either side.

    Attributes:
        spending: What it has cost.
        found: Finished trials.
        students: All trials.
    """

    spending: Spending
    found: tuple[Found, ...]
    students: tuple[Student, ...]


def surroundings() -> dict[str, str]:
    """Return the environment of both sides: one thread, nobody is called home."""
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**os.environ, **ONE_THREAD, **quiet, "PYTHONPATH": str(ROOT)}


def run_plain(case: Case, places: Places, folder: Path, *, seed: int, limit_s: float) -> Run:
    """Run the script."""
    folder.mkdir()
    command = [sys.executable, str(ROOT / "benchmarks" / "plain_script.py")]
    command += ["--method", case.method, "--fixed", json.dumps(dict(case.fixed))]
    command += ["--teachers", str(places.teachers), "--cache", str(places.scenarios)]
    command += ["--out", str(folder), "--trials", str(case.trials)]
    command += ["--slots", str(case.slots), "--seed", str(seed)]
    log = folder / "log.txt"
    spending = measured(command, env=surroundings(), log=log, limit_s=limit_s)
    with (folder / RESULTS_FILE).open(encoding="utf-8", newline="") as file:
        rows = [
            {name.removeprefix("config/"): value for name, value in row.items()}
            for row in csv.DictReader(file)
        ]
    return Run(
        spending=spending,
        found=tuple(
            Found(
                at_s=float(row["timestamp"]) - spending.begun_s,
                values=(float(row["val_nmse_db"]), float(row["ue_flops"])),
            )
            for row in rows
        ),
        students=tuple(Student(network=network_of(row), epochs=None) for row in rows),
    )


def run_kdsweep(
    case: Case, places: Places, folder: Path, *, seed: int, stopping: bool, limit_s: float
) -> Run:
    """Run kdsweep."""
    study = case.study(seed, stopping=stopping)
    file, name = folder.with_suffix(".yaml"), folder.name
    file.write_text(study.text, encoding="utf-8")
    command = [sys.executable, "-c", KDSWEEP, "run", str(file), "--name", name]
    command += ["--home", str(places.home), "--slots", str(case.slots)]
    # one student on all data: node actors would only be twice as many processes to start
    command += ["--transport", "inprocess"]
    log = folder.with_suffix(".txt")
    spending = measured(command, env=surroundings(), log=log, limit_s=limit_s)
    trials = Ledger.open(places.home / name / "journal.log").trials()
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    metrics = [objective.metric for objective in study.objectives]
    return Run(
        spending=spending,
        found=tuple(
            Found(
                at_s=(trial.ended_ms or 0) / 1000.0 - spending.begun_s,
                values=tuple(float(trial.metrics[metric]) for metric in metrics),
            )
            for trial in complete
        ),
        students=tuple(
            Student(
                network=network_of(trial.config),
                epochs=None if trial.trained is None else trial.trained[0],
            )
            for trial in (*complete, *pruned)
        ),
    )


def steps_s(case: Case, students: Sequence[Student], rates: Rates) -> float:
    """Return what the steps of students cost in the bare loop [core-s]."""
    total = 0.0
    for student in students:
        stages_s, validation_s = rates[student.network]
        done = case.epochs_done(student.epochs)
        total += sum(epochs * each_s for epochs, each_s in zip(done, stages_s, strict=True))
        total += validation_s if student.epochs is None else 0.0
    return total


def floor_rates(case: Case, places: Places) -> Rates:
    """Measure the bare loop in as many processes side by side as there are slots."""
    with ProcessPoolExecutor(case.slots, mp_context=get_context("spawn")) as pool:
        turns = [pool.submit(measure_rates, case, places, turn) for turn in range(case.slots)]
        return mean_rates([turn.result() for turn in turns])


def facts(case: Case, run: Run, curve: Curve, rates: Rates, target: float) -> dict[str, float]:
    """Return the numbers of one run."""
    spending, slots = run.spending, case.slots
    reached_s = curve.reached_s(target)
    cpu_s, slots_s = spending.paid_cpu_s, slots * spending.wall_s
    steps = steps_s(case, run.students, rates)
    found = math.isfinite(reached_s)
    return {
        "trials": len(run.students),
        "finished": len(run.found),
        "wall_s": spending.wall_s,
        "cpu_core_s": cpu_s,
        "slots_core_s": slots_s,
        "trials_per_cpu_core_hour": 3600.0 * len(run.students) / cpu_s,
        "trials_per_slots_core_hour": 3600.0 * len(run.students) / slots_s,
        "steps_core_s": steps,
        "efficiency_cpu": steps / cpu_s,
        "efficiency_slots": steps / slots_s,
        "hypervolume": curve.final,
        "cpu_core_s_to_target": spending.cpu_at(reached_s) if found else math.inf,
        "slots_core_s_to_target": slots * reached_s if found else math.inf,
    }


def compare(case: Case, places: Places, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Run all sides of a case with one seed."""
    before = floor_rates(case, places)
    runs: dict[str, Run] = {}
    label = f"{case.method}-{seed}"
    runs[PLAIN] = run_plain(
        case, places, places.home / f"plain-{label}", seed=seed, limit_s=options.limit
    )
    kinds = {False: FULL, True: STOPPING}
    chosen = [False, True] if options.stopping is None else [options.stopping]
    for stopping in chosen:
        name = f"{label}-stopping" if stopping else label
        runs[kinds[stopping]] = run_kdsweep(
            case, places, places.home / name, seed=seed, stopping=stopping, limit_s=options.limit
        )
    rates = mean_rates([before, floor_rates(case, places)])
    objectives = case.study(seed, stopping=False).objectives
    curves = {kind: Curve.of(run.found, objectives) for kind, run in runs.items()}
    target = SHARE * max(curve.final for curve in curves.values())
    rows = {kind: facts(case, run, curves[kind], rates, target) for kind, run in runs.items()}
    return {
        "seed": seed,
        "target": target,
        "runs": rows,
        "ratios": {kind: ratios(rows[PLAIN], row) for kind, row in rows.items() if kind != PLAIN},
        "rates": {name: [*stages, validation] for name, (stages, validation) in rates.items()},
        "curves": {
            kind: {
                "at_s": curve.at_s,
                "cpu_core_s": [runs[kind].spending.cpu_at(at_s) for at_s in curve.at_s],
                "hypervolume": curve.volume,
            }
            for kind, curve in curves.items()
        },
    }


def ratios(plain: Mapping[str, float], ours: Mapping[str, float]) -> dict[str, float]:
    """Return how many times more the script pays; infinite or 0 if only one gets there."""
    names = ("cpu_core_s_to_target", "slots_core_s_to_target", "cpu_core_s", "slots_core_s")
    return {name: plain[name] / ours[name] for name in names}


ROWS = {
    "trials": ("trials", 0),
    "finished": ("trials that finished", 0),
    "wall_s": ("wall time [s]", 0),
    "cpu_core_s": ("paid, CPU [core-s]", 0),
    "slots_core_s": ("paid, SLOTS [core-s]", 0),
    "trials_per_cpu_core_hour": ("trials per core-hour, CPU", 0),
    "trials_per_slots_core_hour": ("trials per core-hour, SLOTS", 0),
    "steps_core_s": ("students' steps in a bare loop [core-s]", 0),
    "efficiency_cpu": ("efficiency, CPU", 3),
    "efficiency_slots": ("efficiency, SLOTS", 3),
    "hypervolume": ("final hypervolume", 3),
    "cpu_core_s_to_target": ("to the target, CPU [core-s]", 0),
    "slots_core_s_to_target": ("to the target, SLOTS [core-s]", 0),
}


def table(method: str, results: Sequence[Mapping[str, Any]]) -> str:
    """Lay out the medians over the seeds of a case for people."""
    kinds = list(results[0]["runs"])
    lines = [f"{method}, median of {len(results)} seeds"]
    lines.append(f"{'':42}" + "".join(f"{kind:>24}" for kind in kinds))
    for name, (label, digits) in ROWS.items():
        middle = [statistics.median(r["runs"][kind][name] for r in results) for kind in kinds]
        lines.append(f"{label:42}" + "".join(f"{value:>24.{digits}f}" for value in middle))
    for name in results[0]["ratios"][kinds[1]]:
        middle = [statistics.median(r["ratios"][kind][name] for r in results) for kind in kinds[1:]]
        label = f"plain / kdsweep, {name}"
        lines.append(f"{label:42}{'':24}" + "".join(f"{value:>24.2f}" for value in middle))
    return "\n".join(lines)


def met(results: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the better way of using kdsweep keeps both goals, by CPU time, in the median.

    Every way must reach the goal of efficiency.
    """
    kinds = list(results[0]["ratios"])
    gains = [
        statistics.median(r["ratios"][kind]["cpu_core_s_to_target"] for r in results)
        for kind in kinds
    ]
    busy = [statistics.median(r["runs"][kind]["efficiency_cpu"] for r in results) for kind in kinds]
    return max(gains) >= GOAL_RATIO and min(busy) >= GOAL_EFFICIENCY


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--methods", nargs="+", choices=METHODS, default=METHODS, help="cases (default: both)")
    add("--trials", type=int, default=32, help="of each run (32)")
    add("--slots", type=int, default=min(2, whole_cores()), help="trials at once (2)")
    add("--seeds", type=int, nargs="+", default=[0], help="of the search; repeats everything (0)")
    add("--num-train", type=int, default=6000, help="training samples (6000)")
    add("--num-val", type=int, default=1000, help="validation samples (1000)")
    add("--epochs", type=int, default=8, help="of autoencoder KD (8)")
    add("--encoder-epochs", type=int, default=20, help="of encoder KD's first stage (20)")
    add("--finetune-epochs", type=int, default=2, help="of encoder KD's second stage (2)")
    add("--teacher-epochs", type=int, default=12, help="of the teachers (12)")
    add(
        "--stopping",
        action=argparse.BooleanOptionalAction,
        help="kdsweep with, or without, early stopping (default: one run of each)",
    )
    add("--limit", type=float, default=7200.0, help="of a run [s] (7200)")
    add("--json", type=Path, help="write all numbers to this file, too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if a goal is missed."""
    options = parsed(arguments)
    sizes = {
        name: getattr(options, name)
        for name in ("num_train", "num_val", "epochs", "encoder_epochs", "finetune_epochs")
    } | {"teacher_epochs": options.teacher_epochs}
    answer: dict[str, Any] = {"sizes": sizes, "trials": options.trials, "slots": options.slots}
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        places = Places(home=Path(folder) / "runs", teachers=Path(folder) / "teachers")
        for method in options.methods:
            case = make_case(method, sizes, trials=options.trials, slots=options.slots)
            teaching_s = train_teachers(case, places)
            results = [compare(case, places, options, seed) for seed in options.seeds]
            answer[method] = {"teachers_core_s": teaching_s, "seeds": results}
            print(table(method, results))
            print(f"teachers, trained beforehand for both: {teaching_s:.0f} core-s\n", flush=True)
            kept = kept and met(results)
    print(
        f"goals: {GOAL_RATIO:g} times fewer core-seconds to the same hypervolume, efficiency "
        f"{GOAL_EFFICIENCY:.0%}, by CPU time: {'kept' if kept else 'MISSED'}"
    )
    if options.json is not None:
        options.json.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
