"""CSI feedback on files of the user's own: what they are, told by their names and heads."""

from pathlib import Path

from kdtasks.config import Value
from kdtasks.errors import ConfigError, DataError
from kdtasks.scenarios.channel_files import channel_files, channel_sizes
from kdtasks.scenarios.cost2100 import SHAPE, split_files
from kdtasks.scenarios.csi_data import COST2100, QUADRIGA
from kdtasks.task import OwnData

IDLE = frozenset({"data_seed"})
"""Users and split of made data; files have theirs."""


def own_data(path: Path) -> OwnData:
    """Return the parameters that make trials read a folder or a file, see `KDTask.own_data`.

    A folder with the public names of COST2100 is one of its environments. Other folders, and
    files, hold channels; if there is one array of three axes, these are users, antennas and
    subcarriers.

    Raises:
        ConfigError: If a folder holds both environments.
        DataError: If there are no such files.
    """
    where: dict[str, Value] = {"data_path": str(path.resolve())}
    found = [
        scenario
        for scenario, environment in COST2100.items()
        if any(file.is_file() for file in split_files(path, environment).values())
    ]
    if not found and (path.is_file() or (path.is_dir() and channel_files(path))):
        return OwnData(parameters={"scenario": QUADRIGA, **where, **_sizes(path)}, idle=IDLE)
    if not found:
        raise DataError(
            f"{path}: neither channels (.npy, .mat) nor a folder with the files of COST2100 "
            f"({', '.join(file.name for file in split_files(path, 'indoor').values())})"
        )
    if len(found) > 1:
        raise ConfigError(
            f"{path}: files of {' and '.join(found)}; choose one: --set parameters.scenario="
            f"{found[0]} --set parameters.data_path={path}"
        )
    sizes = dict(zip(("num_antennas", "num_subcarriers"), SHAPE[1:], strict=True))
    return OwnData(parameters={"scenario": found[0], **where, **sizes}, idle=IDLE)


def _sizes(path: Path) -> dict[str, Value]:
    """Return antennas and subcarriers; nothing if files do not say which array is meant."""
    sizes = channel_sizes(path)
    if sizes is None:
        return {}
    return dict(zip(("num_antennas", "num_subcarriers"), sizes, strict=True))
