"""The linear reference of CSI feedback: principal components."""

from kdtasks.contract.params import Value
from kdtasks.contract.task import Baseline, ScenarioData, as_float32
from kdtasks.csi_feedback.models.light_encoder import LightEncoder, LightShape
from kdtasks.csi_feedback.models.pca import pca_reconstruction
from kdtasks.csi_feedback.ownership import server_share
from kdtasks.csi_feedback.settings import CsiSettings
from kdtasks.learning.complexity import count
from kdtasks.learning.metrics import nmse
from kdtasks.learning.tensors import as_tensor


def pca_baseline(settings: CsiSettings, data: ScenarioData) -> Baseline:
    """Return PCA; in a network it knows the server's share, and is judged on everything."""
    length, fitted = settings.codeword_length, data.train["pictures"]
    if settings.networked:
        fitted = server_share(settings, data.train, "train")["pictures"]
    linear = LightEncoder(
        settings.num_antennas, settings.num_subcarriers, length, LightShape(depth=0)
    )
    cost = count(linear, settings.picture_shape)
    metrics = {
        "ue_flops": float(cost.flops),
        "ue_params": float(cost.params),
        "payload_bits": float(settings.payload_bits),
    }
    splits = {"val": data.val, "test": data.test}
    for name, suffix in (("pictures", "nmse_db"), ("second_pictures", "nmse_second_db")):
        if name not in data.train:
            continue
        targets = [as_float32(split[name]) for split in splits.values()]
        done = pca_reconstruction(as_float32(fitted), length, *targets)
        for split_name, target, output in zip(splits, targets, done, strict=True):
            score = nmse(as_tensor(target), as_tensor(output))
            metrics[f"{split_name}_{suffix}"] = score.decibel
    name = f"PCA 1/{settings.compression} {settings.scenario}"
    facts: dict[str, Value] = {
        "compression": settings.compression,
        "scenario": settings.scenario,
    }
    if settings.networked:
        seen = server_data(settings)
        name += " of the server, " + ", ".join(f"{key} {seen[key]:g}" for key in seen)
        facts |= {f"server_{key}": value for key, value in seen.items()}
    return Baseline(name=name, params=facts, metrics=metrics)


def server_data(settings: CsiSettings) -> dict[str, float]:
    """Return what decides which data a server and its teacher have seen."""
    return {
        "share": settings.server_share,
        "coverage": settings.server_coverage,
        "age": settings.server_age,
    }
