"""Decentralized without models on the air: 3GPP TR 38.843 training Type 3.

The server sends samples with its teacher's codewords; edges train on these pairs and answer with
pairs of their own, from which the server learns to read each edge's codewords.
"""

from sweeps.nodes.topologies.base import Steps, Topology


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
