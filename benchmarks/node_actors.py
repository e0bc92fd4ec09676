"""What the node actors of a trial with many edges cost beside one process: memory, time, processes.

Every arrangement runs the same short sweep of the CSI task, one trial at a time: the teacher is
shipped to all edges, and every edge trains its student by encoder KD on its own data. The first
trial warms the processes up and is not counted. All arrangements must give the same numbers.

Memory is the proportional set size (PSS) where the system has one, else the unique set size: what
processes share is counted once. That of a trial is its own process with its node actors; that of
the sweep also has the driver and Ray's own processes.

Example::

    python benchmarks/node_actors.py --edges 32 --actors 1 2
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from search_spaces.study import Study, parse_study
from sweeps.common.capacity import ResourceRequest
from sweeps.progress.events import (
    Display,
    Phase,
    PhaseBegun,
    SweepEvent,
    TrialFailed,
    TrialFinished,
)
from sweeps.run.runner import run_study

SAMPLING_S = 0.5
"""How often memory is looked at."""

MAX_ACTORS = 4
MAX_TRIAL_BYTES = 3 * 2**30
"""What a trial with 32 edges may take."""

QUALITY, TRAFFIC = "val_nmse_db", "bytes_over_air"


def network_study(edges: int, samples: int, epochs: int, trials: int) -> Study:
    """Return a study of so many trials after the first, alike but for the learning rate."""
    axes = {"direction": "minimize"}
    fields = {
        "name": "node-actors",
        "title": "node actors",
        "description": "a benchmark",
        "task": "csi-feedback",
        "parameters": {
            "preset": "quick",
            "num_train": samples,
            "num_val": 20 * edges,
            "num_test": 20 * edges,
            "topology": "decentralized",
            "num_edges": edges,
            "method": "encoder-kd",
            "encoder_epochs": epochs,
            "finetune_epochs": 1,
            "teacher_epochs": 2,
        },
        "space": {},
        "objectives": [
            {"metric": QUALITY, "unit": "dB", "reference": 0.0, "label": "NMSE", **axes},
            {"metric": TRAFFIC, "unit": "B", "reference": 1e12, "label": "bytes", **axes},
        ],
        "search": {
            "sampler": "points",
            "points": [{"learning_rate": (40 + index) / 1e4} for index in range(trials + 1)],
        },
        "budget": {"trials": trials + 1},
        "seeds": {"search": 0, "trial": 0, "confirm": [101]},
        "confirm": {"select": "none"},
    }
    return parse_study(yaml.safe_dump(fields, sort_keys=False), "benchmark")


@dataclass
class Sample:
    """Processes and memory at one moment.

    Attributes:
        actors: Node actors.
        conductors: Processes that conduct trials.
        trial_bytes: Memory of both.
        sweep_bytes: Memory of these, the driver, and Ray.
    """

    actors: int = 0
    conductors: int = 0
    trial_bytes: int = 0
    sweep_bytes: int = 0


def memory(process: psutil.Process) -> int:
    """Return the memory of a process [byte], with its part of what it shares."""
    info = process.memory_full_info()
    return int(getattr(info, "pss", info.uss))


def sample() -> Sample:
    """Return what runs now below this process."""
    driver, found = psutil.Process(), Sample()
    for process in (driver, *driver.children(recursive=True)):
        try:
            title, size = " ".join(process.cmdline()[:1]), memory(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        actor, conductor = "NodeHost" in title, "StudentTrial" in title
        found.actors += actor
        found.conductors += conductor
        found.trial_bytes += size if actor or conductor else 0
        found.sweep_bytes += size
    return found


@dataclass
class Watch(Display):
    """Keeps the metrics of the trials, and samples memory while they run.

    Attributes:
        trials: Metrics by number.
        samples: Measurements in order.
    """

    trials: dict[int, Mapping[str, float]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def handle(self, event: SweepEvent) -> None:
        match event:
            case PhaseBegun(name):
                self._begin(name)
            case TrialFinished(number, metrics):
                self.trials[number] = metrics
            case TrialFailed(number, kind, reason):
                raise SystemExit(f"trial {number} failed ({kind}): {reason}")

    def _begin(self, name: Phase) -> None:
        if name == "search":
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        elif self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None

    def _watch(self) -> None:
        while not self._over.wait(SAMPLING_S):
            self.samples.append(sample())


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One arrangement.

    Attributes:
        label: What it is.
        actors: Most node actors at once.
        processes: Most processes of the trial at once, the conducting one included.
        trial_mib: Most memory of the trial [MiB].
        sweep_mib: Most memory of the whole sweep [MiB].
        wall_s: Median wall time of a trial [s].
        cpu_s: Median CPU time of its nodes [s].
        numbers: Quality and traffic of every trial.
    """

    label: str
    actors: int
    processes: int
    trial_mib: float
    sweep_mib: float
    wall_s: float
    cpu_s: float
    numbers: tuple[tuple[float, float], ...]


def measure(label: str, study: Study, home: Path, request: ResourceRequest) -> Row:
    """Run a sweep in one arrangement."""
    watch = Watch()
    run_study(study, name=label, home=home, tracking_uri=None, request=request, display=watch)
    counted = [watch.trials[number] for number in sorted(watch.trials)[1:]]

    def most(value: Callable[[Sample], int]) -> int:
        return max(value(sample) for sample in watch.samples)

    return Row(
        label=label,
        actors=most(lambda sample: sample.actors),
        processes=most(lambda sample: sample.actors + sample.conductors),
        trial_mib=most(lambda sample: sample.trial_bytes) / 2**20,
        sweep_mib=most(lambda sample: sample.sweep_bytes) / 2**20,
        wall_s=statistics.median(metrics["trial_wall_s"] for metrics in counted),
        cpu_s=statistics.median(metrics["trial_cpu_s"] for metrics in counted),
        numbers=tuple(
            (watch.trials[number][QUALITY], watch.trials[number][TRAFFIC])
            for number in sorted(watch.trials)
        ),
    )


def table(rows: Sequence[Row]) -> str:
    """Lay the result out for people; times and memory also as ratios to the first row."""
    heads = (
        "",
        "actors",
        "processes",
        "trial MiB",
        "ratio",
        "sweep MiB",
        "wall s",
        "ratio",
        "CPU s",
    )
    lines = [f"{heads[0]:14}" + "".join(f"{head:>11}" for head in heads[1:])]
    first = rows[0]
    for row in rows:
        cells = (
            *(f"{row.actors}", f"{row.processes}"),
            *(f"{row.trial_mib:.0f}", f"{row.trial_mib / first.trial_mib:.2f}"),
            *(f"{row.sweep_mib:.0f}",),
            *(f"{row.wall_s:.1f}", f"{row.wall_s / first.wall_s:.2f}", f"{row.cpu_s:.1f}"),
        )
        lines.append(f"{row.label:14}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edges", type=int, default=32, help="edge nodes (default: 32)")
    parser.add_argument(
        "--actors", type=int, nargs="+", default=[1, 2], help="numbers of actors (default: 1 2)"
    )
    parser.add_argument(
        "--samples", type=int, default=6000, help="training samples of all (default: 6000)"
    )
    parser.add_argument("--epochs", type=int, default=8, help="of every edge (default: 8)")
    parser.add_argument(
        "--trials", type=int, default=3, help="trials that are counted (default: 3)"
    )
    parser.add_argument("--json", type=Path, help="write all numbers to this file, too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bound is broken or the numbers differ."""
    options = parse(arguments)
    study = network_study(options.edges, options.samples, options.epochs, options.trials)
    with tempfile.TemporaryDirectory() as home:
        places = {"in-process": ResourceRequest(slots=1, transport="inprocess")}
        for count in options.actors:
            places[f"ray-{count}-actors"] = ResourceRequest(slots=1, actors=count)
        rows = [measure(label, study, Path(home), request) for label, request in places.items()]
    print(f"{options.edges} edges, {options.samples} samples, {options.epochs} epochs each")
    print(table(rows))
    same = all(row.numbers == rows[0].numbers for row in rows)
    small = all(
        row.actors <= MAX_ACTORS and row.trial_mib * 2**20 <= MAX_TRIAL_BYTES for row in rows
    )
    print(f"quality and bytes of all trials: {'identical' if same else 'DIFFERENT'}")
    bound = f"at most {MAX_ACTORS} actors and {MAX_TRIAL_BYTES / 2**30:g} GiB per trial"
    print(f"{bound}: {'kept' if small else 'BROKEN'}")
    if options.json is not None:
        facts = [{name: getattr(row, name) for name in Row.__slots__} for row in rows]
        options.json.write_text(json.dumps(facts, indent=2), encoding="utf-8")
    return 0 if same and small else 1


if __name__ == "__main__":
    sys.exit(main())
