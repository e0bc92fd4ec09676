"""Runs a study of synthetic data on the user's own files instead."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from kdtasks.contract.registry import load_task
from kdtasks.contract.task import OwnData
from search_spaces.study import Study, load_study, parse_study
from search_spaces.study_yaml import dump_yaml, load_yaml
from sweeps.plan.field_errors import point_place


def study_on(name_or_path: str, settings: Sequence[str], path: Path | None) -> Study:
    """Return a study, whose trials read the files at a path if there is one.

    The returned study names the files, so that `kdsweep resume` needs no path. The user's settings
    override those for the files.

    Raises:
        ConfigError: If the task cannot read such files.
        DataError: If there are no usable files.
        StudyError: If the study is wrong, or varies what the files determine.
    """
    study = load_study(name_or_path, settings)
    if path is None:
        return study
    own = load_task(study.task).own_data(path, study.parameters)
    _check_space(study, own, path)
    _check_points(study, own, path)
    used = {*study.parameters, *study.space.parameters, *chain(*study.search.points)}
    defaults = {name: value for name, value in own.defaults.items() if name not in used}
    # JSON is YAML, and its quotes allow any character in a path
    fixed = [
        f"parameters.{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in {**own.parameters, **defaults}.items()
    ]
    return _drop_inactive(load_study(name_or_path, [*fixed, *settings]), own, path)


def _drop_inactive(study: Study, own: OwnData, path: Path) -> Study:
    """Remove parameters of synthetic data, which the report would show."""
    source = f"{study.name} with --data {path}"
    raw = load_yaml(study.text, source)
    raw["parameters"] = {n: v for n, v in raw["parameters"].items() if n not in own.idle}
    return replace(parse_study(dump_yaml(raw), source), origin=study.origin)


def _check_space(study: Study, own: OwnData, path: Path) -> None:
    for name, domain in study.space.parameters.items():
        problem = ""
        if name in own.parameters:
            problem = f"is determined by --data {path}"
        elif name in own.idle and domain.size() != 1:
            problem = f"has no effect on the files in --data {path}"
        if problem:
            raise study.error(f"space.{name}", f"{problem}; drop it from the space")


def _check_points(study: Study, own: OwnData, path: Path) -> None:
    for index, point in enumerate(study.search.points):
        for name in own.parameters.keys() & point.keys():
            raise study.error(
                f"{point_place(study, index)}.{name}",
                f"is {point[name]!r}, but --data {path} determines it; drop it from the points",
            )
    for name in sorted(own.idle):
        values = {point.get(name, study.parameters.get(name)) for point in study.search.points}
        if len(values) > 1:
            shown = ", ".join(sorted(map(repr, values - {None})))
            raise study.error(
                "search.points",
                f"{name} varies ({shown}), but has no effect on the files in --data {path}; drop "
                "it from the points",
            )
