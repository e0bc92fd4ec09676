"""From the settings of LiDAR beam tracking to the scans and windows that it trains on."""

from dataclasses import replace
from pathlib import Path

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.task import OwnData, Progress, ScenarioData
from kdtasks.lidar_beam.settings import LidarSettings
from kdtasks.sensing.deepsense.dataset import DeepSenseData
from kdtasks.sensing.deepsense.folder import open_table
from kdtasks.sensing.sources import Source, load_source, source_fingerprint
from kdtasks.sensing.street.dataset import LIDAR_TWIN, StreetData

SHARES = (0.7, 0.15, 0.15)
"""Shares of the sequences of DeepSense 6G for train, val and test, in their order, as in the code
of Zakeri et al., where tables publish no split. The twin's splits are passages of their own."""

SENSORS = ("lidar",)


def data_of(settings: LidarSettings) -> Source:
    """Return which data the trial trains on.

    Raises:
        ConfigError: If there is no such data.
    """
    if settings.scenario == "deepsense":
        if not Path(settings.data_path).exists():
            raise ConfigError(f"data_path={settings.data_path!r}: no such file or folder")
        return DeepSenseData(
            path=settings.data_path, sensors=SENSORS, shares=SHARES, stride=settings.window_stride
        )
    street = replace(
        LIDAR_TWIN.street,
        seed=settings.data_seed,
        site_seed=settings.site_seed,
        traffic=settings.distractors,
        max_traffic=settings.max_distractors,
    )
    return StreetData(
        twin=replace(LIDAR_TWIN, street=street),
        passages=(settings.train_passages, settings.val_passages, settings.test_passages),
        sensors=SENSORS,
        stride=settings.window_stride,
    )


def fingerprint_of(settings: LidarSettings) -> str:
    """Return the identity of the data that a trial trains on."""
    return source_fingerprint(data_of(settings))


def own_data(path: Path) -> OwnData:
    """Return the parameters that make trials read a folder or a table, see `KDTask.own_data`.

    Raises:
        DataError: If it has no table that can be used, or no scans.
    """
    has = open_table(path).sensors
    if "lidar" not in has:
        raise DataError(
            f"{path}: no files of lidar, which lidar-beam learns from; it has "
            f"{', '.join(has) or 'beams alone'}"
        )
    parameters = {"scenario": "deepsense", "data_path": str(path.resolve())}
    return OwnData(parameters=parameters, idle=LidarSettings.deciding("made data"))


def load_data(settings: LidarSettings, *, cache_dir: Path, progress: Progress) -> ScenarioData:
    """Return the splits of a trial.

    Raises:
        DataError: If files cannot be read, or a slot has no label in a whole split.
    """
    return load_source(data_of(settings), cache_dir=cache_dir, progress=progress)
