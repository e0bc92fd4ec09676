"""Families of students: edges of a mixed deployment have encoders of different shapes."""

from kdtasks.contract.deployment import TopologyName
from kdtasks.contract.params import Params, Value
from kdtasks.csi_feedback.settings import CONVOLVES, LIGHT, WIDENS, CsiSettings

ENCODER = {"encoder"} | CsiSettings.belonging_to(LIGHT, CONVOLVES, WIDENS)
"""Parameters that describe the encoder at the user equipment."""

FAMILIES: tuple[dict[str, Value], ...] = (
    {},
    {"encoder": "light", "encoder_depth": 0},
    {"encoder": "light", "encoder_depth": 2, "encoder_width": 8},
)
"""Encoders that are dealt to edges in turn: the study's own, a linear one, a wider one."""


def family_params(settings: CsiSettings, params: Params, edge: int) -> dict[str, Value]:
    """Return the parameters of one edge's student, to be completed."""
    own = FAMILIES[edge % len(FAMILIES)] if settings.edge_families == "mixed" else {}
    if not own:
        return dict(params)
    return {**{name: v for name, v in params.items() if name not in ENCODER}, **own}


def edge_settings(settings: CsiSettings, topology: TopologyName, edge: int) -> CsiSettings:
    """Return the settings of an edge's student in the deployment of this topology alone."""
    alike = settings.alike(topology)
    return CsiSettings.resolve(family_params(alike, alike.completed(), edge))


def families(settings: CsiSettings, params: Params) -> list[CsiSettings]:
    """Return the settings of the families of a deployment, in the order in which edges have them.

    Edge k is of family k modulo their number. Edges with topologies of their own are one each.
    """
    if settings.topology == "per-edge":
        return [edge_settings(settings, own, edge) for edge, own in enumerate(settings.served)]
    count = len(FAMILIES) if settings.edge_families == "mixed" else 1
    edges = range(min(count, settings.num_edges))
    return [CsiSettings.resolve(family_params(settings, params, edge)) for edge in edges]
