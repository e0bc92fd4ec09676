"""The street as Sionna RT traces it: by a stand-in, and, where it is installed, by itself."""

import os
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from beam_trials import TASK as BEAM
from beam_trials import tiny as beam
from lidar_trials import TASK as LIDAR
from lidar_trials import tiny as lidar
from street_examples import placed, without_sionna

from kdtasks.contract.errors import DataError
from kdtasks.data import ray_tracing
from kdtasks.data.ray_tracing import llvm_found, run_tracer
from kdtasks.sensing.street.backdrop import SKY_DEPTH_M, make_backdrop
from kdtasks.sensing.street.camera import CameraConfig, daylight
from kdtasks.sensing.street.lidar import LidarConfig, ray_bearings, true_ranges
from kdtasks.sensing.street.radio import RadioConfig, beam_powers, mean_powers, trace_radio
from kdtasks.sensing.street.ray_traced import (
    MATERIALS,
    TracingConfig,
    cache_of,
    moving_boxes,
    radio_paths,
    still_boxes,
    trace_passages,
)
from kdtasks.sensing.street.traffic import StreetConfig, build_passage

RADIO = RadioConfig()
CLEAR = replace(RADIO, facade_gain=0.0, pole_gain=0.0, blockage_db=400.0)
TRACING = TracingConfig()
BUS = (0.0, 9.5, 10.0, (12.0, 2.55, 3.2))
QUIET = {"progress": lambda *_: None}


def traced(passages, folder):
    cache = cache_of(passages, RADIO, TRACING, folder)
    arrays = cache.read() or trace_passages(passages, RADIO, TRACING, cache, **QUIET)
    return radio_paths(arrays, passages, RADIO)


@pytest.fixture
def jobs(monkeypatch):
    return without_sionna(monkeypatch)


# --- what is ours: export, units, cache ---


def test_a_line_of_sight_has_the_power_that_the_synthetic_street_gives_it(jobs, tmp_path):
    street = StreetConfig(traffic=2.0)
    passages = [build_passage(street, index) for index in range(6)]
    hidden = 0
    for passage, paths in zip(passages, traced(passages, tmp_path), strict=True):
        ours = trace_radio(passage, CLEAR)
        np.testing.assert_array_equal(paths.blocked_FP[:, 0], ours.blocked_FP[:, 0])
        np.testing.assert_allclose(
            mean_powers(paths, RADIO), mean_powers(ours, CLEAR), rtol=1e-4, atol=1e-7
        )
        hidden += ours.blocked_FP[:, 0].sum()
    assert hidden, "no frame tries what a vehicle hides"


def test_where_no_path_is_beams_have_noise_alone(jobs, tmp_path):
    passage = placed((0.0, 17.0), (0.0, 9.5, 10.0, (9.0, 2.5, 3.8)))
    (paths,) = traced([passage], tmp_path)
    assert not paths.gain_FP.any()
    power = beam_powers(passage, RADIO, paths)
    assert 0.0 < power.min() < power.max() < 20.0 * RADIO.noise_power


def test_a_frame_has_the_boxes_of_its_passage_and_no_others_above_the_ground():
    passages = [build_passage(StreetConfig(traffic=3.0), index) for index in range(5)]
    given, start = moving_boxes(passages), 0
    for passage in passages:
        frames, vehicles = passage.low_FVD.shape[:2]
        own = slice(start, start + frames)
        np.testing.assert_array_equal(given["low"][own, :vehicles], passage.low_FVD)
        np.testing.assert_array_equal(given["high"][own, :vehicles], passage.high_FVD)
        assert (given["high"][own, vehicles:] < -1.0).all()
        assert (given["low"][own] < given["high"][own]).all()
        start += frames
    assert len(given["antenna"]) == start


@pytest.mark.parametrize("poles", [0, 5])
def test_what_stands_still_leaves_the_lanes_and_the_mast_free(poles):
    street = StreetConfig(num_poles=poles)
    still = still_boxes(street, TRACING)
    assert len(still["poles_low"]) == poles
    for name in MATERIALS:
        low, high = still[f"{name}_low"], still[f"{name}_high"]
        assert (low < high).all()
        in_street = (low[:, 1] < max(street.lanes_m) + 2.0) & (high[:, 1] > -TRACING.wall_behind_m)
        assert (high[in_street, 2] <= 0.0).all(), "only the ground is in the street"


def test_paths_are_traced_once_for_all_codebooks_and_anew_for_other_streets(jobs, tmp_path):
    for params in ({}, {"window_stride": 3}, {"model": "gps-student"}, {"distractors": 2.0}):
        BEAM.load_scenario(beam(scenario="rt-street", **params), cache_dir=tmp_path, **QUIET)
    assert len(jobs) == 2
    assert jobs[0]["count"] == jobs[1]["count"]


def test_data_are_others_if_anything_they_are_made_of_is(jobs, monkeypatch):
    prints = {
        task.scenario_fingerprint(tiny(scenario=name))
        for (task, tiny), name in product([(BEAM, beam), (LIDAR, lidar)], ["street", "rt-street"])
    }
    monkeypatch.setattr(ray_tracing, "version", lambda _: "another")
    prints.add(BEAM.scenario_fingerprint(beam(scenario="rt-street")))
    assert len(prints) == 5


@pytest.mark.parametrize(("task", "tiny"), [(BEAM, beam), (LIDAR, lidar)], ids=["beam", "lidar"])
def test_tasks_read_it_as_they_read_the_synthetic_street(task, tiny, jobs, tmp_path):
    found = {
        name: task.load_scenario(tiny(scenario=name), cache_dir=tmp_path / name, **QUIET)
        for name in ("street", "rt-street")
    }
    ours, theirs = found["street"], found["rt-street"]
    for split in ("train", "val", "test"):
        one, other = getattr(ours, split), getattr(theirs, split)
        assert one.keys() == other.keys()
        for key in one.keys() - {"power", "label"}:
            np.testing.assert_array_equal(one[key], other[key])
        assert (one["power"] != other["power"]).any()
    facts = theirs.provenance
    assert "Sionna RT" in facts["source"]
    assert "mitsuba" in facts["made_with"]
    assert 0.0 <= facts["split"]["of"]["train"]["share_of_frames_without_a_path"] < 0.2
    assert task.baselines(tiny(scenario="rt-street"), theirs)


@pytest.mark.parametrize(("task", "tiny"), [(BEAM, beam), (LIDAR, lidar)], ids=["beam", "lidar"])
def test_without_the_package_one_line_names_it(task, tiny, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(ray_tracing, "version", missing)
    with pytest.raises(DataError, match=r"kdsweep\[rt\]"):
        task.scenario_fingerprint(tiny(scenario="rt-street"))


# --- Sionna RT itself ---


@pytest.fixture(scope="module")
def sionna():
    if not find_spec("mitsuba") or not {**llvm_found(), **os.environ}.get("DRJIT_LIBLLVM_PATH"):
        pytest.skip("Sionna RT, or an LLVM that it can use, is not installed")


LEVEL = StreetConfig(mast_m=2.4, num_poles=0)
"""The antenna of a van is as high as the mast: places along a line have one direction."""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sionna_rt_keeps_the_laws_of_propagation(sionna, tmp_path):
    near, far = (placed((0.5 * y, y), street=LEVEL) for y in (8.0, 20.0))
    beside, behind = (placed((x, 17.0), BUS, street=LEVEL) for x in (-15.0, 0.0))
    whole = build_passage(replace(LEVEL, traffic=3.0), 5)
    frames = {n: getattr(whole, n)[8:20] for n in ("low_FVD", "high_FVD", "velocity_FV")}
    busy = replace(whole, **frames)
    assert 0 < trace_radio(busy, CLEAR).blocked_FP[:, 0].sum() < 12
    passages = [near, far, beside, behind, busy]
    found = traced(passages, tmp_path)
    for passage, paths in zip(passages, found, strict=True):
        ours = trace_radio(passage, CLEAR)
        # Boxes hide the line of sight, and nothing else does.
        np.testing.assert_array_equal(paths.blocked_FP[:, 0], ours.blocked_FP[:, 0])
        seen = ~paths.blocked_FP[:, 0]
        np.testing.assert_allclose(paths.sine_FP[seen, 0], ours.sine_FP[seen, 0], atol=1e-5)
        # No path is stronger than the free way is to an element that looks at it, nor shorter.
        free_F = RADIO.reference_m / np.linalg.norm(passage.antenna - passage.mast, axis=1)
        assert (np.abs(paths.gain_FP) <= free_F[:, None] * (1 + 1e-4)).all()
    direct = [np.abs(paths.gain_FP[0, 0]) for paths in found]
    assert direct[0] == pytest.approx(2.5 * direct[1], rel=1e-4)
    assert direct[3] == 0.0 < direct[2]
    powers = [mean_powers(paths, RADIO)[0].max() for paths in found]
    assert powers[3] < 0.05 * powers[2]
    # The mirror image in the facade, as a second implementation has it.
    mirror = trace_radio(far, RADIO).sine_FP[0, 1]
    assert np.isclose(found[1].sine_FP[0], mirror, atol=1e-4).any()
    again = traced(passages, tmp_path / "again")
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.gain_FP, other.gain_FP)
        np.testing.assert_array_equal(one.sine_FP, other.sine_FP)


@pytest.mark.slow
def test_sensors_see_the_boxes_that_paths_meet(sionna, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]), prepend=os.pathsep)
    passage = placed((-4.0, 13.0), BUS, (9.0, 20.5))
    street, size = passage.street, 48
    scanner, camera = LidarConfig(max_range_m=1e3), CameraConfig()
    rays = camera.rays(size, street.mast_m)
    bearing = ray_bearings()
    flat = np.stack([np.cos(bearing), np.sin(bearing), np.zeros_like(bearing)], axis=1)
    across, up = np.meshgrid(rays.across_C, rays.up_R)
    view = np.stack([across.ravel(), np.ones(size**2), up.ravel()], axis=1)
    found = {}
    for name, ways, height in (("lidar", flat, scanner.height_m), ("camera", view, street.mast_m)):
        job = {
            "count": 1,
            "unit": "rays",
            "carrier_hz": 60e9,
            "mast": passage.mast.tolist(),
            "origin": [0.0, 0.0, height],
            "still": MATERIALS,
        }
        run_tracer(
            "street_rays",
            job,
            scene="street",
            files={"range": tmp_path / f"{name}.npy"},
            given={**still_boxes(street, TRACING), **moving_boxes([passage]), "ways": ways},
            **QUIET,
        )
        found[name] = np.load(tmp_path / f"{name}.npy")
    ours = true_ranges(passage, scanner)[0]
    met = ours > 0.0
    assert 10 < met.sum() < len(met)
    np.testing.assert_allclose(found["lidar"][met], ours[met], atol=1e-3)
    depth = daylight(passage, 0, camera, make_backdrop(street, rays))[1].ravel()
    theirs = found["camera"] / np.linalg.norm(view, axis=1)
    theirs = np.where(np.isfinite(theirs), theirs, SKY_DEPTH_M)
    # Poles have a depth of their own here, and are flat in the picture.
    assert np.mean(np.abs(theirs - depth) < 0.01 * depth) > 0.98
