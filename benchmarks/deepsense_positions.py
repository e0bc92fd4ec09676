"""Tries DeepSense 6G folders as a user does: inspects each, then runs the command that is printed.

    python benchmarks/deepsense_positions.py FOLDER [FOLDER ...] [--trials N]

FOLDER is that of a scenario, also of one of which only powers and positions are there. Sweeps go to
a folder that is deleted at the end. Printed per folder: how many windows each split has, the
command, its exit code and seconds, and on test, mean over the seeds of the confirmations, the best
top-1, top-2 and top-3 accuracy of a student; beside it that of the most frequent beam.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from analysis import layout
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder

TOPS = ("test_top1", "test_top2", "test_top3")


def kdsweep(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command and return its result."""
    script = "from sweeps.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False
    )


def tried(folder: Path, home: Path, extra: list[str]) -> bool:
    """Inspect a folder and run what is printed; return whether both worked."""
    looked = kdsweep("data", "inspect", str(folder))
    last = looked.stdout.splitlines()[-1] if looked.stdout else ""
    print(f"{folder}: inspect ends with {looked.returncode}: {last}{looked.stderr}")
    if looked.returncode:
        return False
    found = json.loads(kdsweep("data", "inspect", str(folder), "--json").stdout)
    windows = {name: split["windows"] for name, split in found["splits"].items()}
    print(f"  {found['frames']} frames, {len(found['defects'])} defects, windows {windows}")
    words = shlex.split(last.partition("can be trained on: ")[2])[1:]
    begun = time.monotonic()
    run = kdsweep(*words, "--home", str(home), "--name", folder.name, *extra)
    print(f"  run ends with {run.returncode} after {time.monotonic() - begun:.0f} s")
    if run.returncode:
        print(run.stdout[-2000:], run.stderr[-2000:])
        return False
    _show(home, folder.name)
    return True


def _show(home: Path, name: str) -> None:
    jobs = Ledger.open(SweepFolder(home / name).path / layout.JOURNAL_FILE).jobs()
    by_trial: dict[int, list[dict[str, float]]] = {}
    for job in jobs:
        if job.kind == layout.ROLE_BASELINE:
            print(f"  {job.key}: {_tops([dict(job.metrics)])}")
        if job.trial is not None and not job.reason:
            by_trial.setdefault(job.trial, []).append(dict(job.metrics))
    for trial, repeats in sorted(by_trial.items()):
        print(f"  trial {trial}, {len(repeats)} seeds: {_tops(repeats)}")


def _tops(repeats: list[dict[str, float]]) -> str:
    known = [name for name in TOPS if all(name in metrics for metrics in repeats)]
    means = {name: sum(m[name] for m in repeats) / len(repeats) for name in known}
    return ", ".join(f"{name} {value:.1f} %" for name, value in means.items())


def main() -> None:
    """Try every folder; exit with 1 if one did not work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--trials", type=int, help="budget instead of the study's own")
    arguments = parser.parse_args()
    extra = [] if arguments.trials is None else ["--trials", str(arguments.trials)]
    with tempfile.TemporaryDirectory() as home:
        worked = [tried(folder, Path(home), extra) for folder in arguments.folders]
    raise SystemExit(not all(worked))


if __name__ == "__main__":
    main()
