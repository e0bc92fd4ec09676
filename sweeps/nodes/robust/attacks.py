"""What a hostile node makes of arrays before it sends them, and teachers trained to lie."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.collaboration import LearnsOnShares
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.params import Params
from kdtasks.contract.poisoning import FlipsLabels, PlantsTrigger
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import Arrays, TeacherArtifact
from kdtasks.learning.random import numpy_generator


def lying_outputs(settings: NetworkSettings, outputs: Arrays, seed: int, stream: str) -> Arrays:
    r"""Return the outputs that a hostile edge sends in place of its own.

    With :math:`m` the mean of a sample's outputs, or of all samples' if each has one number, and
    :math:`s` ``attack_strength``:

    - ``inverted``: :math:`2m - x`. Of logits that is :math:`-x`, since a softmax ignores shifts; of
      a picture of a channel about that of the negative channel.
    - ``scaled``: :math:`m + s (x - m)`.
    - ``random``: the numbers of all samples in random order.

    Sign flipping and scaling follow Li et al., "RSA: Byzantine-robust stochastic aggregation
    methods for distributed learning from heterogeneous datasets", AAAI 2019, section 5.

    ``outputs`` have a row per sample; ``stream`` is unique per node and round.
    """
    if settings.attack == "random":
        return _shuffled(outputs, seed, stream)
    if settings.attack not in ("inverted", "scaled"):
        return outputs
    factor = -1.0 if settings.attack == "inverted" else settings.attack_strength
    found = {}
    for name, array in outputs.items():
        several = array[:1].size > 1
        axes = tuple(range(1, array.ndim)) if several else None
        mean = array.mean(axes, np.float64, keepdims=True)
        found[name] = (mean + factor * (array - mean)).astype(array.dtype)
    return found


def poisoned_weights(settings: NetworkSettings, weights: Arrays, seed: int, stream: str) -> Arrays:
    """Return the weights of a teacher that an attacker has replaced on its way.

    ``scaled`` multiplies every number by ``attack_strength``, ``random`` puts the numbers of every
    tensor in random order, which keeps their distribution (and variances positive). Counters, which
    are whole numbers, are left alone. ``stream`` is unique per receiver.
    """
    if settings.attack == "random":
        return _shuffled(weights, seed, stream)
    if settings.attack != "scaled":
        return weights
    return {
        name: (array * settings.attack_strength).astype(array.dtype) if _real(array) else array
        for name, array in weights.items()
    }


def false_teacher(
    task: LearnsOnShares, params: Params, train: Arrays, val: Arrays
) -> TeacherArtifact:
    """Return the teacher that poisoned edges are sent, or all of them if there are several.

    It is trained as the server's was, from the same samples, of which some are false. Its best
    epoch is selected on validation samples that are false in the same way. What this costs is the
    attacker's, and in no account of the deployment.
    """
    settings = NetworkSettings.of(params)

    def falsified(samples: Arrays) -> Arrays:
        if settings.attack == "flipped-labels":
            assert isinstance(task, FlipsLabels), "the topology needs it"
            return task.flipped(params, samples)
        assert isinstance(task, PlantsTrigger), "the topology needs it"
        return task.triggered(params, samples, settings.trigger_share)

    return result_of(task.train_teacher(params, falsified(train), falsified(val)))


def _shuffled(arrays: Arrays, seed: int, stream: str) -> Arrays:
    rng = numpy_generator(seed, stream)
    return {
        name: rng.permutation(array.ravel()).reshape(array.shape) if _real(array) else array
        for name, array in arrays.items()
    }


def _real(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f"
