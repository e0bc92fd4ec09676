import numpy as np
import pytest
from deepsense_examples import write_mat, write_picture, write_power, write_text
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdtasks.contract.errors import DataError
from kdtasks.sensing.beams.radar_maps import stacked_maps
from kdtasks.sensing.deepsense.files import (
    CLOUD_BAND_M,
    CLOUD_NEAREST_M,
    planar_scan,
    probe_lidar,
    probe_radar,
    read_lidar,
    read_position,
    read_power,
    read_radar,
    to_metres,
)
from kdtasks.sensing.deepsense.pictures import probe_image


def cube(chirps=128, seed=0):
    rng = np.random.default_rng(seed)
    shape = (4, 256, chirps)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


@pytest.mark.parametrize("end", ["\n", "\r\n", " ", ","])
@pytest.mark.parametrize("missing", ["nan", "NaN"])
def test_powers_however_they_are_separated(tmp_path, end, missing):
    power = np.random.default_rng(0).gamma(1.0, size=64)
    words = [f"{value:.17g}" for value in power]
    words[5] = missing
    write_text(tmp_path / "p.txt", end.join(words) + end.strip(","))
    read = read_power(tmp_path / "p.txt")
    assert read.dtype == np.float32
    power[5] = np.nan
    np.testing.assert_array_equal(read, power.astype(np.float32))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n" * 63, "63 numbers, expected the powers of 64 beams"),
        ("1\n" * 65, "65 numbers"),
        ("", "0 numbers"),
        ("1\n" * 63 + "inf", "infinite power of beam 63"),
        ("1\n" * 63 + "x", "not a text file of numbers"),
        ("1 " * 40_000, "80000 bytes, more than"),
    ],
)
def test_each_wrong_power_file_is_refused_by_name(tmp_path, text, message):
    write_text(tmp_path / "p.txt", text)
    with pytest.raises(DataError, match=message) as caught:
        read_power(tmp_path / "p.txt")
    assert "p.txt" in str(caught.value)


def enu_by_ecef(position, base):
    """East and north through Earth-centred coordinates: a second way."""

    def ecef(latitude, longitude):
        a, e2 = 6378137.0, 0.00669437999014
        n = a / np.sqrt(1 - e2 * np.sin(latitude) ** 2)
        return np.array(
            [
                n * np.cos(latitude) * np.cos(longitude),
                n * np.cos(latitude) * np.sin(longitude),
                n * (1 - e2) * np.sin(latitude),
            ]
        )

    latitude, longitude = np.radians(base)
    way = ecef(*np.radians(position)) - ecef(latitude, longitude)
    east = np.array([-np.sin(longitude), np.cos(longitude), 0.0])
    north = np.array(
        [
            -np.sin(latitude) * np.cos(longitude),
            -np.sin(latitude) * np.sin(longitude),
            np.cos(latitude),
        ]
    )
    return np.array([east @ way, north @ way])


@given(
    st.floats(-70, 70),
    st.floats(-180, 179),
    st.floats(-5e-3, 5e-3),
    st.floats(-5e-3, 5e-3),
)
def test_metres_are_those_of_the_earth_centred_way(latitude, longitude, north, east):
    base, here = np.array([latitude, longitude]), np.array([latitude + north, longitude + east])
    found = to_metres(here[None], base[None])[0]
    np.testing.assert_allclose(found, enu_by_ecef(here, base), atol=1.0)
    close = base + 0.1 * (here - base)  # within 60 m
    np.testing.assert_allclose(
        to_metres(close[None], base[None])[0], enu_by_ecef(close, base), atol=0.01
    )


@pytest.mark.parametrize("text", ["33.4", "north west", "91 0", "0 181", "nan 3"])
def test_what_is_no_position_is_refused(tmp_path, text):
    write_text(tmp_path / "gps.txt", text)
    with pytest.raises(DataError, match=r"gps\.txt: "):
        read_position(tmp_path / "gps.txt")


def test_cubes_of_both_testbeds(tmp_path):
    write_mat(tmp_path / "data_45141_0_52_40.mat", cube())
    np.save(tmp_path / "radar_data_7.npy", cube(250))
    wanted = stacked_maps(cube())
    np.testing.assert_array_equal(read_radar(tmp_path / "data_45141_0_52_40.mat"), wanted)
    np.testing.assert_array_equal(
        read_radar(tmp_path / "radar_data_7.npy"), stacked_maps(cube(250)[..., :128])
    )
    assert probe_radar(tmp_path / "radar_data_7.npy") == (4, 256, 250)


@pytest.mark.parametrize("rows", [128, 256])
def test_maps_that_published_code_keeps(tmp_path, rows):
    rng = np.random.default_rng(0)
    near, doppler = rng.random((rows, 64)), rng.random((128, 64))
    for kind, values in (("RA", near), ("DA", doppler)):
        (tmp_path / f"radar_data_{kind}").mkdir()
        np.save(tmp_path / f"radar_data_{kind}" / f"data_7_{kind}.npy", values)
    read = read_radar(tmp_path / "radar_data_RA" / "data_7_RA.npy")
    np.testing.assert_array_equal(read, np.stack([near[:128], doppler]).astype(np.float16))
    (tmp_path / "radar_data_DA" / "data_7_DA.npy").unlink()
    with pytest.raises(DataError, match=r"data_7_DA\.npy"):
        read_radar(tmp_path / "radar_data_RA" / "data_7_RA.npy")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.mat", cube(100), "expected 4 antennas x 256 samples x 128 chirps"),
        ("a.mat", cube()[0], "expected 3 axes"),
        ("a.mat", cube().real, "is real, expected complex"),
        ("a.npy", cube(100), "128 chirps"),
        ("a.npy", cube().real, "of float32, expected complex"),
        ("a.npy", np.array([{"a": 1}], dtype=object), "damaged or truncated"),
        ("a_RA.npy", np.zeros((64, 64)), "radar map of shape"),
        ("a.npy", np.full((4, 256, 128), np.nan + 0j), "NaN or infinite"),
        ("a.mat", np.full((4, 256, 128), np.inf + 0j), "NaN or infinite"),
    ],
)
def test_each_wrong_radar_file_is_refused_by_name(tmp_path, name, data, message):
    path = tmp_path / name
    if name.endswith(".mat"):
        write_mat(path, data)
    else:
        np.save(path, data, allow_pickle=True)
        if name == "a_RA.npy":
            np.save(tmp_path / "a_DA.npy", np.zeros((128, 64)))
    with pytest.raises(DataError, match=message) as caught:
        read_radar(path)
    assert str(path) in str(caught.value)


def test_scans_are_the_first_column(tmp_path):
    scan = np.zeros((216, 2))
    scan[10:20] = [[3.5, -1.0]] * 10
    scan[30, 0] = np.inf
    write_mat(tmp_path / "Lidar_data_189.mat", scan)
    read = read_lidar(tmp_path / "Lidar_data_189.mat")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(np.flatnonzero(read), np.arange(10, 20))
    assert read.max() == 3.5


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        (np.zeros((215, 2)), "expected 216 x 2"),
        (np.zeros((216, 3)), "expected 216 x 2"),
        (np.full((216, 2), -1.0), "range -1.0 of ray 0"),
        (np.full((216, 2), np.nan), "range nan of ray 0"),
    ],
)
def test_each_wrong_scan_is_refused(tmp_path, scan, message):
    write_mat(tmp_path / "a.mat", scan)
    with pytest.raises(DataError, match=message):
        read_lidar(tmp_path / "a.mat")


clouds = arrays(
    np.float64,
    st.tuples(st.integers(0, 40), st.just(3)),
    elements=st.floats(-30, 30, allow_subnormal=False),
)


@given(clouds)
def test_a_planar_scan_is_the_nearest_point_per_ray(cloud_P3):
    wanted = np.zeros(216)
    for x, y, z in cloud_P3:
        distance = np.hypot(x, y)
        if x > 0 or abs(z) > CLOUD_BAND_M or distance < CLOUD_NEAREST_M:
            continue
        ray = int(np.rint(np.arctan2(abs(x), y) * 215 / np.pi))
        if wanted[ray] == 0 or distance < wanted[ray]:
            wanted[ray] = distance
    np.testing.assert_array_equal(planar_scan(cloud_P3), wanted.astype(np.float32))


def test_rays_go_from_right_to_left_of_a_sensor_that_points_along_minus_x():
    right, ahead, left = ([0.0, 5.0, 0.0], [-5.0, 0.0, 0.0], [0.0, -5.0, 0.0])
    rays = [int(planar_scan(np.array([point])).argmax()) for point in (right, ahead, left)]
    assert rays == [0, 108, 215]


PLY = """ply
format ascii 1.0
comment made by a test
element vertex {count}
property float intensity
property float x
property float y
property float z
{more}end_header
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("more", ["", "element face 0\nproperty list uchar int vertex_indices\n"])
def test_clouds_as_text(tmp_path, end, more):
    cloud = np.random.default_rng(0).uniform(-20, 20, (500, 3)) * [1.0, 1.0, 0.05]
    lines = [f"7 {x:.6f} {y:.6f} {z:.6f}" for x, y, z in cloud]
    lines[3] = "7 nan nan nan"
    text = PLY.format(count=500, more=more) + "\n".join(lines) + "\n"
    (tmp_path / "a.ply").write_bytes(text.replace("\n", end).encode())
    wanted = planar_scan(np.delete(np.round(cloud, 6), 3, axis=0))
    np.testing.assert_allclose(read_lidar(tmp_path / "a.ply"), wanted, atol=1e-5)
    assert (wanted > 0).sum() > 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not a cloud", "not an ASCII .ply"),
        (PLY.format(count=2, more="").replace("ascii", "binary_little_endian"), "not an ASCII"),
        (PLY.format(count=2, more="").replace("float y", "float w"), "x, y and z"),
        (PLY.format(count=3, more="") + "0 1 2 3\n0 1 2 3\n", "points"),
        (PLY.format(count=2, more="") + "0 1 2 3\n0 1 2\n", "not 4 numbers each"),
        (PLY.format(count=2, more="") + "0 1 2 3\n0 1 2 x\n", "not 4 numbers each"),
    ],
)
def test_each_wrong_cloud_is_refused(tmp_path, text, message):
    write_text(tmp_path / "a.ply", text)
    with pytest.raises(DataError, match=message):
        read_lidar(tmp_path / "a.ply")


def test_probes_pass_what_is_readable(tmp_path):
    write_mat(tmp_path / "a.mat", np.zeros((216, 2)))
    write_picture(tmp_path / "a.jpg", np.zeros((20, 30, 3), np.uint8))
    write_power(tmp_path / "p.txt", np.ones(64))
    probe_lidar(tmp_path / "a.mat")
    probe_image(tmp_path / "a.jpg")
    assert read_power(tmp_path / "p.txt").sum() == 64.0
