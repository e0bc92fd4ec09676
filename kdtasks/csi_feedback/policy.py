"""What the topologies of a single edge take of it in CSI feedback, for the server's policy."""

import math
from dataclasses import replace
from typing import Self

from kdtasks.contract.edges import with_choices
from kdtasks.contract.policy import Demand, Trained
from kdtasks.csi_feedback.families import edge_settings
from kdtasks.csi_feedback.settings import CsiSettings
from kdtasks.csi_feedback.students import plan_of
from kdtasks.csi_feedback.workload import (
    TEACHER,
    edge_bytes,
    forward_flops,
    plan_at_effort,
    planned_stages,
    samples_of,
    training_flops,
    tuning_flops,
    weights_bytes,
)

FLOAT_BYTES = 4


class ChoosingSettings(CsiSettings):
    """Settings in which the topologies that a policy chooses are filled in."""

    def fitted(self) -> Self:
        """Return these settings if they can be trained, with the topologies of all edges.

        Raises:
            ConfigError: If they cannot, or if other ``edge_topologies`` are given than are chosen.
        """
        settings = super().fitted()

        def demand_of(topology: Trained, edge: int) -> Demand:
            return demand(edge_settings(settings, topology, edge), samples_of(settings, edge))

        return with_choices(settings, lambda edge: samples_of(settings, edge), demand_of)


def demand(settings: CsiSettings, samples: int) -> Demand:
    """Return what training takes of an edge; with effort plateau the most that it can take.

    Args:
        settings: The edge's own, in a deployment of its topology alone.
        samples: Its training samples.
    """
    if settings.topology == "semi-centralized":
        return _of_tuning(settings, samples)
    plan = replace(plan_of(settings), batch_size=min(settings.batch_size, samples))
    stages = planned_stages(settings, plan_at_effort(settings, plan, samples), samples, samples)
    flops, sent = training_flops(settings, stages), 0
    if settings.has_teacher:
        sent += weights_bytes(settings, *TEACHER)
        flops += samples * forward_flops(settings, "teacher encoder")
        flops += 0 if settings.learns_codewords else samples * forward_flops(settings, "decoder")
    if any(stage.decoder == 3 for stage in stages):
        sent += weights_bytes(settings, "decoder")
    return Demand(peak_bytes=edge_bytes(settings), flop=flops, sent_bytes=sent)


def _of_tuning(settings: CsiSettings, samples: int) -> Demand:
    sent = weights_bytes(settings, "encoder", "decoder")
    if not settings.edge_part_only:
        sent += weights_bytes(settings, "decoder")
    if settings.rehearses and settings.rehearsal_source == "global":
        rehearsed = round(samples * settings.rehearsal_share)
        sent += FLOAT_BYTES * rehearsed * math.prod(settings.picture_shape)
    return Demand(
        peak_bytes=edge_bytes(settings), flop=tuning_flops(settings, samples), sent_bytes=sent
    )
