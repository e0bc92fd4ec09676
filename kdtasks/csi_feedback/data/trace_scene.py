"""Places users in a scene and traces their paths, in a program that `ray_traced` starts.

Shape suffixes in this file: N = users, P = paths.
"""

import json
import sys
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

mi.set_variant("llvm_ad_mono_polarized")

import sionna.rt as rt  # noqa: E402 - takes the variant that is set when it is imported

BATCH_USERS = 250
"""Positions traced at once. Another number would give other users, so it is no setting."""

RAYS = 50_000
"""Rays from the station, among whose bounces the paths are found."""

MOST_TRIES = 50
"""Positions tried per user wanted; with fewer hits the station is not in the open."""

Float = NDArray[np.float32]


def build(job: dict[str, Any]) -> Any:
    """Return the scene with its station: one vertically polarised isotropic antenna."""
    name = job["scene"]
    scene = rt.load_scene(name if name.endswith(".xml") else getattr(rt.scene, name))
    scene.frequency = job["carrier_hz"]
    antenna = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    scene.tx_array = scene.rx_array = antenna
    scene.add(rt.Transmitter("station", job["station_m"]))
    return scene


def cast(scene: Any, points_N3: Float, up: bool) -> Float:
    """Return the heights of what is first met above or below points [m], inf if nothing."""
    origin = mi.Point3f(*(mi.Float(np.ascontiguousarray(axis)) for axis in points_N3.T))
    ray = mi.Ray3f(origin, mi.Vector3f(0.0, 0.0, 1.0 if up else -1.0))
    way = np.array(scene.mi_scene.ray_intersect(ray).t, np.float32)
    return points_N3[:, 2] + (way if up else -way)


def draw_outdoor_users(scene: Any, job: dict[str, Any], rng: np.random.Generator) -> Float:
    """Draw positions uniformly over the disc round the station; those under a roof are left out.

    Users stand on what is met first from below the scene: its ground.
    """
    box, station = scene.mi_scene.bbox(), job["station_m"]
    distance = job["radius_m"] * np.sqrt(rng.uniform(size=BATCH_USERS))
    angle = rng.uniform(-np.pi, np.pi, BATCH_USERS)
    place = np.empty((BATCH_USERS, 3), np.float32)
    place[:, 0] = station[0] + distance * np.cos(angle)
    place[:, 1] = station[1] + distance * np.sin(angle)
    place[:, 2] = box.min[2] - 10.0
    place[:, 2] = cast(scene, place, up=True) + job["height_m"]
    place = place[np.isfinite(place[:, 2])]  # beyond the edge of the scene there is no ground
    return place[~np.isfinite(cast(scene, place, up=True))]


def trace(scene: Any, job: dict[str, Any], place_N3: Float) -> dict[str, NDArray[Any]]:
    """Return gains, delays and angles of departure of users, [N, P], the earliest path first.

    Absent paths have gain 0. Rays do not pass through walls. Angles are those whose sines are the
    y part and the z part of the direction, all that an array in the plane of y and z observes.
    """
    names = [f"user-{number}" for number in range(len(place_N3))]
    for name, place in zip(names, place_N3, strict=True):
        scene.add(rt.Receiver(name, [float(part) for part in place]))
    solver = rt.PathSolver(deterministic=True)
    paths = solver(scene, max_depth=job["depth"], samples_per_src=RAYS, refraction=False)
    for name in names:
        scene.remove(name)
    gain, delay = paths.cir(normalize_delays=False, out_type="numpy")
    gain_NP = gain[:, 0, 0, 0, :, 0]
    delay_NP = delay.reshape(gain_NP.shape)
    zenith_NP, azimuth_NP = (
        np.array(angle).reshape(gain_NP.shape) for angle in (paths.theta_t, paths.phi_t)
    )
    there_NP = delay_NP >= 0.0
    order_NP = np.argsort(np.where(there_NP, delay_NP, np.inf), axis=1, kind="stable")
    order_NP = order_NP[:, : int(there_NP.sum(axis=1).max(initial=0))]
    angle_NP = np.arcsin(np.clip(np.sin(zenith_NP) * np.sin(azimuth_NP), -1.0, 1.0))
    elevation_NP = np.pi / 2.0 - zenith_NP
    found = {"gain": gain_NP, "delay": delay_NP, "angle": angle_NP, "elevation": elevation_NP}
    return {
        name: np.take_along_axis(np.where(there_NP, values, 0.0), order_NP, axis=1)
        for name, values in found.items()
    }


def run(folder: Path) -> None:
    """Do the job that a folder describes, and leave arrays there."""
    job = json.loads((folder / "job.json").read_text("utf-8"))
    scene, rng = build(job), np.random.default_rng(job["seed"])
    parts: list[dict[str, NDArray[Any]]] = []
    done = tries = 0
    while done < job["count"]:
        if tries > MOST_TRIES * job["count"]:
            raise SystemExit(
                f"only {done} of {tries} positions have a path to the station: is it in the open, "
                "inside the scene?"
            )
        place = draw_outdoor_users(scene, job, rng)
        tries += BATCH_USERS
        if not len(place):
            continue
        part = {**trace(scene, job, place), "positions": place}
        reached = np.abs(part["gain"]).max(axis=1, initial=0.0) > 0.0
        parts.append({name: values[reached] for name, values in part.items()})
        done += int(reached.sum())
        sys.stdout.write(f"{done}\n")
        sys.stdout.flush()
    most = max(part["gain"].shape[1] for part in parts)
    for name in parts[0]:
        columns = 3 if name == "positions" else most
        wide = [np.pad(p[name], ((0, 0), (0, columns - p[name].shape[1]))) for p in parts]
        np.save(folder / f"{name}.npy", np.concatenate(wide)[: job["count"]], allow_pickle=False)
