"""Trains every configuration of a finite space and writes the learning curves as a table.

The studies in `benchmarks/tables` run as sweeps with sampler grid and without stopping, so ledger,
caches and resume are the engine's: run the same command again after it was stopped, or killed.
`docs/benchmark.md` describes the columns; `search_race.py` lets samplers search the tables.

A row is a report of a training. Reports give no CPU time, so that of a trial is divided: each stage
has its measured share, which grows evenly by epoch, and so does the rest (validation). The last
row of a training has its final metrics and its whole CPU time.

Example::

    python benchmarks/make_table.py csi
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from benchmarks.race_table import KEY  # noqa: E402 - found where the line above says
from kdtasks.contract.errors import UserError  # noqa: E402
from kdtasks.contract.registry import load_task  # noqa: E402
from kdtasks.lidar_beam.methods.inversion import STEPS  # noqa: E402
from search_spaces.study import Study, load_study  # noqa: E402
from sweeps.common.capacity import ResourceRequest  # noqa: E402
from sweeps.common.curves import read as read_curves  # noqa: E402
from sweeps.common.environment import source_digest  # noqa: E402
from sweeps.common.records import TrialRecord, TrialState  # noqa: E402
from sweeps.ledger.ledger import Ledger  # noqa: E402
from sweeps.ledger.paths import SweepFolder  # noqa: E402
from sweeps.progress.terminal import console_display  # noqa: E402
from sweeps.run.runner import resume_sweep, run_study  # noqa: E402

TABLES = ROOT / "benchmarks" / "tables"
NAMES = sorted(file.stem for file in TABLES.glob("*.yaml"))
MOST_BYTES = 3_000_000
DIGITS = 6


def train(file: Path, home: Path, *, slots: int, limit: int | None) -> None:
    """Run or resume the sweep of a study.

    Raises:
        SystemExit: If it cannot run.
    """
    name = f"table-{file.stem}"
    try:
        study = load_study(file, [] if limit is None else [f"budget.trials={limit}"])
        old = SweepFolder(home / name).study
        resumes = old.is_file() and replace(load_study(old), text="") == replace(study, text="")
        # with another budget it extends the sweep, with any other change it refuses to
        start = resume_sweep if resumes else partial(run_study, study)
        with console_display(study, name, sys.stdout, lines=True) as display:
            start(
                name=name,
                home=home,
                tracking_uri=None,
                request=ResourceRequest(slots=slots, transport="inprocess"),
                display=display,
            )
    except UserError as error:
        raise SystemExit(f"make_table: {error}") from error


def first_stage(trial: TrialRecord, epochs: int) -> tuple[int, float]:
    """Return epochs and CPU time [s] of a first stage whose epochs cost something else."""
    metrics, config = trial.metrics, trial.config
    if "finetune_core_seconds" in metrics:  # the encoder alone, see csi_feedback
        return epochs - int(config["finetune_epochs"]), metrics["distill_core_seconds"]
    if config["method"] == "datafree":  # the generator, which is trained where it is sent from
        spent = metrics["train_core_seconds"] - metrics["edge_core_seconds"]
        return int(config["generator_steps"]) // STEPS, spent
    return 0, 0.0


def core_seconds(trial: TrialRecord, epochs: int) -> np.ndarray:
    """Return the CPU time until the end of every epoch, from 0 to the last [s]."""
    done = np.arange(epochs + 1)
    count, spent = first_stage(trial, epochs)
    total = trial.metrics["train_core_seconds"]
    first = spent * np.minimum(done, count) / max(count, 1)
    second = (total - spent) * np.maximum(done - count, 0) / max(epochs - count, 1)
    return first + second + (trial.metrics["trial_cpu_s"] - total) * done / epochs


def rows_of(trial: TrialRecord, study: Study) -> Iterator[dict[str, Any]]:
    """Yield a row per report of a finished trial that has all objectives."""
    cost = load_task(study.task).cost(trial.config)
    curves = {
        goal.metric: dict(read_curves(trial.curves)[goal.metric])
        for goal in study.objectives
        if goal.metric not in cost
    }
    at = sorted(set.intersection(*(set(curve) for curve in curves.values())))
    spent = core_seconds(trial, at[-1])
    params = {f"param.{name}": trial.params.get(name) for name in study.space.names}
    known = {goal.metric: cost[goal.metric] for goal in study.objectives if goal.metric in cost}
    for epoch in at:
        last = epoch == at[-1]
        values = {n: trial.metrics[n] if last else curve[epoch] for n, curve in curves.items()}
        yield {
            **params,
            "epoch": epoch,
            "epochs": at[-1],
            "core_s": float(f"{spent[epoch]:.{DIGITS}g}"),
            **values,
            **known,
            **{f"cost.{name}": value for name, value in cost.items()},
        }


def table_of(ledger: Ledger) -> pd.DataFrame:
    """Return a row per configuration, seed and report."""
    study = ledger.study
    trials = [trial for trial in ledger.trials() if trial.state is TrialState.COMPLETE]
    rows = [row for trial in trials for row in rows_of(trial, study)]
    if not rows:
        raise SystemExit(f"{study.name}: no trial has finished; see kdsweep status")
    table = pd.DataFrame(rows).rename(columns={"param.seed": "seed"})
    names = [name for name in table if str(name).startswith("param.")]
    # the same configuration has one number, whatever its seed
    table.insert(0, "config", table.groupby(names, dropna=False, sort=False).ngroup())
    order = ["config", "seed", "epoch"]
    whole = {name: table[name].astype("int32") for name in [*order, "epochs"]}
    return table.assign(**whole).sort_values(order, ignore_index=True)


def provenance(ledger: Ledger, command: str) -> dict[str, Any]:
    """Return what a table was made of, by which command and code."""
    states = [trial.state for trial in ledger.trials() if not trial.interrupted]
    done, planned = states.count(TrialState.COMPLETE), ledger.study.budget.trials
    identity = ledger.identity
    return {
        "command": command,
        "commit": subprocess.run(
            ["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "kdsweep": version("kdsweep"),
        "source": source_digest(),
        "data": {} if identity is None else identity.data,
        "trainings": done,
        "planned": planned,
        "complete": done == ledger.study.space.size(),
        "licence": "Apache-2.0",
        "study": ledger.study.text,
    }


def write(table: pd.DataFrame, about: Mapping[str, Any], file: Path) -> None:
    """Write a table.

    Raises:
        SystemExit: If it is larger than a file of the repository may be.
    """
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    kept = {**(arrow.schema.metadata or {}), KEY: json.dumps(about).encode()}
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(arrow.replace_schema_metadata(kept), file, compression="zstd")
    if file.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{file} has {file.stat().st_size} bytes, more than {MOST_BYTES}")


def main() -> None:
    """Train and write a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--home", type=Path, default=ROOT / "runs", help="folder of the sweep")
    parser.add_argument("--slots", type=int, default=2, help="trainings at once")
    parser.add_argument("--limit", type=int, help="stop after so many trainings, to try it")
    parser.add_argument(
        "--out", type=Path, help="the file; default: benchmarks/tables/NAME.parquet"
    )
    options = parser.parse_args()
    train(TABLES / f"{options.name}.yaml", options.home, slots=options.slots, limit=options.limit)
    ledger = Ledger.open(SweepFolder(options.home / f"table-{options.name}").journal)
    about = provenance(ledger, shlex.join(["python", "benchmarks/make_table.py", *sys.argv[1:]]))
    file = options.out or TABLES / f"{options.name}.parquet"
    if not about["complete"] and options.out is None:
        raise SystemExit(
            f"{about['trainings']} of {ledger.study.space.size()} trainings are done: run it "
            "without --limit, or name a file of your own by --out"
        )
    table = table_of(ledger)
    write(table, about, file)
    print(f"{file}: {len(table)} rows, {file.stat().st_size} bytes, {about['trainings']} trainings")
    ends = table.groupby(["config", "seed"])["core_s"].max()
    print(f"{ends.mean():.2f} core-seconds per training, {ends.sum():.0f} in all")


if __name__ == "__main__":
    main()
