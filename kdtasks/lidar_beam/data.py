"""From the settings of LiDAR beam tracking to the scans and windows that it trains on."""

from dataclasses import replace

from kdtasks.lidar_beam.settings import LidarSettings
from kdtasks.sensing.deepsense.dataset import DeepSenseData
from kdtasks.sensing.sources import Source, existing
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
    if not settings.on_street:
        existing(settings.data_path)
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
        tracing=settings.tracing,
    )
