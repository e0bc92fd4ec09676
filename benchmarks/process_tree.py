"""The CPU time of a process with all that it has started, while it runs.

`resource.getrusage` counts children only once they have ended and were waited for, and nobody waits
for some of Ray's. So the tree is sampled, and the last value of each process counts.
"""

import threading
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen, TimeoutExpired

import psutil

SAMPLING_S = 0.4
"""How often the tree is looked at; a process may lose its last such time."""


@dataclass
class CpuTree:
    """A process and its descendants, also those that outlive their parent.

    Attributes:
        pid: The process.
    """

    pid: int
    _known: dict[tuple[int, float], psutil.Process] = field(default_factory=dict)
    _spent_s: dict[tuple[int, float], float] = field(default_factory=dict)

    def cpu_s(self) -> float:
        """Read the tree again and return the CPU time of all processes ever seen [s]."""
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.pid)
            for process in (root, *root.children(recursive=True)):
                self._known.setdefault((process.pid, process.create_time()), process)
        for key, process in list(self._known.items()):
            try:
                times = process.cpu_times()
                for child in process.children():
                    self._known.setdefault((child.pid, child.create_time()), child)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                del self._known[key]
            else:
                self._spent_s[key] = times.user + times.system
        return sum(self._spent_s.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Spending:
    """What a run has cost, as far as it went at every moment.

    Attributes:
        begun_s: When it was started, seconds since 1970.
        wall_s: How long it took [s].
        at_s: Moments since the start [s], ascending.
        cpu_s: CPU time of the tree up to these moments [s].
    """

    begun_s: float
    wall_s: float
    at_s: tuple[float, ...]
    cpu_s: tuple[float, ...]

    @property
    def paid_cpu_s(self) -> float:
        """CPU time of the whole run [s]."""
        return self.cpu_s[-1] if self.cpu_s else 0.0

    def cpu_at(self, at_s: float) -> float:
        """Return the CPU time up to a moment since the start [s], in between by a line."""
        after = bisect_right(self.at_s, at_s)
        if after == len(self.at_s):
            return self.paid_cpu_s
        low_s, low = (self.at_s[after - 1], self.cpu_s[after - 1]) if after else (0.0, 0.0)
        share = (at_s - low_s) / (self.at_s[after] - low_s)
        return low + max(0.0, share) * (self.cpu_s[after] - low)


class FailedRunError(Exception):
    """A run that was to be measured has failed."""


def measured(
    command: Sequence[str], *, env: Mapping[str, str], log: Path, limit_s: float
) -> Spending:
    """Run a command and return what it has cost.

    Args:
        command: The command.
        env: Its environment.
        log: A file for what it prints.
        limit_s: It is ended after so long [s].

    Raises:
        FailedRunError: If it fails or takes longer; with the end of what it printed.
    """
    at_s: list[float] = []
    cpu_s: list[float] = []
    begun_s, start = time.time(), time.perf_counter()
    over = threading.Event()
    with log.open("wb") as file, Popen(command, env=dict(env), stdout=file, stderr=file) as process:
        tree = CpuTree(process.pid)

        def watch() -> None:
            while not over.wait(SAMPLING_S):
                cpu = tree.cpu_s()
                at_s.append(time.perf_counter() - start)
                cpu_s.append(cpu)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            code = process.wait(limit_s)
        except TimeoutExpired:
            process.terminate()
            code = -1
        finally:
            over.set()
            watcher.join()
    wall_s = time.perf_counter() - start
    if code != 0:
        end = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise FailedRunError(f"{' '.join(command)} ended with {code}:\n{end}")
    return Spending(begun_s=begun_s, wall_s=wall_s, at_s=tuple(at_s), cpu_s=tuple(cpu_s))
