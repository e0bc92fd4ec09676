"""Damage valid files and messages at random: every reader takes them or refuses them in one line.

Each reader runs in a separate process, limited to 500 MB more memory than at its start. Whatever
escapes, crashes, hangs or takes more is saved in ``--keep``, and the exit code is 1.

    python benchmarks/fuzz.py --inputs 20000 --only npy mat5
"""

import argparse
import hashlib
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save
from scipy.io import savemat

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kdtasks.contract.errors import UserError
from kdtasks.csi_feedback.data.channel_axes import DEFAULT
from kdtasks.csi_feedback.data.channel_files import read_channels
from kdtasks.sensing.deepsense.files import read_lidar, read_position, read_power
from kdtasks.sensing.deepsense.folder import open_table
from kdtasks.sensing.deepsense.pictures import read_image
from search_spaces.errors import StudyError
from search_spaces.study import load_study
from sweeps.ledger.launch_settings import SweepSettings, read_settings
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.process_lock import read_driver
from sweeps.ledger.student_weights import StudentStore
from sweeps.nodes.wire import header
from sweeps.nodes.wire.messages import Kind, Message
from sweeps.progress.status import StatusReader

MOST_BYTES, SLOWEST_S = 500 * 10**6, 10
STUDY = Path(__file__).resolve().parents[1] / "search_spaces" / "studies" / "csi-tables-short.yaml"
H = np.random.default_rng(0).normal(size=(12, 8, 4)) * (1 + 1j)


def _written(write: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("h", data=H, chunks=(4, 8, 4), compression="gzip", shuffle=True)


def _bytes(save_to: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    save_to(buffer)
    return buffer.getvalue()


def _channels(path: Path) -> object:
    return read_channels(path, axes=DEFAULT)


PLY = "ply\nformat ascii 1.0\nelement vertex 2\n" + "".join(
    f"property float {axis}\n" for axis in "xyz"
)
TABLE = b"seq_index,unit1_rgb,unit1_pwr_60ghz,unit1_loc\n1,unit1/a.jpg,unit1/p.txt,unit1/l.txt\n"
EVENT = (
    b'{"time":"2026-01-01T00:00:00Z","event":"search_started","trials":2,"time_s":1,"slots":2}\n'
)
MESSAGE = Message(
    kind=Kind.MODEL, subject="s", deployment="d", arrays={"w": np.ones(9, np.float32)}
)

ODD_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        2**63,
        10**400,
        1e308,
        "",
        "x",
        [],
        {},
        [[]],
        {"x": {}},
        [-1],
        [2**40, 2**40],
    ),
    {"w": {"shape": [2**31, 2**31], "low": 0.0, "high": 1.0}},
    {"w": {"shape": [9], "low": 1e300, "high": -1e300}},
)


def resealed(data: bytes) -> bytes:
    """Return a damaged message with a header in order and a hash that fits, as a stranger sends it.

    Half of them also have an odd value in the header.
    """
    dice = random.Random(data)  # noqa: S311
    try:
        arrays = dict(load(data))
        described = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        entries = json.loads(described["__metadata__"][header.ENTRY])
        if dice.random() < 0.5:
            entries[dice.choice([*entries])] = dice.choice(ODD_VALUES)
        digest = hashlib.sha256(header._saved(entries | {"sha256": ""}, arrays)).hexdigest()
        return header._saved(entries | {"sha256": digest}, arrays)
    except (SafetensorError, UserError, ValueError, TypeError, KeyError, RecursionError):
        return data  # no header at all


READERS: dict[str, tuple[str, Callable[[], bytes], Callable[[Path], object]]] = {
    "npy": ("a.npy", lambda: _bytes(lambda f: np.save(f, H)), _channels),
    "npz": ("a.npz", lambda: _bytes(lambda f: np.savez_compressed(f, h=H)), _channels),
    "mat5": (
        "a.mat",
        lambda: _bytes(lambda f: savemat(f, {"h": H}, do_compression=True)),
        _channels,
    ),
    "mat5-plain": ("a.mat", lambda: _bytes(lambda f: savemat(f, {"h": H})), _channels),
    "hdf5": ("a.h5", lambda: _written(_hdf5, "a.h5"), _channels),
    "table": ("a.csv", lambda: TABLE, open_table),
    "cloud": ("a.ply", lambda: (PLY + "end_header\n-1 0 0\n-2 0 0\n").encode(), read_lidar),
    "power": ("a.txt", lambda: b" ".join([b"0.5"] * 64), read_power),
    "gps": ("a.txt", lambda: b"33.4\n-111.9\n", read_position),
    "png": (
        "a.png",
        lambda: _bytes(lambda f: Image.fromarray(np.eye(32, dtype=np.uint8)).save(f, "PNG")),
        lambda path: read_image(path, 16),
    ),
    "jpeg": (
        "a.jpg",
        lambda: _bytes(lambda f: Image.fromarray(np.eye(32, dtype=np.uint8)).save(f, "JPEG")),
        lambda path: read_image(path, 16),
    ),
    "study": ("a.yaml", STUDY.read_bytes, load_study),
    "journal": (
        "journal.log",
        lambda: _written(lambda p: Ledger.create(p, load_study(str(STUDY))), "journal.log"),
        Ledger.open,
    ),
    "settings": (
        "sweep.json",
        lambda: SweepSettings(id="a").text.encode(),
        lambda path: read_settings(path.parent),
    ),
    "log": ("log.jsonl", lambda: EVENT, lambda path: StatusReader(path.parent).read(0.0)),
    "lease": (
        ".lease.json",
        lambda: b'{"driver":{"pid":1,"created":1.5,"host":"h","lock":[1,2]},"processes":[]}',
        lambda path: read_driver(path.parent),
    ),
    "weights": (
        "trial-0.safetensors",
        lambda: save({"w": np.ones((3, 4), np.float32)}),
        lambda path: StudentStore(path.parent).get(0),
    ),
    "message": (
        "message",
        MESSAGE.to_bytes,
        lambda path: Message.from_bytes(path.read_bytes(), deployment="d"),
    ),
    "resealed": (
        "message",
        replace(MESSAGE, bits=8).to_bytes,
        lambda path: Message.from_bytes(resealed(path.read_bytes()), deployment="d"),
    ),
}
"""Name of a file, a valid one, and what reads it."""

ODD = (b"[" * 3000, b"\x00" * 8, b"\xff" * 8, b"-1", b"9" * 5000, b"\n", b"nan", b"1e999", b"../")


def mutated(valid: bytes, dice: random.Random) -> bytes:
    """Return a file with one to four faults: bits, bytes, numbers, cuts, copies, odd words."""
    data = bytearray(valid)
    for _ in range(dice.randint(1, 4)):
        at, way = dice.randrange(len(data) + 1), dice.randrange(7)
        if way == 0 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif way == 1:
            data[at : at + 1] = bytes([dice.randrange(256)])
        elif way == 2:
            del data[at:]
        elif way == 3:
            del data[at : at + dice.randint(1, 16)]
        elif way == 4:
            data[at:at] = data[dice.randrange(len(data) + 1) :][: dice.randint(1, 64)]
        elif way == 5:
            data[at : at + 4] = dice.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**24)).to_bytes(
                4, "little"
            )
        else:
            data[at:at] = dice.choice(ODD)
    return bytes(data)


def child(name: str, inputs: int, seed: int, folder: Path) -> None:
    """Read inputs one after another; each lies in ``folder`` while it is read."""
    file, make, read = READERS[name]
    valid, path, dice = make(), folder / file, random.Random(f"{name} {seed}")  # noqa: S311
    path.write_bytes(valid)
    read(path)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MOST_BYTES, resource.RLIM_INFINITY))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {"accepted": 0, "refused": 0, "slowest": 0.0}
    for _ in range(inputs):
        path.write_bytes(mutated(valid, dice))
        start = time.perf_counter()
        signal.alarm(SLOWEST_S)
        try:
            read(path)
            facts["accepted"] += 1
        except (UserError, StudyError) as error:
            if "\n" in str(error):
                raise
            facts["refused"] += 1
        signal.alarm(0)
        facts["slowest"] = max(facts["slowest"], time.perf_counter() - start)
    after_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps({**facts, "memory": (after_kb - before_kb) / 1000}) + "\n")


def tried(name: str, inputs: int, seed: int, keep: Path) -> bool:
    """Run a reader in a separate process and print a row; return whether nothing escaped."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--child", folder, "--only", name, "--inputs", str(inputs), "--seed", str(seed)]
        done = subprocess.run(
            [sys.executable, __file__, *options], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            facts = json.loads(done.stdout.splitlines()[-1])
            sys.stdout.write(
                f"{name:<12}{inputs:>9}{facts['accepted']:>10}{facts['refused']:>9}"
                f"{facts['slowest']:>12.3f}{facts['memory']:>10.0f}\n"
            )
            return facts["memory"] * 10**6 <= MOST_BYTES
        keep.mkdir(parents=True, exist_ok=True)
        guilty = Path(folder) / READERS[name][0]
        if guilty.exists():
            (keep / f"{name}-{guilty.name.lstrip('.')}").write_bytes(guilty.read_bytes())
        end = (done.stderr.strip().splitlines() or [""])[-1]
        sys.stdout.write(f"{name:<12} ESCAPED (exit {done.returncode}): {end[:200]}; see {keep}\n")
        return False


def main() -> int:
    """Try the readers; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000, help="of each reader")
    parser.add_argument("--only", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.only[0], options.inputs, options.seed, options.child)
        return 0
    columns = (
        ("inputs", 9),
        ("accepted", 10),
        ("refused", 9),
        ("slowest [s]", 12),
        ("peak [MB]", 10),
    )
    sys.stdout.write(f"{'reader':<12}" + "".join(f"{n:>{w}}" for n, w in columns) + "\n")
    sound = [tried(name, options.inputs, options.seed, options.keep) for name in options.only]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
