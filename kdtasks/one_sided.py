# ruff: noqa: ARG002  # what is not offered takes its arguments all the same
"""Collaborative tasks whose students are wholly at the edge and whose samples cannot be made up."""

from abc import abstractmethod
from collections.abc import Generator

from kdtasks.collaboration import CollaborativeTask, Learnt, Place, TensorSpec, Transfer, Work
from kdtasks.config import Params
from kdtasks.task import Arrays, Report, TeacherArtifact


class OneSidedTask(CollaborativeTask):
    """A task without pairs and without synthetic rehearsal; its settings refuse both.

    Knowledge travels as models: a teacher that is to train students at the edges is sent there.
    """

    @abstractmethod
    def student_tensors(self, params: Params) -> dict[str, TensorSpec]:
        """Return the tensors of a student."""

    def transfer(self, params: Params) -> Transfer:
        return "model"

    def tensors(self, params: Params, place: Place | None) -> dict[str, TensorSpec]:
        return {} if place == "server" else self.student_tensors(params)

    def knowledge_tensors(self, params: Params) -> dict[str, TensorSpec]:
        raise NotImplementedError(f"{self.name} exchanges no pairs")

    def pair_knowledge(
        self, params: Params, teacher: TeacherArtifact, samples: Arrays
    ) -> tuple[Arrays, Work]:
        raise NotImplementedError(f"{self.name} exchanges no pairs")

    def learn_pairs(
        self, params: Params, samples: Arrays, knowledge: Arrays, *, who: str
    ) -> Generator[Report, None, Learnt]:
        raise NotImplementedError(f"{self.name} exchanges no pairs")

    def answer_pairs(
        self, params: Params, edge_part: Arrays, samples: Arrays
    ) -> tuple[Arrays, Work]:
        raise NotImplementedError(f"{self.name} exchanges no pairs")

    def adopt(
        self,
        params: Params,
        teacher: TeacherArtifact,
        samples: Arrays,
        knowledge: Arrays,
        *,
        who: str,
    ) -> Generator[Report, None, Learnt]:
        raise NotImplementedError(f"{self.name} exchanges no pairs")

    def statistics_tensors(self, params: Params) -> dict[str, TensorSpec]:
        raise NotImplementedError(f"{self.name} makes no samples up")

    def synthesis(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        raise NotImplementedError(f"{self.name} makes no samples up")

    def synthesise(
        self, params: Params, weights: Arrays, statistics: Arrays, count: int, *, who: str
    ) -> tuple[Arrays, Work]:
        raise NotImplementedError(f"{self.name} makes no samples up")
