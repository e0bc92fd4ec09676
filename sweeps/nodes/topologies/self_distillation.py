"""Self: each edge distils from its own earlier snapshot; nothing but the server's part is sent."""

from sweeps.nodes.topologies.base import Steps, Topology


class SelfDistillation(Topology):
    """A round's teacher is the student as the round before has left it."""

    def epochs(self) -> int:
        settings = self.scene.settings
        return len(self.scene.edges) * settings.rounds * settings.edge_epochs

    def steps(self) -> Steps:
        for number in range(self.scene.settings.rounds):
            yield self.scene.order_edges("self-round", {"round": number})
        server_parts = yield self.scene.order_edges("hand-in")
        yield server_parts
