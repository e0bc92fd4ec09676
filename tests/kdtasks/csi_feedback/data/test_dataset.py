import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from csi_examples import silent
from matlab_files import WRITERS, write_v5

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.csi_feedback.data import dataset as csi_data
from kdtasks.csi_feedback.data import named_sites as csi_sites
from kdtasks.csi_feedback.data.angular_delay import from_angular_delay, to_angular_delay, unit_power
from kdtasks.csi_feedback.data.dataset import SCENARIOS, CsiData, load_pictures
from kdtasks.csi_feedback.data.named_sites import CSI_SITES
from kdtasks.data import reading
from kdtasks.data.splits import SPLITS

SITE = CsiData(scenario="site-umi-los", num_antennas=6, num_subcarriers=5, counts=(60, 20, 20))
QUADRIGA = CsiData(
    scenario="quadriga",
    num_antennas=6,
    num_subcarriers=5,
    counts=(7, 3, 2),
    data_path="h.mat",
    data_key="H",
)
COST2100 = CsiData(
    scenario="cost2100-indoor",
    num_antennas=32,
    num_subcarriers=32,
    counts=(5, 3, 2),
    data_path="cost",
)


def load(data, tmp_path, **options):
    return load_pictures(data, cache_dir=tmp_path / "cache", progress=silent, **options)


def split_arrays(data):
    return {name: getattr(data, name)["pictures"] for name in SPLITS}


def quadriga_channels(count=12, shape=(6, 5), seed=0):
    parts = np.random.default_rng(seed).normal(size=(2, count, *shape))
    return parts[0] + 1j * parts[1]


def quadriga_file(tmp_path, *, write=write_v5, **options):
    path = write(tmp_path / "h.mat", H=quadriga_channels(**options))
    return replace(QUADRIGA, data_path=str(path))


def cost2100_folder(folder, *, counts=(5, 3, 2), suffix="in", write=write_v5):
    folder.mkdir(exist_ok=True)
    stored = {}
    for seed, (name, count) in enumerate(zip(SPLITS, counts, strict=True)):
        stored[name] = np.random.default_rng(seed).uniform(0, 1, (count, 2048))
        write(folder / f"DATA_H{name}{suffix}.mat", HT=stored[name])
    return stored


@pytest.mark.parametrize("name", CSI_SITES)
def test_every_site_gives_the_wanted_number_of_finite_pictures(tmp_path, name):
    data = load(replace(SITE, scenario=name), tmp_path)
    for count, pictures in zip(SITE.counts, split_arrays(data).values(), strict=True):
        assert pictures.shape == (count, 2, 6, 5)
        assert pictures.dtype == np.float32
        assert np.isfinite(pictures).all()


@pytest.mark.parametrize(("antennas", "subcarriers"), [(2, 2), (3, 16), (16, 3), (33, 7)])
def test_any_array_and_any_number_of_subcarriers(tmp_path, antennas, subcarriers):
    data = load(replace(SITE, num_antennas=antennas, num_subcarriers=subcarriers), tmp_path)
    assert data.val["pictures"].shape == (20, 2, antennas, subcarriers)


def test_fewer_subcarriers_keep_their_spacing():
    cell = CSI_SITES["site-umi-los"]
    spacing = {cell.observation(4, n).bandwidth_hz / n for n in (8, 16, 32, 64)}
    assert spacing == {70e6 / 32}


def test_the_cache_gives_back_what_was_made(tmp_path):
    first, again = load(SITE, tmp_path), load(SITE, tmp_path)
    elsewhere = load(SITE, tmp_path / "other")
    for name, pictures in split_arrays(first).items():
        np.testing.assert_array_equal(pictures, split_arrays(again)[name])
        np.testing.assert_array_equal(pictures, split_arrays(elsewhere)[name])
    assert first.provenance == again.provenance == elsewhere.provenance
    assert json.dumps(first.provenance) == json.dumps(again.provenance)


def test_it_is_made_once(tmp_path):
    calls = []

    def progress(done, total, unit):
        calls.append((done, total, unit))

    load_pictures(SITE, cache_dir=tmp_path, progress=progress)
    assert calls[-1] == (125, 125, "users")
    made = len(calls)
    load_pictures(SITE, cache_dir=tmp_path, progress=progress)
    assert len(calls) == made


def test_work_in_chunks_does_not_show(tmp_path, monkeypatch):
    whole = load(SITE, tmp_path / "one")
    monkeypatch.setattr(csi_sites, "CHUNK", 7)
    parts = load(SITE, tmp_path / "two")
    for name, pictures in split_arrays(whole).items():
        np.testing.assert_array_equal(pictures, split_arrays(parts)[name])


def test_another_seed_gives_other_users_of_the_same_site(tmp_path):
    one, other = load(SITE, tmp_path), load(replace(SITE, seed=1), tmp_path)
    assert not np.array_equal(one.train["pictures"], other.train["pictures"])
    assert one.provenance["site"] == other.provenance["site"]


def test_scaling_is_fitted_on_training_alone_or_given(tmp_path):
    data = load(SITE, tmp_path)
    span = data.provenance["scaling_span"]
    spans = {
        name: csi_data.Scaling.fit(csi_data.Scaling(span=span).from_picture(pictures)).span
        for name, pictures in split_arrays(data).items()
    }
    assert span == pytest.approx(spans["train"], rel=1e-5)
    assert span != pytest.approx(spans["val"], rel=1e-5)
    assert span != pytest.approx(spans["test"], rel=1e-5)
    given = csi_data.Scaling(span=2.0 * span)
    scaled = load(SITE, tmp_path, scaling=given)
    assert scaled.provenance["scaling_span"] == 2.0 * span
    np.testing.assert_allclose(
        scaled.test["pictures"] - 0.5, (data.test["pictures"] - 0.5) / 2.0, atol=1e-6
    )


def test_the_two_bandwidths_of_the_indoor_cell_are_one_place(tmp_path):
    wide, narrow = (
        load(replace(SITE, scenario=f"site-indoor-{mhz}mhz"), tmp_path) for mhz in (40, 10)
    )
    assert wide.provenance["split"] == narrow.provenance["split"]
    assert wide.provenance["site"]["site"] == narrow.provenance["site"]["site"]
    assert not np.array_equal(wide.train["pictures"], narrow.train["pictures"])


@pytest.mark.parametrize(
    "changes",
    [
        {"scenario": "site-umi-nlos"},
        {"num_antennas": 7},
        {"num_subcarriers": 6},
        {"counts": (61, 20, 20)},
        {"seed": 1},
    ],
)
def test_all_that_decides_the_data_is_in_their_fingerprint(changes):
    assert replace(SITE, **changes).fingerprint != SITE.fingerprint


def test_the_geometry_is_in_the_fingerprint(monkeypatch):
    before = SITE.fingerprint
    cell = CSI_SITES["site-umi-los"]
    changed = replace(cell, site=replace(cell.site, wall_gain=0.123))
    monkeypatch.setitem(CSI_SITES, "site-umi-los", changed)
    assert SITE.fingerprint != before


def test_the_settings_of_tr38901_are_in_the_fingerprint(monkeypatch):
    data = replace(SITE, scenario="tr38901-umi-los")
    before = data.fingerprint
    changed = replace(csi_data.TR38901[data.scenario], bs_height_m=11.0)
    monkeypatch.setitem(csi_data.TR38901, data.scenario, changed)
    assert data.fingerprint != before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_drops_of_tr38901_become_pictures(tmp_path):
    data = load(replace(SITE, scenario="tr38901-umi-los", counts=(40, 10, 10)), tmp_path)
    assert data.train["pictures"].shape == (40, 2, 6, 5)
    squares = {tuple(s) for s in data.provenance["split"]["squares"]["val"]}
    assert {tuple(s) for s in np.floor(data.val["positions"] / 10.0).astype(int)} == squares
    assert "nothing beyond PCA" in data.provenance["source"]
    assert data.provenance["card"]["sha256"]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_quadriga_file_becomes_pictures(tmp_path, write):
    data = load(quadriga_file(tmp_path, write=write), tmp_path)
    pictures = np.concatenate(list(split_arrays(data).values()))
    matrices = csi_data.Scaling(span=data.provenance["scaling_span"]).from_picture(pictures)
    expected = unit_power(quadriga_channels())
    np.testing.assert_allclose(from_angular_delay(matrices), expected, atol=1e-5)
    assert data.provenance["split"]["samples"] == {"train": 7, "val": 3, "test": 2}
    assert len(data.provenance["sha256"]) == 64


def test_axes_and_key_of_a_quadriga_file_can_be_named(tmp_path):
    channels = quadriga_channels()
    path = write_v5(tmp_path / "h.mat", G=channels.transpose(1, 2, 0)[None], X=np.ones((1, 1)))
    data = replace(
        QUADRIGA, data_path=str(path), data_key="G", data_axes="single antenna subcarrier user"
    )
    expected = load(quadriga_file(tmp_path / "..", write=write_v5), tmp_path)
    np.testing.assert_array_equal(load(data, tmp_path).test["pictures"], expected.test["pictures"])


def test_a_quadriga_file_with_too_few_samples_is_refused(tmp_path):
    with pytest.raises(
        DataError,
        match=r"h\.mat: 12 samples, but the study wants 13: .*num_train=10 .*num_val=1 .*num_t",
    ):
        load(replace(quadriga_file(tmp_path), counts=(8, 3, 2)), tmp_path)


def test_a_quadriga_file_of_another_array_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"\(6, 5\) .*wants \(8, 5\): .*num_antennas=6"):
        load(replace(quadriga_file(tmp_path), num_antennas=8), tmp_path)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize(("environment", "suffix"), [("indoor", "in"), ("outdoor", "out")])
def test_a_cost2100_folder_gives_its_own_pictures(tmp_path, write, environment, suffix):
    stored = cost2100_folder(tmp_path / "cost", counts=(6, 3, 4), suffix=suffix, write=write)
    where = {"scenario": f"cost2100-{environment}", "data_path": str(tmp_path / "cost")}
    data = load(replace(COST2100, **where), tmp_path)
    for count, (name, pictures) in zip(COST2100.counts, split_arrays(data).items(), strict=True):
        np.testing.assert_array_equal(
            pictures.reshape(count, 2048), stored[name][:count].astype(np.float32)
        )
    assert data.provenance["environment"] == environment
    assert set(data.provenance["files"]) == set(SPLITS)


def test_a_cost2100_folder_with_too_few_samples_is_refused(tmp_path):
    cost2100_folder(tmp_path / "cost")
    data = replace(COST2100, data_path=str(tmp_path / "cost"), counts=(6, 3, 9))
    with pytest.raises(DataError, match="5 of 6 train samples, 2 of 9 test samples: lower num_tr"):
        load(data, tmp_path)


@pytest.mark.parametrize("name", ["num_antennas", "num_subcarriers"])
def test_cost2100_matrices_have_one_size(tmp_path, name):
    cost2100_folder(tmp_path / "cost")
    data = replace(COST2100, data_path=str(tmp_path / "cost"), **{name: 16})
    with pytest.raises(ConfigError, match=f"32 x 32 matrices.*{name}=16"):
        load(data, tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (QUADRIGA, r"missing\.mat"),
        (COST2100, r"missing\.mat: no DATA_Htrainin\.mat"),
    ],
)
def test_missing_files_are_named(tmp_path, data, message):
    with pytest.raises(DataError, match=message):
        load(replace(data, data_path=str(tmp_path / "missing.mat")), tmp_path)


def test_files_count_by_their_content_and_not_by_their_place(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    original = quadriga_file(here)
    shutil.copy(here / "h.mat", there / "h.mat")
    copied = replace(original, data_path=str(there / "h.mat"))
    assert copied.fingerprint == original.fingerprint
    changed = quadriga_file(there, seed=1)
    assert changed.fingerprint != original.fingerprint


def test_folders_count_by_their_content(tmp_path):
    cost2100_folder(tmp_path / "cost")
    data = replace(COST2100, data_path=str(tmp_path / "cost"))
    before = data.fingerprint
    cost2100_folder(tmp_path / "cost", counts=(6, 3, 2))
    assert data.fingerprint != before


def test_provenance_is_json_and_tells_where_data_are_from(tmp_path):
    cost2100_folder(tmp_path / "cost")
    for data in (
        SITE,
        quadriga_file(tmp_path),
        replace(COST2100, data_path=str(tmp_path / "cost")),
    ):
        facts = json.loads(json.dumps(load(data, tmp_path).provenance))
        assert facts["source"]
        assert facts["split"]["by"]
        assert facts["fingerprint"] == data.fingerprint
        assert facts["settings"]["scenario"] == data.scenario


def test_an_unknown_scenario_lists_what_there_is():
    with pytest.raises(ConfigError, match="no scenario 'umi'") as error:
        replace(SITE, scenario="umi")
    assert all(name in str(error.value) for name in SCENARIOS)


@pytest.mark.parametrize("data", [QUADRIGA, COST2100])
def test_files_of_the_users_own_need_their_path(data):
    with pytest.raises(ConfigError, match="reads your own files: set data_path"):
        replace(data, data_path="")


@pytest.mark.parametrize("scenario", ["site-umi-los", "tr38901-umi-los"])
def test_a_path_without_effect_is_refused(scenario):
    with pytest.raises(ConfigError, match=r"data_path='x\.mat' has no effect"):
        replace(SITE, scenario=scenario, data_path="x.mat")


def test_a_key_without_effect_is_refused():
    with pytest.raises(ConfigError, match="data_key='H' has no effect"):
        replace(SITE, data_key="H")


def test_a_file_is_read_for_its_fingerprint_only_when_it_changed(tmp_path, monkeypatch):
    data = quadriga_file(tmp_path)
    path = tmp_path / "h.mat"
    read = []
    digest = reading.file_sha256
    monkeypatch.setattr(reading, "file_sha256", lambda file: read.append(file) or digest(file))
    first = data.fingerprint
    assert data.fingerprint == first
    assert len(read) == 1
    path.write_bytes(path.read_bytes() + b" ")
    assert data.fingerprint != first
    assert len(read) == 2


def test_neighbours_of_a_file_stay_together(tmp_path):
    # Without positions a file is cut in blocks, so that a track is not on both sides.
    data = load(quadriga_file(tmp_path), tmp_path)
    span = csi_data.Scaling(span=data.provenance["scaling_span"])
    expected = span.to_picture(to_angular_delay(quadriga_channels()))
    np.testing.assert_allclose(data.train["pictures"], expected[:7], atol=1e-6)
    np.testing.assert_allclose(data.test["pictures"], expected[10:], atol=1e-6)
