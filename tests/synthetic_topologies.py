"""A made-up sweep over topologies: the shipped study's points with numbers from a formula."""

from typing import Any

import numpy as np
from synthetic_frames import facts

from analysis.frames import PARAM, SweepFrames, table
from analysis.ranking import rank_trials
from search_spaces.study import load_study

STUDENT_BYTES, TEACHER_BYTES, SAMPLE_BYTES, NUM_EDGES, LOCAL = 8_240.0, 97_300.0, 2_048.0, 4, 1500

# quality on the edges' own channels and on the server's [dB], training per edge [GFLOP]
TOPOLOGIES = {
    "centralized": (-5.6, -8.1, 0.0),
    "decentralized": (-7.4, -5.2, 310.0),
    "semi-centralized": (-7.2, -6.1, 41.0),
    "mutual": (-6.3, -4.9, 122.0),
    "self": (-6.1, -4.7, 96.0),
}


def _filled(point: dict[str, Any]) -> dict[str, Any]:
    """Return a point with the defaults that its topology has."""
    own = {"centralized": {"uploads": 0}}
    own["semi-centralized"] = {"rehearsal_share": 0.0, "anchor_weight": 0.0}
    return own.get(point["topology"], {}) | point


def _kinds(params: dict[str, Any]) -> dict[str, float]:
    """Return the bytes per edge by kind of message."""
    topology, method = params["topology"], params["method"]
    central = topology in ("centralized", "semi-centralized")
    pairs = 3_000 * (SAMPLE_BYTES + 128) if method == "ip-encoder-kd" else 0.0
    rehearsed = LOCAL * params.get("rehearsal_share", 0.0) * SAMPLE_BYTES
    if params.get("rehearsal_source") == "synthetic":
        rehearsed = 0.0
    sent = params.get("uploads", 0) * 0.25 * LOCAL * SAMPLE_BYTES
    mutual = topology == "mutual"
    return {
        "model": STUDENT_BYTES if central else 0.0,
        "teacher": TEACHER_BYTES if (topology, method) == ("decentralized", "encoder-kd") else 0.0,
        "samples": pairs + rehearsed + sent + (500 * SAMPLE_BYTES if mutual else 0.0),
        "outputs": 4 * 500 * 128.0 * (NUM_EDGES - 1) if mutual else 0.0,
        "features": 4_096.0 if params.get("rehearsal_source") == "synthetic" else 0.0,
        "control": 96.0,
    }


def numbers(params: dict[str, Any], rng: np.random.Generator) -> dict[str, float]:
    """Return every number of a run on either split, without the split's prefix for costs."""
    own, kept, gflop = TOPOLOGIES[params["topology"]]
    helped = 0.4 if params["method"] == "encoder-kd" else 0.0
    remembers = 1.1 * bool(params.get("rehearsal_share")) + 0.5 * bool(params.get("anchor_weight"))
    own, kept = own - helped + 0.1 * rng.normal(), kept - remembers + 0.1 * rng.normal()
    kinds = _kinds(params)
    total = sum(kinds.values())
    sent = params.get("uploads", 0) * 0.25 * LOCAL * NUM_EDGES
    quality = {
        "nmse_db": own,
        "worst_edge_nmse_db": own + 0.9,
        "server_nmse_db": kept,
        "received_nmse_db": -5.6 + 0.1 * rng.normal(),
        "forgetting_db": kept + 8.1,
    }
    return {
        **{split + name: float(v) for split in ("val_", "test_") for name, v in quality.items()},
        **{f"edge_{kind}_bytes": value for kind, value in kinds.items()},
        "edge_bytes": total,
        "deployment_s": 0.02 + 8 * total / 1e7 + gflop / 5 + 24.0,
        "energy_j": 8 * total * NUM_EDGES * 1e-7,
        "edge_train_gflop": gflop,
        "edge_train_core_seconds": gflop / 9 * (1 + 0.05 * rng.random()),
        "edge_peak_bytes": {0.0: 0.0, 310.0: 7.1e7}.get(gflop, 2.9e7),
        "raw_samples_up": sent,
        "raw_bytes_up": sent * SAMPLE_BYTES,
    }


def make_topology_frames() -> SweepFrames:
    """Return a sweep of the shipped study ``topology-table``, each point with three seeds."""
    spec = load_study("topology-table")
    rng = np.random.default_rng(0)
    trials, confirmations = [], []
    for number, point in enumerate(spec.search.points):
        params = _filled(point)
        stored = {PARAM + name: value for name, value in params.items()} | {PARAM + "seed": 0}
        method = {"method": params["method"], "taught": params["method"] != "vanilla"}
        trials.append(facts("trial", number, str(number)) | method | stored | numbers(params, rng))
        for seed in spec.seeds.confirm:
            row = facts("confirmation", number, f"{number}/{seed}") | method | stored
            confirmations.append(row | {PARAM + "seed": seed} | numbers(params, rng))
    ranks = rank_trials(table(trials), spec)
    trials = [
        row | {"rank": rank, "front": rank == 0} for row, rank in zip(trials, ranks, strict=True)
    ]
    frame = table(trials)
    return SweepFrames(
        name="topologies-1",
        study=spec,
        metrics={},
        trials=frame,
        teachers=table([]),
        baselines=table([]),
        confirmations=table(confirmations),
        wall_time_s=1234.0,
    )
