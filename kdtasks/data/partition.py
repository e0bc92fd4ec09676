"""Which node owns which samples: the server's global data and the local data of the edges.

Every rule depends on a sample's index in its split, its position or its label, and on the seed, but
not on the split: called with one seed for train, val and test, it gives each node the same kind of
data in all of them. Owners are returned per sample, so no sample has two. Draws are made per index;
more samples do not change the owners of those before them.

Shape suffixes in this file: N = samples, D = 2 coordinates, E = edges.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.collaboration import Shares
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays, SplitName
from kdtasks.learning.random import numpy_generator

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]
Float = NDArray[np.float64]

MAX_CONCENTRATION = 1e9
"""Dirichlet draws above it are uniform to 4 digits, and far above it they overflow."""


def server_mask(count: int, share: float, *, seed: int) -> Bool:
    """Return which samples are the server's global data; the others are local data of edges.

    Args:
        count: Samples of the split.
        share: Probability, in [0, 1], that a sample is the server's; independent per sample.
        seed: Seed of the draw.

    Returns:
        Shape [N]. With a greater share the server keeps what it has and gets more.

    Raises:
        ConfigError: If a value is out of range.
    """
    if count < 0:
        raise ConfigError(f"count={count!r}: a split cannot have less than 0 samples")
    _check_share("share", share)
    return numpy_generator(seed, "server share").random(count) < share


def covered(positions_ND: NDArray[Any], coverage: float) -> Bool:
    """Return which positions lie in the part of the site that the server has seen.

    That part is a sector at the base station: seen from it, from -90 degrees up to
    ``-90 + 180 * coverage``, 0 being +x and positive to +y.

    Args:
        positions_ND: Positions relative to the base station [m], shape [N, 2].
        coverage: Share of the half plane x > 0, in [0, 1]; 1 covers every position.

    Returns:
        Shape [N].

    Raises:
        ConfigError: If a value is out of range or the shape is another one.
    """
    _check_share("coverage", coverage)
    return (_sweep(positions_ND) < coverage) | (coverage == 1.0)


def by_area(positions_ND: NDArray[Any], num_edges: int, skew: float, *, seed: int) -> Int:
    """Give samples to edges by where they were taken.

    Edge k has the k-th of ``num_edges`` equal angular sectors of the half plane x > 0, seen from
    the base station and counted from -90 degrees. With probability ``skew`` a sample belongs to
    the edge of its sector, else to one that is drawn uniformly.

    Args:
        positions_ND: Positions relative to the base station [m], shape [N, 2].
        num_edges: Edges, at least 1.
        skew: In [0, 1]; 0 gives all edges the same distribution, 1 pure sectors.
        seed: Seed of the draws.

    Returns:
        The edge of each sample, shape [N], in [0, num_edges).

    Raises:
        ConfigError: If a value is out of range or the shape is another one.
    """
    _check_edges(num_edges)
    _check_share("skew", skew)
    sector_N = np.minimum(_sweep(positions_ND) * num_edges, num_edges - 1).astype(np.int64)
    stays_N, anywhere_N = numpy_generator(seed, "area owners").random((len(sector_N), 2)).T
    return np.where(stays_N < skew, sector_N, (anywhere_N * num_edges).astype(np.int64))


def by_dirichlet(labels_N: NDArray[Any], num_edges: int, skew: float, *, seed: int) -> Int:
    """Give samples to edges so that edges differ in how often they see a label.

    Of each label, edges get shares that are drawn from a symmetric Dirichlet distribution with
    concentration ``(1 - skew) / skew``, and every sample of the label is drawn by these shares.

    Source: Hsu, Qi, Brown, arXiv 1909.06335, who draw the labels' shares for each edge; here the
    edges' shares are drawn for each label, so that no sample is left over or used twice. The shares
    of a label follow from the seed and the label alone, hence are the same in every split.

    Args:
        labels_N: Labels, integers, shape [N].
        num_edges: Edges, at least 1.
        skew: In [0, 1]; 0 gives all edges the same distribution, 1 each label to one edge.
        seed: Seed of shares and draws.

    Returns:
        The edge of each sample, shape [N], in [0, num_edges).

    Raises:
        ConfigError: If a value is out of range, or labels are not integers of shape [N].
    """
    _check_edges(num_edges)
    _check_share("skew", skew)
    if labels_N.ndim != 1 or labels_N.dtype.kind not in "iu":
        raise ConfigError(
            f"labels of shape {labels_N.shape} and type {labels_N.dtype}: "
            "a split by label needs one integer per sample"
        )
    draw_N = numpy_generator(seed, "label owners").random(len(labels_N))
    owner_N = np.zeros(len(labels_N), np.int64)
    for label in np.unique(labels_N):
        mine_N = labels_N == label
        edges_E = np.cumsum(label_shares(int(label), num_edges, skew, seed=seed))
        owner_N[mine_N] = np.searchsorted(edges_E / edges_E[-1], draw_N[mine_N], side="right")
    return owner_N


def label_shares(label: int, num_edges: int, skew: float, *, seed: int) -> Float:
    """Return the share of a label that each edge gets in `by_dirichlet`, shape [E], sum 1."""
    rng = numpy_generator(seed, f"shares of label {label}")
    if skew == 0.0:
        return np.full(num_edges, 1.0 / num_edges)
    if skew == 1.0:
        return np.asarray(np.eye(num_edges)[rng.integers(num_edges)])
    concentration = min((1.0 - skew) / skew, MAX_CONCENTRATION)
    return rng.dirichlet(np.full(num_edges, concentration))


def by_modality(modalities: Sequence[str], num_edges: int) -> tuple[tuple[str, ...], ...]:
    """Return the inputs that each edge may use: they are dealt in turn, like cards.

    Dealing goes on until every input is dealt and every edge has one; with fewer inputs than edges
    they go round again.

    Args:
        modalities: Names of input arrays.
        num_edges: Edges, at least 1.

    Returns:
        The inputs of each edge, at least one, none twice.

    Raises:
        ConfigError: If there is no input, one is named twice, or ``num_edges`` is below 1.
    """
    _check_edges(num_edges)
    if not modalities or len(set(modalities)) < len(modalities):
        raise ConfigError(f"modalities={list(modalities)!r}: name at least one, and each once")
    hands: list[list[str]] = [[] for _ in range(num_edges)]
    for turn in range(max(num_edges, len(modalities))):
        hands[turn % num_edges].append(modalities[turn % len(modalities)])
    return tuple(tuple(hand) for hand in hands)


def _sweep(positions_ND: NDArray[Any]) -> Float:
    """Return how far a beam has swept from -90 to 90 degrees when it meets a position, in [0, 1].

    What lies behind the base station counts to the border on its side.
    """
    if positions_ND.ndim != 2 or positions_ND.shape[1] != 2:
        raise ConfigError(f"positions of shape {positions_ND.shape}: expected [N, 2] metres")
    if not np.isfinite(positions_ND).all():
        raise ConfigError("positions hold NaN or infinity: remove those samples")
    # Single and double precision would put positions near a border into different sectors.
    x_N, y_N = positions_ND.astype(np.float32).astype(np.float64).T
    sweep_N: Float = np.clip(np.arctan2(y_N, x_N) / math.pi + 0.5, 0.0, 1.0)
    return sweep_N


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"{name}={value!r} is not in [0, 1]")


def _check_edges(num_edges: int) -> None:
    if num_edges < 1:
        raise ConfigError(f"num_edges={num_edges!r}: at least 1")


def at_server(settings: NetworkSettings, count: int, name: SplitName, *, seed: int) -> Bool:
    """Return which samples of a split the server has: of the training split its share, else all."""
    if name != "train":
        return np.full(count, True)
    return server_mask(count, settings.server_share, seed=seed)


def withheld(settings: NetworkSettings, count: int, *, seed: int) -> Bool:
    """Return which training samples no node gets, so that leaks can be measured on them."""
    return numpy_generator(seed, "withheld").random(count) < settings.privacy_share


def shuffled(mask_N: Bool, *, seed: int) -> Int:
    """Return where a mask is true, in random order: neighbours of a file lie on one track."""
    rng = numpy_generator(seed, "order of a node's samples")
    return rng.permutation(np.flatnonzero(mask_N))


def edge_rows(
    settings: NetworkSettings, owners_N: Int, name: SplitName, *, seed: int, least: int = 1
) -> list[Int]:
    """Return the samples of each edge.

    The server's training samples are its own, and an edge trains on ``edge_samples`` at most.
    The other splits train nothing: there an edge is judged on all of its own.

    Args:
        settings: The deployment.
        owners_N: The edge of each sample, see `by_area` and `by_dirichlet`.
        name: Of the split.
        seed: Seed of the draws.
        least: Samples without which an edge cannot train.

    Raises:
        ConfigError: If an edge has too few samples to train on.
    """
    trains = name == "train"
    mine_N = ~at_server(settings, len(owners_N), name, seed=seed) | (not trains)
    edges = []
    for edge in range(settings.num_edges):
        limit = settings.sample_limit(edge) if trains else None
        chosen = shuffled(mine_N & (owners_N == edge), seed=seed)[:limit]
        if trains and len(chosen) < least:
            raise ConfigError(
                f"edge {edge} has {len(chosen)} training samples: lower num_edges="
                f"{settings.num_edges}, server_share={settings.server_share:g} or partition_skew="
                f"{settings.partition_skew:g}, or raise num_train={len(owners_N)} or edge_samples"
            )
        edges.append(chosen)
    return edges


def shares_of_rows(
    settings: NetworkSettings, split: Arrays, labels_N: NDArray[Any], name: SplitName, *, seed: int
) -> Shares:
    """Divide a split whose arrays have a row per sample; edges differ by labels.

    Args:
        settings: The deployment; its ``partition_skew`` sets by how much they differ.
        split: Arrays of a split.
        labels_N: Labels, integers; see `by_dirichlet`.
        name: Of the split.
        seed: Seed of the draws, the same for every split.

    Raises:
        ConfigError: If a node has no sample to train on.
    """
    owners = by_dirichlet(labels_N, settings.num_edges, settings.partition_skew, seed=seed)
    server = shuffled(at_server(settings, len(labels_N), name, seed=seed), seed=seed)
    if name == "train" and not len(server):
        raise ConfigError(f"server_share={settings.server_share:g}: the server has no sample")
    nodes = [server, *edge_rows(settings, owners, name, seed=seed)]
    taken = [{key: array[chosen] for key, array in split.items()} for chosen in nodes]
    return Shares(server=taken[0], edges=tuple(taken[1:]))
