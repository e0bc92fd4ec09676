"""What `kdsweep data inspect` finds in files of channels, and that its command fits them."""

import shlex

import h5py
import numpy as np
import pytest
from matlab_files import write_v5, write_v73

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.data import channel_inspect
from kdtasks.csi_feedback.data.channel_inspect import holds_channels, inspect_channels
from kdtasks.csi_feedback.data.cost2100 import split_files
from kdtasks.csi_feedback.settings import CsiSettings
from search_spaces.study import load_study
from sweeps.plan.own_data import study_on
from sweeps.plan.preflight import check_study


def channels(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def saved(path, array):
    np.save(path, array)
    return path


def tried(command, cache):
    """Check the study that a command runs and load its data; return these."""
    words = shlex.split(command)
    assert words[:3] == ["kdsweep", "run", "csi-methods"]
    path, settings = None, []
    for option, value in zip(words[3::2], words[4::2], strict=True):
        assert option in ("--data", "--set")
        path, settings = (value, settings) if option == "--data" else (path, [*settings, value])
    plan = check_study(study_on("csi-methods", settings, path and cache.joinpath(path)))
    params = plan.needs[0].params
    return plan.task.load_scenario(params, cache_dir=cache / "cache", progress=lambda *_: None)


def test_what_the_command_builds_on_is_what_the_study_states():
    study = load_study("csi-methods")
    quick = CsiSettings.preset_values("quick")
    assert study.parameters["preset"] == "quick"
    assert tuple(quick[f"num_{name}"] for name in ("train", "val", "test")) == (
        channel_inspect.COUNTS
    )
    assert quick["batch_size"] == channel_inspect.BATCH
    assert 2 * quick["num_antennas"] * quick["num_subcarriers"] == channel_inspect.ENTRIES
    compressions = {point["compression"] for point in study.search.points}
    assert compressions == set(channel_inspect.COMPRESSIONS)
    references = {one.metric: one.reference for one in study.objectives}
    assert references["ue_flops"] == channel_inspect.FLOPS
    assert references["payload_bits"] == channel_inspect.PAYLOAD_BITS
    assert [one.metric for one in study.objectives][1:] == ["ue_flops", "payload_bits"]


@pytest.mark.parametrize(
    ("kind", "shape", "sizes"),
    [
        ("npy", (300, 16, 16), (16, 16)),
        ("mat", (300, 16, 16), (16, 16)),
        ("parts", (300, 16, 16), (16, 16)),
        ("npy", (300, 56, 2, 1), (2, 56)),
        ("npy", (300, 30, 3, 1), (3, 30)),
        ("npy", (1, 8, 12, 300), (8, 12)),
        ("mat", (1, 8, 12, 300), (8, 12)),
        ("parts", (300, 2, 16, 12), (16, 12)),
        ("npy", (300, 56), (1, 56)),
        ("mat", (300, 56), (1, 56)),
        ("parts", (300, 56), (1, 56)),
        ("mat", (300, 64, 1), (64, 1)),
        ("npy", (300, 5, 7), (5, 7)),
        ("npy", (20, 4, 4), (4, 4)),
        ("npy", (60, 48, 40), (48, 40)),
    ],
)
def test_the_command_reads_what_was_inspected(tmp_path, kind, shape, sizes):
    array = channels(shape)
    path = tmp_path / f'my "x", é.{"npy" if kind == "parts" else kind}'
    if kind == "mat":
        write_v5(path, H=array, note="text")
    else:
        saved(path, np.stack([array.real, array.imag], -1) if kind == "parts" else array)
    found = inspect_channels(path)
    assert not found.problem
    assert (found.antennas, found.subcarriers) == sizes
    data = tried(found.command, tmp_path)
    assert data.train["pictures"].shape[1:] == (2, *sizes)
    lengths = [len(split["pictures"]) for split in (data.train, data.val, data.test)]
    assert sum(lengths) >= 0.95 * found.users * found.receive


def test_useless_users_are_counted_and_left_out(tmp_path):
    array = channels((400, 8, 8))
    array[::3] = 0
    array[[1, 7], 2] = np.nan
    found = inspect_channels(saved(tmp_path / "a.npy", array))
    assert (found.searched, found.silent, found.not_finite) == (400, 134, 2)
    data = tried(found.command, tmp_path)
    assert data.provenance["dropped_samples"] == 135  # the last one is not needed
    assert "135 of 399 samples" in data.provenance["notes"][0]
    array[:] = 0
    found = inspect_channels(saved(tmp_path / "a.npy", array))
    assert "400 useless" in found.problem


def test_large_files_are_searched_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr(channel_inspect, "SCANNED_BYTES", 1)
    monkeypatch.setattr("kdtasks.csi_feedback.data.channel_files.BLOCK_BYTES", 8 * 64 * 10)
    found = inspect_channels(saved(tmp_path / "a.npy", channels((400, 8, 8))))
    assert (found.users, found.searched) == (400, 10)


def test_one_of_several_arrays_is_named_in_the_command(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["link/H"], file["link/G"] = channels((90, 4, 6)), channels((40, 4, 6))
        file["pos"] = np.ones((90, 3))
    found = inspect_channels(path)
    assert found.key == "link/H"
    assert len(tried(found.command, tmp_path).train["pictures"]) == 64
    assert any("link/H" in remark for remark in found.remarks)


def test_a_folder_with_an_export_and_metadata(tmp_path):
    write_v73(tmp_path / "b.mat", H=channels((90, 4, 6)))
    write_v5(tmp_path / "a.mat", scene={"name": "street"})
    found = inspect_channels(tmp_path)
    assert found.skipped == ["a.mat"]
    assert found.files["a.mat"] == ["scene (1x1 struct)"]
    data = tried(found.command, tmp_path)
    assert "a.mat (scene (1x1 struct))" in data.provenance["notes"][0]


def test_a_folder_with_a_file_per_user(tmp_path):
    for user in range(40):
        saved(tmp_path / f"user{user:02}.npy", channels((4, 6), seed=user))
    found = inspect_channels(tmp_path)
    assert (found.axes, found.users, found.receive) == ("antenna subcarrier", 40, 1)
    assert len(tried(found.command, tmp_path).train["pictures"]) == 28


@pytest.mark.parametrize("suffix", ["in", "out"])
def test_a_single_file_of_cost2100_is_recognised(tmp_path, suffix):
    path = write_v5(tmp_path / f"DATA_Htest{suffix}.mat", HT=np.full((3, 2048), 0.6))
    for place in (path, tmp_path):
        assert holds_channels(place)
        found = inspect_channels(place)
        assert f"DATA_Htrain{suffix}.mat, DATA_Hval{suffix}.mat" in found.problem
    assert "COST2100" in inspect_channels(path).problem
    other = write_v5(tmp_path / "mine.mat", HT=np.full((3, 2048), 0.6))
    assert "COST2100" in inspect_channels(other).problem


def test_the_files_of_cost2100_get_their_command(tmp_path):
    rng = np.random.default_rng(0)
    for count, path in zip((90, 12, 9), split_files(tmp_path, "indoor").values(), strict=True):
        write_v5(path, HT=rng.random((count, 2048)))
    data = tried(inspect_channels(tmp_path).command, tmp_path)
    assert [len(one["pictures"]) for one in (data.train, data.val, data.test)] == [90, 12, 9]
    for path in split_files(tmp_path, "outdoor").values():
        write_v5(path, HT=rng.random((60, 2048)))
    found = inspect_channels(tmp_path)
    assert "indoor and outdoor" in found.remarks[0]
    assert tried(found.command, tmp_path).provenance["environment"] == "indoor"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((9, 3)), "channels are complex"),
        (channels((9,)), "two axes"),
        (channels((3, 4, 4)), "too few"),
        (np.zeros((0, 4, 4), complex), "empty"),
    ],
)
def test_what_cannot_be_trained_on_states_why(tmp_path, array, message):
    found = inspect_channels(saved(tmp_path / "a.npy", array))
    assert not found.command
    assert message in found.problem
    assert found.files["a.npy"]


def test_channels_are_distinguished_from_tables(tmp_path):
    saved(tmp_path / "a.npy", channels((9, 4, 4)))
    assert holds_channels(tmp_path)
    assert holds_channels(tmp_path / "a.npy")
    (tmp_path / "scenario9.csv").write_text("index\n1\n")
    assert holds_channels(tmp_path)
    saved(tmp_path / "a.npy", np.ones((9, 64)))
    assert not holds_channels(tmp_path)
    assert not holds_channels(tmp_path / "scenario9.csv")
    assert not holds_channels(tmp_path / "missing")
    with pytest.raises(DataError, match=r"missing\.npy: no such file"):
        inspect_channels(tmp_path / "missing.npy")
