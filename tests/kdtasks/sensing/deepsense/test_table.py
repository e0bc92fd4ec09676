import pytest
from deepsense_examples import SCENARIO9, Scenario, write_table, write_text

from kdtasks.contract.errors import DataError
from kdtasks.sensing.deepsense.folder import open_table
from kdtasks.sensing.deepsense.rows import SCENE_STEP, resolve_path
from kdtasks.sensing.deepsense.table import resolve_columns

RELEASES = {
    "scenario 9": (
        "index,unit1_rgb,unit1_pwr_60ghz,unit1_lidar,unit1_lidar_SCR,unit1_radar,unit1_loc,"
        "unit2_loc,unit2_loc_cal,seq_index",
        0,
        {
            "image": "unit1_rgb",
            "power": "unit1_pwr_60ghz",
            "lidar": "unit1_lidar_SCR",
            "radar": "unit1_radar",
            "base": "unit1_loc",
            "gps": "unit2_loc_cal",
            "sequence": "seq_index",
        },
    ),
    "scenarios 31 to 34": (
        "index,unit1_rgb,unit1_pwr_60ghz,unit1_lidar,unit1_radar,unit1_loc,unit2_loc,unit1_beam,"
        "unit1_max_pwr,time_stamp,seq_index,unit2_num_sat",
        0,
        {
            "image": "unit1_rgb",
            "power": "unit1_pwr_60ghz",
            "lidar": "unit1_lidar",
            "radar": "unit1_radar",
            "base": "unit1_loc",
            "gps": "unit2_loc",
            "label": "unit1_beam",
            "sequence": "seq_index",
        },
    ),
    "windows of camera and radar": (
        ",".join(f"camera{p}" for p in range(1, 9))
        + ","
        + ",".join(f"radar{p}" for p in range(1, 9))
        + ","
        + ",".join(f"beam{p}" for p in range(1, 9))
        + ",future_beam1,future_beam2,future_beam3,seq_index",
        8,
        {
            "image": ", ".join(f"camera{p}" for p in range(1, 9)),
            "radar": ", ".join(f"radar{p}" for p in range(1, 9)),
            "power": ", ".join(f"beam{p}" for p in range(1, 9)),
            "future": "future_beam1, future_beam2, future_beam3",
            "sequence": "seq_index",
        },
    ),
    "windows of LiDAR": (
        ",".join(f"seq{p}" for p in range(1, 9))
        + ",Future_Beam1,Future_Beam2,Future_Beam3,"
        + ",".join(f"Beam{p}" for p in range(1, 9))
        + ",seq_index",
        8,
        {
            "lidar": ", ".join(f"seq{p}" for p in range(1, 9)),
            "power": ", ".join(f"Beam{p}" for p in range(1, 9)),
            "future": "Future_Beam1, Future_Beam2, Future_Beam3",
            "sequence": "seq_index",
        },
    ),
    "challenge of 2022": (
        ",".join(f"unit1_{sensor}_{p}" for sensor in ("rgb", "radar", "lidar") for p in range(1, 6))
        + ",unit1_loc,unit2_loc_1,unit2_loc_2,unit1_pwr_60ghz,unit1_beam",
        5,
        {
            "image": ", ".join(f"unit1_rgb_{p}" for p in range(1, 6)),
            "radar": ", ".join(f"unit1_radar_{p}" for p in range(1, 6)),
            "lidar": ", ".join(f"unit1_lidar_{p}" for p in range(1, 6)),
            "base": "unit1_loc",
            "gps": "unit2_loc_1, unit2_loc_2",
            "power": "unit1_pwr_60ghz",
            "label": "unit1_beam",
        },
    ),
    "radar challenge": (
        "index,unit1_radar_1,unit1_pwr_1,beam_index_1",
        0,
        {"radar": "unit1_radar_1", "power": "unit1_pwr_1", "label": "beam_index_1"},
    ),
}


@pytest.mark.parametrize("change", [str, str.upper, str.lower, str.title, "reversed", "blanks"])
@pytest.mark.parametrize("release", RELEASES)
def test_columns_of_every_release_are_recognised(release, change):
    text, num_past, wanted = RELEASES[release]
    header = text.split(",")
    first = ["./unit1/lidar_SCR_data/Lidar_data_1.mat"] * len(header)
    if change == "reversed":
        header = header[::-1]
    elif change == "blanks":
        header = [f" {name.replace('_', ' ')} " for name in header]
    else:
        header = [change(name) for name in header]
        wanted = {meaning: change(names) for meaning, names in wanted.items()}
    columns = resolve_columns(header, first, "a.csv")
    assert columns.num_past == num_past
    names = columns.names()
    if change == "blanks":
        assert names.keys() == wanted.keys()
    else:
        assert names == wanted


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("unit1_rgb,camera,unit1_pwr", "'unit1_rgb' and 'camera' both look like image"),
        ("unit1_rgb5,unit1_rgb6,unit1_pwr1", "not numbered from 1 on"),
        ("camera1,camera2,radar1,radar2,radar3", r"different numbers of frames, \[2, 3\]"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(header, message):
    with pytest.raises(DataError, match=f"a.csv: .*{message}"):
        resolve_columns(header.split(","), [], "a.csv")


@pytest.mark.parametrize(
    "cell",
    [
        "./unit1/mmWave_data/p.txt",
        "unit1/mmWave_data/p.txt",
        ".\\unit1\\mmWave_data\\p.txt",
        "/home/alice/data/scenario9/unit1/mmWave_data/p.txt",
        "C:\\Users\\alice\\scenario9\\unit1\\mmWave_data\\p.txt",
        "D:/unit1/mmWave_data/p.txt",
        "scenario9/unit1/mmWave_data/p.txt",
    ],
)
def test_paths_of_other_machines_find_their_files(tmp_path, cell):
    write_text(tmp_path / "unit1/mmWave_data/p.txt", "1")
    assert resolve_path(tmp_path, cell) == "unit1/mmWave_data/p.txt"
    # of a folder that holds several scenarios
    write_text(tmp_path / "above/scenario9/unit1/mmWave_data/p.txt", "1")
    if "scenario9" in cell:
        found = resolve_path(tmp_path / "above", cell)
        assert found == "scenario9/unit1/mmWave_data/p.txt"


@pytest.mark.parametrize("how", [{}, {"newline": "\r\n"}, {"encoding": "utf-8-sig"}])
def test_a_table_of_frames(tmp_path, how):
    scenario = Scenario(tmp_path)
    scenario.write(**how)
    table = open_table(tmp_path)
    assert table.layout == "frames"
    assert table.sensors == ("image", "lidar", "gps")
    assert table.sequence == scenario.sequence_F.tolist()
    assert table.files["image"] == [row["image"][2:] for row in scenario.rows]
    assert table.label == [row["label"] for row in scenario.rows]
    assert not table.defects


@pytest.mark.parametrize("depth", [".", "tables"])
def test_a_table_beside_the_data_or_below(tmp_path, depth):
    scenario = Scenario(tmp_path, (13, 13, 13))
    (tmp_path / depth).mkdir(exist_ok=True)
    path = scenario.write(f"{depth}/mine.csv")
    assert open_table(path).root.resolve() == tmp_path.resolve()


def test_windows_share_their_frames(tmp_path):
    scenario = Scenario(tmp_path)
    cut, rows = scenario.windows()
    write_table(tmp_path / "seqs.csv", rows)
    table = open_table(tmp_path)
    assert table.layout == "windows"
    # every frame once, also those that only give a beam
    powers = [rows[0]["beam1"][2:]]
    assert len(set(table.files["power"])) == table.num_frames
    assert table.files["power"][0] == powers[0]
    for past, slots, frames in zip(table.past, table.slots, cut["window"], strict=True):
        assert [table.files["image"][f] for f in past] == [
            scenario.rows[f]["image"][2:] for f in frames
        ]
        last = frames[-1]
        assert [table.files["power"][f] for f in slots] == [
            scenario.rows[last + slot]["power"][2:] for slot in range(4)
        ]


def test_a_window_without_future_has_unknown_slots(tmp_path):
    _, rows = Scenario(tmp_path).windows()
    rows[0] |= {"future_beam2": "-100", "future_beam3": "nan"}
    write_table(tmp_path / "seqs.csv", rows)
    table = open_table(tmp_path)
    assert [slot >= 0 for slot in table.slots[0]] == [True, True, False, False]


def challenge(scenario):
    rows = []
    for f in range(0, scenario.num_frames - 5, 3):
        frames = range(f, f + 5)
        if len({scenario.sequence_F[g] for g in frames}) > 1:
            continue
        row = {f"unit1_rgb_{p}": scenario.rows[g]["image"] for p, g in enumerate(frames, 1)}
        row |= {f"unit2_loc_{p}": scenario.rows[f + p - 1]["loc"] for p in (1, 2)}
        row |= {"unit1_loc": scenario.rows[f]["base"]}
        rows.append(
            row
            | {
                "unit1_pwr_60ghz": scenario.rows[f + 4]["power"],
                "unit1_beam": scenario.rows[f + 4]["label"],
            }
        )
    return rows


def test_a_row_of_the_challenge_is_filled_up_with_its_first_frame(tmp_path):
    scenario = Scenario(tmp_path)
    rows = challenge(scenario)
    write_table(tmp_path / "ml_challenge_dev.csv", rows)
    table = open_table(tmp_path)
    for past, slots, row in zip(table.past, table.slots, rows, strict=True):
        names = [table.files["image"][f] for f in past]
        assert names == [row["unit1_rgb_1"][2:]] * 3 + [
            row[f"unit1_rgb_{p}"][2:] for p in range(1, 6)
        ]
        assert [slot >= 0 for slot in slots] == [True, False, False, False]
        assert table.label[slots[0]] == row["unit1_beam"]
        assert table.files["gps"][past[0]] == row["unit2_loc_1"][2:]


def test_without_sequences_windows_that_share_a_frame_are_of_one(tmp_path):
    scenario = Scenario(tmp_path)
    write_table(tmp_path / "ml_challenge_dev.csv", challenge(scenario))
    table = open_table(tmp_path)
    of_frame = dict(zip(table.files["image"], table.sequence, strict=True))
    true = {row["image"][2:]: row["sequence"] for row in scenario.rows}
    pairs = {(of_frame[name], true[name]) for name in of_frame}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_a_missing_position_is_the_last_one_given(tmp_path):
    scenario = Scenario(tmp_path, (5, 5, 5, 5))
    write_table(tmp_path / "ml_challenge_dev.csv", challenge(scenario)[:1])
    table = open_table(tmp_path)
    named = [scenario.rows[p]["loc"][2:] for p in (0, 1, 1, 1, 1)]
    assert [table.files["gps"][f] for f in table.past[0][3:]] == named


def test_scenarios_in_one_table_may_number_their_sequences_alike(tmp_path):
    rows = []
    for name in ("scenario31", "scenario32"):
        _, windows = Scenario(tmp_path / name, (13, 13)).windows()
        rows += [
            {
                key: cell if key == "seq_index" else cell.replace("./", f"{name}/")
                for key, cell in window.items()
            }
            for window in windows
        ]
    write_table(tmp_path / "seqs.csv", rows)
    table = open_table(tmp_path)
    assert set(table.sequence) == {1, 2, SCENE_STEP + 1, SCENE_STEP + 2}
    assert (tmp_path / table.files["image"][0]).is_file()


def test_rows_that_cannot_be_used_are_left_out_by_name(tmp_path):
    scenario = Scenario(tmp_path)
    scenario.rows[3]["sequence"] = ""
    scenario.rows[4]["sequence"] = "first"
    path = scenario.write()
    lines = path.read_text().splitlines()
    lines[7] = lines[7].rpartition(",")[0]
    lines[8] += ",,"
    path.write_text("\n".join(lines))
    table = open_table(path)
    assert [(d.kind, d.where) for d in table.defects] == [
        ("torn row", "scenario9.csv line 8"),
        ("no sequence", "scenario9.csv line 5"),
        ("no sequence", "scenario9.csv line 6"),
    ]
    assert table.num_frames == scenario.num_frames - 3


def without(*kinds):
    return {old: new for old, new in SCENARIO9.items() if old not in kinds}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (without("power"), "no column of power files"),
        (without("sequence"), "no column of sequences"),
        (without("image", "scan", "loc"), "no column of camera, radar, LiDAR or GPS"),
    ],
)
def test_tables_that_cannot_be_used_state_why(tmp_path, names, message):
    path = Scenario(tmp_path, (13,)).write(names=names)
    for given in (tmp_path, path):
        with pytest.raises(DataError, match=message):
            open_table(given)


def test_a_folder_without_or_with_several_tables_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        open_table(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"no \.csv table"):
        open_table(tmp_path)
    scenario = Scenario(tmp_path, (13,))
    scenario.write("scenario9.csv")
    scenario.write("copy.csv")
    with pytest.raises(DataError, match=r"2 tables \(copy.csv, scenario9.csv\)"):
        open_table(tmp_path)
    assert open_table(tmp_path / "copy.csv").num_frames == 13
    # tables that cannot be used do not count
    (tmp_path / "copy.csv").write_text("a,b\n1,2\n")
    assert open_table(tmp_path).num_frames == 13


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00a", b"unit1_rgb,unit1_pwr\n"])
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.csv"):
        open_table(tmp_path / "a.csv")
