"""CSI feedback on files of the user's own: their kind is read from names and first bytes."""

from pathlib import Path

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.task import OwnData
from kdtasks.csi_feedback.data import deepmimo
from kdtasks.csi_feedback.data.channel_axes import DEFAULT, Layout
from kdtasks.csi_feedback.data.channel_files import SUFFIXES, channel_files, find_channels
from kdtasks.csi_feedback.data.cost2100 import SHAPE, alone, split_files, split_sizes
from kdtasks.csi_feedback.data.dataset import COST2100, QUADRIGA
from kdtasks.csi_feedback.settings import MOST_ANTENNAS, MOST_SUBCARRIERS, CsiSettings
from kdtasks.data.splits import SPLITS, counts_that_fit

_COUNTS = tuple(f"num_{name}" for name in SPLITS)


def own_data(path: Path, params: Params) -> OwnData:
    """Return the parameters that make trials read a folder or a file, see `KDTask.own_data`.

    A folder with the public names of COST2100 is one of its environments, one with those of
    DeepMIMO v4 a site. Other folders, and files, hold channels: ``data_axes`` names their axes.
    Where there are too few samples for the preset, its sizes of splits are replaced by some that
    fit.

    Raises:
        ConfigError: If a folder holds both environments, or the axes are none.
        DataError: If there are no such files, or a DeepMIMO folder has several links.
    """
    if deepmimo.links(path):
        preset = _preset_of(params)
        train, val, test = (int(preset[name]) for name in _COUNTS)
        scenario, fitting = deepmimo.fitting_counts(path, (train, val, test))
        return OwnData(
            parameters={"scenario": scenario},
            idle=frozenset(),
            defaults=_that_fit(params, fitting),
        )
    files = channel_files(path)
    where: dict[str, Value] = {"data_path": str(path.resolve())}
    found = [
        scenario
        for scenario, environment in COST2100.items()
        if any(file.is_file() for file in split_files(path, environment).values())
    ]
    if len(found) > 1:
        raise ConfigError(
            f"{path}: files of {' and '.join(found)}; choose one: --set parameters.scenario="
            f"{found[0]} --set parameters.data_path={path}"
        )
    if found:
        sizes = dict(zip(("num_antennas", "num_subcarriers"), SHAPE[1:], strict=True))
        held = split_sizes(path, COST2100[found[0]])
        fitting = (held["train"], held["val"], held["test"])
        return OwnData(
            parameters={"scenario": found[0], **where, **sizes},
            idle=CsiSettings.deciding("made data"),
            defaults=_that_fit(params, fitting),
        )
    if not files:
        raise DataError(
            f"{path}: neither channels ({', '.join(SUFFIXES)}) nor a folder with the files of "
            f"COST2100 ({', '.join(file.name for file in split_files(path, 'indoor').values())})"
        )
    if path.is_file() and (problem := alone(path)):
        raise DataError(f"{path}: {problem}")
    layout = _layout(path, params)
    return OwnData(
        parameters={
            "scenario": QUADRIGA,
            **where,
            "num_antennas": layout.antennas,
            "num_subcarriers": layout.subcarriers,
        },
        idle=CsiSettings.deciding("made data"),
        defaults=_sizes(layout, params),
    )


def _layout(path: Path, params: Params) -> Layout:
    key, axes = str(params.get("data_key", "")), str(params.get("data_axes", DEFAULT))
    layout = find_channels(path, key=key, axes=axes).layout
    for name, there, most in (
        ("antennas", layout.antennas, MOST_ANTENNAS),
        ("subcarriers", layout.subcarriers, MOST_SUBCARRIERS),
    ):
        if there > most:
            raise DataError(
                f"{path}: {there} {name}, the most are {most}; check that data_axes={axes!r} names "
                "the axes in the file's order, or take fewer"
            )
    return layout


def _preset_of(params: Params) -> dict[str, Value]:
    name = str(params.get("preset", "quick"))
    return CsiSettings.preset_values(name if name in CsiSettings.preset_names() else "quick")


def _that_fit(params: Params, held: tuple[int, int, int]) -> dict[str, Value]:
    """Return samples and batches, where the preset has more than there are."""
    preset = _preset_of(params)
    sizes: dict[str, Value] = {
        name: there for name, there in zip(_COUNTS, held, strict=True) if there < int(preset[name])
    }
    if held[0] < int(preset["batch_size"]):
        sizes["batch_size"] = max(2, held[0] // 4)
    return sizes


def _sizes(layout: Layout, params: Params) -> dict[str, Value]:
    """Return samples and batches that fit; nothing where there are enough for the preset."""
    preset = _preset_of(params)
    fitting = counts_that_fit(layout.samples, layout.receive)
    if fitting is None or layout.samples >= sum(int(preset[name]) for name in _COUNTS):
        return {}
    sizes: dict[str, Value] = dict(zip(_COUNTS, fitting, strict=True))
    return sizes | _that_fit(params, fitting)
