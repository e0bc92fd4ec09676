"""`kdsweep check`: checks that a study fits its task, and that the task keeps its contract."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent

from analysis import format as text
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.registry import TOGETHER, load_task
from search_spaces.domains import Choice
from search_spaces.study import Study, load_study, names
from search_spaces.study_paths import settle_paths
from search_spaces.study_yaml import load_yaml
from sweeps.cli.output import line, show_json
from sweeps.cli.run import make_importable
from sweeps.nodes.topologies.catalog import remedies, runnable
from sweeps.plan.contract import check_contract
from sweeps.plan.evidence import Finding
from sweeps.plan.parameter_laws import scale_law
from sweeps.plan.preflight import check_study

Trial = tuple[str, Params]
"""Name and parameters of a trial to check."""


def run_check(
    what: str, settings: Sequence[str], *, as_json: bool, verbose: bool = False, debug: bool = False
) -> bool:
    """Check a study or a task, print what fails, and return whether all laws hold.

    ``settings`` are fields of the study or parameters of the task, ``key=value`` each.

    Raises:
        UserError: If the study or task is unknown, or the study does not fit its task.
        StudyError: If the study is wrong.
    """
    make_importable(what)
    is_study = what.endswith((".yaml", ".yml")) or what in names()
    study = load_study(what, settings) if is_study else None
    task = what if study is None else study.task
    trials = [_of_task(what, settings)] if study is None else _of_study(study)
    if study is not None and not as_json:
        line(f"study {what}: its fields fit task {task}")
    for part in [] if as_json else map(load_task, task.split(TOGETHER)):
        line(f"topologies: {', '.join(runnable(part))}")
        for remedy in remedies(part) if verbose else ():
            line(remedy)
    found: dict[str, list[Finding]] = {}
    shown = partial(_printed, verbose=verbose, debug=debug)
    checked = (lambda _name, findings: findings) if as_json else shown
    with TemporaryDirectory(prefix="kdsweep-") as cache:
        for name, params in trials:
            found[name] = list(checked(name, check_contract(task, params, Path(cache))))
    if study is not None:  # last, for costs may need the data
        found[study.name] = list(checked(study.name, iter([scale_law(study, load_task(task))])))
    broken = sum(bool(one.broken) for findings in found.values() for one in findings)
    if as_json:
        show_json([{"trial": n, **asdict(one)} for n, each in found.items() for one in each])
    else:
        kept = sum(map(len, found.values())) - broken
        line(f"{text.plural(kept, 'check')} passed, {broken} failed")
    return not broken


def _of_study(study: Study) -> list[Trial]:
    """Return trials that cover all searched string values, since these select code."""
    domains = study.space.parameters
    searched = [name for name, domain in domains.items() if isinstance(domain, Choice)]
    found: list[Trial] = []
    seen: set[str] = set()
    for need in check_study(study).needs:
        values = {name: need.params.get(name) for name in searched}
        words = {f"{name} {value}" for name, value in values.items() if isinstance(value, str)}
        if words - seen or not found:
            found.append((", ".join([study.task, *sorted(words)]), need.params))
        seen |= words
    return found


def _of_task(name: str, settings: Sequence[str]) -> Trial:
    params: dict[str, Value] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not (key and equals):
            raise ConfigError(f"--set {setting}: must look like epochs=1")
        params[key] = load_yaml(value, f"--set {setting}")
    settle_paths({"parameters": params}, Path())
    return ", ".join([name, *settings]), params


def _printed(
    name: str, findings: Iterator[Finding], *, verbose: bool, debug: bool
) -> Iterator[Finding]:
    """Yield all findings of a trial; print each when it is there, or those that fail at the end."""
    if verbose:
        line(name)
    found: list[Finding] = []
    for finding in findings:
        found.append(finding)
        if verbose:
            _show(finding, debug=debug)
            sys.stdout.flush()  # the next law may need a training
        yield finding
    if not verbose:
        broken = [finding for finding in found if finding.broken]
        line(f"{name}: {len(found) - len(broken)} of {text.plural(len(found), 'check')} passed")
        for finding in broken:
            _show(finding, debug=debug)
        sys.stdout.flush()


def _show(finding: Finding, *, debug: bool) -> None:
    line(f"{'FAILED' if finding.broken else 'ok    '}  {finding.law}")
    if finding.broken:
        line(f"        {finding.broken}")
    if finding.traceback:
        line(indent(finding.traceback, " " * 8) if debug else "        --debug shows where")
