"""What the beam-tracking networks say of seeded windows, as it was when last agreed upon.

A change that moves these numbers changes a published architecture. Weights are drawn by NumPy in
the order of the state dict, so a layer that changes place is seen too, and torch's ways of
starting a network are not in it. Double precision, for the reasons of csi_feedback.
Run this file with ``tests`` on
the Python path to write the golden file anew.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from beam_examples import SIDE, whole_windows

from kdtasks.beam_tracking.models.family import BEAM_MODELS

GOLDEN = Path(__file__).parents[2] / "golden" / "beam.json"
WIDTHS = {"image-student": (1.0, 0.5), "image-radar-student": (1.0, 0.5)}
CASES = [(name, width) for name in BEAM_MODELS for width in WIDTHS.get(name, (1.0,))]


def label(name, width):
    return name if width == 1.0 else f"{name} x {width:g}"


def drawn(tensor, name, rng):
    """Return values for one entry of a state dict that keep signals at about their size."""
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, tensor.shape)
    if tensor.ndim > 1:
        reach = np.sqrt(3.0 / tensor[0].numel())
        return rng.uniform(-reach, reach, tensor.shape)
    return rng.uniform(-0.2, 0.2, tensor.shape) + float(tensor.mean())


def network(name, width):
    made = BEAM_MODELS[name].build(image_size=SIDE, width=width)
    rng = np.random.default_rng(len(name))
    for part in made.modules():
        if isinstance(part, torch.nn.GRU | torch.nn.MultiheadAttention):
            for parameter in part.parameters():
                torch.nn.init.zeros_(parameter)
        elif isinstance(part, torch.nn.Linear | torch.nn.Conv2d) and part.bias is not None:
            torch.nn.init.zeros_(part.bias)
    state = {
        key: tensor if key.endswith("tracked") else torch.from_numpy(drawn(tensor, key, rng))
        for key, tensor in made.state_dict().items()
    }
    made.double().load_state_dict(state)
    return made.eval()


def answers(name, width):
    """Return some logits of the predicted slots, and the mean square of all outputs."""
    made = network(name, width)
    with torch.no_grad():
        outputs = made(*whole_windows(made, 2, dtype=torch.float64))
    return {
        "logits": outputs.predicted().logits[1, :, ::16].tolist(),
        "mean_squares": [float(part.square().mean()) for part in outputs],
    }


@pytest.mark.parametrize(("name", "width"), CASES, ids=lambda value: str(value))
def test_answers_have_not_moved(name, width):
    golden = json.loads(GOLDEN.read_text())["answers"][label(name, width)]
    ours = answers(name, width)
    np.testing.assert_allclose(ours["logits"], golden["logits"], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours["mean_squares"], golden["mean_squares"], rtol=1e-8)


def test_the_file_is_about_these_networks_and_states_where_its_numbers_are_from():
    golden = json.loads(GOLDEN.read_text())
    assert golden["provenance"]
    assert golden["answers"].keys() == {label(*case) for case in CASES}


def test_the_answers_differ_between_slots_and_beams():
    # Dead networks, whose answers do not depend on the input, would notice little.
    for answer in json.loads(GOLDEN.read_text())["answers"].values():
        logits = np.array(answer["logits"])
        assert np.ptp(logits, axis=0).min() > 1e-3
        assert np.ptp(logits, axis=1).min() > 1e-2


if __name__ == "__main__":
    torch.set_num_threads(1)
    record = {
        "provenance": f"this repository's code on torch {torch.__version__}, double precision",
        "answers": {label(*case): answers(*case) for case in CASES},
    }
    GOLDEN.write_text(json.dumps(record, indent=2) + "\n")
