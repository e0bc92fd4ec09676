"""What a beam-tracking network takes of the node that runs it."""

from functools import lru_cache

from kdtasks.cost import batch1_latency_ms, count, energy_uj, state_bytes
from kdtasks.models.beam_family import BeamModel
from kdtasks.models.beam_network import BeamNetwork
from kdtasks.tasks.beam_settings import BeamSettings
from kdtasks.thop_count import PAPER_STEPS, thop_count

LATENCY_REPEATS = 30
"""Forward passes whose median is the latency."""


@lru_cache(maxsize=256)
def model_cost(model: BeamModel, width: float, image_size: int) -> dict[str, float]:
    """Return what a network costs by itself; not to be written to.

    ``params``, ``macs`` of a window, ``thop_operations`` as counted in Table II, ``model_bytes``.
    """
    network = model.build(image_size=image_size, width=width)
    counted = count(network, *model.window_shapes(image_size=image_size))
    paper = model.window_shapes(image_size=image_size, steps=PAPER_STEPS)
    return {
        "params": float(counted.params),
        "macs": float(counted.macs),
        "thop_operations": float(thop_count(network, *paper).operations),
        "model_bytes": float(state_bytes(network)),
    }


def student_cost(settings: BeamSettings) -> dict[str, float]:
    """Return `model_cost` of a trial's student, and ``energy_uj``, see `energy_uj`."""
    costs = model_cost(settings.student_model, settings.width, settings.image_size)
    return {**costs, "energy_uj": energy_uj(costs["macs"], settings.pj_per_mac)}


def student_latency_ms(settings: BeamSettings, network: BeamNetwork) -> float:
    """Return the median wall time of one window on this CPU, one thread [ms]."""
    shapes = settings.student_model.window_shapes(image_size=settings.image_size)
    return batch1_latency_ms(network, *shapes, repeats=LATENCY_REPEATS)
