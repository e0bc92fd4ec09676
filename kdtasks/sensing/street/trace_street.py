"""Traces the paths of frames in a program that `ray_traced` starts; needs Sionna RT.

Boxes are all that the scene has: what stands still, by material, and the vehicles, which are one
mesh whose corners are put elsewhere in every frame.

Shape suffixes in this file: F = frames, V = boxes, C = corners, P = paths, D = x, y, z.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

mi.set_variant("llvm_ad_mono_polarized")

import sionna.rt as rt  # noqa: E402 - takes the variant that is set when it is imported

Array = NDArray[Any]

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
"""Corners of a box as shares of its sizes."""

SIDES = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)
"""Corners of a box's sides, in their order round it."""

TRIANGLES = np.concatenate([SIDES[:, [0, 1, 2]], SIDES[:, [0, 2, 3]]]).astype(np.uint32)

PEAK = 10.0 ** (8.0 / 20.0)
"""Amplitude of an element of TR 38.901 (8 dBi) straight ahead."""

VEHICLES = "vehicles"


def corners(low_VD: Array, high_VD: Array) -> Array:
    """Return the corners of boxes in a row, as Mitsuba has them, shape [V * 8 * 3]."""
    place_VCD: Array = low_VD[:, None] + CORNERS * (high_VD - low_VD)[:, None]
    return place_VCD.astype(np.float32).ravel()


def boxes(name: str, low_VD: Array, high_VD: Array, material: str) -> Any:
    """Return boxes of one material of ITU-R P.2040 as an object of a scene."""
    first = 8 * np.arange(len(low_VD), dtype=np.uint32)
    mesh = mi.Mesh(name, 8 * len(low_VD), len(TRIANGLES) * len(low_VD))
    parts = mi.traverse(mesh)
    parts["vertex_positions"] = corners(low_VD, high_VD)
    parts["faces"] = (TRIANGLES + first[:, None, None]).ravel()
    parts.update()
    radio_material = rt.ITURadioMaterial(f"{name}-{material}", material, thickness=0.1)
    return rt.SceneObject(mi_mesh=mesh, name=name, radio_material=radio_material)


def build(job: Mapping[str, Any], given: Mapping[str, Array]) -> Any:
    """Return the scene: station, one receiver, boxes; vehicles are where the first frame has them.

    The station's element is that of TR 38.901, it looks along +y; the vehicle's is isotropic. Both
    are polarised vertically.
    """
    scene = rt.load_scene()
    scene.frequency = job["carrier_hz"]
    still = [
        boxes(name, given[f"{name}_low"], given[f"{name}_high"], material)
        for name, material in job["still"].items()
    ]
    moving = boxes(VEHICLES, given["low"][0], given["high"][0], "metal")
    scene.edit(add=[*still, moving])
    element = {"num_rows": 1, "num_cols": 1, "polarization": "V"}
    scene.tx_array = rt.PlanarArray(pattern="tr38901", **element)
    scene.rx_array = rt.PlanarArray(pattern="iso", **element)
    scene.add(rt.Transmitter("station", job["mast"], orientation=[0.5 * np.pi, 0.0, 0.0]))
    scene.add(rt.Receiver("user", [0.0, 1.0, 0.0]))
    return scene


def place(scene: Any, low_VD: Array, high_VD: Array, antenna_D: Array) -> None:
    """Put vehicles and the antenna where a frame has them."""
    parts = scene.mi_scene_params
    parts[f"{VEHICLES}.vertex_positions"] = mi.Float(corners(low_VD, high_VD))
    parts.update()
    scene.receivers["user"].position = [float(part) for part in antenna_D]


def trace(scene: Any, solver: Any, job: Mapping[str, Any]) -> dict[str, Array]:
    """Return amplitudes, delays [s] and sines of departure of one frame, [P], by delay.

    Amplitudes are without the phase of the delay, and relative to an element straight ahead. The
    sine is the direction cosine along x.
    """
    paths = solver(scene, max_depth=job["depth"], samples_per_src=job["rays"], refraction=False)
    real, imaginary = (np.array(part).ravel() for part in paths.a)
    delay_P, zenith_P, azimuth_P = (
        np.array(part).ravel() for part in (paths.tau, paths.theta_t, paths.phi_t)
    )
    found = np.flatnonzero(delay_P >= 0.0)
    found = found[np.argsort(delay_P[found], kind="stable")]
    return {
        "gain": ((real + 1j * imaginary) / PEAK)[found],
        "delay": delay_P[found],
        "sine": (np.sin(zenith_P) * np.cos(azimuth_P))[found],
    }


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a job and the arrays that it comes with."""
    job = json.loads((folder / "job.json").read_text("utf-8"))
    return job, {file.stem: np.load(file, allow_pickle=False) for file in folder.glob("*.npy")}


def run(folder: Path) -> None:
    """Do the job that a folder describes, and leave arrays there, [F, P], 0 where no path is."""
    job, given = read(folder)
    dr.set_thread_count(1)  # for rays this few two threads take 1.7 times the CPU time of one
    scene, solver = build(job, given), rt.PathSolver(deterministic=True)
    frames: list[dict[str, Array]] = []
    for done, count in enumerate(job["frames"], 1):
        for frame in range(len(frames), len(frames) + count):
            place(scene, given["low"][frame], given["high"][frame], given["antenna"][frame])
            frames.append(trace(scene, solver, job))
        sys.stdout.write(f"{done}\n")
        sys.stdout.flush()
    most = max(1, *(len(frame["gain"]) for frame in frames))
    for name in ("gain", "delay", "sine"):
        rows = [np.pad(frame[name], (0, most - len(frame[name]))) for frame in frames]
        np.save(folder / f"{name}.npy", np.stack(rows), allow_pickle=False)
