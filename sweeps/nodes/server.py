"""The server: global data, the teacher, one student per family, and what edges send to it."""

from dataclasses import replace

import numpy as np

from kdtasks.collaboration import CollaborativeTask, Place
from kdtasks.config import Params, fingerprint
from kdtasks.task import Arrays, TeacherArtifact
from sweeps.nodes.messages import CONDUCTOR, Kind, Message, MessageError, Parcel
from sweeps.nodes.node import (
    Deployment,
    Handler,
    Handlers,
    Handling,
    Node,
    answer,
    count_of,
    nothing,
    take,
    take_about,
    take_samples,
    whole_number,
    yes_or_no,
)


def families(task: CollaborativeTask, params: Params, count: int) -> list[str]:
    """Return the family of each edge: edges of one family have students of one architecture."""
    return [fingerprint(task.edge_params(params, edge)) for edge in range(count)]


class ServerNode(Node):
    """Trains students on global data, hands out students, teachers and samples.

    Args:
        name: Its address.
        deployment: What it takes part in.
        data: Its global data.
        teacher: The teacher with its outputs on these data, if the method has one.
    """

    def __init__(
        self, name: str, deployment: Deployment, data: Arrays, teacher: TeacherArtifact | None
    ) -> None:
        super().__init__(name, deployment)
        self._data = dict(data)
        self._teacher = teacher
        count = self.settings.num_edges
        self._family = dict(
            zip(
                self.settings.edges,
                families(self.task, deployment.params, count),
                strict=True,
            )
        )
        self._params = {
            self._family[edge]: self.task.edge_params(deployment.params, index)
            for index, edge in enumerate(self.settings.edges)
        }
        self._students: dict[str, Arrays] = {}
        self._parts: dict[str, Arrays] = {}
        self._said: dict[str, Arrays] = {}
        self._sampled: dict[str, Arrays] = {}
        self._proxy: Arrays = {}

    def handlers(self) -> Handlers:
        orders: dict[str, Handler] = {
            "train": self._train,
            "send-students": self._send_students,
            "send-teacher": self._send_teacher,
            "send-pairs": self._send_pairs,
            "send-proxy": self._send_proxy,
            "send-blends": self._send_blends,
            "ask-samples": self._ask_samples,
            "adopt": self._adopt,
            "collect": self._collect,
        }
        return {
            **{("conductor", Kind.CONTROL, name): handler for name, handler in orders.items()},
            ("edge", Kind.CONTROL, "rehearsal-wanted"): self._send_rehearsal,
            ("edge", Kind.SAMPLES, "upload"): self._store_upload,
            ("edge", Kind.SAMPLES, "answer"): self._store_answer_samples,
            ("edge", Kind.OUTPUTS, "answer"): self._store_answer,
            ("edge", Kind.OUTPUTS, "proxy"): self._store_said,
            ("edge", Kind.MODEL, "server-part"): self._store_part,
        }

    def _edge_params(self, edge: str) -> Params:
        return self._params[self._family[edge]]

    def _student_for(self, edge: str) -> Arrays:
        if self._family[edge] not in self._students:
            raise MessageError(f"the server has no student for {edge}: nothing was trained yet")
        return self._students[self._family[edge]]

    def _part(self, edge: str, weights: Arrays, place: Place) -> Arrays:
        names = self.task.tensors(self._edge_params(edge), place)
        return {name: weights[name] for name in names}

    def _train(self, _sender: str, _message: Message) -> Handling:
        for family, params in self._params.items():
            learnt = yield from self.task.learn(
                params, self._data, self._teacher, server_part=True, who=""
            )
            self.charge(learnt.work)
            self._students[family] = learnt.weights
            if self._teacher is not None:
                outputs = {**self._teacher.outputs, **learnt.teacher_outputs}
                self._teacher = replace(self._teacher, outputs=outputs)
        return []

    def _send_students(self, _sender: str, message: Message) -> Handling:
        whole = yes_or_no(message, "whole")
        parcels: list[Parcel] = []
        for family in self._params:
            edges = [edge for edge, own in self._family.items() if own == family]
            weights = self._student_for(edges[0])
            for edge in edges:
                self._parts[edge] = self._part(edge, weights, "server")
            sent = weights if whole else self._part(edges[0], weights, "edge")
            parcels += self.send(edges, Kind.MODEL, "student", sent)
        return answer(parcels)

    def _the_teacher(self) -> TeacherArtifact:
        if self._teacher is None:
            raise MessageError("the server has no teacher")
        return self._teacher

    def _send_teacher(self, _sender: str, _message: Message) -> Handling:
        weights = self._the_teacher().weights
        for edge in self._family:
            self._parts[edge] = self._part(edge, weights, "server")
        return answer(self.send(self.settings.edges, Kind.TEACHER, "teacher", weights))

    def _send_pairs(self, _sender: str, _message: Message) -> Handling:
        teacher, params = self._the_teacher(), self.deployment.params
        knowledge, work = self.task.pair_knowledge(params, teacher, self._data)
        self.charge(work)
        for edge in self._family:
            self._parts[edge] = self._part(edge, teacher.weights, "server")
        edges = self.settings.edges
        return answer(
            [
                *self.send(edges, Kind.SAMPLES, "pairs", self._data),
                *self.send(edges, Kind.OUTPUTS, "pairs", knowledge),
            ]
        )

    def _send_proxy(self, _sender: str, _message: Message) -> Handling:
        self._proxy = self._first(self.settings.proxy_samples)
        return answer(self.send(self.settings.edges, Kind.SAMPLES, "proxy", self._proxy))

    def _send_blends(self, _sender: str, _message: Message) -> Handling:
        """Send every edge what the others say of the proxy set."""
        parcels: list[Parcel] = []
        for edge in self._said:
            others = [said for name, said in self._said.items() if name != edge]
            if others:
                blend = self.task.blend(self.deployment.params, others)
                parcels += self.send([edge], Kind.OUTPUTS, "blend", blend)
        self._said = {}
        return answer(parcels)

    def _ask_samples(self, _sender: str, message: Message) -> Handling:
        edges = self.settings.edges
        facts = {"upload": whole_number(message, "upload")}
        return answer(self.send(edges, Kind.CONTROL, "samples-wanted", facts=facts))

    def _send_rehearsal(self, sender: str, message: Message) -> Handling:
        params, count = self._edge_params(sender), whole_number(message, "count")
        student = self._student_for(sender)
        if self.settings.rehearsal_source == "synthetic":
            statistics, work = self.task.synthesis(params, student, self._data)
            self.charge(work)
            return answer(self.send([sender], Kind.FEATURES, "rehearsal", statistics))
        samples = self._first(count)
        parcels = self.send([sender], Kind.SAMPLES, "rehearsal", samples)
        if self.settings.anchor_weight > 0 and self.settings.anchor == "server":
            parcels += self.send([sender], Kind.OUTPUTS, "rehearsal", self._stored(sender, samples))
        return answer(parcels)

    def _stored(self, edge: str, samples: Arrays) -> Arrays:
        """Return what the teacher has said of the first samples; without one, the student."""
        count = count_of(samples)
        names = self.task.output_tensors(self.deployment.params)
        if self._teacher is not None and names.keys() <= self._teacher.outputs.keys():
            return {name: self._teacher.outputs[name][:count] for name in names}
        student = self._student_for(edge)
        said, work = self.task.outputs(self._edge_params(edge), student, samples)
        self.charge(work)
        return said

    def _adopt(self, _sender: str, _message: Message) -> Handling:
        for edge, knowledge in self._said.items():
            learnt = yield from self.task.adopt(
                self._edge_params(edge),
                self._the_teacher(),
                self._sampled[edge],
                knowledge,
                who=f"adopt {edge}",
            )
            self.charge(learnt.work)
            self._parts[edge] = learnt.weights
        return []

    def _collect(self, _sender: str, _message: Message) -> Handling:
        """Say what is here of every edge's student; the simulation asks, no link is used."""
        parcels: list[Parcel] = []
        for edge, part in self._parts.items():
            facts = {"edge": edge}
            parcels += self.send([CONDUCTOR], Kind.MODEL, "collected", part, facts=facts)
        return answer(parcels)

    def _store_upload(self, _sender: str, message: Message) -> Handling:
        samples = take_samples(message, self.task.sample_tensors(self.deployment.params))
        self._data = {
            name: np.concatenate([array, samples[name]]) for name, array in self._data.items()
        }
        return nothing()

    def _store_answer_samples(self, sender: str, message: Message) -> Handling:
        specs = self.task.sample_tensors(self.deployment.params)
        self._sampled[sender] = take_samples(message, specs)
        return nothing()

    def _store_answer(self, sender: str, message: Message) -> Handling:
        specs = self.task.knowledge_tensors(self.deployment.params)
        self._said[sender] = take_about(message, specs, self._sampled.get(sender, {}))
        return nothing()

    def _store_said(self, sender: str, message: Message) -> Handling:
        specs = self.task.output_tensors(self.deployment.params)
        self._said[sender] = take_about(message, specs, self._proxy)
        return nothing()

    def _store_part(self, sender: str, message: Message) -> Handling:
        specs = self.task.tensors(self._edge_params(sender), "server")
        self._parts[sender] = take(message, specs)
        return nothing()

    def _first(self, count: int) -> Arrays:
        """Return some global samples; they lie in random order, so the first will do."""
        return {name: array[:count] for name, array in self._data.items()}
