"""Mutual (online): no teacher; edges exchange what they say of a shared proxy set each round.

The server relays: it holds the proxy set and sends each edge the mean of what the others say. What
is exchanged are outputs, so that edges may have different architectures.

Self: each edge distils from its own earlier snapshot; nothing but the server's part is sent.
"""

from typing import ClassVar

from kdtasks.contract.collaboration import FineTunes, SharesOutputs
from sweeps.nodes.topologies.base import IMITATION, Need, Steps, Topology


class SelfDistillation(Topology):
    """A round's teacher is the student as the round before has left it."""

    title = "self"
    needs: ClassVar[tuple[Need, ...]] = (Need(FineTunes), IMITATION)

    def epochs(self) -> int:
        settings = self.scene.settings
        return len(self.scene.edges) * settings.rounds * settings.edge_epochs

    def steps(self) -> Steps:
        for number in range(self.scene.settings.rounds):
            yield self.scene.order_edges("self-round", {"round": number})
        server_parts = yield self.scene.order_edges("hand-in")
        yield server_parts


class Mutual(SelfDistillation):
    """Every edge is teacher and student of the others."""

    title = "mutual"
    needs = (Need(SharesOutputs),)

    def steps(self) -> Steps:
        rounds = self.scene.settings.rounds
        proxies = yield self.scene.order_server("send-proxy")
        yield proxies
        for number in range(rounds):
            # what is said after the last round would be heard by nobody
            speak = number + 1 < rounds
            answers = yield self.scene.order_edges(
                "mutual-round", {"round": number, "speak": speak}
            )
            if speak:
                yield answers
                blends = yield self.scene.order_server("send-blends")
                yield blends
        server_parts = yield self.scene.order_edges("hand-in")
        yield server_parts
