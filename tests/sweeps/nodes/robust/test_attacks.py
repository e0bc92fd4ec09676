"""What lies are made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.deployment import NetworkSettings
from sweeps.nodes.robust.attacks import lying_outputs, poisoned_weights


def settings(attack, strength=10.0):
    return NetworkSettings(
        topology="mutual", poisoned_edges=1, attack=attack, attack_strength=strength
    )


logits = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).normal(size=(6, 4, 8)).astype(np.float32)
)


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@given(x=logits)
def test_inverted_logits_are_those_of_the_inverse_probabilities(x):
    lie = lying_outputs(settings("inverted"), {"logits": x}, 0, "a")["logits"]
    np.testing.assert_allclose(softmax(lie), softmax(-x), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(lie.argmax(-1), x.argmin(-1))
    twice = lying_outputs(settings("inverted"), {"logits": lie}, 0, "a")["logits"]
    np.testing.assert_allclose(twice, x, atol=1e-5)


@given(x=logits, strength=st.floats(0.1, 100))
def test_scaling_keeps_means_and_multiplies_deviations(x, strength):
    lie = lying_outputs(settings("scaled", strength), {"y": x}, 0, "a")["y"]
    np.testing.assert_allclose(lie.mean((1, 2)), x.mean((1, 2)), atol=1e-4 * strength)
    np.testing.assert_allclose(lie.std((1, 2)), strength * x.std((1, 2)), rtol=1e-3)


@given(x=logits, stream=st.sampled_from(["a", "b"]))
def test_random_keeps_the_numbers_and_follows_from_seed_and_stream(x, stream):
    lie = lying_outputs(settings("random"), {"y": x}, 0, stream)["y"]
    np.testing.assert_array_equal(np.sort(lie.ravel()), np.sort(x.ravel()))
    again = lying_outputs(settings("random"), {"y": x}, 0, stream)["y"]
    other = lying_outputs(settings("random"), {"y": x}, 0, stream + "c")["y"]
    np.testing.assert_array_equal(lie, again)
    assert not np.array_equal(lie, other)


@pytest.mark.parametrize("attack", ["none", "flipped-labels"])
def test_other_attacks_leave_outputs_and_weights_alone(attack):
    arrays = {"y": np.arange(6, dtype=np.float32).reshape(2, 3)}
    assert lying_outputs(settings(attack), arrays, 0, "a") is arrays
    assert poisoned_weights(settings(attack), arrays, 0, "a") is arrays


@pytest.mark.parametrize("attack", ["random", "scaled"])
def test_poisoned_weights_keep_shapes_types_signs_and_counters(attack):
    rng = np.random.default_rng(0)
    weights = {
        "kernel": rng.normal(size=(4, 3)).astype(np.float32),
        "running_var": rng.random(50).astype(np.float32),
        "batches": np.array(7),
    }
    found = poisoned_weights(settings(attack), weights, 0, "a")
    assert {n: (a.shape, a.dtype) for n, a in found.items()} == {
        n: (a.shape, a.dtype) for n, a in weights.items()
    }
    assert found["batches"] == 7
    assert (found["running_var"] >= 0).all()
    assert not np.array_equal(found["kernel"], weights["kernel"])
