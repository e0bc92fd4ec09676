"""Semi-centralized: the server trains students, which the edges fine-tune on local data.

Against forgetting, an edge may rehearse on global or synthetic samples, and be anchored to the
outputs of the student that it received or to the server's stored outputs.
"""

from kdtasks.contract.collaboration import FineTunes, SynthesisesSamples
from sweeps.nodes.topologies.base import IMITATION, Need, Serving, Steps, answered


class SemiCentralized(Serving):
    """The server trains, the edges fine-tune on local data; edges have no teacher."""

    title = "semi-centralized"
    needs = (
        Need(FineTunes),
        IMITATION,
        Need(
            SynthesisesSamples,
            "rehearsal_source",
            lambda s: s.rehearsal_share > 0 and s.rehearsal_source == "synthetic",
        ),
    )

    begins_at_server = True
    leaks = True

    def prepare(self) -> Steps:
        yield from answered(self.scene.order_server("send-students", whole=True))

    def proceed(self) -> Steps:
        if self.scene.settings.rehearsal_share > 0:
            requests = yield self.scene.order_edges("ask-rehearsal")
            yield from answered(requests)
        yield self.scene.order_edges("fine-tune", epochs=self.scene.settings.edge_epochs)
        yield from answered(self.scene.order_edges("hand-in"))
