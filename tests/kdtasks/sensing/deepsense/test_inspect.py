import copy
import json
import os
import shutil

import numpy as np
import pytest
from deepsense_examples import SCENARIO9, Scenario, write_mat, write_power, write_table, write_text

from kdtasks.contract.errors import DataError
from kdtasks.data.splits import SPLITS
from kdtasks.sensing.beams.windows import best_beams
from kdtasks.sensing.deepsense.dataset import DeepSenseData, load_deepsense
from kdtasks.sensing.deepsense.inspect import inspect

LENGTHS = (14, 5, 16, 16, 16, 14)


def missing(kind):
    def spoil(scenario):
        scenario.file(kind, 2).unlink()

    return spoil


def cut_picture(scenario):
    path = scenario.file("image", 2)
    path.write_bytes(path.read_bytes()[:12])


def some_nan(scenario):
    write_power(scenario.file("power", 2), np.r_[np.nan, np.arange(63.0)])


def all_nan(scenario):
    write_power(scenario.file("power", 2), np.full(64, np.nan))


def few_powers(scenario):
    write_power(scenario.file("power", 2), np.ones(63))


def odd_scan(scenario):
    write_mat(scenario.file("scan", 2), np.zeros((200, 2)))


def no_fix(scenario):
    write_text(scenario.file("loc", 2), "nan, nan")


def unnamed(scenario):
    scenario.rows[2]["image"] = ""


def wrong_label(scenario):
    scenario.rows[2]["label"] = scenario.rows[2]["label"] % 64 + 1


@pytest.mark.parametrize(
    ("spoil", "kind", "where"),
    [
        (missing("image"), "missing image file", "unit1/camera_data/image_BS2_3004_17_52_2.jpg"),
        (missing("scan"), "missing lidar file", "unit1/lidar_SCR_data/Lidar_data_182.mat"),
        (missing("power"), "missing power file", "unit1/mmWave_data/mmWave_power_7.txt"),
        (missing("loc"), "missing gps file", "unit2/GPS_data/gps_location_2.txt"),
        (cut_picture, "damaged image file", "unit1/camera_data/image_BS2_3004_17_52_2.jpg"),
        (odd_scan, "damaged lidar file", "unit1/lidar_SCR_data/Lidar_data_182.mat"),
        (few_powers, "damaged power file", "unit1/mmWave_data/mmWave_power_7.txt"),
        (no_fix, "damaged gps file", "unit2/GPS_data/gps_location_2.txt"),
        (some_nan, "NaN powers", "unit1/mmWave_data/mmWave_power_7.txt"),
        (all_nan, "all powers NaN", "unit1/mmWave_data/mmWave_power_7.txt"),
        (unnamed, "no image file", "scenario9.csv line 4, image"),
        (wrong_label, "label column disagrees", "scenario9.csv line 4"),
    ],
)
def test_each_defect_is_reported_by_name(tmp_path, spoil, kind, where):
    scenario = Scenario(tmp_path, LENGTHS)
    spoil(scenario)
    scenario.write()
    found = inspect(tmp_path)
    by_kind = {
        name: [d.where for d in defects] for name, defects in found.defects_by_kind().items()
    }
    short = by_kind.pop("short sequence")
    assert short == ["sequence 2"]
    # a label that was right before its power file was spoilt disagrees as well
    by_kind.pop("label column disagrees", None) if spoil is some_nan else None
    assert by_kind == {kind: [where]}
    assert not found.problem


def test_what_is_counted_is_what_would_be_read(tmp_path):
    scenario = Scenario(tmp_path, LENGTHS)
    for spoil in (cut_picture, missing("scan"), all_nan, no_fix):
        spoil(scenario)
    scenario.file("power", 40).unlink()
    scenario.write()
    found = inspect(tmp_path)
    data = load_deepsense(
        DeepSenseData(path=str(tmp_path), sensors=("image", "lidar", "gps"), image_size=16),
        cache_dir=tmp_path / "cache",
        progress=lambda *_: None,
    )
    for name in SPLITS:
        split, counts = getattr(data, name), found.splits[name]
        assert counts.windows == len(split["window"])
        assert counts.frames == len(split["power"])
        assert counts.unknown == (split["label"] < 0).sum()
        beams, hits = np.unique(split["label"][:, 0], return_counts=True)
        known = beams >= 0
        assert {b: n for b, n in enumerate(counts.labels) if n} == dict(
            zip(beams[known].tolist(), hits[known].tolist(), strict=True)
        )
    assert found.without_sensor == data.provenance["windows_left_out"]["without_sensor"]


@pytest.mark.parametrize("first", [0, 1])
def test_what_labels_count_from_is_recognised(tmp_path, first):
    scenario = Scenario(tmp_path, LENGTHS)
    for row, best in zip(scenario.rows, best_beams(scenario.power_FB), strict=True):
        row["label"] = best + first
    # the released label of a vector with NaN points at the first NaN
    power = scenario.power_FB[20].copy()
    power[3] = np.nan
    write_power(scenario.file("power", 20), power)
    scenario.rows[20]["label"] = 3 + first
    scenario.write()
    found = inspect(tmp_path)
    message = f"unit1_beam_index counts from {first}, right in 80 of 81 frames; "
    assert found.label_column.startswith(message)
    (wrong,) = found.defects_by_kind()["label column disagrees"]
    best = int(np.nanargmax(power))
    assert wrong.where == "scenario9.csv line 22"
    assert wrong.detail == (
        f"its value is {3 + first}, the strongest beam is {best + first} counted alike "
        "(its power file has NaN)"
    )


def test_sensors_that_are_not_wanted_take_no_windows(tmp_path):
    scenario = Scenario(tmp_path, LENGTHS)
    for f in range(scenario.num_frames):
        scenario.file("scan", f).unlink()
    scenario.write()
    every = inspect(tmp_path, sensors=("image", "lidar"))
    assert "no usable window for train, val, test" in every.problem
    camera = inspect(tmp_path)
    assert camera.sensors == ["image"]
    assert not camera.problem
    assert camera.files["lidar"] == 0
    assert camera.splits["train"].windows == 3 + 5 + 5
    with pytest.raises(DataError, match="no files of radar"):
        inspect(tmp_path, sensors=("radar",))


def unlinked(kind, frames=slice(None)):
    def spoil(scenario):
        for f in range(scenario.num_frames)[frames]:
            scenario.file(kind, f).unlink()

    return spoil


def emptied(kind, frames=slice(None)):
    def spoil(scenario):
        unlinked(kind, frames)(scenario)
        for f in range(scenario.num_frames)[frames]:
            scenario.file(kind, f).write_bytes(b"")

    return spoil


def no_base(scenario):
    for row in scenario.rows:
        row["base"] = ""


@pytest.fixture(scope="module")
def every_sensor(tmp_path_factory):
    return Scenario(tmp_path_factory.mktemp("whole"), LENGTHS, radar=True)


@pytest.mark.parametrize(
    ("spoils", "chosen", "notes"),
    [
        ([], ["image", "radar"], []),
        # Whatever became of the files of a sensor: it is skipped, and the others are taken.
        ([unlinked("image")], ["radar"], ["image is skipped: 0 of 81 frames"]),
        ([emptied("image")], ["radar"], ["image is skipped: 0 of 81 frames"]),
        ([emptied("radar")], ["image"], ["radar is skipped: 0 of 81 frames"]),
        (
            [unlinked("image"), emptied("radar")],
            ["gps"],
            ["image is skipped: 0 of 81", "radar is skipped: 0 of 81"],
        ),
        (
            [unlinked("image"), unlinked("radar"), unlinked("loc")],
            ["lidar"],
            ["image is", "radar is", "gps is skipped: 0 of 81"],
        ),
        (
            [unlinked("image"), unlinked("radar"), no_base],
            ["lidar"],
            ["gps is skipped: the tables"],
        ),
        # Of every second picture no window is left; without the first half, one split has none.
        (
            [unlinked("image", slice(None, None, 2))],
            ["radar"],
            ["image is skipped: 40 of 81 frames have a usable file, which leaves 0 windows"],
        ),
        ([unlinked("image", slice(40, None))], ["radar"], ["image is skipped: 40 of 81 frames"]),
        # Few are missing: windows are lost, and no sensor.
        ([unlinked("image", slice(20, 24))], ["image", "radar"], []),
        # Each is there in part, and never both at once.
        (
            [unlinked("image", slice(20, None, 40)), unlinked("radar", slice(7, None, 9))],
            ["image"],
            ["radar is skipped"],
        ),
    ],
)
def test_sensors_count_by_their_files_not_by_their_columns(
    tmp_path, every_sensor, spoils, chosen, notes
):
    shutil.copytree(every_sensor.folder, tmp_path, copy_function=os.link, dirs_exist_ok=True)
    scenario = copy.copy(every_sensor)
    scenario.folder, scenario.rows = tmp_path, [dict(row) for row in every_sensor.rows]
    for spoil in spoils:
        spoil(scenario)
    scenario.write(names={**SCENARIO9, "radar": "unit1_radar"})
    found = inspect(tmp_path)
    assert found.sensors == chosen
    assert not found.problem
    assert min(split.windows for split in found.splits.values()) > 0
    for note in notes:
        assert any(message.startswith(note) for message in found.notes), found.notes
    if not notes:
        assert not found.notes
    for sensor, windows in found.alone.items():
        alone = inspect(tmp_path, sensors=(sensor,))
        assert sum(split.windows for split in alone.splits.values()) == windows


def test_without_any_file_of_a_sensor_it_states_so_of_each(tmp_path):
    scenario = Scenario(tmp_path, LENGTHS)
    for kind in ("image", "scan", "loc"):
        unlinked(kind)(scenario)
    scenario.write()
    found = inspect(tmp_path)
    assert "no usable window" in found.problem
    skipped = [note.partition(" is skipped: 0 of 81")[0] for note in found.notes]
    assert skipped == ["image", "lidar", "gps"]
    no_base(scenario)
    scenario.write(names={k: v for k, v in SCENARIO9.items() if k not in ("image", "scan")})
    found = inspect(tmp_path)
    assert found.sensors == []
    assert "no sensor has files" in found.problem


def test_windows_of_published_code(tmp_path):
    scenario = Scenario(tmp_path, LENGTHS)
    cut, rows = scenario.windows()
    write_table(tmp_path / "seqs.csv", rows)
    scenario.file("power", 13).unlink()  # only ever a future beam, of none: the rule is strict
    scenario.file("power", 12).unlink()  # last slot of the last window
    found = inspect(tmp_path)
    assert sum(split.windows for split in found.splits.values()) == len(cut["window"])
    assert [d.kind for d in found.defects] == ["missing power file"]
    assert found.files["image"] == found.needed["image"] == len(np.unique(cut["window"]))
    assert found.files["power"] == found.needed["power"] - 1
    assert found.splits["train"].unknown == 1


def test_too_few_sequences_are_a_problem_not_a_crash(tmp_path):
    Scenario(tmp_path, (14, 14)).write()
    assert "needs at least 3" in inspect(tmp_path).problem


def test_it_is_plain_data(tmp_path):
    Scenario(tmp_path, LENGTHS).write()
    shown = json.loads(json.dumps(inspect(tmp_path).as_dict()))
    assert shown["frames"] == 81
    assert shown["splits"]["test"]["sequences"] == 1
