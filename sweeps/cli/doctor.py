"""`kdsweep doctor`: runs the checks and prints each result at once."""

import sys
from collections.abc import Iterator
from pathlib import Path

from kdtasks.contract.plugins import installed as installed_plugins
from sweeps.cli.output import line, show_json
from sweeps.run.doctor import (
    Finding,
    check_home,
    check_machine,
    check_packages,
    installed,
    this_machine,
    try_gpu,
    try_mlflow,
    try_ray,
)
from sweeps.run.plugin_checks import check_plugins

SIGNS = {"good": "ok  ", "fair": "note", "bad": "BAD "}


def show_doctor(home: Path, *, as_json: bool) -> bool:
    """Print the finding of every check; return whether sweeps can run here."""
    found = []
    for finding in _findings(home):
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        show_json(found)
    return all(finding.state != "bad" for finding in found)


def _findings(home: Path) -> Iterator[Finding]:
    yield from check_packages(*installed())
    machine = this_machine()
    yield from check_machine(machine)
    if machine.gpus:
        yield try_gpu()
    yield from check_plugins(installed_plugins())
    place = check_home(home)
    yield place
    if place.state == "good":
        yield try_mlflow(home)
    yield try_ray()


def _print(finding: Finding) -> None:
    line(f"{SIGNS[finding.state]}  {finding.name}: {finding.found}")
    if finding.fix:
        line(f"      {finding.fix}")
    sys.stdout.flush()  # the next check may take seconds
