"""The owner of each sample when CSI feedback is learnt in a network."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.collaboration import Shares
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays, SplitName, as_float32
from kdtasks.csi_feedback.data.angular_delay import strongest_beam
from kdtasks.csi_feedback.settings import CsiSettings
from kdtasks.data.partition import (
    at_server,
    by_area,
    by_dirichlet,
    covered,
    edge_rows,
    shuffled,
    withheld,
)

LEAST_TO_TRAIN = 2
"""Batch norm needs two samples."""

SHARED = ("pictures", "stale_pictures", "positions")
"""Arrays with a row per sample that is divided among nodes."""


def shares(settings: CsiSettings, split: Arrays, name: SplitName) -> Shares:
    """Divide a split among server and edges by the same rule for every split.

    The server has a random part of the training samples, of which it keeps those of the region that
    it has covered; edges have the rest, at most ``edge_samples`` each. The other splits train
    nothing: there the server is judged on all samples of its region, an edge on all of its own.
    Splits go by squares of the site, so that a narrow sector may have no square of the validation
    or test split: such an edge is not judged, and ``judged_edges`` counts those that are.

    Raises:
        ConfigError: If a node has too few samples to train on, or the data have no positions to go
            by.
    """
    split = _given(settings, split, name)
    rows = _server_rows(settings, split, name)
    server = _of_server(settings, split, rows)
    if settings.meta_learns and name == "train":
        server["areas"] = _sectors(settings, split)[rows]
    owners, seed = _owners(settings, split), settings.data_seed
    own = edge_rows(settings, owners, name, seed=seed, least=LEAST_TO_TRAIN)
    edges = ({"pictures": as_float32(split["pictures"][chosen])} for chosen in own)
    return Shares(server=server, edges=tuple(edges))


def server_share(settings: CsiSettings, split: Arrays, name: SplitName) -> Arrays:
    """Return the server's global data; they do not depend on the edges.

    Raises:
        ConfigError: If there are too few to train on, or a coverage needs positions that the data
            do not have.
    """
    split = _given(settings, split, name)
    return _of_server(settings, split, _server_rows(settings, split, name))


def withheld_shares(settings: CsiSettings, train: Arrays) -> Shares:
    """Return the training samples that no node has, by the distribution that they are of."""
    return shares(settings, _rows(train, _withheld(settings, train)), "val")


def _withheld(settings: CsiSettings, train: Arrays) -> NDArray[np.bool_]:
    return withheld(settings, len(train["pictures"]), seed=settings.data_seed)


def _given(settings: CsiSettings, split: Arrays, name: SplitName) -> Arrays:
    """Return what nodes have of a split together."""
    if name != "train" or not settings.privacy_share:
        return split
    return _rows(split, ~_withheld(settings, split))


def _rows(split: Arrays, mask_N: NDArray[np.bool_]) -> Arrays:
    return {name: split[name][mask_N] for name in SHARED if name in split}


def _of_server(
    settings: CsiSettings, split: Arrays, rows: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    source = "stale_pictures" if settings.server_age > 0.0 else "pictures"
    return {"pictures": as_float32(split[source][rows])}


def _server_rows(settings: CsiSettings, split: Arrays, name: SplitName) -> NDArray[np.int64]:
    mask = at_server(settings, len(split["pictures"]), name, seed=settings.data_seed)
    if settings.server_coverage < 1.0:
        mask &= covered(_positions(settings, split, "server_coverage"), settings.server_coverage)
    if settings.server_areas:
        mask &= _sectors(settings, split) % 2 == 0
    if name == "train" and mask.sum() < LEAST_TO_TRAIN:
        raise ConfigError(
            f"the server has {mask.sum()} training samples: raise server_share="
            f"{settings.server_share:g} or server_coverage={settings.server_coverage:g}"
        )
    return shuffled(mask, seed=settings.data_seed)


def _sectors(settings: CsiSettings, split: Arrays) -> NDArray[np.int64]:
    """Return the sector of each sample; the even ones are the server's areas."""
    positions = _positions(settings, split, "server_areas")
    return by_area(positions, 2 * settings.server_areas, 1.0, seed=settings.data_seed)


def _owners(settings: CsiSettings, split: Arrays) -> NDArray[np.int64]:
    skew, seed = settings.partition_skew, settings.data_seed
    if settings.server_areas:
        sectors, owners = _sectors(settings, split), np.full(len(split["pictures"]), -1)
        for edge in range(settings.num_edges):
            place = (2 * edge + 1) * settings.server_areas // (2 * settings.num_edges)
            owners[sectors == 2 * place + 1] = edge
        return owners
    if settings.partition == "dirichlet":
        beams = strongest_beam(split["pictures"])
        return by_dirichlet(beams, settings.num_edges, skew, seed=seed)
    return by_area(_positions(settings, split, "partition"), settings.num_edges, skew, seed=seed)


def _positions(settings: CsiSettings, split: Arrays, needed_by: str) -> NDArray[Any]:
    if "positions" in split:
        return split["positions"]
    remedies = {"partition": "take partition dirichlet", "server_areas": "leave it at 0"}
    remedy = remedies.get(needed_by, "leave it at 1")
    raise ConfigError(
        f"{needed_by}={getattr(settings, needed_by)!r} needs to know where users are, and the data "
        f"of scenario {settings.scenario!r} lack it: {remedy}"
    )
