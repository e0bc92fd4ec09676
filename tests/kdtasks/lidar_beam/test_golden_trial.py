"""A tiny seeded trial of LiDAR beam tracking, teacher and students, as it was when agreed upon.

A change that moves these numbers changes the scanner's street, its windows, the metadata, a
generator, a loss or the training; it says which and why in its commit and under "Numbers changed"
in the CHANGELOG. Run this file with ``tests`` on
the Python path to write the golden file anew.

Double precision and tolerances for the reasons of beam_tracking.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from lidar_trials import TASK, tiny, trained_student, trained_teacher

from kdtasks.lidar_beam.methods.metadata import GROUPS, opened

GOLDEN = Path(__file__).parents[2] / "golden" / "lidar_trial.json"

DATA = {"train_passages": 6, "val_passages": 4, "data_seed": 5}
TRIALS = {
    "vanilla": {"method": "vanilla", "seed": 21},
    "ordinary": {"method": "ordinary", "alpha": 0.6, "temperature": 2.0, "seed": 22},
    "prior": {"method": "prior", "seed": 23},
    "objects": {"method": "datafree", "seed": 24},
    "dense": {
        "method": "datafree",
        "generator": "dense",
        "metadata": "final",
        "entropy_weight": 0.5,
        "activation_weight": 0.1,
        "soft_loss": "mse",
        "taught_steps": "all",
        "fresh": False,
        "seed": 25,
    },
}


def size(array):
    return float(np.sqrt(np.mean(np.square(np.asarray(array, np.float64)))))


def answers():
    """Return scores [%], sizes of weights and of metadata, and terms of generators' losses."""
    with tempfile.TemporaryDirectory() as cache:
        data = TASK.load_scenario(tiny(**DATA), cache_dir=Path(cache), progress=lambda *_: None)
        teacher = trained_teacher(data, **DATA, method="ordinary")
        trained = {"teacher": (teacher.metrics, teacher.weights)}
        for name, changes in TRIALS.items():
            artifact = None if name == "vanilla" else teacher
            _, outcome = trained_student(data, artifact, **DATA, **changes)
            trained[name] = (outcome.metrics, outcome.weights)
    metadata = opened(teacher.outputs, GROUPS).groups
    return {
        "windows": len(data.val["label"]),
        "metadata": {
            f"{group} {name}": size(value)
            for group, statistics in metadata.items()
            for name, value in sorted(statistics.items())
        },
        "trials": {
            name: {
                "scores": {score: metrics[score] for score in ("val_top1", "val_top5")},
                "terms": {n: v for n, v in metrics.items() if n.startswith("generator_")},
                "weights": {tensor: size(value) for tensor, value in weights.items()},
            }
            for name, (metrics, weights) in trained.items()
        },
    }


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_scores_weights_and_metadata_have_not_moved(double_precision):
    golden, ours = json.loads(GOLDEN.read_text())["answers"], answers()
    assert ours["windows"] == golden["windows"]
    assert ours["metadata"] == pytest.approx(golden["metadata"], rel=1e-5)
    window = 100.0 / ours["windows"]
    for name, expected in golden["trials"].items():
        found = ours["trials"][name]
        assert found["weights"] == pytest.approx(expected["weights"], rel=1e-5), name
        assert found["terms"] == pytest.approx(expected["terms"], rel=1e-5), name
        assert found["scores"] == pytest.approx(expected["scores"], abs=window), name


def test_the_file_is_about_these_trials_and_they_differ():
    golden = json.loads(GOLDEN.read_text())
    assert golden["provenance"]
    assert golden["trials"] == {"data": DATA, **TRIALS}
    trials = golden["answers"]["trials"]
    assert trials.keys() == {"teacher", *TRIALS}
    sums = [sum(trial["weights"].values()) for trial in trials.values()]
    assert len({round(value, 4) for value in sums}) == len(trials)
    assert {name for name, trial in trials.items() if trial["terms"]} == {"objects", "dense"}


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    record = {
        "provenance": f"this repository's code on torch {torch.__version__}, double precision",
        "trials": {"data": DATA, **TRIALS},
        "answers": answers(),
    }
    GOLDEN.write_text(json.dumps(record, indent=2) + "\n")
