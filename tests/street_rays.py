"""A program for `run_tracer`: what rays meet in the scene that Sionna RT traces."""

import sys
from pathlib import Path

import numpy as np

from kdtasks.sensing.street import trace_street
from kdtasks.sensing.street.trace_street import mi

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    job, given = trace_street.read(folder)
    scene = trace_street.build(job, given)
    way = given["ways"].astype(np.float32)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    mast = mi.Point3f(*job["origin"])
    hit = scene.mi_scene.ray_intersect(
        mi.Ray3f(mast, mi.Vector3f(*(mi.Float(np.ascontiguousarray(axis)) for axis in way.T)))
    )
    np.save(folder / "range.npy", np.array(hit.t))
