"""Where beams come from: a synthetic street, or files in the layout of DeepSense 6G."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.task import OwnData, Progress, ScenarioData
from kdtasks.data.splits import SPLITS
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.format import SCENE_STEP
from kdtasks.sensing.deepsense.dataset import DeepSenseData, load_deepsense
from kdtasks.sensing.deepsense.folder import open_table
from kdtasks.sensing.deepsense.published_splits import tables_near
from kdtasks.sensing.street.dataset import StreetData, load_street

Stamp = tuple[tuple[str, int, int], ...]
"""Path, size [bytes] and time of the last change [ns] of tables."""


def identity_of(data: DeepSenseData) -> str:
    """Return the fingerprint of files, see `DeepSenseData.fingerprint`."""
    return _identity(data, _stamp(Path(data.path)))


@lru_cache(maxsize=16)
def _identity(data: DeepSenseData, _tables: Stamp) -> str:
    return data.fingerprint


def _stamp(path: Path) -> Stamp:
    facts = [(str(table), table.stat()) for table in tables_near(path)]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in facts)


Source = StreetData | DeepSenseData


def source_fingerprint(source: Source) -> str:
    """Return the identity of data; files are not read again while their tables stay."""
    return identity_of(source) if isinstance(source, DeepSenseData) else source.fingerprint


def load_source(source: Source, *, cache_dir: Path, progress: Progress) -> ScenarioData:
    """Return the splits of data.

    Raises:
        DataError: If files cannot be read, or a slot has no label in a whole split: it could not
            be judged.
    """
    if isinstance(source, DeepSenseData):
        loaded = load_deepsense(source, cache_dir=cache_dir, progress=progress)
    else:
        loaded = load_street(source, cache_dir=cache_dir, progress=progress)
    for name in SPLITS:
        unknown = (getattr(loaded, name)["label"] == IGNORED).all(axis=0)
        if unknown.any():
            raise DataError(
                f"the {name} split has no label for slot t{int(unknown.argmax())}: its tables know "
                "the beams of fewer slots; take tables with three future beams"
            )
    return loaded


def existing(data_path: str) -> Path:
    """Return the path of the user's own files.

    Raises:
        ConfigError: If there is nothing.
    """
    path = Path(data_path)
    if not path.exists():
        raise ConfigError(f"data_path={data_path!r}: no such file or folder")
    return path


def own_data(path: Path, task: str, sensors: Sequence[str], idle: frozenset[str]) -> OwnData:
    """Return the parameters that make trials read a folder or a table, see `KDTask.own_data`.

    Args:
        path: The folder or table.
        task: Name of the task.
        sensors: Those of which the task needs one at least.
        idle: Parameters without effect on data that are read.

    Raises:
        DataError: If it has no table that can be used, or none of the sensors.
    """
    table = open_table(path)
    has, scenes = table.sensors, {number // SCENE_STEP for number in table.sequence}
    if not set(has) & set(sensors):
        raise DataError(
            f"{path}: no files of {', '.join(sensors)}, which {task} learns from; it has "
            f"{', '.join(has) or 'beams alone'}"
        )
    parameters = {"scenario": "deepsense", "data_path": str(path.resolve())}
    edges = {"num_edges": len(scenes)} if len(scenes) > 1 else {}
    return OwnData(parameters=parameters, idle=idle, defaults=edges)
