"""Whether the command that ``kdsweep data inspect`` prints trains on real files of channels.

    python benchmarks/real_channels.py FOLDER [--trials 2] [--home HOME]

Every file of channels below FOLDER is inspected, and the command that is printed is run as it is,
but with few trials and epochs, so that a file takes a minute or two. Prints a line per file: users,
antennas, subcarriers, and the validation NMSE of what is on the front. Exits with 1 if one fails.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kdtasks.csi_feedback.data.channel_files import SUFFIXES

KDSWEEP = (sys.executable, "-c", "import sys; from sweeps.cli.main import main; main(sys.argv[1:])")
QUICK = ("parameters.epochs=2", "parameters.encoder_epochs=2", "parameters.teacher_epochs=2")


def main() -> None:
    """Try every file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    home = options.home or Path(tempfile.mkdtemp())
    files = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    failed = 0
    for number, file in enumerate(files):
        done = subprocess.run(
            [*KDSWEEP, "data", "inspect", str(file), "--json"], capture_output=True, text=True
        )
        if done.returncode:
            problem = done.stderr or json.loads(done.stdout)["problem"]
            print(f"{file.name}: not trained on: {problem.strip()}")
            continue
        failed += not tried(json.loads(done.stdout), file, options.trials, home, f"file-{number}")
    sys.exit(failed > 0)


def tried(found: dict[str, Any], file: Path, trials: int, home: Path, name: str) -> bool:
    """Run the printed command on a file; return whether trials finished."""
    words = shlex.split(found["command"])[1:]
    settings = [word for setting in QUICK for word in ("--set", setting)]
    more = [
        "--trials",
        str(trials),
        "--name",
        name,
        "--home",
        str(home),
        "--set",
        "confirm.limit=1",
    ]
    done = subprocess.run([*KDSWEEP, *words, *settings, *more], capture_output=True, text=True)
    sizes = f"{found['users']} users, {found['antennas']} x {found['subcarriers']}"
    print(f"{file.name}: {sizes}: exit {done.returncode}")
    front = [*KDSWEEP, "front", name, "--home", str(home)]
    print(subprocess.run(front, capture_output=True, text=True).stdout)
    if done.returncode:
        print(done.stdout[-1500:], done.stderr[-1500:])
    return done.returncode == 0


if __name__ == "__main__":
    main()
