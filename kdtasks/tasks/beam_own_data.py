"""Beam tracking on DeepSense 6G files of the user's own: what tells them apart and what they have.

Every trial asks for the identity of its data, and a scenario has tens of thousands of files. So
they are looked at once per process, and again when a table changes.
"""

import shlex
from functools import lru_cache
from pathlib import Path

from kdtasks.errors import ConfigError, DataError
from kdtasks.models.beam_family import BEAM_MODELS
from kdtasks.scenarios.deepsense import open_table
from kdtasks.scenarios.deepsense_data import DeepSenseData
from kdtasks.scenarios.deepsense_splits import tables_near
from kdtasks.task import OwnData
from kdtasks.tasks.beam_presets import OF_STREET
from kdtasks.tasks.beam_settings import SENSOR_ORDER, BeamSettings

Stamp = tuple[tuple[str, int, int], ...]
"""Path, size [bytes] and time of the last change [ns] of tables."""


def own_data(path: Path) -> OwnData:
    """Return the parameters that make trials read a folder or a table, see `KDTask.own_data`.

    Raises:
        DataError: If it has no table that can be used, or no camera, radar or positions.
    """
    has = open_table(path).sensors
    if not set(has) & set(SENSOR_ORDER):
        raise DataError(
            f"{path}: no files of {', '.join(SENSOR_ORDER)}, which beam-tracking learns from; it "
            f"has {', '.join(has) or 'beams alone'}"
        )
    parameters = {"scenario": "deepsense", "data_path": str(path.resolve())}
    return OwnData(parameters=parameters, idle=frozenset(OF_STREET))


def deepsense_of(settings: BeamSettings) -> DeepSenseData:
    """Return which files a trial reads.

    Raises:
        ConfigError: If there are none, or they lack a sensor.
        DataError: If their tables cannot be read.
    """
    path = Path(settings.data_path)
    if not path.exists():
        raise ConfigError(f"data_path={settings.data_path!r}: no such file or folder")
    has = _sensors(path, _stamp(path))
    if absent := [sensor for sensor in settings.stored if sensor not in has]:
        fitting = [model.name for model in BEAM_MODELS.values() if set(model.sensors) <= set(has)]
        raise ConfigError(
            f"data_path={settings.data_path!r}: no files of {', '.join(absent)}, but sensors, "
            f"model and teacher ask for {' and '.join(settings.stored)}; it has {', '.join(has)}: "
            f"change these three, models for it are {', '.join(fitting) or 'none'}; a study that "
            f"fits is printed by kdsweep data inspect {shlex.quote(settings.data_path)}"
        )
    return DeepSenseData(
        path=settings.data_path,
        sensors=settings.stored,
        image_size=settings.image_size,
        stride=settings.window_stride,
    )


def identity_of(data: DeepSenseData) -> str:
    """Return the fingerprint of files, see `DeepSenseData.fingerprint`."""
    return _identity(data, _stamp(Path(data.path)))


@lru_cache(maxsize=16)
def _identity(data: DeepSenseData, _tables: Stamp) -> str:
    return data.fingerprint


@lru_cache(maxsize=16)
def _sensors(path: Path, _tables: Stamp) -> tuple[str, ...]:
    return open_table(path).sensors


def _stamp(path: Path) -> Stamp:
    facts = [(str(table), table.stat()) for table in tables_near(path)]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in facts)
