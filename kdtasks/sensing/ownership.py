"""Passages of each node when beams are learnt in a network, and the arrays of a share.

A sample is a window over frames that are stored once. A share is a small split: it holds the frames
that its windows point at and no other, and its windows count within these. A passage, with all of
its windows, is on one node.

Shape suffixes in this file: W = windows, Q = passages, N = frames.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.collaboration import Shares, TensorSpec
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays, SplitName
from kdtasks.data.partition import at_server, by_area, by_dirichlet, withheld
from kdtasks.learning.labels import IGNORED
from kdtasks.learning.random import numpy_generator
from kdtasks.sensing.beams.format import (
    NUM_BEAMS,
    NUM_PAST,
    NUM_RAYS,
    NUM_SLOTS,
    RADAR_SHAPE,
    SCENE_STEP,
    UNKNOWN_CONDITION,
)
from kdtasks.sensing.beams.window_tensors import ARRAYS

STORED = {str(sensor): arrays for sensor, arrays in ARRAYS.items()} | {"lidar": ("lidar", "window")}
"""Arrays of a split that hold a sensor's frames, and which of them each window has."""

OF_WINDOWS = ("label", "passage")
"""Arrays that have a row per window, whatever the sensors."""

BEAMS_TOGETHER = 8
"""Beams that count as one label where passages are dealt out by their middle beam."""

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Owners:
    """What decides on the owners of passages, beside the deployment.

    Attributes:
        seed: Of the data.
        passages: Parameter by which there are more passages to train on, with its value.
        label: Of a passage, by which ``partition`` dirichlet goes.
        server: Sensors of the server.
        edges: Sensors of each edge.
    """

    seed: int
    passages: str
    label: Literal["beam", "condition"]
    server: tuple[str, ...]
    edges: tuple[tuple[str, ...], ...]


# --- windows and their frames ---------------------------------------------------------------------


def taken(split: Arrays, chosen_W: Int, sensors: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return some windows with the frames that they point at, each once, in the order of time.

    Args:
        split: Arrays of a split or a share.
        chosen_W: Which windows, in the order in which they are wanted.
        sensors: Whose frames are wanted.
    """
    found: dict[str, NDArray[Any]] = {name: split[name][chosen_W] for name in OF_WINDOWS}
    for index_name, frame_names in _stored(sensors).items():
        index = split[index_name][chosen_W]
        own_N, place = np.unique(index, return_inverse=True)
        found[index_name] = place.reshape(index.shape).astype(np.int32)
        found |= {name: split[name][own_N] for name in frame_names}
    return found


def windows_between(samples: Arrays, start: int, stop: int) -> dict[str, NDArray[Any]]:
    """Return windows in a row with their frames and no others."""
    chosen_W = np.arange(len(samples["label"]))[start:stop]
    return taken(samples, chosen_W, sensors_in(samples))


def windows_together(one: Arrays, other: Arrays) -> dict[str, NDArray[Any]]:
    """Return the windows of two shares of the same sensors, over the frames of both."""
    found = {name: np.concatenate([one[name], other[name]]) for name in OF_WINDOWS}
    for index_name, frame_names in _stored(sensors_in(one)).items():
        before = len(one[frame_names[0]])
        moved = (other[index_name] + before).astype(np.int32)
        found[index_name] = np.concatenate([one[index_name], moved])
        found |= {name: np.concatenate([one[name], other[name]]) for name in frame_names}
    return found


def with_sensors(samples: Arrays, sensors: Iterable[str]) -> Arrays:
    """Return the same windows with what some sensors have seen of them."""
    stored = _stored(sensors)
    names = [*OF_WINDOWS, *stored, *(name for frames in stored.values() for name in frames)]
    return {name: samples[name] for name in names}


def sensors_in(samples: Arrays) -> list[str]:
    """Return the sensors whose frames are there."""
    return [sensor for sensor, (frames, _) in STORED.items() if frames in samples]


def pointing_nowhere(samples: Arrays) -> str:
    """Return which array of windows points at frames that are not there; empty if none does."""
    for index_name, frame_names in _stored(sensors_in(samples)).items():
        index = samples[index_name]
        for name in frame_names:
            if index.size and not 0 <= int(index.min()) <= int(index.max()) < len(samples[name]):
                return f"windows in {index_name!r} of which {name!r} holds no frame"
    return ""


def sample_specs(sensors: Iterable[str], image_size: int = 0) -> dict[str, TensorSpec]:
    """Return the arrays of a share; the size of images matters to a camera alone."""
    specs = {
        "label": TensorSpec(shape=(None, NUM_SLOTS), dtype="int64"),
        "passage": TensorSpec(shape=(None,), dtype="int32"),
        "mask": TensorSpec(shape=(None, image_size, image_size), dtype="uint8"),
        "mask_index": TensorSpec(shape=(None, NUM_PAST - 1), dtype="int32"),
        "radar": TensorSpec(shape=(None, *RADAR_SHAPE), dtype="float16"),
        "gps": TensorSpec(shape=(None, 2), dtype="float32"),
        "power": TensorSpec(shape=(None, NUM_BEAMS), dtype="float32"),
        "lidar": TensorSpec(shape=(None, NUM_RAYS), dtype="float32"),
        "window": TensorSpec(shape=(None, NUM_PAST), dtype="int32"),
        "condition": TensorSpec(shape=(None,), dtype="int8"),
    }
    stored = _stored(sensors)
    names = [*OF_WINDOWS, *stored, *(name for frames in stored.values() for name in frames)]
    return {name: specs[name] for name in names}


def _stored(sensors: Iterable[str]) -> dict[str, list[str]]:
    """Return which arrays of frames each array of indices points into."""
    found = {"window": ["condition"]}
    for sensor in sensors:
        frames, index = STORED[sensor]
        found.setdefault(index, []).append(frames)
    return found


# --- owners of passages ---------------------------------------------------------------------------


def shares(settings: NetworkSettings, owners: Owners, split: Arrays, name: SplitName) -> Shares:
    """Divide a split among server and edges by the same rule for every split.

    The server has a random part of the training passages; edges have the rest, each at most
    ``edge_samples`` windows. The other splits train nothing: there the server is judged on all
    passages, an edge on all of its own, and an edge without any is not judged.

    Raises:
        ConfigError: If a node has nothing to train on.
    """
    split = _given(settings, owners, split, name)
    server = _server_share(settings, owners, split, name)
    passage_Q = np.unique(split["passage"])
    owner_Q = _owners(settings, owners, split, passage_Q)
    mine_Q = ~at_server(settings, len(passage_Q), name, seed=owners.seed) | (name != "train")
    edges = []
    for edge, sensors in enumerate(owners.edges):
        limit = settings.sample_limit(edge) if name == "train" else None
        chosen_W = _windows_of(owners, split, passage_Q[mine_Q & (owner_Q == edge)])[:limit]
        if name == "train" and not len(chosen_W):
            raise ConfigError(
                f"edge {edge} has no passage to train on: lower num_edges={settings.num_edges}, "
                f"server_share={settings.server_share:g} or partition_skew="
                f"{settings.partition_skew:g}, or raise {owners.passages}"
            )
        edges.append(taken(split, chosen_W, sensors))
    return Shares(server=server, edges=tuple(edges))


def server_share(
    settings: NetworkSettings, owners: Owners, split: Arrays, name: SplitName
) -> Arrays:
    """Return the server's global data; they do not depend on the edges.

    Raises:
        ConfigError: If there is nothing to train on.
    """
    return _server_share(settings, owners, _given(settings, owners, split, name), name)


def withheld_shares(settings: NetworkSettings, owners: Owners, train: Arrays) -> Shares:
    """Return the training passages that no node has, by the distribution that they are of."""
    chosen_W = _withheld(settings, owners, train)
    return shares(settings, owners, _some_windows(train, chosen_W), "val")


def _withheld(settings: NetworkSettings, owners: Owners, train: Arrays) -> Bool:
    """Return which windows no node has, [W]: those of whole passages."""
    passage_Q, passage_W = np.unique(train["passage"], return_inverse=True)
    found: Bool = withheld(settings, len(passage_Q), seed=owners.seed)[passage_W]
    return found


def _given(settings: NetworkSettings, owners: Owners, split: Arrays, name: SplitName) -> Arrays:
    """Return what nodes have of a split together."""
    if name != "train" or not settings.privacy_share:
        return split
    return _some_windows(split, ~_withheld(settings, owners, split))


def _some_windows(split: Arrays, chosen_W: Bool) -> Arrays:
    """Return a split with some of its windows, over the same frames."""
    indices = {*OF_WINDOWS, "window", *(index for _, index in STORED.values())}
    return {name: a[chosen_W] if name in indices else a for name, a in split.items()}


def _server_share(
    settings: NetworkSettings, owners: Owners, split: Arrays, name: SplitName
) -> Arrays:
    passage_Q = np.unique(split["passage"])
    chosen_Q = passage_Q[at_server(settings, len(passage_Q), name, seed=owners.seed)]
    if name == "train" and not len(chosen_Q):
        raise ConfigError(
            f"the server has no passage to train on: raise server_share={settings.server_share:g}"
        )
    return taken(split, _windows_of(owners, split, chosen_Q), owners.server)


def _windows_of(owners: Owners, split: Arrays, passage_Q: Int) -> Int:
    """Return the windows of passages: these in random order, so that the first are any of them."""
    rng = numpy_generator(owners.seed, "order of a node's passages")
    parts = [np.flatnonzero(split["passage"] == passage) for passage in rng.permutation(passage_Q)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def _owners(settings: NetworkSettings, owners: Owners, split: Arrays, passage_Q: Int) -> Int:
    """Return the edge of each passage, [Q]."""
    edges, skew, seed = settings.num_edges, settings.partition_skew, owners.seed
    scenes, scene_Q = np.unique(passage_Q // SCENE_STEP, return_inverse=True)
    if settings.partition == "area" and len(scenes) > 1:
        if len(scenes) != edges:
            raise ConfigError(
                f"num_edges={edges}: the data are of {len(scenes)} scenarios, and with partition "
                f"area each edge has one: set num_edges to {len(scenes)}, or partition to dirichlet"
            )
        sector_Q = math.pi * ((scene_Q + 0.5) / edges - 0.5)
        place_Q2 = np.stack([np.cos(sector_Q), np.sin(sector_Q)], axis=1)
        return by_area(place_Q2, edges, skew, seed=seed)
    if settings.partition == "area":
        beam_Q = _each(split, passage_Q, _middle_beam)
        # Passages lead through all of the street. Where they are seen most is within the middle
        # half of the codebook, which is cut into areas here.
        angle_Q = math.pi * np.clip(2.0 * beam_Q / NUM_BEAMS - 1.0, -0.5, 0.5)
        place_Q2 = np.stack([np.cos(angle_Q), np.sin(angle_Q)], axis=1)
        return by_area(place_Q2, edges, skew, seed=seed)
    if owners.label == "beam":
        label_Q = _each(split, passage_Q, _middle_beam) // BEAMS_TOGETHER
    else:
        label_Q = _each(split, passage_Q, _condition)
        if (label_Q == UNKNOWN_CONDITION).all():
            raise ConfigError(
                "partition_label='condition': the data know no conditions; take beam, or partition "
                "area"
            )
    return by_dirichlet(label_Q.astype(np.int64), edges, skew, seed=seed)


def _each(split: Arrays, passage_Q: Int, score: Callable[[Arrays, Int], float]) -> NDArray[Any]:
    windows = [np.flatnonzero(split["passage"] == passage) for passage in passage_Q]
    return np.array([score(split, window_W) for window_W in windows])


def _middle_beam(split: Arrays, window_W: Int) -> float:
    """Return the mean of the best beams of a passage, the middle of the codebook if unknown."""
    label = split["label"][window_W]
    known = label[label != IGNORED]
    return float(known.mean()) if known.size else 0.5 * (NUM_BEAMS - 1)


def _condition(split: Arrays, window_W: Int) -> float:
    return float(split["condition"][split["window"][window_W[0], 0]])
