"""Small folders in the layouts of DeepSense 6G, written file by file as the releases have them."""

import csv

import numpy as np
from PIL import Image
from scipy.io import savemat

from kdtasks.data.splits import SPLITS
from kdtasks.sensing.beams.windows import make_windows
from kdtasks.sensing.deepsense.dataset import DeepSenseData, load_deepsense

LENGTHS = (14, 13, 5, 16, 13)
"""Frames of the sequences 1, 2 ...; the third is too short for a window."""

SCENARIO9 = {
    "image": "unit1_rgb",
    "power": "unit1_pwr_60ghz",
    "scan": "unit1_lidar_SCR",
    "loc": "unit2_loc",
    "base": "unit1_loc",
    "label": "unit1_beam_index",
    "sequence": "seq_index",
}


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_power(path, power, end="\n"):
    write_text(path, end.join(f"{value:.8e}" for value in power) + end)


def write_picture(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_mat(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"data": data})


def write_table(path, rows, names=None, newline="\n", encoding="utf-8"):
    columns = list(names or rows[0])
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator=newline)
        writer.writeheader()
        writer.writerows(rows)
    return path


def bare_table(folder, *sensors):
    """Write the table of three sequences; the files that it names are not there."""
    columns = {
        "image": "unit1_rgb",
        "radar": "unit1_radar",
        "lidar": "unit1_lidar_SCR",
        "gps": "unit2_loc",
    }
    names = {"unit1_pwr_60ghz": "power", **{columns[sensor]: sensor for sensor in sensors}}
    rows = [
        {name: f"./unit1/{kind}/{frame}.txt" for name, kind in names.items()}
        | {"unit1_loc": "./unit1/loc.txt", "seq_index": frame // 13}
        for frame in range(39)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "scenario9.csv", rows)
    return folder


def settings_of(path, **changes):
    return DeepSenseData(path=str(path), **{"sensors": ("image",), "image_size": 16, **changes})


def load(path, **changes):
    steps = []
    data = load_deepsense(
        settings_of(path, **changes),
        cache_dir=path / "cache",
        progress=lambda *step: steps.append(step),
    )
    return data, steps


def all_windows(data):
    """Windows of every split as frames that their powers name, and their labels."""
    windows = []
    for name in SPLITS:
        split = getattr(data, name)
        for window, label in zip(split["window"], split["label"], strict=True):
            powers = tuple(split["power"][f].tobytes() for f in window)
            windows.append((powers, tuple(label.tolist())))
    return windows


def noisy_cube(rng):
    """Return a radar cube: antennas, samples of a chirp, chirps."""
    return rng.normal(size=(4, 256, 128, 2)).astype(np.float32).view(np.complex64)[..., 0]


class Scenario:
    """A folder like that of scenario 9: jpg, txt, mat, and one table; radar cubes if asked for."""

    def __init__(self, folder, lengths=LENGTHS, seed=0, radar=False):
        rng = np.random.default_rng(seed)
        self.folder = folder
        self.radar = radar
        self.sequence_F = np.repeat(np.arange(1, len(lengths) + 1), lengths)
        self.num_frames = len(self.sequence_F)
        self.power_FB = rng.gamma(1.0, size=(self.num_frames, 64))
        self.rows = []
        write_text(folder / "unit1/GPS_data/gps_location.txt", "33.4\n-111.9\n")
        for f in range(self.num_frames):
            self.rows.append(self._write_frame(rng, f))

    def _write_frame(self, rng, f):
        # Counters of the sensors differ and have gaps, as in the release.
        image = f"unit1/camera_data/image_BS2_{3000 + 2 * f}_17_52_{f % 60}.jpg"
        write_picture(self.folder / image, rng.integers(0, 256, (27, 48, 3), dtype=np.uint8))
        power = f"unit1/mmWave_data/mmWave_power_{f + 5}.txt"
        write_power(self.folder / power, self.power_FB[f])
        scan = f"unit1/lidar_SCR_data/Lidar_data_{f + 180}.mat"
        range_R = np.where(rng.random(216) < 0.3, rng.uniform(1, 16, 216), 0.0)
        write_mat(self.folder / scan, np.stack([range_R, 0.01 * range_R], axis=1))
        if self.radar:
            write_mat(self.folder / f"unit1/radar_data/data_{f + 1}.mat", noisy_cube(rng))
        loc = f"unit2/GPS_data/gps_location_{f}.txt"
        write_text(self.folder / loc, f"{33.4 + 1e-5 * f}\n{-111.9 + 2e-5 * f}\n")
        return {
            "index": f + 1,
            "image": f"./{image}",
            "power": f"./{power}",
            "scan": f"./{scan}",
            "radar": f"./unit1/radar_data/data_{f + 1}.mat" if self.radar else "",
            "loc": f"./{loc}",
            "base": "./unit1/GPS_data/gps_location.txt",
            "label": int(self.power_FB[f].argmax()) + 1,
            "sequence": int(self.sequence_F[f]),
        }

    def file(self, kind, f):
        return self.folder / self.rows[f][kind]

    def write(self, name="scenario9.csv", names=SCENARIO9, **how):
        rows = [{new: row[old] for old, new in names.items()} for row in self.rows]
        return write_table(self.folder / name, rows, **how)

    def windows(self):
        """Rows as published code writes them: 8 past frames, beams of 3 more."""
        cut = make_windows(self.sequence_F, self.power_FB, strict=True)
        rows = []
        for frames in cut["window"]:
            row = {f"camera{p}": self.rows[f]["image"] for p, f in enumerate(frames, 1)}
            row |= {f"beam{p}": self.rows[f]["power"] for p, f in enumerate(frames, 1)}
            row |= {
                f"future_beam{slot}": self.rows[frames[-1] + slot]["power"] for slot in (1, 2, 3)
            }
            rows.append(row | {"seq_index": self.rows[frames[-1]]["sequence"]})
        return cut, rows
