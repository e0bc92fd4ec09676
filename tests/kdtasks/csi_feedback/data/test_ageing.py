"""The site as it was: which parts of it were others, and what users measured then."""

from dataclasses import replace

import numpy as np
import pytest
from csi_examples import silent
from hypothesis import given, settings
from hypothesis import strategies as st
from matlab_files import write_v5
from tried import times

from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.data.angular_delay import Scaling
from kdtasks.csi_feedback.data.dataset import CsiData, load_pictures
from kdtasks.csi_feedback.data.named_sites import CSI_SITES, observe, place_users
from kdtasks.csi_feedback.data.site import SiteConfig, build_site, draw_positions, trace
from kdtasks.data.splits import SPARE, SPLITS

CARRIER_HZ = 2.655e9
AGES = st.floats(0.0, 1.0)
CONFIGS = st.builds(
    SiteConfig,
    seed=st.integers(0, 2**40),
    num_scatterers=st.integers(1, 12),
    num_walls=st.integers(0, 6),
)
OF_SCATTERERS = ("scatterers_SD", "reflection_S", "centres_SD", "radii_S")
DATA = CsiData(scenario="site-umi-nlos", num_antennas=8, num_subcarriers=6, counts=(200, 60, 60))


def others(config, age, name):
    """Return which parts differ from the present, and the parts of that age."""
    now, then = (getattr(build_site(c), name) for c in (config, replace(config, age=age)))
    return np.any(now != then, axis=tuple(range(1, now.ndim))), then


def load(data, folder, **options):
    return load_pictures(data, cache_dir=folder, progress=silent, **options)


def nmse(data):
    shown, stale = (data.train[name] - 0.5 for name in ("pictures", "stale_pictures"))
    return np.sum((shown - stale) ** 2) / np.sum(shown**2)


def test_the_present_is_the_cell_that_it_was_before_cells_could_age():
    # Numbers of the version before; the last entry of each array was drawn last.
    site = build_site(SiteConfig(seed=1, num_scatterers=12, num_walls=8))
    last = {
        "scatterers_SD": -77.5943383908152,
        "reflection_S": -4.091312871380012 + 0.33264568452086585j,
        "centres_SD": -130.29845319580497,
        "radii_S": 38.28032767159503,
        "walls_W2D": -24.59414774206647,
    }
    for name, value in last.items():
        assert getattr(site, name).ravel()[-1] == pytest.approx(value, rel=1e-12)


@settings(max_examples=times(50))
@given(CONFIGS, AGES)
def test_the_age_is_the_share_of_parts_that_were_others(config, age):
    for name in OF_SCATTERERS:
        gone = others(config, age, name)[0]
        assert gone.sum() == round(age * config.num_scatterers)
        np.testing.assert_array_equal(gone, others(config, age, OF_SCATTERERS[0])[0])
    assert others(config, age, "walls_W2D")[0].sum() == round(age * config.num_walls)


@settings(max_examples=times(50))
@given(CONFIGS, AGES, AGES)
def test_what_was_another_at_some_age_was_the_same_other_before(config, one, other):
    young, old = sorted((one, other))
    for name in (*OF_SCATTERERS, "walls_W2D"):
        gone_young, then_young = others(config, young, name)
        gone_old, then_old = others(config, old, name)
        assert not (gone_young & ~gone_old).any()
        np.testing.assert_array_equal(then_young[gone_young], then_old[gone_young])


@settings(max_examples=times(20))
@given(CONFIGS)
def test_at_age_one_nothing_is_as_it_is_now(config):
    now, then = build_site(config), build_site(replace(config, age=1.0))
    for name in (*OF_SCATTERERS, "walls_W2D"):
        assert not np.isin(getattr(then, name), getattr(now, name)).any()


@settings(max_examples=times(20))
@given(CONFIGS, AGES)
def test_paths_over_parts_that_stayed_are_untouched(config, age):
    positions = draw_positions(config, 6, np.random.default_rng(0))
    old = replace(config, age=age)
    np.testing.assert_array_equal(draw_positions(old, 6, np.random.default_rng(0)), positions)
    now, then = (trace(c, positions, carrier_hz=CARRIER_HZ) for c in (config, old))
    gone = [others(config, age, name)[0] for name in ("scatterers_SD", "walls_W2D")]
    stayed = ~np.concatenate([[False], *gone])
    for name in ("gain_NP", "delay_NP", "angle_NP"):
        np.testing.assert_array_equal(getattr(now, name)[:, stayed], getattr(then, name)[:, stayed])
    assert now.elevation_NP is then.elevation_NP is None
    assert (now.delay_NP[:, ~stayed] != then.delay_NP[:, ~stayed]).all()


def scattered_power(age, *, seeds):
    """Power over scatterers and over walls, each relative to the direct path, per cell."""
    rows = []
    for seed in seeds:
        config = SiteConfig(seed=seed, num_scatterers=12, num_walls=4, age=age)
        positions = draw_positions(config, 40, np.random.default_rng(seed))
        power = np.abs(trace(config, positions, carrier_hz=CARRIER_HZ).gain_NP) ** 2
        parts = power[:, :1], power[:, 1:13], power[:, 13:]
        rows.append([part.sum() / parts[0].sum() for part in parts[1:]])
    return np.array(rows)


def test_the_past_is_a_cell_of_the_same_kind():
    # Over many cells past and present have the same power; each cell is a draw of its own.
    seeds = range(300)
    now = scattered_power(0.0, seeds=seeds)
    for age in (0.5, 1.0):
        change = scattered_power(age, seeds=seeds) - now
        error = change.std(axis=0) / np.sqrt(len(seeds))
        assert (np.abs(change.mean(axis=0)) < 4.0 * error).all()
        assert (error < 0.2 * now.mean(axis=0)).all()


def test_the_power_that_stayed_falls_with_age():
    seeds, positions = range(100), np.array([[30.0, 20.0], [50.0, -30.0], [70.0, 5.0]])
    stayed = []
    for age in (0.25, 0.5, 0.75):
        shares = []
        for seed in seeds:
            config = SiteConfig(seed=seed, num_scatterers=12, num_walls=0)
            gain = np.abs(trace(config, positions, carrier_hz=CARRIER_HZ).gain_NP[:, 1:]) ** 2
            gone = others(config, age, "scatterers_SD")[0]
            shares.append(gain[:, ~gone].sum() / gain.sum())
        stayed.append(np.mean(shares))
    np.testing.assert_allclose(stayed, [0.75, 0.5, 0.25], atol=0.08)


def test_stale_pictures_are_what_the_same_users_measured_then(tmp_path):
    # A second way to the same numbers: the aged cell observed at all positions, found by position.
    data = load(replace(DATA, server_age=0.5), tmp_path)
    cell = CSI_SITES[DATA.scenario]
    count = int(SPARE * sum(DATA.counts))
    positions = place_users(cell, count, seed=DATA.seed)
    past = replace(cell, site=replace(cell.site, age=0.5))
    matrices = observe(past, cell.observation(8, 6), positions, progress=lambda done: None)
    scaling = Scaling(span=data.provenance["scaling_span"])
    where = {tuple(p): i for i, p in enumerate(positions.astype(np.float32).tolist())}
    for name in SPLITS:
        split = getattr(data, name)
        rows = [where[tuple(p)] for p in split["positions"].tolist()]
        np.testing.assert_array_equal(split["stale_pictures"], scaling.to_picture(matrices[rows]))


def test_the_present_does_not_depend_on_the_age_of_the_servers_data(tmp_path):
    now, old = load(DATA, tmp_path), load(replace(DATA, server_age=0.7), tmp_path)
    for name in SPLITS:
        assert set(getattr(now, name)) == {"pictures", "positions"}
        assert set(getattr(old, name)) == {"pictures", "positions", "stale_pictures"}
        for array in ("pictures", "positions"):
            np.testing.assert_array_equal(getattr(now, name)[array], getattr(old, name)[array])
    assert now.provenance["scaling_span"] == old.provenance["scaling_span"]
    assert now.provenance["site"] == old.provenance["site"]
    assert old.provenance["settings"]["server_age"] == 0.7


def test_one_given_scaling_serves_past_and_present(tmp_path):
    data = replace(DATA, server_age=0.5)
    fitted = load(data, tmp_path)
    given = load(data, tmp_path, scaling=Scaling(span=2.0 * fitted.provenance["scaling_span"]))
    for name in ("pictures", "stale_pictures"):
        np.testing.assert_allclose(given.val[name] - 0.5, (fitted.val[name] - 0.5) / 2.0, atol=1e-6)


def test_what_was_cached_is_what_was_made(tmp_path):
    data = replace(DATA, server_age=0.5)
    made, cached, elsewhere = (load(data, tmp_path / name) for name in ("a", "a", "b"))
    for name in SPLITS:
        for array, values in getattr(made, name).items():
            assert values.dtype == np.float32
            np.testing.assert_array_equal(values, getattr(cached, name)[array])
            np.testing.assert_array_equal(values, getattr(elsewhere, name)[array])
    assert made.provenance == cached.provenance == elsewhere.provenance


def test_progress_counts_the_users_of_both_times(tmp_path):
    calls = []
    load_pictures(
        replace(DATA, server_age=0.5),
        cache_dir=tmp_path,
        progress=lambda done, total, unit: calls.append((done, total, unit)),
    )
    assert calls == [(400, 800, "users"), (800, 800, "users")]


@pytest.mark.parametrize("scenario", ["site-umi-los", "site-umi-nlos", "site-indoor-40mhz"])
def test_older_data_are_further_from_the_present(tmp_path, scenario):
    errors = [
        nmse(load(replace(DATA, scenario=scenario, server_age=age), tmp_path))
        for age in (0.02, 0.2, 0.5, 1.0)
    ]
    assert errors[0] == 0.0  # less than half a scatterer
    assert errors == sorted(errors)
    assert errors[1] > 0.01
    assert errors[3] > 1.5 * errors[1]


def test_without_any_common_path_past_and_present_are_strangers(tmp_path):
    # Two pictures of unit power with unrelated phases differ by the sum of their powers.
    assert nmse(load(replace(DATA, server_age=1.0), tmp_path)) == pytest.approx(2.0, rel=0.1)


def test_positions_are_of_the_users_in_the_pictures(tmp_path):
    # The direct path's angle is the user's: in line of sight most pictures peak there.
    data = load(replace(DATA, scenario="site-umi-los"), tmp_path)
    x, y = data.train["positions"].T
    power = ((data.train["pictures"] - 0.5) ** 2).sum(axis=(1, 3))
    # exp(-j pi a sin(angle)) is in bin -A sin(angle) / 2 of the DFT over A antennas.
    expected = np.round(-8 * y / np.hypot(x, y) / 2).astype(int) % 8
    assert np.mean(power.argmax(axis=1) == expected) > 0.6
    assert data.train["positions"].shape == (200, 2)
    assert len(data.val["positions"]) == 60


def test_a_file_without_positions_has_none(tmp_path):
    parts = np.random.default_rng(0).normal(size=(2, 12, 6, 5))
    path = write_v5(tmp_path / "h.mat", H=parts[0] + 1j * parts[1])
    data = CsiData(
        scenario="quadriga",
        num_antennas=6,
        num_subcarriers=5,
        counts=(7, 3, 2),
        data_path=str(path),
    )
    assert set(load(data, tmp_path).train) == {"pictures"}


def test_the_age_is_in_the_fingerprint_and_none_is_one():
    assert replace(DATA, server_age=0.5).fingerprint != DATA.fingerprint
    assert replace(DATA, server_age=0.5).fingerprint != replace(DATA, server_age=0.6).fingerprint
    assert replace(DATA, server_age=-0.0).fingerprint == DATA.fingerprint
    assert replace(DATA, server_age=0).fingerprint == DATA.fingerprint


@pytest.mark.parametrize("age", [-0.1, 1.1, float("nan")])
def test_an_impossible_age_is_refused(age):
    with pytest.raises(ConfigError, match=f"age={age}"):
        SiteConfig(age=age)
    with pytest.raises(ConfigError, match=f"server_age={age}"):
        replace(DATA, server_age=age)


def test_only_site_twins_have_a_past():
    with pytest.raises(
        ConfigError, match=r"server_age=0\.5: 'tr38901-umi-los' has no past"
    ) as error:
        replace(DATA, scenario="tr38901-umi-los", server_age=0.5)
    assert all(name in str(error.value) for name in CSI_SITES)
