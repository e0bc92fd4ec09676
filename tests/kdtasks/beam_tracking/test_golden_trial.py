"""A tiny seeded trial of beam tracking, teacher and students, as it was when last agreed upon.

A change that moves these numbers changes the street, the preparation of its data, a loss or the
training; it says which and why in its commit and under "Numbers changed" in the CHANGELOG.
Run this file with ``tests`` on
the Python path to write the golden file anew.

Double precision for the reasons of csi_feedback: there these weights differ by at most 4e-8
between instruction sets of one processor (measured). A score counts windows, so a rounding error
may move it by one of them. Two epochs teach little, so it is the weights that notice a change.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from beam_trials import TASK, tiny, trained_student, trained_teacher

GOLDEN = Path(__file__).parents[2] / "golden" / "beam_trial.json"

DATA = {"train_passages": 8, "val_passages": 8, "data_seed": 5, "sensors": "image"}
TRIALS = {
    "vanilla": {"method": "vanilla", "seed": 21},
    "response": {"method": "response", "alpha": 0.6, "temperature": 2.0, "seed": 22},
    "relation": {"method": "relation", "alpha": 0.3, "seed": 23},
}


def checksums(weights):
    """Return the root mean square of every tensor of weights; counters are left out."""
    return {
        name: float(np.sqrt(np.mean(np.square(value.astype(np.float64)))))
        for name, value in weights.items()
        if value.dtype.kind == "f"
    }


def answers():
    """Return scores [%] and checksums of a teacher and of students."""
    with tempfile.TemporaryDirectory() as cache:
        data = TASK.load_scenario(tiny(**DATA), cache_dir=Path(cache), progress=lambda *_: None)
        teacher = trained_teacher(data, **DATA, method="response")
        trained = {"teacher": (teacher.metrics, teacher.weights)}
        for name, changes in TRIALS.items():
            artifact = None if name == "vanilla" else teacher
            _, outcome = trained_student(data, artifact, **DATA, **changes)
            trained[name] = (outcome.metrics, outcome.weights)
        windows = len(data.val["label"])
    return {
        "windows": windows,
        "trials": {
            name: {
                "val_top2": metrics["val_top2"],
                "val_top5": metrics["val_top5"],
                "weights": checksums(weights),
            }
            for name, (metrics, weights) in trained.items()
        },
    }


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_scores_and_weights_have_not_moved(double_precision):
    golden, ours = json.loads(GOLDEN.read_text()), answers()
    assert ours["windows"] == golden["answers"]["windows"]
    window = 100.0 / ours["windows"]
    for name, expected in golden["answers"]["trials"].items():
        found = ours["trials"][name]
        assert found["weights"] == pytest.approx(expected["weights"], rel=1e-5), name
        for score in ("val_top2", "val_top5"):
            assert found[score] == pytest.approx(expected[score], abs=window), name


def test_the_file_is_about_these_trials_and_they_differ():
    golden = json.loads(GOLDEN.read_text())
    assert golden["provenance"]
    assert golden["trials"] == {"data": DATA, **TRIALS}
    trials = golden["answers"]["trials"]
    assert trials.keys() == {"teacher", *TRIALS}
    sums = [sum(trials[name]["weights"].values()) for name in trials]
    assert len({round(value, 4) for value in sums}) == len(trials)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    record = {
        "provenance": f"this repository's code on torch {torch.__version__}, double precision",
        "trials": {"data": DATA, **TRIALS},
        "answers": answers(),
    }
    GOLDEN.write_text(json.dumps(record, indent=2) + "\n")
