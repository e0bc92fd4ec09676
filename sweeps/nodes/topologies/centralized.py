"""Centralized: the server trains students on its data and sends them to the edges.

Optionally the edges then send some of their data, and the server trains and sends again.
"""

from sweeps.nodes.topologies.base import Steps, Topology


class Centralized(Topology):
    """The server trains; edges only infer."""

    title = "centralized"

    def epochs(self) -> int:
        trainings = 1 + self.scene.settings.uploads
        return trainings * self.scene.families * self.scene.learn_epochs

    def steps(self) -> Steps:
        yield from self._train_and_ship()
        for upload in range(self.scene.settings.uploads):
            requests = yield self.scene.order_server("ask-samples", {"upload": upload})
            samples = yield requests
            yield samples
            yield from self._train_and_ship()

    def _train_and_ship(self) -> Steps:
        yield self.scene.train_at_server()
        students = yield self.scene.order_server("send-students", {"whole": False})
        yield students
