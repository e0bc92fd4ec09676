import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.data import tr38901
from kdtasks.csi_feedback.data.tr38901 import BATCH_SIZE, PRESETS, generate, load, read_card
from kdtasks.data.array_cache import ArrayCache

# Drawing channels imports Sionna, which takes seconds; everything else here is fast.
draws = pytest.mark.slow

UMI = replace(PRESETS["umi-los"], num_samples=2 * BATCH_SIZE)
SMALL = replace(UMI, num_antennas=4, num_subcarriers=4, num_samples=30)


def ignore(done, total, unit):
    pass


def never(done, total, unit):
    raise AssertionError("channels were drawn although the cache holds them")


def draw(config):
    parts = list(generate(config, progress=ignore))
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def captured(channels, top):
    """Mean share of a sample's energy in its `top` strongest angular-delay entries."""
    power = np.abs(np.fft.ifft(np.fft.fft(channels, axis=1), axis=2)) ** 2
    strongest = np.sort(power.reshape(len(power), -1), axis=1)[:, ::-1]
    return float((strongest[:, :top].sum(axis=1) / strongest.sum(axis=1)).mean())


def test_the_presets_are_those_of_the_paper():
    umi = PRESETS["umi-los"]
    assert (umi.carrier_hz, umi.bandwidth_hz) == (2.655e9, 70e6)
    assert (umi.num_antennas, umi.num_subcarriers) == (32, 32)
    assert (umi.cell_radius_m, umi.min_distance_m) == (100, 10)
    assert (umi.bs_height_m, umi.ue_height_m) == (10, 1.5)
    assert umi.num_samples == 100_000 + 30_000 + 20_000
    assert len({preset.fingerprint for preset in PRESETS.values()}) == len(PRESETS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "umj"),
        ("los", "yes"),
        ("carrier_hz", 2.655),
        ("carrier_hz", math.nan),
        ("carrier_hz", "2.655e9"),
        ("bandwidth_hz", 1e9),
        ("bandwidth_hz", 0.0),
        ("num_antennas", 0),
        ("num_antennas", 32.0),
        ("num_subcarriers", True),
        ("cell_radius_m", math.inf),
        ("min_distance_m", 100.0),
        ("sector_width_deg", 361.0),
        ("num_samples", 0),
        ("seed", -1),
    ],
)
def test_a_wrong_setting_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"^{name}="):
        replace(UMI, **{name: value})


@draws
def test_same_seed_same_channels_other_seed_other_channels():
    channels, positions = draw(SMALL)
    again, positions_again = draw(SMALL)
    other, positions_other = draw(replace(SMALL, seed=1))
    assert channels.shape == (30, 4, 4)
    assert channels.dtype == np.complex64
    np.testing.assert_array_equal(channels, again)
    np.testing.assert_array_equal(positions, positions_again)
    assert not np.isclose(channels, other).any()
    assert not np.isclose(positions, positions_other).any()


@draws
def test_fewer_samples_are_the_first_of_more():
    few = replace(SMALL, num_samples=BATCH_SIZE + 1)
    more = replace(SMALL, num_samples=2 * BATCH_SIZE)
    for part, whole in zip(draw(few), draw(more), strict=True):
        assert len(part) == BATCH_SIZE + 1
        np.testing.assert_array_equal(part, whole[: len(part)])
        assert not np.isclose(whole[:BATCH_SIZE], whole[BATCH_SIZE:]).any()


@draws
def test_generators_do_not_disturb_each_other_nor_anybody_else():
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    parts = zip(
        generate(SMALL, progress=ignore),
        generate(replace(SMALL, seed=1), progress=ignore),
        strict=True,
    )
    first, second = next(parts)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(4), wanted)
    np.testing.assert_array_equal(first[0], draw(SMALL)[0])
    np.testing.assert_array_equal(second[0], draw(replace(SMALL, seed=1))[0])


@draws
def test_sionna_goes_on_where_it_was():
    from sionna.phy import config

    config.seed = 5
    wanted = torch.rand(4, generator=config.torch_rng("cpu"))
    config.seed = 5
    draw(SMALL)
    assert config.seed == 5
    assert torch.equal(torch.rand(4, generator=config.torch_rng("cpu")), wanted)


@draws
def test_energy_is_as_concentrated_as_measured_for_umi_los():
    # Reference: 20,000 drops. Single drops differ most at k = 8, by 0.074 (standard deviation), so
    # a mean of 200 by 0.005; 0.025 is five of those.
    channels, _ = draw(UMI)
    for top, share in {8: 0.895, 16: 0.935, 32: 0.965, 64: 0.984, 256: 0.998}.items():
        assert captured(channels, top) == pytest.approx(share, abs=0.025)


@draws
def test_without_line_of_sight_energy_spreads_and_power_is_one():
    # Reference: 10,000 drops. Drops differ by 0.12 and 0.08, means of 200 by 0.0085 or less.
    channels, _ = draw(replace(UMI, los=False))
    assert captured(channels, 16) == pytest.approx(0.502, abs=0.0425)
    assert captured(channels, 64) == pytest.approx(0.806, abs=0.0425)
    # Without path loss and shadowing an entry has mean power 1; a mean of 200 differs by 0.0103.
    assert np.mean(np.abs(channels) ** 2) == pytest.approx(1, abs=0.052)


@draws
@pytest.mark.parametrize("model", ["umi", "uma", "rma", "inh"])
@pytest.mark.parametrize("los", [True, False])
def test_every_scenario_gives_finite_channels_with_power(model, los):
    config = replace(SMALL, model=model, los=los, bs_height_m=3.0 if model == "inh" else 25.0)
    channels, _ = draw(config)
    assert np.isfinite(channels).all()
    assert (np.abs(channels) ** 2).sum(axis=(1, 2)).min() > 0


@draws
def test_both_indoor_presets_see_the_same_users():
    wide, positions = draw(replace(PRESETS["indoor-40mhz"], num_samples=50, num_subcarriers=4))
    slim, positions_slim = draw(replace(PRESETS["indoor-10mhz"], num_samples=50, num_subcarriers=4))
    np.testing.assert_array_equal(positions, positions_slim)
    # Subcarrier 2 of 4 is the carrier itself, whatever the bandwidth.
    np.testing.assert_allclose(wide[:, :, 2], slim[:, :, 2], rtol=1e-5, atol=1e-5)
    assert not np.isclose(wide[:, :, 0], slim[:, :, 0]).all()


@draws
def test_line_of_sight_comes_from_the_users_direction():
    # The strongest of 512 beams of the array points at the user: phase pi sin(azimuth) cos(tilt).
    config = replace(UMI, num_samples=BATCH_SIZE)
    channels, positions = draw(config)
    beams = np.fft.fftshift(np.fft.fft(channels[:, :, 16], 512, axis=1), axes=1)
    found = np.abs(beams).argmax(axis=1) / 256 - 1
    height = config.bs_height_m - config.ue_height_m
    wanted = positions[:, 1] / np.hypot(np.linalg.norm(positions, axis=1), height)
    assert np.median(np.abs(found - wanted)) < 1 / 32  # a quarter of a beam of 32 antennas


def test_users_are_spread_evenly_over_the_sector():
    config = replace(SMALL, sector_center_deg=30.0, sector_width_deg=40.0)
    positions = np.concatenate(
        [tr38901._positions(config, np.random.default_rng(seed)) for seed in range(100)]
    )
    distance = np.linalg.norm(positions, axis=1)
    azimuth = np.rad2deg(np.arctan2(positions[:, 1], positions[:, 0]))
    assert distance.min() >= 10
    assert distance.max() <= 100
    assert azimuth.min() >= 10
    assert azimuth.max() <= 50
    # Half the area of the annulus lies beyond the root mean square of its radii; 10,000 draws put
    # five deviations of such a share at 0.025.
    middle = math.sqrt((10**2 + 100**2) / 2)
    assert np.mean(distance > middle) == pytest.approx(0.5, abs=0.025)
    assert np.mean(azimuth > 30) == pytest.approx(0.5, abs=0.025)


@draws
def test_the_cache_gives_what_was_drawn_and_draws_once(tmp_path):
    steps = []
    channels, positions = load(SMALL, cache_dir=tmp_path, progress=lambda *step: steps.append(step))
    assert steps == [(30, 30, "samples")]
    assert isinstance(channels, np.memmap)
    assert channels.dtype == np.complex64
    assert not channels.flags.writeable
    for kept, drawn in zip((channels, positions), draw(SMALL), strict=True):
        np.testing.assert_array_equal(kept, drawn)
    again, _ = load(SMALL, cache_dir=tmp_path, progress=never)
    np.testing.assert_array_equal(channels, again)
    card = read_card(SMALL, cache_dir=tmp_path)
    assert card["settings"]["batch_size"] == BATCH_SIZE
    assert card["fingerprint"] == SMALL.fingerprint
    assert set(card["versions"]) == {"sionna-no-rt", "torch", "numpy"}
    assert len(list(tmp_path.iterdir())) == 3


def keep(cache, array):
    return cache.write(lambda paths: np.save(paths["x"], array), {"seed": 1})["x"]


def damage_by_cutting(path):
    path.write_bytes(path.read_bytes()[:-1])


def damage_by_flipping(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["a.x.npy", "a.json"])
@pytest.mark.parametrize(
    "damage", [damage_by_cutting, damage_by_flipping, lambda path: path.write_bytes(b"")]
)
def test_damaged_entries_count_as_missing(tmp_path, caplog, name, damage):
    cache = ArrayCache(tmp_path, "a", ("x",), "kdtasks.data.array_cache")
    keep(cache, np.arange(9))
    if name == "a.json":  # a card that is cut at its last line break is still whole
        (tmp_path / name).write_text((tmp_path / name).read_text().strip())
    damage(tmp_path / name)
    assert cache.read() is None
    assert "a.json" in caplog.text
    np.testing.assert_array_equal(keep(cache, np.arange(5)), np.arange(5))


def test_a_missing_array_counts_as_missing(tmp_path):
    cache = ArrayCache(tmp_path, "a", ("x",), "kdtasks.data.array_cache")
    assert cache.read() is None
    keep(cache, np.arange(9))
    (tmp_path / "a.x.npy").unlink()
    assert cache.read() is None


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def fail(paths):
        paths["x"].write_bytes(b"half")
        raise KeyboardInterrupt

    cache = ArrayCache(tmp_path, "a", ("x",), "kdtasks.data.array_cache")
    with pytest.raises(KeyboardInterrupt):
        cache.write(fail, {})
    assert list(tmp_path.iterdir()) == []


def test_two_writers_at_once_both_succeed(tmp_path):
    cache = ArrayCache(tmp_path, "a", ("x",), "kdtasks.data.array_cache")

    def overtaken(paths):
        keep(cache, np.arange(9))
        np.save(paths["x"], np.arange(9))

    np.testing.assert_array_equal(cache.write(overtaken, {"seed": 1})["x"], np.arange(9))
    assert len(list(tmp_path.iterdir())) == 2


@draws
def test_sionna_is_not_imported_before_it_is_needed():
    check = "import sys, kdtasks.csi_feedback.data.tr38901; sys.exit('sionna' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


@draws
def test_a_damaged_cache_is_drawn_again(tmp_path):
    channels, _ = load(SMALL, cache_dir=tmp_path, progress=ignore)
    wanted = np.array(channels)
    del channels  # a mapped file must not shrink under its reader
    damage_by_cutting(next(tmp_path.glob("*.channels.npy")))
    steps = []
    again, _ = load(SMALL, cache_dir=tmp_path, progress=lambda *step: steps.append(step))
    assert steps
    np.testing.assert_array_equal(again, wanted)
    assert json.loads(next(tmp_path.glob("*.json")).read_text())["settings"]["seed"] == 0
