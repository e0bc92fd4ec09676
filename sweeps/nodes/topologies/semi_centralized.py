"""Semi-centralized: students are trained at the server and fine-tuned at the edges on local data.

Against forgetting an edge may rehearse on global or synthetic samples, and be held to what the
student that it received, or the server's stored outputs, say.
"""

from kdtasks.contract.collaboration import FineTunes, SynthesisesSamples
from sweeps.nodes.topologies.base import IMITATION, Need, Steps, Topology


class SemiCentralized(Topology):
    """The server teaches what is common, the edge adds what is local; no teacher at the edge."""

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

    def epochs(self) -> int:
        settings = self.scene.settings
        at_server = self.scene.families * self.scene.learn_epochs
        return at_server + len(self.scene.edges) * settings.edge_epochs

    def steps(self) -> Steps:
        yield self.scene.order_server("train")
        students = yield self.scene.order_server("send-students", {"whole": True})
        yield students
        if self.scene.settings.rehearsal_share > 0:
            requests = yield self.scene.order_edges("ask-rehearsal")
            material = yield requests
            yield material
        yield self.scene.order_edges("fine-tune")
        server_parts = yield self.scene.order_edges("hand-in")
        yield server_parts
