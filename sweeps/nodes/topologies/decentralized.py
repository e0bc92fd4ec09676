"""Decentralized: the teacher is shipped to the edges, which train students on local data.

Without a teacher nothing is shipped: this is local training alone, the baseline.
"""

from sweeps.nodes.topologies.base import Steps, Topology


class Decentralized(Topology):
    """Knowledge travels as a model; 3GPP TR 38.843 training Type 1."""

    def epochs(self) -> int:
        return len(self.scene.edges) * self.scene.learn_epochs

    def steps(self) -> Steps:
        if self.scene.teacher:
            teachers = yield self.scene.order_server("send-teacher")
            yield teachers
        yield self.scene.order_edges("train")
        server_parts = yield self.scene.order_edges("hand-in")
        yield server_parts
