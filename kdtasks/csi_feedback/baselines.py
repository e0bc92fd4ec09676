"""References of CSI feedback that no network is trained for: principal components, and memory."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.params import Value
from kdtasks.contract.task import Arrays, Baseline, ScenarioData, as_float32
from kdtasks.csi_feedback.methods.ip_encoder_kd.pairs import FLOAT_BITS
from kdtasks.csi_feedback.models.light_encoder import LightEncoder, LightShape
from kdtasks.csi_feedback.models.nearest import copied, nearest_reconstruction
from kdtasks.csi_feedback.models.pca import pca_reconstruction
from kdtasks.csi_feedback.ownership import server_share
from kdtasks.csi_feedback.settings import CsiSettings
from kdtasks.data.splits import nearest_rows
from kdtasks.learning.complexity import count
from kdtasks.learning.metrics import nmse
from kdtasks.learning.tensors import as_tensor

MOST_COMPARED = 2000
"""Users of a split that are compared with every training user; evenly among all of it."""

Pictures = NDArray[np.float32]


def baselines_of(settings: CsiSettings, data: ScenarioData) -> list[Baseline]:
    """Return PCA and memory; in a network these know the server's share, and are judged on all."""
    train = server_share(settings, data.train, "train") if settings.networked else data.train
    known = as_float32(train["pictures"])
    found = [_pca(settings, data, known), _nearest(settings, data, known)]
    if "positions" in train:
        found.append(_neighbour(settings, data, train))
    return found


def _pca(settings: CsiSettings, data: ScenarioData, known: Pictures) -> Baseline:
    length = settings.codeword_length
    linear = LightEncoder(
        settings.num_antennas, settings.num_subcarriers, length, LightShape(depth=0)
    )
    cost = count(linear, settings.picture_shape)
    costs = {
        "ue_flops": float(cost.flops),
        "ue_params": float(cost.params),
        "payload_bits": float(settings.payload_bits),
    }

    def judge(*targets: Pictures) -> list[Pictures]:
        return pca_reconstruction(known, length, *targets)

    facts: dict[str, Value] = {"code": "PCA", "compression": settings.compression}
    name = f"PCA 1/{settings.compression}"
    return _judged(settings, data, (name, facts, costs), judge)


def _nearest(settings: CsiSettings, data: ScenarioData, known: Pictures) -> Baseline:
    """Return the nearest training channel; its operations are those of the comparison."""
    entries = settings.num_antennas * settings.num_subcarriers
    costs = {
        "ue_flops": 8.0 * entries * len(known),
        "ue_params": 2.0 * entries * len(known),
        "payload_bits": 2.0 * FLOAT_BITS + math.ceil(math.log2(len(known))),
    }

    def judge(*targets: Pictures) -> list[Pictures]:
        return [nearest_reconstruction(known, target) for target in targets]

    facts: dict[str, Value] = {"code": "nearest training channel"}
    return _judged(settings, data, ("nearest training channel", facts, costs), judge, MOST_COMPARED)


def _neighbour(settings: CsiSettings, data: ScenarioData, train: Arrays) -> Baseline:
    """Return the channel of the nearest training user in space; nobody could know who that is."""
    metrics = {}
    for name, split in {"val": data.val, "test": data.test}.items():
        rows = nearest_rows(split["positions"], train["positions"])
        target = as_float32(split["pictures"])
        output = copied(as_float32(train["pictures"][rows]), target)
        metrics[f"{name}_nmse_db"] = nmse(as_tensor(target), as_tensor(output)).decibel
    facts: dict[str, Value] = {"code": "nearest training user"}
    return _named(settings, "nearest training user", facts, metrics)


def _judged(
    settings: CsiSettings,
    data: ScenarioData,
    known: tuple[str, Mapping[str, Value], Mapping[str, float]],
    judge: Callable[..., list[Pictures]],
    most: int | None = None,
) -> Baseline:
    """Return a code with its NMSE on validation and test.

    Args:
        settings: The trial that asks for it.
        data: The scenario.
        known: Name, parameters and costs of the code.
        judge: Reconstructs pictures.
        most: Pictures of a split at most.
    """
    name, facts, metrics = known[0], dict(known[1]), dict(known[2])
    splits: dict[str, Arrays] = {"val": data.val, "test": data.test}
    for pictures, suffix in (("pictures", "nmse_db"), ("second_pictures", "nmse_second_db")):
        if pictures not in data.train:
            continue
        targets = [_some(split[pictures], most) for split in splits.values()]
        for split, target, output in zip(splits, targets, judge(*targets), strict=True):
            metrics[f"{split}_{suffix}"] = nmse(as_tensor(target), as_tensor(output)).decibel
    return _named(settings, name, facts, metrics)


def _named(
    settings: CsiSettings, name: str, facts: dict[str, Value], metrics: dict[str, float]
) -> Baseline:
    """Return a reference, with the data that it knows in name and parameters."""
    name += f" {settings.scenario}"
    facts["scenario"] = settings.scenario
    if settings.guard_m:
        name += f" guard {settings.guard_m:g} m"
        facts["guard_m"] = settings.guard_m
    if settings.networked:
        seen = server_data(settings)
        name += " of the server, " + ", ".join(f"{key} {seen[key]:g}" for key in seen)
        facts |= {f"server_{key}": value for key, value in seen.items()}
    return Baseline(name=name, params=facts, metrics=metrics)


def _some(pictures: NDArray[Any], most: int | None) -> Pictures:
    count = len(pictures)
    if most is not None and count > most:
        pictures = pictures[np.linspace(0, count - 1, most).astype(int)]
    return as_float32(pictures)


def server_data(settings: CsiSettings) -> dict[str, float]:
    """Return what decides which data a server and its teacher have seen."""
    areas = {"areas": settings.server_areas} if settings.server_areas else {}
    return {
        "share": settings.server_share,
        "coverage": settings.server_coverage,
        "age": settings.server_age,
        **({"withheld": settings.privacy_share} if settings.privacy_share else {}),
        **areas,
    }
