"""The fixed channel uses of MIMO detection: what an edge has recorded, and what it is judged on.

Shape suffixes in this file: B = channel uses, P = channels of a pool, R = receive antennas, S =
streams, N = real streams, M = bits per real stream.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdtasks.contract.params import Value, fingerprint
from kdtasks.contract.task import Arrays, Progress, ScenarioData
from kdtasks.learning.device import to_array
from kdtasks.learning.random import seed_for, torch_generator
from kdtasks.learning.tensors import as_tensor
from kdtasks.mimo_detection.link.link import (
    ChannelSource,
    MimoLink,
    Received,
    from_law,
    from_pool,
    together,
    transmit,
)
from kdtasks.mimo_detection.link.tr38901 import draw_pool
from kdtasks.mimo_detection.settings import LOCAL_SAMPLES, MimoSettings

LAYOUT = 1
"""Counted up when equal settings begin to give other data."""

TEST_GRID_DB = (5.0, 10.0, 15.0, 20.0, 25.0)
"""SNRs of the test split [dB], beside that of the target."""

POOL = 4000
"""Channels of a delay line that are drawn for one purpose; channel uses pick among them."""


def fingerprint_of(settings: MimoSettings) -> str:
    """Return the identity of the data of a trial."""
    return fingerprint({"scenario": "mimo-link", "layout": LAYOUT, **_facts(settings)})


def load_data(settings: MimoSettings, progress: Progress) -> ScenarioData:
    """Draw the splits of a target.

    Training: channel uses that an edge has recorded, and for delay lines the pool of channels that
    ever new ones come from. Validation: at the target's SNR. Test: at that and at a grid. No two
    splits share a random stream.
    """
    link, seed, at = settings.link, settings.data_seed, settings.target_snr_db
    grid = sorted({*TEST_GRID_DB, at})
    splits = {
        "train": ([settings.snr_db], LOCAL_SAMPLES),
        "val": ([(at, at)], settings.val_uses),
        "test": ([(snr_db, snr_db) for snr_db in grid], settings.test_uses),
    }
    made: dict[str, dict[str, NDArray[Any]]] = {}
    for done, (name, (ranges, count)) in enumerate(splits.items(), start=1):
        source, pool = source_of(link, seed, f"mimo {name}")
        generator = torch_generator(seed, f"mimo {name} {link.name}")
        parts = [transmit(link, source(count, generator), each, generator) for each in ranges]
        made[name] = arrays_of(parts, [low if low == high else np.nan for low, high in ranges])
        made[name]["target_snr_db"] = np.array([at], dtype=np.float32)
        if name == "train" and pool is not None:
            made[name]["pool"] = to_array(torch.view_as_real(pool))
        progress(done, len(splits), "splits")
    facts = {"source": "made by this package", "layout": LAYOUT, **_facts(settings)}
    provenance = {**facts, "fingerprint": fingerprint_of(settings), "test_snr_db": grid}
    return ScenarioData(**made, provenance=provenance)


def _facts(settings: MimoSettings) -> dict[str, Value]:
    return {"local_samples": LOCAL_SAMPLES, **settings.identity("data")}


def source_of(link: MimoLink, seed: int, purpose: str) -> tuple[ChannelSource, torch.Tensor | None]:
    """Return where channels of a link come from, and the pool of these if there is one.

    Args:
        link: The link.
        seed: Seed of a pool.
        purpose: What the channels are for; another purpose has another pool.
    """
    if not link.drawn_by_sionna:
        return from_law(link), None
    shape = (POOL, link.receivers, link.streams)
    pool_PRS = draw_pool(link.law, shape, seed_for(seed, f"{purpose} pool {link.name}"))
    return from_pool(pool_PRS), pool_PRS


def local_source(settings: MimoSettings, train: Arrays) -> ChannelSource:
    """Return where ever new channels at an edge come from."""
    if "pool" in train:
        return from_pool(torch.view_as_complex(as_tensor(train["pool"])))
    return from_law(settings.link)


def arrays_of(parts: Sequence[Received], snrs_db: Sequence[float]) -> dict[str, NDArray[Any]]:
    """Return channel uses as arrays without complex numbers.

    Args:
        parts: Channel uses of one link.
        snrs_db: SNR of each part [dB]; NaN where it varies.
    """
    seen = together(parts)
    counts = [len(part) for part in parts]
    return {
        "received": to_array(torch.view_as_real(seen.received_BR)),
        "estimate": to_array(torch.view_as_real(seen.estimate_BRS)),
        "noise": to_array(seen.noise_B),
        "bits": to_array(seen.bits_BNM),
        "snr_db": np.repeat(np.asarray(snrs_db, dtype=np.float32), counts),
    }


def received_of(split: Arrays) -> Received:
    """Undo `arrays_of`; nothing is copied."""
    estimate_BRS = torch.view_as_complex(as_tensor(split["estimate"]))
    return Received(
        received_BR=torch.view_as_complex(as_tensor(split["received"])),
        estimate_BRS=estimate_BRS,
        noise_B=as_tensor(split["noise"]),
        bits_BNM=as_tensor(split["bits"]),
        pilot_energy=float(estimate_BRS.shape[-1]),
    )
