"""Where a task keeps what is slow to make of its data: no version of its code finds another's."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kdtasks.contract.params import Params, fingerprint
from kdtasks.contract.source_code import OURS, sources
from kdtasks.contract.task import KDTask
from search_spaces.study_paths import is_path


@contextmanager
def scenario_cache(task: KDTask, params: Params, home: Path) -> Iterator[Path]:
    """Yield the folder that a task is given as ``cache_dir``.

    Our own tasks share one: their caches hold what they were made of. One of a user's own has a
    folder for its class, source and the files that its parameters name; an empty one does not stay.
    """
    module = type(task).__module__
    if module.partition(".")[0] == OURS:
        yield home
        return
    paths = [str(value) for name, value in sorted(params.items()) if value and is_path(name)]
    files = {path: list(_states(Path(path))) for path in paths}
    content = {"class": type(task).__qualname__, "code": sources(module), "files": files}
    folder = home / f"{module}-{fingerprint(content)}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()


def _states(path: Path) -> Iterator[str]:
    """Yield what changes with any file at a path: the time of its inode cannot be set back."""
    found = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    for file in found:
        with suppress(OSError):
            facts = file.stat()
            yield f"{file} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"
