"""`kdsweep doctor`: runs the checks, those of plugins here, and prints each result at once."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from kdtasks.beam_tracking import settings as beam_settings
from kdtasks.contract.errors import UserError
from kdtasks.contract.plugins import Plugin, load_target
from kdtasks.contract.plugins import installed as installed_plugins
from kdtasks.contract.registry import TASKS, load_task
from kdtasks.csi_feedback import settings as csi_settings
from kdtasks.csi_feedback.data.dataset import SCENARIOS
from kdtasks.learning.custom_loss import broken_loss
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

TAKEN = {
    "task": set(TASKS),
    "method": {*csi_settings.METHOD_NAMES, *beam_settings.METHOD_NAMES},
    "scenario": set(SCENARIOS),
}
"""The project's own names, by kind."""

OUTPUTS = ((4, 2, 16, 16), beam_settings.OUTPUTS_SHAPE)
"""Output shapes of the tasks that accept losses."""

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


def check_plugins(plugins: Sequence[Plugin]) -> list[Finding]:
    """Return a finding for every plugin of installed packages."""
    if not plugins:
        return [Finding(name="plugins", state="good", found="none installed")]
    names = Counter((plugin.kind, plugin.name) for plugin in plugins)
    return [_check(plugin, several=names[plugin.kind, plugin.name] > 1) for plugin in plugins]


def _check(plugin: Plugin, *, several: bool) -> Finding:
    name = f"{plugin.kind} {plugin.name}"
    if plugin.name in TAKEN[plugin.kind]:
        found = f"is a name of the project; that of {plugin.package} is not used"
        fix = f"name it {plugin.target} in studies, or rename it in {plugin.package}"
    elif broken := _broken(plugin):
        found = f"of {plugin.package}: {broken}"
        fix = f"fix or uninstall {plugin.package}; studies without it are not affected"
    else:
        found = f"{plugin.target} of {plugin.package}"
        fix = f"several packages have that name; name it {plugin.target} in studies"
        fix = fix if several else ""
    return Finding(name=name, state="fair" if fix else "good", found=found, fix=fix)


def _broken(plugin: Plugin) -> str:
    try:
        if plugin.kind == "task":
            load_task(plugin.target)
            return ""
        found = load_target(plugin.kind, plugin.name, plugin.target)
        if plugin.kind == "scenario":
            return "" if callable(found) else f"is of type {type(found).__name__}, not a function"
        broken = [broken_loss(found, shape) for shape in OUTPUTS]
        return broken[0] if all(broken) else ""  # a loss may fit only one task
    except UserError as error:
        return str(error)
