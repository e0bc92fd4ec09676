"""Decentralized: the teacher is shipped to the edges, which train students on local data.

Without a teacher nothing is shipped: this is local training alone, the baseline.

Decentralized without models on the air: 3GPP TR 38.843 training Type 3.

The server sends samples with its teacher's codewords; edges train on these pairs and answer with
pairs of their own, from which the server learns to read each edge's codewords.
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


class PairExchange(Topology):
    """Knowledge travels as pairs; neither side learns the other's architecture."""

    def epochs(self) -> int:
        return len(self.scene.edges) * self.scene.learn_epochs

    def steps(self) -> Steps:
        pairs = yield self.scene.order_server("send-pairs")
        yield pairs
        answers = yield self.scene.order_edges("train-on-pairs")
        if answers:
            yield answers
            yield self.scene.order_server("adopt")
