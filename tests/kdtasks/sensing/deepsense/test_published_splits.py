"""Published splits: a pair of train and test tables is one data set, and its test is never lost."""

import json

import numpy as np
import pytest
from deepsense_examples import Scenario, all_windows, load, settings_of, write_table
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import DataError
from kdtasks.data.splits import SPLITS
from kdtasks.lidar_beam.data import SHARES as LIDAR_SHARES
from kdtasks.sensing.beams.format import SCENE_STEP
from kdtasks.sensing.deepsense.dataset import load_deepsense
from kdtasks.sensing.deepsense.folder import open_table
from kdtasks.sensing.deepsense.inspect import inspect
from kdtasks.sensing.deepsense.published_splits import split_in_name
from kdtasks.sensing.sources import identity_of

LENGTHS = (16, 15, 14, 16, 15, 14)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train_seqs", "train"),
        ("TRAIN_SEQS", "train"),
        ("trainSeqs", "train"),
        ("scenario9_training", "train"),
        ("scenario5_dev_train", "train"),
        ("train_val_seqs", "train"),
        ("scenario9_test_p80", "test"),
        ("TestSet", "test"),
        ("9test", "test"),
        ("validation_seqs", "val"),
        ("dev_seqs", "dev"),
        ("ml_challenge_dev_multi_modal", "dev"),
        ("scenario9", ""),
        ("testbed5", ""),
        ("train_test_split", ""),
        ("latest", ""),
    ],
)
def test_what_names_state(name, split):
    assert split_in_name(name) == split


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_name_states_one_thing_or_nothing(before, after):
    for name in (before, f"{before}_train_{after}"):
        assert split_in_name(name) in ("", "train", "val", "test", "dev")


def publish(folder, names, scenario=None, first_of_test=5):
    """Write window tables; names by split, val has the sequence before test."""
    scenario = scenario or Scenario(folder, LENGTHS)
    _, rows = scenario.windows()
    firsts = {"train": 1, "val": first_of_test - 1, "test": first_of_test}
    ends = {"train": first_of_test - ("val" in names), "val": first_of_test, "test": 99}
    written = {}
    for split, name in names.items():
        written[split] = [r for r in rows if firsts[split] <= r["seq_index"] < ends[split]]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_table(folder / name, written[split])
    return scenario, written


def frames_of(rows):
    """Return the first and last past picture of windows, and the beams after them."""
    keys = ("camera1", "camera8", "future_beam1", "future_beam3")
    return [tuple(row[key].removeprefix("./") for key in keys) for row in rows]


def windows_of(path, **changes):
    """Return what each split would have, as `frames_of` does."""
    data = load_deepsense(
        settings_of(path, **changes),
        cache_dir=(path if path.is_dir() else path.parent) / "cache",
        progress=lambda *_: None,
    )
    return data, {name: len(getattr(data, name)["window"]) for name in SPLITS}


def published(table, split):
    """Return the windows of a split of a table, as `frames_of` does."""
    found = []
    for past, slots in zip(table.past, table.slots, strict=True):
        if table.split[table.sequence[past[-1]]] == split:
            pictures = [table.files["image"][past[i]] for i in (0, -1)]
            found.append((*pictures, *(table.files["power"][slots[i]] for i in (1, 3))))
    return found


NAMES = [
    {"train": "train_seqs.csv", "test": "test_seqs.csv"},
    {"train": "TRAIN_SEQS.CSV", "test": "Test_Seqs.csv"},
    {"train": "scenario9_train.csv", "test": "scenario9_test.csv"},
    {"train": "scenario5_dev_train.csv", "test": "scenario5_dev_test.csv"},
    {"train": "my_training.csv", "test": "published-test.csv"},
    {"train": "challenge_dev.csv", "test": "challenge_test.csv"},
    {"train": "splits/train_seqs.csv", "test": "splits/test_seqs.csv"},
    {"train": "Train/seqs.csv", "test": "Test/seqs.csv"},
    {"train": "train_seqs.csv", "val": "val_seqs.csv", "test": "test_seqs.csv"},
    {"train": "train_seqs.csv", "val": "dev_seqs.csv", "test": "test_seqs.csv"},
    {"train": "trainset.csv", "val": "validation.csv", "test": "testset.csv"},
]


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("names", NAMES)
def test_a_pair_is_one_data_set_and_test_is_what_was_published(tmp_path, names, beside):
    scenario, rows = publish(tmp_path, names)
    if beside:
        scenario.write("scenario9.csv")
    table = open_table(tmp_path)
    for split in names:
        assert published(table, split) == frames_of(rows[split])
    assert table.split_of_source == tuple(names)
    assert table.notes[0].startswith("published split: train is ")
    assert any("scenario9.csv" in note for note in table.notes) == beside
    # Whichever of them is given, it is the whole data set.
    for name in names.values():
        given_one = open_table(tmp_path / name)
        assert given_one.split == table.split
        assert given_one.past == table.past
    data, counts = windows_of(tmp_path, stride=2)
    assert counts["test"] == len(rows["test"]), "a stride thins only what is trained on"
    assert data.provenance["split"]["of"]["test"]["sequences"] == [5, 6]
    assert data.provenance["split"]["of"]["val"]["sequences"] == [4]
    assert table.notes[0] in data.provenance["notes"]
    # The task with shares of its own, for LiDAR, keeps to what was published as well.
    assert windows_of(tmp_path, shares=LIDAR_SHARES)[1]["test"] == len(rows["test"])


def test_all_tables_are_part_of_the_identity(tmp_path):
    def written(name, **changes):
        folder = tmp_path / name
        _, rows = publish(folder, {"train": "train_seqs.csv", "test": "test_seqs.csv"})
        for split, kept in changes.items():
            write_table(folder / f"{split}_seqs.csv", rows[split][kept])
        return folder

    whole = written("whole")
    first = settings_of(whole)
    same = [settings_of(written("again")), settings_of(whole / "test_seqs.csv")]
    assert {settings.fingerprint for settings in same} == {first.fingerprint}
    shorter = settings_of(written("shorter", test=slice(1, None)))
    swapped = written("swapped")
    (swapped / "train_seqs.csv").rename(swapped / "spare")
    (swapped / "test_seqs.csv").rename(swapped / "train_seqs.csv")
    (swapped / "spare").rename(swapped / "test_seqs.csv")
    others = {settings.fingerprint for settings in (shorter, settings_of(swapped))}
    assert len({first.fingerprint, *others}) == 3
    # It is looked at again when the other table of a pair changes.
    given_one = settings_of(whole / "train_seqs.csv")
    before = identity_of(given_one)
    lines = (whole / "test_seqs.csv").read_text().splitlines(keepends=True)
    (whole / "test_seqs.csv").write_text("".join(lines[:-1]))
    assert identity_of(given_one) != before


def test_windows_that_train_and_test_share_are_counted(tmp_path):
    scenario = Scenario(tmp_path, LENGTHS)
    _, rows = scenario.windows()
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = [rows[i] for i in order]
    train, test = shuffled[:-6], shuffled[-6:]
    write_table(tmp_path / "train_seqs.csv", train)
    write_table(tmp_path / "test_seqs.csv", test)
    table = open_table(tmp_path)
    assert published(table, "test") == frames_of(test)
    assert published(table, "train") == frames_of(train)

    def cells(row):
        return {value for key, value in row.items() if key != "seq_index"}

    seen = set().union(*map(cells, train))
    frames = sum(bool(cells(row) & seen) for row in test)
    both = {r["seq_index"] for r in train} & {r["seq_index"] for r in test}
    (leak,) = [note for note in table.notes if note.startswith("leak: ")]
    assert f"{frames} of 6 test windows share frames" in leak
    assert f", {len(both)} numbers of sequences" in leak
    assert leak in inspect(tmp_path).notes
    data, counts = windows_of(tmp_path)
    assert counts["test"] == 6
    assert len(all_windows(data)) == len(rows)
    # The same without numbers of sequences, as the tables of the challenge are.
    for name, part in (("train_seqs.csv", train), ("test_seqs.csv", test)):
        bare = [{k: v for k, v in row.items() if k != "seq_index"} for row in part]
        write_table(tmp_path / name, bare)
    table = open_table(tmp_path)
    assert published(table, "test") == frames_of(test)
    assert any(f"{frames} of 6 test windows share frames" in note for note in table.notes)


def test_splits_apart_leak_nothing(tmp_path):
    publish(tmp_path, {"train": "train_seqs.csv", "test": "test_seqs.csv"})
    assert not [note for note in open_table(tmp_path).notes if "leak" in note]


def test_tables_of_frames_must_keep_sequences_whole(tmp_path):
    scenario = Scenario(tmp_path, LENGTHS)
    every = scenario.rows
    for name, rows in (("train", every[:40]), ("test", every[40:])):
        scenario.rows = rows
        scenario.write(f"scenario9_{name}.csv")
    with pytest.raises(DataError, match=r"test.csv line 2: sequence 3 is in test and in train"):
        open_table(tmp_path)
    for name, rows in (("train", every[:45]), ("test", every[45:])):
        scenario.rows = rows
        scenario.write(f"scenario9_{name}.csv")
    assert set(open_table(tmp_path).split.values()) == {"train", "test"}


@pytest.mark.parametrize("name", ["train_seqs.csv", "ml_challenge_dev_multi_modal.csv"])
def test_a_table_without_partner_states_that_test_is_cut_from_it(tmp_path, name):
    publish(tmp_path, {"train": name}, first_of_test=99)
    for path in (tmp_path, tmp_path / name):
        (note,) = open_table(path).notes
        assert note.startswith(f"{name} has no partner")
        assert "test are all cut from it" in note
    _, counts = windows_of(tmp_path)
    assert min(counts.values()) > 0


def test_train_and_val_without_test_cut_test_from_train(tmp_path):
    publish(tmp_path, {"train": "train.csv", "val": "val.csv"})
    assert "test is cut from train by sequence" in open_table(tmp_path).notes[0]
    data, _ = windows_of(tmp_path)
    of = data.provenance["split"]["of"]
    assert [of[name]["sequences"] for name in SPLITS] == [[1, 2], [4], [3]]


def test_a_challenges_test_table_without_beams_is_not_lost_in_silence(tmp_path):
    _, rows = publish(tmp_path, {"train": "ml_challenge_dev_multi_modal.csv"}, first_of_test=99)
    bare = [{f"camera{p}": row[f"camera{p}"] for p in range(1, 9)} for row in rows["train"][:5]]
    write_table(tmp_path / "ml_challenge_test_multi_modal.csv", bare)
    notes = open_table(tmp_path).notes
    assert notes[0].startswith("ml_challenge_test_multi_modal.csv is not used: no column of power")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"camera1,beam1,seq_index\n"])
def test_a_damaged_part_of_a_split_is_refused_by_name(tmp_path, content):
    publish(tmp_path, {"train": "train_seqs.csv", "test": "test_seqs.csv"})
    (tmp_path / "test_seqs.csv").write_bytes(content)
    for path in (tmp_path, tmp_path / "train_seqs.csv"):
        with pytest.raises(DataError, match=r"test_seqs\.csv: .*mend it, or move it elsewhere"):
            open_table(path)
    # One of another name is only left out.
    (tmp_path / "test_seqs.csv").rename(tmp_path / "notes.csv")
    assert "train_seqs.csv has no partner" in open_table(tmp_path).notes[0]


@pytest.mark.parametrize("content", ["", "a\n1\n", "\0\0"])
@pytest.mark.parametrize(
    "names", [("train_seqs.csv", "test_seqs.csv"), ("Train/seqs.csv", "Test/seqs.csv")]
)
def test_a_split_that_cannot_be_read_is_not_replaced_by_another(tmp_path, names, content):
    scenario, _ = publish(tmp_path, {"train": "train_seqs.csv", "test": "test_seqs.csv"})
    for name in ("train_seqs.csv", "test_seqs.csv"):
        (tmp_path / name).unlink()
    path = scenario.write("scenario9.csv")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match="published split") as refused:
        open_table(tmp_path)
    assert all(name.rpartition("/")[2] in str(refused.value) for name in names)
    assert str(tmp_path) in str(refused.value)
    assert open_table(path).split == {}  # who names a table means it


def test_several_published_splits_are_distinct(tmp_path):
    scenario, _ = publish(tmp_path, {"train": "train_p80.csv", "test": "test_p80.csv"})
    publish(tmp_path, {"train": "train_p60.csv", "test": "test_p60.csv"}, scenario, first_of_test=4)
    with pytest.raises(DataError, match=r"2 published splits .*give the path of one") as refused:
        open_table(tmp_path)
    for name in ("train_p60.csv", "test_p60.csv", "train_p80.csv", "test_p80.csv"):
        assert name in str(refused.value)
    firsts = {
        p: min(n for n, s in open_table(tmp_path / f"test_p{p}.csv").split.items() if s == "test")
        for p in (60, 80)
    }
    assert firsts == {60: 4, 80: 5}
    (tmp_path / "test_p60.csv").unlink()
    with pytest.raises(DataError, match=r"train_p60\.csv: it is not clear which of"):
        open_table(tmp_path / "train_p60.csv")


def test_the_table_of_all_frames_can_still_be_meant(tmp_path):
    scenario, _ = publish(tmp_path, {"train": "train_seqs.csv", "test": "test_seqs.csv"})
    path = scenario.write("scenario9.csv")
    table = open_table(path)
    assert (table.layout, table.split) == ("frames", {})
    (note,) = table.notes
    assert "test_seqs.csv, train_seqs.csv beside scenario9.csv" in note
    assert "not used" in note


def test_files_that_other_programs_leave_and_folders_below_do_not_disturb(tmp_path):
    scenario = Scenario(tmp_path / "data", LENGTHS)
    scenario.write("scenario9.csv")
    (tmp_path / "data" / "._scenario9.csv").write_bytes(b"\0\1\2")
    (tmp_path / "data" / "old").mkdir()
    scenario.write("old/scenario9.csv")
    assert open_table(tmp_path / "data").num_frames == scenario.num_frames
    # A folder that was unpacked into another one.
    assert open_table(tmp_path).sources == (tmp_path / "data" / "scenario9.csv",)
    scenario.write("scenario8.csv")
    with pytest.raises(DataError, match=r"2 tables \(data/scenario8.csv, data/scenario9.csv\)"):
        open_table(tmp_path)


def test_each_split_may_have_files_of_its_own(tmp_path):
    for name in ("train", "test"):
        scenario = Scenario(tmp_path / name, LENGTHS[:3], seed=len(name))
        _, rows = scenario.windows()
        write_table(tmp_path / name / "seqs.csv", rows)
    table = open_table(tmp_path)
    assert (tmp_path / table.files["image"][0]).is_file()
    assert table.root == tmp_path
    found = inspect(tmp_path, sensors=("image",))
    assert found.files == {**found.needed, "image": found.needed["image"]}
    assert not found.problem
    assert not [note for note in found.notes if "leak" in note]
    json.dumps(found.as_dict())


def test_a_pair_trains(tmp_path):
    publish(tmp_path, {"train": "train_seqs.csv", "test": "test_seqs.csv"})
    data, _ = load(tmp_path)
    assert set(np.unique(data.test["passage"])) == {5, 6}


def test_scenarios_in_folders_of_their_own_are_each_split_as_if_alone(tmp_path):
    folders = [tmp_path / "all" / name for name in ("scenario3", "scenario8")]
    alone = []
    for seed, folder in enumerate(folders):
        Scenario(folder, (14, 13, 15, 16, 13), seed).write(f"{folder.name}.csv")
        alone.append(load(folder, sensors=("gps", "power"))[0])
    both = load(tmp_path / "all", sensors=("gps", "power"))[0]
    assert "2 scenarios" in both.provenance["notes"][0]
    for name in SPLITS:
        split, parts = getattr(both, name), [getattr(data, name) for data in alone]
        labels = np.concatenate([part["label"] for part in parts])
        np.testing.assert_array_equal(split["label"], labels)
        scenes = split["passage"] // SCENE_STEP
        assert scenes.tolist() == [k for k, part in enumerate(parts) for _ in part["label"]]
        for kind in ("power", "gps"):
            frames = np.concatenate([part[kind][part["window"]] for part in parts])
            np.testing.assert_array_equal(split[kind][split["window"]], frames)
