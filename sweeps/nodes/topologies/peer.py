"""Mutual (online) distillation: edges exchange outputs on a shared proxy set each round.

The server holds the proxy set and sends each edge the mean of the others' outputs, or what a
defence against poisoning makes of them. Since only outputs are exchanged, edges may have different
architectures.

Self: each edge distils from its own earlier snapshot; only the server's part is sent.
"""

from typing import Any, ClassVar

from kdtasks.contract.collaboration import FineTunes, SharesOutputs
from kdtasks.contract.poisoning import ProbesOutputs
from sweeps.nodes.topologies.base import (
    FLIPPING,
    IMITATION,
    Need,
    Steps,
    Topology,
    answered,
    probing,
)
from sweeps.nodes.wire.messages import Parcel


class SelfDistillation(Topology):
    """The teacher of a round is the student of the round before."""

    title = "self"
    needs: ClassVar[tuple[Need, ...]] = (Need(FineTunes), IMITATION)

    def _order_round(self, subject: str, **facts: Any) -> list[Parcel]:
        return self.scene.order_edges(subject, self.scene.settings.edge_epochs, **facts)

    def steps(self) -> Steps:
        for number in range(self.scene.settings.rounds):
            yield self._order_round("self-round", round=number)
        yield from answered(self.scene.order_edges("hand-in"))


class Mutual(SelfDistillation):
    """Every edge is teacher and student of the others."""

    title = "mutual"
    leaks = True
    needs = (Need(SharesOutputs), probing(ProbesOutputs), FLIPPING)
    attacks = ("flipped-labels", "scaled", "random", "inverted")
    defences = ("clipping", "median", "trimmed-mean", "krum", "probe")

    def steps(self) -> Steps:
        rounds = self.scene.settings.rounds
        yield from answered(self.scene.order_server("send-proxy"))
        for number in range(rounds):
            # outputs after the last round would not be used
            speak = number + 1 < rounds
            answers = yield self._order_round("mutual-round", round=number, speak=speak)
            if speak:
                yield answers
                yield from answered(self.scene.order_server("send-blends"))
        yield from answered(self.scene.order_edges("hand-in"))
