"""No command asks for a name or sends a packet beyond this machine.

In a network namespace whose only way out is a device that leads nowhere: whatever goes there is
counted by the kernel, so it does not matter which library sends it, or in which process.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = ["unshare", "--map-root-user", "--net", "--mount"]
SET_UP = """
set -e
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
ip link set lo up
ip link add out type veth peer name nowhere
ip link set nowhere up arp off
ip link set out arp off
ip addr add 192.0.2.2/24 dev out
ip link set out up
ip route add default dev out
printf 'nameserver 198.51.100.1\\noptions timeout:1 attempts:1\\n' > names
mount --bind names /etc/resolv.conf
"$0" -c "$@" || echo "exit code $?"
awk '/ out:/ {print "packets sent:", $11}' /proc/net/dev
"""
ASK = "import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('a.b', 80)"
COMMANDS = """
import contextlib, os, shlex
from sweeps.cli.main import main
for line in open("commands"):
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            main(shlex.split(line))
    except SystemExit as end:
        assert not end.code, f"{line}: {end.code}"
"""
SIZES = {
    "num_antennas": 8,
    "num_subcarriers": 8,
    "num_train": 200,
    "num_val": 50,
    "num_test": 50,
    "epochs": 1,
    "teacher_epochs": 1,
}
SMALL = " ".join(f"--set parameters.{name}={value}" for name, value in SIZES.items())


def in_namespace(folder: Path, *words: str) -> str:
    """Run Python in the namespace; returns what it printed, and the count of packets."""
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", SET_UP, sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    return done.stdout + done.stderr


def packets(folder: Path) -> int | None:
    """What one look-up of a name sends; None where a namespace cannot be made."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return None
    last = in_namespace(folder, ASK).rpartition("packets sent: ")[2].strip()
    return int(last) if last.isdigit() else None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_command_sends_anything_to_the_network(tmp_path: Path) -> None:
    if not packets(tmp_path):
        pytest.skip("no network namespace that counts packets can be made here")
    (tmp_path / "commands").write_text(
        "doctor\n"
        f"run csi-methods --name tiny --trials 2 --slots 1 {SMALL} --set seeds.confirm=[101] "
        "--set confirm.limit=1 --set effort.gflop=2\n"
        "export tiny --trial 0\nregister tiny --limit 1\nfront tiny\nreport tiny\nverify tiny\n"
    )
    shown = in_namespace(tmp_path, COMMANDS)
    assert shown.endswith("packets sent: 0\n"), shown
    assert "exit code" not in shown, shown
    assert not (tmp_path / ".cache" / "Microsoft").exists()  # ONNX Runtime's device id
