"""Decentralized: the edges train students on local data, with knowledge of the server's teacher.

The teacher is sent to them (3GPP TR 38.843 training Type 1), or no model is sent (Type 3):
the server sends samples with its teacher's codewords, edges train on these pairs and answer with
pairs of their own, from which the server learns to decode each edge's codewords. Without a teacher
nothing is sent.
"""

from kdtasks.contract.collaboration import ExchangesPairs, SendsTeacher
from kdtasks.contract.poisoning import ProbesTeacher
from sweeps.nodes.topologies.base import FLIPPING, PLANTING, Need, Serving, Steps, answered, probing


class LocalTraining(Serving):
    """Baseline: every edge learns from its own data only."""

    title = "decentralized without a teacher"

    def prepare(self) -> Steps:
        yield from ()

    def proceed(self) -> Steps:
        yield self.scene.order_edges("train", epochs=self.scene.learn_epochs)
        yield from answered(self.scene.order_edges("hand-in"))


class Decentralized(LocalTraining):
    """Knowledge is sent as a model."""

    title = "decentralized"
    leaks = True
    needs = (Need(SendsTeacher), probing(ProbesTeacher), FLIPPING, PLANTING)
    attacks = ("flipped-labels", "scaled", "random", "backdoor")
    defences = ("probe",)

    def prepare(self) -> Steps:
        yield from answered(self.scene.order_server("send-teacher"))


class PairExchange(LocalTraining):
    """Knowledge is sent as pairs; neither side learns the other's architecture."""

    title = "decentralized by pairs"
    needs = (Need(ExchangesPairs),)

    @property
    def students_at_server(self) -> float:
        return len(self.scene.edges)

    def prepare(self) -> Steps:
        yield from answered(self.scene.order_server("send-pairs"))

    def proceed(self) -> Steps:
        # planned together with what the server learns from the answers
        answers = yield self.scene.order_edges("train-on-pairs", epochs=self.scene.learn_epochs)
        if answers:
            yield answers
            yield self.scene.order_server("adopt")
