"""Centralized: the server trains students on its data and sends them to the edges.

Optionally the edges then send some of their data, and the server trains and sends again.
"""

from sweeps.nodes.topologies.base import Serving, Steps, answered


class Centralized(Serving):
    """The server trains; edges only infer."""

    title = "centralized"
    begins_at_server = True
    leaks = True

    def prepare(self) -> Steps:
        yield from answered(self.scene.order_server("send-students", whole=False))

    def proceed(self) -> Steps:
        for upload in range(self.scene.settings.uploads):
            requests = yield self.scene.order_server("ask-samples", upload=upload)
            yield from answered(requests)
            yield self.scene.train_at_server()
            yield from self.prepare()
