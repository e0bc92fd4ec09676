"""Identity of a sweep's data, code and teachers, by content instead of by name.

Fingerprints of a task are computed from its parameters. The content that results is identified
by digests: of every array of a scenario, and of the source of the task and of what it imports.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.plugins import module_of
from kdtasks.contract.registry import TASKS, TOGETHER
from kdtasks.contract.source_code import changed, file_of, joined, sources
from kdtasks.contract.task import KDTask, ScenarioData, digest
from search_spaces.study import Study
from search_spaces.study_paths import is_path
from sweeps.common.custom_code import named_modules

Content = Mapping[str, Mapping[str, str]]
"""Digest of every array of a scenario, by split and name."""

CONDUCTOR = "sweeps.nodes.conductor"
"""Trains students in a network, whatever the task; its code is part of a sweep's identity."""

TASK = "task "
"""What stands before the name of a task among digests of modules, none of which has a space."""

ANEW = "run the study anew: kdsweep run ... --name OTHER"
"""What any command can advise, also one without ``--name``."""

NAMED = 3
"""Largest number of modules or files that an error names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Data and code with which the trials of a sweep run.

    Attributes:
        data: Content of every scenario, by its fingerprint.
        code: Digest of every module that they use, see `kdtasks.contract.source_code`.
    """

    data: Mapping[str, Content]
    code: Mapping[str, str]
    noted_s: float

    def joined(self, other: "Identity") -> "Identity":
        """Return this with what only ``other`` has: appended points may need more data and code."""
        return Identity(
            data={**other.data, **self.data},
            code=joined(self.code, other.code),
            noted_s=self.noted_s,
        )


def identify(loaded: Mapping[str, ScenarioData], code: Mapping[str, str]) -> Identity:
    """Return the identity of scenarios, by fingerprint, and code.

    Raises:
        DataError: If an array has no content that could be compared.
    """
    data = {name: content_of(scenario) for name, scenario in loaded.items()}
    return Identity(data=data, code=dict(code), noted_s=time.time())


def content_of(data: ScenarioData) -> dict[str, dict[str, str]]:
    """Return the digests of the arrays of a scenario.

    Raises:
        DataError: If one has no content that could be compared.
    """
    splits = {"train": data.train, "val": data.val, "test": data.test}
    return {name: dict(_digests(name, arrays)) for name, arrays in splits.items()}


def _digests(split: str, arrays: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, array in arrays.items():
        try:
            # in a network of tasks a task's name stands in front of those of its arrays
            yield name, digest({name.partition("/")[2] or name: array})[:16]
        except (TypeError, ValueError) as error:
            raise DataError(
                f"the task's data: {split}[{name!r}] holds Python objects, which cannot be "
                "compared with those of another run; give numbers, or text as array.astype(str)"
            ) from error


def code_of(study: Study) -> dict[str, str]:
    """Return the digests of all modules that trials of a study use, by module."""
    return sources(*named_modules(study), CONDUCTOR)


def task_code(name: str) -> dict[str, str]:
    """Return the digests of the modules of a task, by module, and the name of the task."""
    return {**sources(*task_modules(name)), f"{TASK}{name}": ""}


def task_modules(name: str) -> list[str]:
    """Return the module of a task; of a network of tasks those of all."""
    return [
        TASKS.get(one, "").partition(":")[0] or module_of("task", one)
        for one in name.split(TOGETHER)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherIdentity:
    """Everything that a teacher depends on.

    Attributes:
        data: Content of the splits that it is trained and evaluated on.
    """

    fingerprint: str
    data: Content
    code: Mapping[str, str]

    @property
    def key(self) -> str:
        """Its key in the cache."""
        return f"{self.fingerprint}-{fingerprint(asdict(self))}"

    @property
    def task(self) -> str:
        """Its task, as `task_code` notes it; empty if an older version wrote its code."""
        return next((name for name in self.code if name.startswith(TASK)), "")

    def differs(self, other: "TeacherIdentity") -> str:
        """Return how this teacher differs from another; empty if it is the same."""
        modules = changed(other.code, self.code)
        reasons = [f"the code has changed ({_listed(modules)})"] if modules else []
        arrays = _changed_arrays(other.data, self.data)
        reasons += [f"the data have changed ({_listed(arrays)})"] if arrays else []
        return " and ".join(reasons)


def teacher_identity(
    task: KDTask, name: str, content: Content, code: Mapping[str, str]
) -> TeacherIdentity:
    """Return the identity of a teacher with fingerprint ``name`` for data ``content``."""
    data: dict[str, Mapping[str, str]] = {}
    data |= {split: dict(content[split]) for split in task.teacher_splits}
    return TeacherIdentity(fingerprint=name, data=data, code=dict(code))


def flat(content: Content) -> dict[str, str]:
    """Return the digests of arrays, by ``split name``."""
    return {
        f"{split} {name}": array
        for split, arrays in content.items()
        for name, array in arrays.items()
    }


def _changed_arrays(before: Content, after: Content) -> list[str]:
    return changed(flat(before), flat(after))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def check_code(sweep: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Refuse to continue a sweep with code that differs from that of its trials.

    Raises:
        ConfigError: Naming the files.
    """
    modules = [name for name in changed(before, after) if name in before]
    if modules:
        files = [str(file_of(name) or f"module {name}, which is gone") for name in modules]
        raise ConfigError(
            f"sweep {sweep} was run with other code: {_listed(files)} changed since, and trials "
            f"of both cannot be compared; restore the old code, or {ANEW}"
        )


def check_data(
    sweep: str,
    before: Identity,
    after: Identity,
    params: Mapping[str, Params],
) -> None:
    """Refuse to continue a sweep with data that differ from those of its trials.

    ``params`` are those of a trial on each scenario, by fingerprint.

    Raises:
        ConfigError: Naming the files, and the arrays that differ.
    """
    for known, content in before.data.items():
        # the fingerprint of files that have changed may be another one
        new = [known] if known in after.data else sorted(after.data.keys() - before.data.keys())
        differing = [_changed_arrays(content, after.data[name]) for name in new]
        if arrays := min(differing, key=len, default=["all"]):
            raise _other_data(sweep, before, arrays, [params[name] for name in new])


def check_scenario(
    sweep: str, study: Study, before: Identity, name: str, content: Content, params: Params
) -> None:
    """Refuse to evaluate a trial on data that differ from those of the sweep's scenario ``name``.

    Raises:
        ConfigError: Naming the code that has changed and the data with it, or else the files, and
            the arrays that differ.
    """
    known = before.data.values() if name not in before.data else [before.data[name]]
    differing = [_changed_arrays(one, content) for one in known]
    if arrays := min(differing, key=len, default=["all"]):
        check_code(sweep, before.code, code_of(study))
        raise _other_data(sweep, before, arrays, [params])


def _other_data(
    sweep: str, before: Identity, arrays: Sequence[str], params: Sequence[Params]
) -> ConfigError:
    files = dict.fromkeys(file for one in params for file in _files(one, before.noted_s))
    where = f" ({_listed(list(files))})" if files else ""
    return ConfigError(
        f"sweep {sweep} was run with other data{where}: {_listed(arrays)} changed since, and "
        f"results on both cannot be compared; restore the old data, or {ANEW}"
    )


def _files(params: Params, since_s: float) -> list[str]:
    """Return the files that parameters name; of a folder those modified since ``since_s``."""
    found = []
    for path in (Path(str(value)) for name, value in params.items() if value and is_path(name)):
        inside = path.rglob("*") if path.is_dir() else ()
        new = [str(file) for file in inside if file.is_file() and file.stat().st_mtime > since_s]
        found += new or [str(path)]
    return found
