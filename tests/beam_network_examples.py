"""Deployments of beam tracking that take a fraction of a second, on frames without any twin."""

from dataclasses import replace

import numpy as np
from beam_trials import TASK, tiny
from csi_examples import drained

from kdtasks.beam_tracking.data import window_masks
from kdtasks.contract.collaboration import Guidance, Stage
from kdtasks.contract.task import ScenarioData
from kdtasks.sensing.beams.format import CONDITIONS, NUM_BEAMS, NUM_SLOTS
from kdtasks.sensing.beams.windows import make_windows

NETWORK = {
    "sensors": "image radar gps",
    "teacher": "image-radar-teacher",
    "train_passages": 16,
    "num_edges": 3,
    "partition_skew": 0.0,
    "edge_epochs": 1,
    "epochs": 1,
    "teacher_epochs": 1,
    "batch_chunks": 2,
}

MIXED = {"edge_families": "mixed"}

TOPOLOGIES = {
    "centralized": {"method": "response"},
    "decentralized": {"method": "feature"},
    "semi-centralized": {"method": "relation", "rehearsal_share": 0.5, "anchor_weight": 0.5},
    "mutual": {"rounds": 2, "anchor_weight": 0.5, "proxy_samples": 7},
    "self": {"rounds": 2, "anchor_weight": 0.5},
}
"""Every topology, with what it needs."""

STAGE = Stage(
    epochs=1, rate=5e-3, guidance_weight=0.0, server_part=True, stream_name="edge-0 round 1"
)


def street(passages, seed, first=0):
    """Return a split of vehicles that sweep the beams; a frame's position names it.

    Positions are the passage and the number of the frame: nobody else's frame is like it.
    """
    rng = np.random.default_rng([seed, passages])
    frames = rng.integers(13, 18, passages)
    number = first + np.arange(passages, dtype=np.int32)
    start, speed = rng.uniform(5, 40, passages), rng.uniform(0.5, 1.5, passages)
    beam = np.concatenate(
        [s + v * np.arange(n) for s, v, n in zip(start, speed, frames, strict=True)]
    )
    power = np.exp(-0.5 * (beam[:, None] - np.arange(NUM_BEAMS)) ** 2).astype(np.float32)
    condition = rng.integers(len(CONDITIONS), size=passages).astype(np.int8)
    passage = number.repeat(frames)
    split = {
        "power": power,
        "condition": condition.repeat(frames),
        "frame_passage": passage,
        "radar": rng.random((len(beam), 2, 128, 64), np.float32).astype(np.float16),
        "gps": np.stack([passage, np.arange(len(beam))], axis=1).astype(np.float32),
        **make_windows(passage, power, strict=True, stride=2),
    }
    images = rng.integers(256, size=(len(beam), 32, 32), dtype=np.uint8)
    split["mask"], split["mask_index"] = window_masks(images, split["window"])
    return split


DATA = ScenarioData(
    train=street(16, 1),
    val=street(6, 2, 100),
    test=street(4, 3, 200),
    provenance={"source": "test"},
)


def networked(topology="centralized", **changes):
    """Return the completed parameters of a deployment."""
    return TASK.complete(tiny(**{**NETWORK, "topology": topology, **changes}))


def taught(params):
    """Return the teacher of a deployment, if it has one."""
    if TASK.teacher_fingerprint(params) is None:
        return None
    return drained(TASK.train_teacher(params, DATA.train, DATA.val))[1]


def learnt(params, data, teacher=None, *, stream_name=""):
    """Train a student at a node."""
    return drained(TASK.learn(params, data, teacher, server_part=True, stream_name=stream_name))[1]


def trained_on(params, weights, data, guidance=None, **changes):
    """Train a student on, at an edge."""
    stage = replace(STAGE, **changes)
    return drained(TASK.train_on(params, weights, data, guidance, stage))[1]


def silenced(teacher):
    """Return a teacher that has said nothing yet."""
    return replace(teacher, metrics={}, outputs={})


def random_guidance(samples, seed=0):
    """Return guidance towards random logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(samples["label"]), NUM_SLOTS, NUM_BEAMS)).astype(np.float32)
    return Guidance(samples=samples, outputs={"logits": logits})


def assert_same(one, other):
    """Assert that arrays are bit-equal."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def differ(one, other):
    """Say whether any array differs."""
    assert one.keys() == other.keys()
    return any(not np.array_equal(array, other[name]) for name, array in one.items())
