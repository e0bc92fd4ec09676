"""The script for Slurm on stand-ins for Slurm, Ray and kdsweep: nodes are processes here."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "slurm.sbatch"
PORT = 20000 + 4242 % 20000

SRUN = """#!/bin/bash
echo "$@" > $CALLS/srun
nodes=${1#--nodes=}; shift 2
trap 'kill $(jobs -p)' TERM
for ((node = 0; node < nodes; node++)); do SLURM_NODEID=$node "$@" & done
wait
"""
SCONTROL = """#!/bin/bash
echo "$@" >> $CALLS/scontrol
[ "$1" != show ] || printf 'localhost\\nother\\n'
"""
RAY = """#!/usr/bin/env python3
import os, pathlib, socket, sys, time
calls = pathlib.Path(os.environ["CALLS"])
if sys.argv[1] == "status":
    for path in calls.glob("ray-*"):
        print(" 1 node_" + path.name)
    sys.exit()
known = "with" if len(os.environ["RAY_AUTH_TOKEN"]) == 64 else "without"
(calls / f"ray-{os.environ['SLURM_NODEID']}").write_text(" ".join([known, *sys.argv[1:]]))
if "--head" in sys.argv:
    server = socket.create_server(("localhost", int(os.environ["RAY_PORT"])))
time.sleep(60)
"""
KDSWEEP = """#!/usr/bin/env python3
import os, pathlib, signal, sys
calls = pathlib.Path(os.environ["CALLS"])
with open(calls / "kdsweep", "a") as file:
    print(*sys.argv[1:], file=file)
if sys.argv[1] == "run":
    folder = pathlib.Path(os.environ["KDSWEEP_SHARED"]) / "kdsweep-4242"
    folder.mkdir()
    (folder / "journal.log").touch()
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(130))
    (calls / "ready").touch()
    signal.pause()
"""


@pytest.fixture
def slurm(tmp_path):
    """An allocation of two nodes whose programs note how they were called."""
    for folder in ("bin", "calls", "shared", "tmp"):
        (tmp_path / folder).mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "ray": RAY, "kdsweep": KDSWEEP}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def job(slurm, *words, nodes=2, gpus="1", disk=True):
    """Run the script in an allocation; without a disk of the job's own where Slurm makes none."""
    env = {
        **os.environ, "PATH": f"{slurm / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "CALLS": str(slurm / "calls"), "KDSWEEP_SHARED": str(slurm / "shared"),
        "SLURM_TMPDIR" if disk else "TMPDIR": str(slurm / "tmp"), "SLURM_JOB_ID": "4242",
        "SLURM_JOB_NUM_NODES": str(nodes), "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "3", "SLURM_GPUS_ON_NODE": gpus,
    }  # fmt: skip
    return subprocess.Popen(
        ["bash", SCRIPT, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


def called(slurm, name):
    return (slurm / "calls" / name).read_text().splitlines()


@pytest.mark.parametrize(("nodes", "gpus", "disk"), [(2, "1", True), (1, "4", False)])
def test_it_is_stopped_before_the_time_is_over_and_resumed_when_requeued(slurm, nodes, gpus, disk):
    given = {"nodes": nodes, "gpus": gpus, "disk": disk}
    with job(slurm, "csi-feedback", "--time", "3h", **given) as first:
        until_s = time.monotonic() + 40
        while not (slurm / "calls" / "ready").exists() and time.monotonic() < until_s:
            assert first.poll() is None, first.stdout.read()
            time.sleep(0.1)
        first.send_signal(signal.SIGUSR1)  # to the shell alone, as --signal=B: does
        assert first.wait(30) == 130, first.stdout.read()
    head, *workers = [line for node in range(nodes) for line in called(slurm, f"ray-{node}")]
    assert f"--head --port={PORT}" in head
    assert all(f"--address=localhost:{PORT}" in worker for worker in workers)
    for start in (head, *workers):
        assert start.startswith("with start ")
        assert f"--block --num-cpus=3 --num-gpus={gpus}" in start
    assert len([*(slurm / "calls").glob("ray-*")]) == nodes
    assert called(slurm, "scontrol")[-1] == "requeue 4242"
    with job(slurm, "csi-feedback", "--time", "3h", **given) as second:
        assert second.wait(40) == 0, second.stdout.read()
    home, shared = slurm / "tmp" / "kdsweep-4242", slurm / "shared"
    where = f"--home {home} --storage file://{shared} --address localhost:{PORT}"
    assert called(slurm, "kdsweep") == [
        f"run csi-feedback --time 3h --name kdsweep-4242 {where}",
        f"resume kdsweep-4242 --trust {where}",
    ]
    assert list((slurm / "tmp").iterdir()) == []
    assert called(slurm, "scontrol").count("requeue 4242") == 1


def test_the_script_is_one_that_bash_reads_and_asks_slurm_for_what_it_needs():
    assert subprocess.run(["bash", "-n", SCRIPT], check=False).returncode == 0
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", SCRIPT.read_text(), re.M))
    assert options["signal"] == "B:USR1@120"
    assert {"requeue", "nodes", "ntasks-per-node", "time"} <= options.keys()
