"""From a folder of DeepSense 6G data to the splits that beam-tracking tasks train on.

A frame whose file is missing or damaged is reported and takes along the windows that look back on
it; powers that are unknown only take the labels.

Shape suffixes in this file: F = frames, W = windows, S = pixels along either side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import scipy
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.params import fingerprint
from kdtasks.contract.task import Arrays, Progress, ScenarioData
from kdtasks.data.splits import SPLITS
from kdtasks.sensing.deepsense.arrays import LAYOUT, Reading, contents, read_arrays
from kdtasks.sensing.deepsense.defects import check_labels, described, listed, short_sequences
from kdtasks.sensing.deepsense.folder import open_table
from kdtasks.sensing.deepsense.table import SYNTHETIC_TABLE, Defect, Table
from kdtasks.sensing.deepsense.windows import Windows, split_sequences, usable_windows

SENSORS = ("image", "radar", "lidar", "gps", "power")
"""What a window can look back on; of powers the frames before its newest."""


LICENCE = (
    "files of DeepSense 6G are CC BY-NC-SA 4.0 (deepsense6g.net): no commercial use, share alike; "
    'cite Alkhateeb et al., "DeepSense 6G: A Large-Scale Real-World Multi-Modal Sensing and '
    'Communication Dataset", and, for positions, Morais et al., "Position Aided Beam Prediction '
    'in the Real World"'
)
"""Of data in this layout that are not synthetic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepSenseData:
    """Which DeepSense 6G data, and how they are cut.

    Attributes:
        path: Folder of a scenario, or a CSV table.
        sensors: Which of `SENSORS` windows need; powers are read for labels anyway.
        image_size: Pixels along either side of the pictures.
        shares: Shares of the sequences for train, val and test, in their order, where the tables
            do not say; None is `deepsense_windows.SHARES`. The paper's p is train + val.
        strict: Window rule, see `beam_windows.window_starts`.
        stride: Frames from one window to the next; windows of published val and test tables are
            all taken.
    """

    path: str
    sensors: tuple[str, ...]
    image_size: int = 64
    shares: tuple[float, float, float] | None = None
    strict: bool = True
    stride: int = 1

    def __post_init__(self) -> None:
        if len(set(self.sensors)) != len(self.sensors) or not set(self.sensors) <= set(SENSORS):
            raise ConfigError(
                f"sensors must be some of {', '.join(SENSORS)}, each once, got "
                f"{','.join(self.sensors) or 'none'}"
            )
        if not 8 <= self.image_size <= 1024:
            raise ConfigError(f"image_size must be 8 to 1024 pixels, got {self.image_size}")
        if self.stride < 1:
            raise ConfigError(f"stride must be >= 1, got {self.stride}")

    @property
    def fingerprint(self) -> str:
        """Identity of the data: settings, tables, and names and sizes of the files they name.

        Where they lie has no part in it, nor when they were copied there.

        Raises:
            DataError: If the tables cannot be read.
        """
        table = open_table(Path(self.path))
        settings = {**asdict(self), "path": "", "sensors": sorted(self.sensors)}
        files = {kind: contents(table, kind, dates=False) for kind in (*self.sensors, "power")}
        return fingerprint({"layout": LAYOUT, "settings": settings, "contents": files})


def load_deepsense(data: DeepSenseData, *, cache_dir: Path, progress: Progress) -> ScenarioData:
    """Return the frames and windows of a DeepSense 6G scenario.

    Each split holds, with F frames and W windows: ``power`` float32 [F, 64], linear, NaN where
    unknown; ``condition`` int8 [F], -1 where unknown; ``frame_passage`` int32 [F]; ``window`` int32
    [W, 8]; ``label`` int64 [W, 4]; ``passage`` int32 [W]; and of the sensors that were asked for
    ``image`` uint8 [F, S, S], ``radar`` float16 [F, 2, 128, 64], ``lidar`` float32 [F, 216] [m] and
    ``gps`` float32 [F, 2] [m]. Frames that could not be read hold zeros; no window looks back on
    them.

    Args:
        data: What to read.
        cache_dir: Where arrays are kept.
        progress: Called with frames done, each once per sensor that is not in the cache.

    Raises:
        DataError: If the tables cannot be used, a sensor has no files, or a split is left without
            windows.
    """
    table = open_table(Path(data.path))
    check_sensors(table, data)
    readings = read_arrays(
        table,
        tuple(dict.fromkeys((*data.sensors, "power"))),
        image_size=data.image_size,
        cache_dir=cache_dir,
        progress=progress,
    )
    usable_F = np.ones(table.num_frames, bool)
    for sensor in data.sensors:
        usable_F &= readings[sensor].usable
    windows = usable_windows(
        table, readings["power"].values, usable_F, strict=data.strict, stride=data.stride
    )
    sequences = split_sequences(table, data.shares)
    powers = readings["power"].values
    defects = [
        *table.defects,
        *(defect for reading in readings.values() for defect in reading.defects),
        *short_sequences(table, strict=data.strict),
        *check_labels(table, powers)[1],
    ]
    check_windows(data, windows, sequences, defects)
    splits = {name: _split(table, readings, windows, sequences[name]) for name in SPLITS}
    return ScenarioData(**splits, provenance=_provenance(data, table, windows, splits, defects))


def check_sensors(table: Table, data: DeepSenseData) -> None:
    """Refuse sensors that the tables know nothing of.

    Raises:
        DataError: Naming them and those that are there.
    """
    has = table.inputs
    absent = [sensor for sensor in data.sensors if sensor not in has]
    if absent:
        raise DataError(f"{data.path}: no files of {', '.join(absent)}; it has {', '.join(has)}")


def check_windows(
    data: DeepSenseData,
    windows: Windows,
    sequences: Mapping[str, NDArray[np.int64]],
    defects: Sequence[Defect],
) -> None:
    """Refuse data of which a split has no window.

    Raises:
        DataError: Saying what took them.
    """
    empty = [name for name in SPLITS if not np.isin(windows.passage, sequences[name]).any()]
    if empty:
        raise DataError(
            f"{data.path}: no usable window for {', '.join(empty)}: {windows.without_sensor} lack "
            f"a sensor's data, {windows.without_label} have no known beam; "
            + ("; ".join(described(defects)) or "no defects")
        )


def _split(
    table: Table,
    readings: Mapping[str, Reading],
    windows: Windows,
    sequences: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:
    passage_F = table.sequence_of_frames()
    frame_F = np.flatnonzero(np.isin(passage_F, sequences))
    # A run of frames stays a view of the file it is kept in; windows count within the split.
    start, stop = int(frame_F[0]), int(frame_F[-1]) + 1
    chosen: Any = slice(start, stop) if len(frame_F) == stop - start else frame_F
    chosen_W = np.isin(windows.passage, sequences)
    split: dict[str, NDArray[Any]] = {name: r.values[chosen] for name, r in readings.items()}
    return split | {
        "condition": np.array(table.condition, np.int8)[chosen],
        "frame_passage": passage_F[chosen],
        "window": np.searchsorted(frame_F, windows.window[chosen_W]).astype(np.int32),
        "label": windows.label[chosen_W],
        "passage": windows.passage[chosen_W],
    }


def _provenance(
    data: DeepSenseData,
    table: Table,
    windows: Windows,
    splits: Mapping[str, Arrays],
    defects: Sequence[Defect],
) -> dict[str, Any]:
    def facts(name: str) -> dict[str, Any]:
        split = splits[name]
        return {
            "sequences": np.unique(split["frame_passage"]).tolist(),
            "frames": len(split["power"]),
            "windows": len(split["window"]),
        }

    synthetic = table.sources[0].name == SYNTHETIC_TABLE
    return {
        "source": f"DeepSense 6G layout, {', '.join(path.name for path in table.sources)}"
        + (" (synthetic site: simulated, nothing measured)" if synthetic else ""),
        "synthetic": synthetic,
        **({} if synthetic else {"licence": LICENCE}),
        "layout": table.layout,
        "columns": dict(table.columns),
        "fingerprint": data.fingerprint,
        "settings": asdict(data),
        "read_with": {
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "pillow": PIL.__version__,
        },
        "defects": listed(defects),
        "notes": [*table.notes, *described(defects)],
        "windows_left_out": {
            "without_sensor": windows.without_sensor,
            "without_label": windows.without_label,
        },
        "split": {"by": "sequence", "of": {name: facts(name) for name in SPLITS}},
    }
