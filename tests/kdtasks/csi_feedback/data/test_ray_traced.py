"""Sites traced by Sionna RT: names, refusals, and the same laws as those of synthetic sites."""

import os
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.csi_feedback.data import ray_traced
from kdtasks.csi_feedback.data.dataset import CsiData, load_pictures
from kdtasks.csi_feedback.data.ray_traced import CITIES, OPTIONS, traced_site
from kdtasks.data import ray_tracing
from kdtasks.data.ray_tracing import llvm_found

DATA = partial(
    CsiData, scenario="rt:munich", num_antennas=8, num_subcarriers=8, counts=(160, 40, 40)
)
QUIET = {"progress": lambda *_: None}


@given(
    city=st.sampled_from([*CITIES]),
    station=st.none() | st.tuples(*[st.floats(-1e4, 1e4)] * 3),
    options=st.fixed_dictionaries(
        {},
        optional={
            name: st.integers(1, 9) if kind is int else st.floats(0.1, 1e3)
            for name, kind in OPTIONS.items()
        },
    ),
)
def test_what_a_name_sets_is_what_the_site_has(city, station, options):
    at = "" if station is None else "@" + ",".join(map(str, station))
    query = "?" + "&".join(f"{name}={value}" for name, value in options.items()) if options else ""
    site = traced_site(f"rt:{city}{at}{query}")
    assert site.station_m == (station or CITIES[city])
    assert asdict(site) | options == asdict(site)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("rt:atlantis", "atlantis"),
        ("rt:", "munich"),
        ("rt:own/scene.xml", "@x,y,z"),
        ("rt:munich@1,2", "'1,2'"),
        ("rt:munich@a,b,c", "'a,b,c'"),
        ("rt:munich@nan,0,0", "nan"),
        ("rt:munich?colour=red", "'colour'"),
        ("rt:munich?depth=2.5", "depth='2.5'"),
        ("rt:munich?radius_m=-1", "radius_m='-1'"),
        ("rt:munich?radius_m=", "''"),
        ("rt:munich?rows=3", "num_antennas=8"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(name, part):
    with pytest.raises(ConfigError) as error:
        DATA(scenario=name)
    assert name in str(error.value)
    assert part in str(error.value)


def test_other_scenarios_are_none_of_it():
    assert traced_site("site-umi-los") is None
    assert traced_site("mymodule:rt") is None


def test_traced_data_keep_the_laws_of_sites(tracer, tmp_path):
    data = load_pictures(DATA(), cache_dir=tmp_path, **QUIET)
    assert data.train["pictures"].shape == (160, 2, 8, 8)
    squares = [
        {tuple(square) for square in np.floor(split["positions"] / 20.0)}
        for split in (data.train, data.val, data.test)
    ]
    assert not any(a & b for a, b in zip(squares, [*squares[1:], squares[0]], strict=True))
    assert "ODbL" in data.provenance["licence"]
    assert "within 1 m" in data.provenance["notes"][0]
    guarded = load_pictures(DATA(guard_m=2.0), cache_dir=tmp_path, **QUIET)
    gaps = np.linalg.norm(
        guarded.test["positions"][:, None] - guarded.train["positions"], axis=-1
    ).min(axis=1)
    assert gaps.min() > 2.0


def test_paths_are_traced_once_for_all_arrays(tracer, tmp_path):
    first = load_pictures(DATA(), cache_dir=tmp_path, **QUIET)
    again = load_pictures(DATA(), cache_dir=tmp_path, **QUIET)
    np.testing.assert_array_equal(first.train["pictures"], again.train["pictures"])
    load_pictures(DATA(num_antennas=4), cache_dir=tmp_path, **QUIET)
    load_pictures(DATA(scenario="rt:munich?bandwidth_mhz=20"), cache_dir=tmp_path, **QUIET)
    planar = load_pictures(DATA(scenario="rt:munich?rows=2"), cache_dir=tmp_path, **QUIET)
    assert np.abs(planar.train["pictures"] - first.train["pictures"]).max() > 0.1
    np.testing.assert_array_equal(planar.train["positions"], first.train["positions"])
    assert len(tracer) == 1
    load_pictures(DATA(scenario="rt:munich?carrier_ghz=28"), cache_dir=tmp_path, **QUIET)
    assert [job["carrier_hz"] for job in tracer] == [3.5e9, 28e9]


def test_data_are_others_if_anything_they_are_made_of_is(tracer, tmp_path, monkeypatch):
    scene, mesh = tmp_path / "scene.xml", tmp_path / "wall.ply"
    scene.write_text('<shape type="ply"><string name="filename" value="wall.ply"/></shape>')
    mesh.write_bytes(b"one")
    names = ["rt:munich", "rt:etoile", "rt:munich@1,2,30", "rt:munich?depth=2"]
    found = {DATA(scenario=name).fingerprint for name in names}
    own = f"rt:{scene}@0,0,10"
    found.add(DATA(scenario=own).fingerprint)
    mesh.write_bytes(b"two")
    found.add(DATA(scenario=own).fingerprint)
    monkeypatch.setattr(ray_tracing, "version", lambda _: "another")
    found.add(DATA().fingerprint)
    assert len(found) == len(names) + 3


def test_where_a_scene_file_is_does_not_matter(tracer, tmp_path):
    found = set()
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "scene.xml").write_text("<scene/>")
        found.add(DATA(scenario=f"rt:{tmp_path}/{place}/scene.xml@0,0,10").fingerprint)
    assert len(found) == 1


def test_without_the_package_one_line_names_it(tmp_path, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(ray_tracing, "version", missing)
    with pytest.raises(DataError, match=r"kdsweep\[rt\]"):
        load_pictures(DATA(), cache_dir=tmp_path, **QUIET)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_munich_is_traced_alike_twice(tmp_path):
    """Runs where extra rt and LLVM are installed."""
    if not find_spec("mitsuba") or not {**llvm_found(), **os.environ}.get("DRJIT_LIBLLVM_PATH"):
        pytest.skip("Sionna RT, or an LLVM that it can use, is not installed")
    site = traced_site("rt:munich?radius_m=60")
    once, twice = (
        ray_traced.trace_users(site, 40, seed=0, cache_dir=tmp_path / name, **QUIET)
        for name in ("once", "twice")
    )
    for name in ("gain_NP", "delay_NP", "angle_NP", "elevation_NP"):
        np.testing.assert_array_equal(getattr(once[0], name), getattr(twice[0], name))
    paths, positions = once
    assert (np.linalg.norm(positions, axis=1) <= 60.0).all()
    distance = np.hypot(np.linalg.norm(positions, axis=1), 27.0 - 1.5)
    delays = np.where(np.abs(paths.gain_NP) > 0, paths.delay_NP, np.inf).min(axis=1)
    assert (delays >= distance / 299_792_458.0 * (1 - 1e-5)).all()  # nothing is faster than light
    straight = np.hypot(np.linalg.norm(positions, axis=1), 27.0 - 1.5) / 299_792_458.0
    sees = delays < straight * (1 + 1e-4)
    assert sees.any()
    first = np.abs(paths.delay_NP - delays[:, None]).argmin(axis=1)[sees]
    drop = np.arctan2(27.0 - 1.5, np.linalg.norm(positions[sees], axis=1))
    found = paths.elevation_NP[np.flatnonzero(sees), first]
    np.testing.assert_allclose(found, -drop, atol=0.02)  # the ground is not quite level
