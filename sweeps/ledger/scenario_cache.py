"""Cache folders of tasks for data that are slow to prepare, one per version of the code."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.source_code import OURS, sources
from kdtasks.contract.task import KDTask
from kdtasks.network.task import parts_of
from search_spaces.study_paths import is_path


@contextmanager
def scenario_cache(task: KDTask, params: Params, home: Path) -> Iterator[Path]:
    """Yield a task's ``cache_dir``, below the folder ``home`` of all scenarios.

    Our own tasks share one: their cache entries record what they were made from. A user's task has
    a folder for its class, source and the files that its parameters name; it is removed if it is
    empty.
    """
    kinds = [type(part.task) for part in parts_of(task, params)]
    modules = [kind.__module__ for kind in kinds]
    if all(module.partition(".")[0] == OURS for module in modules):
        yield home
        return
    paths = [str(value) for name, value in sorted(params.items()) if value and is_path(name)]
    files = {path: list(_states(Path(path))) for path in paths}
    named = "+".join(kind.__qualname__ for kind in kinds)
    content = {"class": named, "code": sources(*modules), "files": files}
    folder = home / f"{'+'.join(modules)}-{fingerprint(content)}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()


def _states(path: Path) -> Iterator[str]:
    """Yield the state of every file at a path, with the inode's time, which users cannot set."""
    found = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    for file in found:
        with suppress(OSError):
            facts = file.stat()
            yield f"{file} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"
