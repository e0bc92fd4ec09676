"""What data, code and teachers of a sweep are: their content, whatever their names say.

Fingerprints of a task are written by hand and name what it was asked for. What came of that is told
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
from kdtasks.contract.registry import TASKS
from kdtasks.contract.source_code import changed, file_of, joined, sources
from kdtasks.contract.task import KDTask, ScenarioData, digest
from search_spaces.study import Study
from search_spaces.study_paths import is_path
from sweeps.common.custom_code import named_modules

Content = Mapping[str, Mapping[str, str]]
"""Digest of every array of a scenario, by split and name."""

CONDUCTOR = "sweeps.nodes.conductor"
"""What trains students in a network: rounds and messages are ours, whatever the task."""

NAMED = 3
"""How many modules or files an error names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What the trials of a sweep work with.

    Attributes:
        data: Content of every scenario, by its fingerprint.
        code: Digest of every module that they run, see `kdtasks.contract.source_code`.
        noted_s: When this was found out, seconds since 1970.
    """

    data: Mapping[str, Content]
    code: Mapping[str, str]
    noted_s: float

    def joined(self, other: "Identity") -> "Identity":
        """Return this with what only ``other`` has: points that were appended need more."""
        return Identity(
            data={**other.data, **self.data},
            code=joined(self.code, other.code),
            noted_s=self.noted_s,
        )


def identify(loaded: Mapping[str, ScenarioData], code: Mapping[str, str]) -> Identity:
    """Return what scenarios, by fingerprint, and code are.

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
            yield name, digest({name: array})[:16]
        except (TypeError, ValueError) as error:
            raise DataError(
                f"the task's data: {split}[{name!r}] holds Python objects, which cannot be "
                "compared with those of another run; give numbers, or text as array.astype(str)"
            ) from error


def code_of(study: Study) -> dict[str, str]:
    """Return the digests of all modules that trials of a study run, by module."""
    return sources(*named_modules(study), CONDUCTOR)


def task_code(name: str) -> dict[str, str]:
    """Return the digests of the modules of a task, by module, and which of their classes it is."""
    return {**sources(task_module(name)), f"task {name}": ""}


def task_module(name: str) -> str:
    """Return the module of a task."""
    return TASKS.get(name, "").partition(":")[0] or module_of("task", name)


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherIdentity:
    """What decides on a teacher.

    Attributes:
        fingerprint: What the task says of it.
        data: Content of the splits that it is trained and judged on.
        code: Source of the task.
    """

    fingerprint: str
    data: Content
    code: Mapping[str, str]

    @property
    def key(self) -> str:
        """Its name in the cache."""
        return f"{self.fingerprint}-{fingerprint(asdict(self))}"

    def differs(self, other: "TeacherIdentity") -> str:
        """Return in what this is another teacher; empty if it is the same."""
        modules = changed(other.code, self.code)
        reasons = [f"the code has changed ({_listed(modules)})"] if modules else []
        arrays = _changed_arrays(other.data, self.data)
        reasons += [f"the data have changed ({_listed(arrays)})"] if arrays else []
        return " and ".join(reasons)


def teacher_identity(
    task: KDTask, name: str, content: Content, code: Mapping[str, str]
) -> TeacherIdentity:
    """Return what decides on a teacher."""
    data: dict[str, Mapping[str, str]] = {}
    data |= {split: dict(content[split]) for split in task.teacher_splits}
    return TeacherIdentity(fingerprint=name, data=data, code=dict(code))


def flat(content: Content) -> dict[str, str]:
    """Return the digests of arrays, by split and name together."""
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
    """Refuse to go on with code that is not that of the trials so far.

    Raises:
        ConfigError: Naming the files.
    """
    modules = [name for name in changed(before, after) if name in before]
    if modules:
        files = [str(file_of(name) or f"module {name}, which is gone") for name in modules]
        raise ConfigError(
            f"sweep {sweep} was run with other code: {_listed(files)} changed since, and trials "
            "of both cannot be compared; undo that, or choose another --name"
        )


def check_data(
    sweep: str,
    before: Identity,
    after: Identity,
    params: Mapping[str, Params],
) -> None:
    """Refuse to go on with data that are not those of the trials so far.

    Args:
        sweep: Its name.
        before: What the sweep has been run with.
        after: What it would be run with now.
        params: Those of a trial on each scenario, by its fingerprint.

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
    sweep: str, before: Identity, name: str, content: Content, params: Params
) -> None:
    """Refuse to judge a trial of a sweep on data that none of its trials has seen.

    Raises:
        ConfigError: Naming the files, and the arrays that differ.
    """
    known = before.data.values() if name not in before.data else [before.data[name]]
    differing = [_changed_arrays(one, content) for one in known]
    if arrays := min(differing, key=len, default=["all"]):
        raise _other_data(sweep, before, arrays, [params])


def _other_data(
    sweep: str, before: Identity, arrays: Sequence[str], params: Sequence[Params]
) -> ConfigError:
    files = dict.fromkeys(file for one in params for file in _files(one, before.noted_s))
    where = f" ({_listed(list(files))})" if files else ""
    return ConfigError(
        f"sweep {sweep} was run with other data{where}: {_listed(arrays)} changed since, and "
        "what came of both cannot be compared; put the old data back, or choose another --name"
    )


def _files(params: Params, since_s: float) -> list[str]:
    """Return the files that parameters name; of a folder those that were written since."""
    found = []
    for path in (Path(str(value)) for name, value in params.items() if value and is_path(name)):
        inside = path.rglob("*") if path.is_dir() else ()
        new = [str(file) for file in inside if file.is_file() and file.stat().st_mtime > since_s]
        found += new or [str(path)]
    return found
