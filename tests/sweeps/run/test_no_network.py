"""No command asks for a name or sends a packet beyond this machine.

In a network namespace whose only way out is a device that leads nowhere: whatever goes there is
counted by the kernel, so it does not matter which library sends it, or in which process.
"""

import json
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
"$0" -P -c "$@" || echo "exit code $?"
awk '/ out:/ {print "packets sent:", $11}' /proc/net/dev
"""
ASK = "import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('a.b', 80)"
COMMANDS = """
import contextlib, json, shlex
from sweeps.cli.main import main
codes = {}
for line in open("commands"):
    name, *words = shlex.split(line)
    with open(f"{name}.out", "w") as out, contextlib.redirect_stdout(out):
        try:
            main([name, *words])
        except SystemExit as end:
            codes[name] = end.code or 0
with open("codes", "w") as file:
    json.dump(codes, file)
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


def in_namespace(folder: Path, code: str, *, counted: bool = True) -> str:
    """Run Python in the namespace; return what it printed, and the count of packets.

    Outside if they are not ``counted``.
    """
    inside = [*NAMESPACE, "sh", "-c", SET_UP, sys.executable]
    done = subprocess.run(
        [*(inside if counted else [sys.executable, "-P", "-c"]), code],
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
    counted = bool(packets(tmp_path))
    for name in ("types", "sweeps", "ray"):  # nothing where it is called is taken for a library
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)\n")
    (tmp_path / "commands").write_text(
        "doctor --json\n"
        f"run csi-methods --name tiny --trials 2 --slots 1 {SMALL} "
        "--set confirm.select=none --set effort.gflop=2\n"
        "export tiny --trial 0\nregister tiny --limit 1\nfront tiny\nreport tiny\nverify tiny\n"
    )
    shown = in_namespace(tmp_path, COMMANDS, counted=counted)
    assert "exit code" not in shown, shown
    codes = json.loads((tmp_path / "codes").read_text())
    states = {one["name"]: one for one in json.loads((tmp_path / "doctor.out").read_text())}
    assert states["Ray"]["state"] == "good"
    assert "s" in states["Ray"]["found"].split()
    assert (codes.pop("doctor") == 0) == all(one["state"] != "bad" for one in states.values())
    assert codes == dict.fromkeys(("run", "export", "register", "front", "report", "verify"), 0)
    assert not (tmp_path / ".cache" / "Microsoft").exists()  # ONNX Runtime's device id
    if not counted:
        pytest.skip("no network namespace that counts packets can be made here")
    assert shown.endswith("packets sent: 0\n"), shown
