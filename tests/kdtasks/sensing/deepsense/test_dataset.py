from dataclasses import replace

import numpy as np
import pytest
from deepsense_examples import (
    Scenario,
    all_windows,
    load,
    settings_of,
    write_mat,
    write_table,
    write_text,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.data.splits import SPLITS
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.format import UNKNOWN_CONDITION
from kdtasks.sensing.beams.windows import best_beams
from kdtasks.sensing.deepsense.dataset import load_deepsense
from kdtasks.sensing.deepsense.folder import open_table
from kdtasks.sensing.deepsense.inspect import inspect
from kdtasks.sensing.deepsense.table import Table
from kdtasks.sensing.deepsense.windows import SHARES, split_sequences, usable_windows


def split_of(data):
    return {name: sorted(set(getattr(data, name)["frame_passage"].tolist())) for name in SPLITS}


def test_splits_have_the_shapes_and_types_that_were_agreed(tmp_path):
    Scenario(tmp_path).write()
    data, text = load(tmp_path, sensors=("image", "lidar", "gps"))
    for name in SPLITS:
        split = getattr(data, name)
        num_frames, num_windows = len(split["power"]), len(split["window"])
        assert {key: (value.shape, value.dtype.name) for key, value in split.items()} == {
            "image": ((num_frames, 16, 16), "uint8"),
            "lidar": ((num_frames, 216), "float32"),
            "gps": ((num_frames, 2), "float32"),
            "power": ((num_frames, 64), "float32"),
            "condition": ((num_frames,), "int8"),
            "frame_passage": ((num_frames,), "int32"),
            "window": ((num_windows, 8), "int32"),
            "label": ((num_windows, 4), "int64"),
            "passage": ((num_windows,), "int32"),
        }
        assert num_windows > 0
        assert set(split["condition"].tolist()) == {UNKNOWN_CONDITION}
        np.testing.assert_array_equal(
            split["frame_passage"][split["window"]], split["passage"][:, None].repeat(8, axis=1)
        )
        now = best_beams(split["power"])[split["window"][:, -1]]
        np.testing.assert_array_equal(split["label"][:, 0], now)
        assert np.linalg.norm(split["gps"], axis=1).max() < 300.0
    assert text[-1][0] == text[-1][1] == 4 * 61
    assert data.provenance["split"]["of"]["train"]["sequences"] == [1, 2, 3]
    assert not data.provenance["synthetic"]
    assert "CC BY-NC-SA 4.0" in data.provenance["licence"]


def test_frames_and_windows_give_the_same(tmp_path):
    scenario = Scenario(tmp_path)
    scenario.write()
    _, rows = scenario.windows()
    (tmp_path / "w").mkdir()
    write_table(tmp_path / "w" / "seqs.csv", rows)
    one = load_deepsense(
        settings_of(tmp_path / "scenario9.csv"), cache_dir=tmp_path / "c", progress=lambda *_: None
    )
    other = load_deepsense(
        settings_of(tmp_path / "w", shares=(0.5, 0.25, 0.25)),
        cache_dir=tmp_path / "c",
        progress=lambda *_: None,
    )
    assert all_windows(one) == all_windows(other)


def test_another_split_or_rule_reads_no_picture_again(tmp_path):
    Scenario(tmp_path).write()
    load(tmp_path)
    for changes in ({"shares": (0.2, 0.2, 0.6)}, {"strict": False}, {"stride": 2}):
        assert load(tmp_path, **changes)[1] == []
    assert load(tmp_path, image_size=8)[1] != []


def test_identity_is_that_of_the_content(tmp_path):
    for name in ("one", "two"):
        Scenario(tmp_path / name).write()
    first = settings_of(tmp_path / "one")
    assert first.fingerprint == settings_of(tmp_path / "two").fingerprint
    others = [
        replace(first, strict=False),
        replace(first, image_size=32),
        replace(first, sensors=("lidar",)),
        replace(first, shares=SHARES),
    ]
    Scenario(tmp_path / "three").write()
    (tmp_path / "three" / "unit1/mmWave_data/mmWave_power_5.txt").write_text("1\n" * 64)
    others.append(settings_of(tmp_path / "three"))
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_splits_are_those_of_the_table_of_shares_or_by_default(tmp_path):
    scenario = Scenario(tmp_path, (13,) * 10)
    scenario.write()
    assert split_of(load(tmp_path)[0]) == {"train": [*range(1, 8)], "val": [8], "test": [9, 10]}
    shares = (0.4, 0.3, 0.3)
    assert split_of(load(tmp_path, shares=shares)[0])["val"] == [5, 6, 7]
    for row in scenario.rows:
        row["split"] = ("train", "test", "val")[row["sequence"] % 3]
    names = {**dict(zip(scenario.rows[0], scenario.rows[0], strict=True))}
    scenario.write(names=names)
    assert split_of(load(tmp_path)[0]) == {
        "train": [3, 6, 9],
        "val": [2, 5, 8],
        "test": [1, 4, 7, 10],
    }
    assert split_of(load(tmp_path, shares=shares)[0])["val"] == [2, 5, 8], "what is said holds"


def test_validation_is_never_on_test(tmp_path):
    scenario = Scenario(tmp_path, (13,) * 10)
    _, rows = scenario.windows()
    write_table(tmp_path / "seqs_train.csv", [row for row in rows if row["seq_index"] <= 8])
    write_table(tmp_path / "seqs_test.csv", [row for row in rows if row["seq_index"] > 8])
    assert split_of(load(tmp_path)[0]) == {"train": [*range(1, 8)], "val": [8], "test": [9, 10]}


def table_of(sequence):
    table = Table(root=None, sources=(), layout="frames", columns={})
    table.sequence = list(sequence)
    table.places = [str(f) for f in range(len(sequence))]
    return table


def test_scenario_9_is_split_as_published():
    table = table_of(np.repeat(np.arange(1, 137), 43))
    for p, first_test in ((0.8, 109), (0.7, 96)):
        found = split_sequences(table, (p - 0.1, 0.1, 1 - p))
        assert found["test"].tolist() == list(range(first_test, 137))


@given(st.lists(st.integers(0, 25), min_size=1, max_size=6), st.booleans(), st.integers(0, 9))
def test_windows_left_are_those_of_a_slow_loop(lengths, strict, seed):
    rng = np.random.default_rng(seed)
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    power = rng.random((len(sequence), 64))
    power[rng.random(len(sequence)) < 0.4] = np.nan
    usable = rng.random(len(sequence)) < 0.95
    found = usable_windows(table_of(sequence), power, usable, strict=strict, stride=1)
    wanted, without_sensor, without_label = [], 0, 0
    for number, length in enumerate(lengths):
        own = np.flatnonzero(sequence == number)
        for start in range(length):
            frames = own[start : start + 11]
            if start + 11 > length or (strict and start + 11 == length):
                break
            known = ~np.isnan(power[frames[7:], 0])
            if not usable[frames[:8]].all():
                without_sensor += 1
            elif not known.any():
                without_label += 1
            else:
                best = np.nan_to_num(power[frames[7:]], nan=-1.0).argmax(axis=1)
                wanted.append((frames[:8].tolist(), np.where(known, best, IGNORED).tolist()))
    assert list(zip(found.window.tolist(), found.label.tolist(), strict=True)) == wanted
    assert (found.without_sensor, found.without_label) == (without_sensor, without_label)


def test_with_powers_as_a_sensor_every_frame_of_a_window_has_them(tmp_path):
    scenario = Scenario(tmp_path, (30, 14, 14))
    scenario.file("power", 2).unlink()
    scenario.write()
    (with_powers, _), (without, _) = (
        load(tmp_path, sensors=sensors) for sensors in (("gps", "power"), ("gps",))
    )
    windows = {bool(np.isnan(w).any()) for w in without.train["power"][without.train["window"]]}
    assert windows == {True, False}
    seen = with_powers.train["power"][with_powers.train["window"]]
    assert len(seen)
    assert not np.isnan(seen).any()


def test_powers_are_not_needed_where_nothing_is_predicted(tmp_path):
    scenario = Scenario(tmp_path)
    _, rows = scenario.windows()
    for row in rows:
        row |= {f"beam{p}": "" for p in range(1, 8)}
    write_table(tmp_path / "seqs.csv", rows)
    data, _ = load(tmp_path, shares=(0.5, 0.25, 0.25))
    assert data.provenance["defects"] == {}
    assert all(IGNORED not in label for _, label in all_windows(data))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"sensors": ("radar",)}, DataError, "no files of radar; it has image, lidar, gps"),
        ({"sensors": ("sonar",)}, ConfigError, "sensors must be"),
        ({"image_size": 4}, ConfigError, "image_size must be 8 to 1024"),
        ({"stride": 0}, ConfigError, "stride must be"),
        ({"shares": (0.5, 0.6, 0.1)}, ConfigError, "add up to 1"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(tmp_path, changes, error, message):
    Scenario(tmp_path).write()
    with pytest.raises(error, match=message):
        load(tmp_path, **changes)


def test_a_scenario_with_nothing_usable_is_refused(tmp_path):
    scenario = Scenario(tmp_path, (13, 13, 13))
    for f in range(13):
        scenario.file("image", f).unlink()
    scenario.write()
    with pytest.raises(DataError, match=r"no usable window for train: 2 lack .*missing image file"):
        load(tmp_path)
    Scenario(tmp_path / "two", (13, 13)).write()
    with pytest.raises(DataError, match="at least 3"):
        load(tmp_path / "two")


@settings(max_examples=times(40), deadline=None)
@given(st.integers(0, 10**6))
def test_no_table_makes_it_fail_in_another_way(tmp_path_factory, seed):
    """Cells of a good table, shuffled and damaged: read, or refused by name."""
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("table")
    path = Scenario(folder, (12, 2)).write()
    lines = [line.split(",") for line in path.read_text().splitlines()]
    for _ in range(rng.integers(1, 6)):
        i, j = rng.integers(len(lines), size=2)
        x, y = (int(rng.integers(len(lines[k]))) for k in (i, j))
        lines[i][x] = rng.choice(
            ['"', "", "nan", "\0", "\\\\", "../../x", lines[j][y], "-5", "1e400"]
        )
        lines[i][x] *= int(rng.choice([1, 1, 5000]))
    path.write_text("\n".join(",".join(line) for line in lines))
    try:
        table = open_table(path)
    except DataError as error:
        assert "scenario9.csv" in str(error)  # noqa: PT017
    else:
        assert table.num_frames <= 14
        try:
            assert inspect(path).frames == table.num_frames
        except DataError as error:
            assert "scenario9.csv" in str(error)  # noqa: PT017


def test_a_scan_or_position_that_is_wrong_costs_its_windows(tmp_path):
    scenario = Scenario(tmp_path, (14, 13, 20, 16, 13))
    write_mat(scenario.file("scan", 3), np.zeros((100, 2)))
    write_text(scenario.file("loc", 20), "no fix")
    scenario.write()
    data, _ = load(tmp_path, sensors=("lidar", "gps"), shares=(0.6, 0.2, 0.2))
    assert sorted(data.provenance["defects"]) == ["damaged gps file", "damaged lidar file"]
    assert data.provenance["windows_left_out"]["without_sensor"] == 3 + 2
