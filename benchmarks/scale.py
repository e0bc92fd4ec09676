"""Whether a sweep of thousands of trials stays as light as one of a hundred.

One sweep of trials that hardly sleep, through the whole engine: Ray, journal, MLflow, rungs. What
is looked at: memory of the driver after 200 trials and at the end, seconds per trial in each
hundred, files per trial in the sweep's folder, how long MLflow takes to find the front, and how
long commands take to answer.

Optuna's TPE looks at every earlier trial for each suggestion, so its time per trial grows; it is
shown apart (``asking``), and the rest (``engine``) must stay flat.

Example::

    python benchmarks/scale.py                               # 2,000 trials, some 3 minutes
    python benchmarks/scale.py --trials 600 --sampler tpe
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # "benchmarks.sleep_task" is named in the study

import psutil  # noqa: E402 - as below: found where the line above says
import yaml  # noqa: E402

from analysis import layout  # noqa: E402
from search_spaces.study import Study, parse_study  # noqa: E402
from sweeps.common.capacity import ResourceRequest  # noqa: E402
from sweeps.progress.events import Display, SweepEvent, TrialFinished  # noqa: E402
from sweeps.run.runner import SweepSummary, run_study  # noqa: E402
from sweeps.search.proposals import Proposals  # noqa: E402
from sweeps.tracking.client import MlflowClient  # noqa: E402
from sweeps.tracking.read import sweep_frames  # noqa: E402

SETTLED = 200
"""Trials until everything is imported and all pools are filled."""
BLOCK = 100

MOST_GROWTH_MIB = 50.0
MOST_FILES = 5.0
MOST_QUERY_S = 1.0
MOST_ANSWER_S = 3.0
MOST_SLOWER = 1.5
"""Time per trial of the last hundred over that of the second; a shared machine is not steadier."""


COMMANDS = ("front", "best", "report")
PROMPT = COMMANDS[:2]
"""Commands that must answer within ``MOST_ANSWER_S``; a report draws all of its figures."""


def scale_study(trials: int, sampler: str, epoch_s: float) -> Study:
    """Return a study of short trials that all run to their end, with a rung after every report."""
    value = {"direction": "minimize", "unit": "", "label": "x"}
    fields = {
        "name": "scale",
        "title": "scale",
        "description": "a benchmark",
        "task": "benchmarks.sleep_task:SleepTask",
        "parameters": {"epochs": 3, "epoch_s": epoch_s},
        "space": {
            "x": {"type": "float", "low": 0.0, "high": 1.0},
            "width": {"type": "int", "low": 1, "high": 1000},
        },
        "objectives": [
            {"metric": "val_error", "reference": 0.0, **value},
            {"metric": "flops", "reference": 1e7, **value},
        ],
        "search": {"sampler": sampler},
        "budget": {"trials": trials},
        "stopping": {"kind": "asha", "min_share": 0.3333, "eta": 2, "min_trials": 1},
        "confirm": {"select": "none"},
    }
    return parse_study(yaml.safe_dump(fields, sort_keys=False), "benchmark")


def resident_mib() -> float:
    """Return the memory of this process [MiB]."""
    return float(psutil.Process().memory_info().rss / 2**20)


@dataclass
class Meter(Display):
    """Notes when trials finish, and the driver's memory at every hundredth.

    Attributes:
        folder: The sweep's folder.
        ends_s: When each trial finished [s].
        memory_mib: Memory of the driver after so many trials [MiB].
        files: Files and folders in the sweep's folder when the last trial had finished.
    """

    folder: Path
    ends_s: list[float] = field(default_factory=list)
    memory_mib: dict[int, float] = field(default_factory=dict)
    files: int = 0

    def handle(self, event: SweepEvent) -> None:
        if not isinstance(event, TrialFinished):
            return
        self.ends_s.append(time.perf_counter())
        if len(self.ends_s) % BLOCK == 0:
            self.memory_mib[len(self.ends_s)] = resident_mib()
            self.files = sum(1 for _ in self.folder.rglob("*"))


@dataclass
class Stopwatch:
    """Time spent in the sampler, for each trial [s]."""

    suggestion_s: list[float] = field(default_factory=list)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``call``, which notes how long it takes."""

        def timed(proposals: Proposals) -> Any:
            begun_s = time.perf_counter()
            proposal = call(proposals)
            self.suggestion_s.append(time.perf_counter() - begun_s)
            return proposal

        return timed


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """What a sweep of many trials took.

    Attributes:
        trials: Trials that finished.
        memory_mib: Memory of the driver after so many trials [MiB].
        engine_s: Median seconds per trial in every hundred but for asking [s].
        asking_s: Mean time of a suggestion in every hundred [s].
        files: Files and folders per trial, Tune's own while it runs included.
        query_s: How long MLflow takes to find the runs of the front [s].
        read_s: How long it takes to read all runs [s].
        front: Runs on the front.
        sizes_mib: Size of files of the sweep [MiB].
        answers_s: How long commands about the sweep take, from their start to their end [s].
    """

    trials: int
    memory_mib: Mapping[int, float]
    engine_s: Sequence[float]
    asking_s: Sequence[float]
    files: float
    query_s: float
    read_s: float
    front: int
    sizes_mib: Mapping[str, float]
    answers_s: Mapping[str, float]

    @property
    def growth_mib(self) -> float:
        """Growth of the driver's memory from 200 trials, or the first hundred, to the last."""
        first = SETTLED if SETTLED in self.memory_mib else min(self.memory_mib)
        return self.memory_mib[max(self.memory_mib)] - self.memory_mib[first]

    @property
    def slower(self) -> float:
        """Time per trial of the last hundred over that of the second."""
        return self.engine_s[-1] / self.engine_s[min(1, len(self.engine_s) - 1)]


def run_scale(home: Path, *, trials: int, sampler: str, epoch_s: float, slots: int) -> Scale:
    """Run a sweep of ``trials`` short trials in this process, and return what it took.

    Args:
        home: Empty folder.
        trials: A multiple of 100.
        sampler: Of the study.
        epoch_s: What each of a trial's three epochs sleeps [s].
        slots: Trials at once.
    """
    meter, watch = Meter(home / "scale"), Stopwatch()
    asking, Proposals.next = Proposals.next, watch.around(Proposals.next)  # type: ignore[method-assign]
    try:
        summary = run_study(
            scale_study(trials, sampler, epoch_s),
            name="scale",
            home=home,
            tracking_uri=None,
            request=ResourceRequest(slots=slots, transport="inprocess"),
            display=meter,
        )
    finally:
        Proposals.next = asking  # type: ignore[method-assign]
    starts = range(0, len(meter.ends_s) - BLOCK + 1, BLOCK)
    suggesting_s = [statistics.mean(watch.suggestion_s[first : first + BLOCK]) for first in starts]
    took = [
        (meter.ends_s[first + BLOCK - 1] - meter.ends_s[max(0, first - 1)]) / BLOCK
        for first in starts
    ]
    query_s, front = time_query(summary)
    begun_s = time.perf_counter()
    sweep_frames(summary.folder)
    return Scale(
        trials=summary.complete,
        memory_mib=meter.memory_mib,
        engine_s=[all_s - ask_s for all_s, ask_s in zip(took, suggesting_s, strict=True)],
        asking_s=suggesting_s,
        files=meter.files / max(1, summary.complete),
        query_s=query_s,
        read_s=time.perf_counter() - begun_s,
        front=front,
        sizes_mib={
            path.name: path.stat().st_size / 2**20
            for path in sorted(summary.folder.iterdir())
            if path.is_file() and path.stat().st_size > 2**16
        },
        answers_s={command: time_answer(command, home) for command in COMMANDS},
    )


def time_answer(command: str, home: Path) -> float:
    """Return how long a command about the sweep takes, in a separate process [s]."""
    script = "import sys; from sweeps.cli.main import main; main(sys.argv[1:])"
    arguments = [sys.executable, "-c", script, command, "scale", "--home", str(home)]
    begun_s = time.perf_counter()
    subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - begun_s


def time_query(summary: SweepSummary) -> tuple[float, int]:
    """Return how long MLflow takes to find the runs of a sweep's front [s], and how many it has."""
    client = MlflowClient(tracking_uri=summary.tracking_uri)
    experiments = [str(experiment.experiment_id) for experiment in client.search_experiments()]
    role = f"tags.`{layout.ROLE}` = '{layout.ROLE_SWEEP}'"
    sweep = client.search_runs(experiments, role)[0]
    query = (
        f"tags.`mlflow.parentRunId` = '{sweep.info.run_id}' and tags.`{layout.ON_FRONT}` = 'true'"
    )
    begun_s = time.perf_counter()
    found = client.search_runs(experiments, query)
    return time.perf_counter() - begun_s, len(found)


def table(result: Scale) -> str:
    """Lay the result out for people."""
    lines = [f"{'trials':>8}{'memory MiB':>12}{'engine ms':>11}{'asking ms':>11}"]
    for index, (engine_s, asking_s) in enumerate(
        zip(result.engine_s, result.asking_s, strict=True)
    ):
        count = (index + 1) * BLOCK
        memory = f"{result.memory_mib[count]:.0f}"
        lines.append(f"{count:>8}{memory:>12}{1e3 * engine_s:>11.1f}{1e3 * asking_s:>11.1f}")
    sizes = ", ".join(f"{name} {size:.1f} MiB" for name, size in result.sizes_mib.items())
    lines += [
        f"driver's memory grew by {result.growth_mib:.1f} MiB, "
        f"time per trial of the last hundred over that of the second: {result.slower:.2f}",
        f"{result.files:.2f} files per trial; {sizes}",
        f"MLflow finds the {result.front} runs of the front in {result.query_s:.3f} s, "
        f"all runs are read in {result.read_s:.1f} s",
        "kdsweep answers: " + ", ".join(f"{c} {s:.1f} s" for c, s in result.answers_s.items()),
    ]
    return "\n".join(lines)


def broken(result: Scale, trials: int) -> list[str]:
    """Return the bounds that a result breaks."""
    bounds = {
        f"{result.trials} of {trials} trials finished": result.trials == trials,
        f"memory grew by {result.growth_mib:.1f} MiB": result.growth_mib < MOST_GROWTH_MIB,
        f"{result.files:.2f} files per trial": result.files <= MOST_FILES,
        f"the front takes {result.query_s:.2f} s": result.query_s < MOST_QUERY_S,
        f"the last trials take {result.slower:.2f} times as long": result.slower <= MOST_SLOWER,
    }
    late = {c: result.answers_s[c] for c in PROMPT if result.answers_s[c] > MOST_ANSWER_S}
    found = [what for what, kept in bounds.items() if not kept]
    return found + [f"{command} answers in {seconds:.1f} s" for command, seconds in late.items()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bound is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=2000, help="a multiple of 100")
    parser.add_argument("--sampler", choices=("random", "nsga2", "tpe"), default="nsga2")
    parser.add_argument("--epoch-s", type=float, default=0.003, help="of a trial's three epochs")
    parser.add_argument("--slots", type=int, default=2)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as home:
        result = run_scale(
            Path(home),
            trials=chosen.trials,
            sampler=chosen.sampler,
            epoch_s=chosen.epoch_s,
            slots=chosen.slots,
        )
    print(table(result))
    wrong = broken(result, chosen.trials)
    print("\n".join(f"BROKEN: {what}" for what in wrong) or "all bounds are kept")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
