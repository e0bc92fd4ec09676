"""The server node: global data, teachers, one student per family, and what edges send to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from kdtasks.contract.collaboration import (
    AnswersPairs,
    ExchangesPairs,
    Learnt,
    Place,
    SendsTeacher,
    SharesOutputs,
    SynthesisesSamples,
    Work,
)
from kdtasks.contract.gaussian_mechanism import mechanism_of
from kdtasks.contract.leakage import NoisesExtras, NoisesStatistics
from kdtasks.contract.params import Params
from kdtasks.contract.poisoning import ProbesOutputs
from kdtasks.contract.task import Arrays, TeacherArtifact
from kdtasks.learning.random import numpy_generator
from sweeps.common.events import Training
from sweeps.nodes.node import (
    Deployment,
    Handler,
    Handlers,
    Node,
    take_about,
    take_fact,
    take_samples,
)
from sweeps.nodes.privacy.audit import Exchanged
from sweeps.nodes.robust import attacks
from sweeps.nodes.robust.guard import Guard
from sweeps.nodes.topologies.base import Group, groups, own_params, server_params
from sweeps.nodes.wire.messages import CONDUCTOR, Kind, Message, MessageError, Parcel


class ServerNode(Node):
    """Trains students on global data; sends students, teachers and samples to the edges."""

    def __init__(
        self,
        name: str,
        deployment: Deployment,
        data: Arrays,
        teacher: TeacherArtifact | None,
        false_teacher: Callable[[], TeacherArtifact],
    ) -> None:
        super().__init__(name, deployment)
        self._data = data  # in random order
        self._teachers: list[TeacherArtifact] = []
        if teacher is not None:
            self._teachers = [
                self.task.teacher_of(deployment.params, teacher, number)
                for number in range(self.settings.num_teachers)
            ]
        edges, own = self.settings.edges, own_params(self.task, deployment.params)
        trained = server_params(self.task, deployment.params, own)
        self._own = dict(zip(edges, own, strict=True))
        self._group = dict(zip(edges, groups(self.settings, trained), strict=True))
        self._params: dict[Group, Params] = {}
        for group, params in zip(self._group.values(), trained, strict=True):
            self._params.setdefault(group, params)
        self._students: dict[Group, Arrays] = {}
        self._parts: dict[str, Arrays] = {}
        self._outputs: dict[str, Arrays] = {}
        self._sampled: dict[str, Arrays] = {}
        self._proxy: Arrays = {}
        self._false_teacher = cache(false_teacher)
        self._guard = Guard(self.settings, deployment.params, self.findings)
        self.exchanged: Exchanged | None = None

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
            "report-findings": self.report_findings,
        }
        return {
            **{("conductor", Kind.CONTROL, name): handler for name, handler in orders.items()},
            ("edge", Kind.CONTROL, "rehearsal-wanted"): self._send_rehearsal,
            ("edge", Kind.SAMPLES, "upload"): self._store_upload,
            ("edge", Kind.SAMPLES, "answer"): self._store_answer_samples,
            ("edge", Kind.OUTPUTS, "answer"): self._store_answer,
            ("edge", Kind.OUTPUTS, "proxy"): self._store_outputs,
            ("edge", Kind.MODEL, "server-part"): self._store_part,
        }

    def _edges_of(self, group: Group) -> list[str]:
        return [edge for edge, own in self._group.items() if own == group]

    def _groups_among(self, edges: Sequence[str]) -> dict[Group, list[str]]:
        """Return the edges of each group, of these alone."""
        found = {group: [e for e in self._edges_of(group) if e in edges] for group in self._params}
        return {group: some for group, some in found.items() if some}

    def _edges_in(self, message: Message) -> list[str]:
        """Return the edges that an order is about: all, if it names none."""
        named = message.facts.get("edges", self.settings.edges)
        known = self.settings.edges
        if not isinstance(named, list | tuple) or not all(edge in known for edge in named):
            raise MessageError(f"{message.subject!r} is about {named!r}, not edges of this server")
        return [edge for edge in known if edge in named]

    def students(self) -> dict[str, Arrays]:
        return {
            edge: {**self._parts.get(edge, {}), **self._students.get(group, {})}
            for edge, group in self._group.items()
        }

    def unsent(self, students: Mapping[str, Arrays], learnt: Learnt) -> list[Parcel]:
        """Return the edges' parts of students that are trained here."""
        parcels: list[Parcel] = []
        for group, params in self._params.items() if learnt.weights else ():
            edges, names = self._edges_of(group), self.task.tensors(params, "edge")
            if students[edges[0]].keys() >= names.keys():  # not in `_adopt`
                part = {name: students[edges[0]][name] for name in names}
                parcels += self.send(edges, Kind.MODEL, "student", part)
        return parcels

    def _student_for(self, edge: str) -> Arrays:
        if self._group[edge] not in self._students:
            raise MessageError(f"the server has no student for {edge}: nothing was trained yet")
        return self._students[self._group[edge]]

    def _part(self, edge: str, weights: Arrays, place: Place) -> Arrays:
        names = self.task.tensors(self._own[edge], place)
        return {name: weights[name] for name in names}

    def _train(self, _sender: str, message: Message) -> Training[None]:
        ordered = self._groups_among(self._edges_in(message))
        for place, (group, edges) in enumerate(ordered.items()):
            params, number = self._params[group], group[1]
            teacher = self._teachers[number] if self._teachers else None
            learnt = yield from self.learning(
                self.task.learn(params, self._data, teacher, server_part=True, stream_name=""),
                edges,
                number=place,
                count=len(ordered),
                incomplete=not self._students.keys() | {group} >= self._params.keys(),
            )
            self._students[group] = learnt.weights
            if teacher is not None:
                outputs = {**teacher.outputs, **learnt.teacher_outputs}
                self._teachers[number] = replace(teacher, outputs=outputs)

    def _send_students(self, _sender: str, message: Message) -> list[Parcel]:
        whole = take_fact(message, "whole", bool)
        parcels: list[Parcel] = []
        for edges in self._groups_among(self._edges_in(message)).values():
            weights = self._student_for(edges[0])
            for edge in edges:
                self._parts[edge] = self._part(edge, weights, "server")
            sent = weights if whole else self._part(edges[0], weights, "edge")
            parcels += self.send(edges, Kind.MODEL, "student", sent)
        return parcels

    def _teacher_for(self, edge: str) -> TeacherArtifact:
        if not self._teachers:
            raise MessageError("the server has no teacher")
        return self._teachers[self._group[edge][1]]

    def _taught(self, message: Message) -> list[tuple[TeacherArtifact, list[str]]]:
        """Return every teacher with its edges, and store the server's part of it for each edge."""
        found: dict[int, list[str]] = {}
        for edge in self._edges_in(message):
            number = self._group[edge][1]
            self._parts[edge] = self._part(edge, self._teacher_for(edge).weights, "server")
            found.setdefault(number, []).append(edge)
        return [(self._teachers[number], edges) for number, edges in found.items()]

    def _send_teacher(self, _sender: str, message: Message) -> list[Parcel]:
        parcels: list[Parcel] = []
        for teacher, edges in self._taught(message):
            poisoned = [edge for edge in edges if edge in self.settings.poisoned]
            sound = [edge for edge in edges if edge not in poisoned]
            parcels += self.send(sound, Kind.TEACHER, "teacher", teacher.weights) if sound else []
            for edge in poisoned:
                weights = self._poisoned(edge, teacher.weights)
                parcels += self.send([edge], Kind.TEACHER, "teacher", weights)
            if extras := self.paid(self._teacher_extras(teacher)):
                parcels += self.send(edges, Kind.FEATURES, "teacher", extras)
        return parcels

    def _teacher_extras(self, teacher: TeacherArtifact) -> tuple[Arrays, Work]:
        mechanism, params = mechanism_of(self.settings), self.deployment.params
        if mechanism is None:
            return self.able(SendsTeacher).teacher_extras(params, teacher)
        rng = numpy_generator(self.seed, "noise beside a teacher")
        return self.able(NoisesExtras).noisy_extras(params, teacher, self._data, mechanism, rng)

    def _poisoned(self, edge: str, weights: Arrays) -> Arrays:
        """Return what an attacker makes of a teacher on its way to an edge."""
        if not self.settings.mistaught:
            return attacks.poisoned_weights(self.settings, weights, self.seed, edge)
        params, number = self.deployment.params, self._group[edge][1]
        return self.task.teacher_of(params, self._false_teacher(), number).weights

    def _send_pairs(self, _sender: str, message: Message) -> list[Parcel]:
        parcels: list[Parcel] = []
        for teacher, edges in self._taught(message):
            able = self.able(ExchangesPairs)
            knowledge = able.pair_knowledge(self.deployment.params, teacher, self._data)
            parcels += self._send_samples(edges, "pairs", self._data)
            parcels += self.send(edges, Kind.OUTPUTS, "pairs", self.paid(knowledge))
        return parcels

    def _send_proxy(self, _sender: str, _message: Message) -> list[Parcel]:
        self._proxy = self.task.sample_slice(self._data, 0, self.settings.proxy_samples)
        return self._send_samples(self.settings.edges, "proxy", self._proxy)

    def _send_blends(self, _sender: str, _message: Message) -> list[Parcel]:
        """Send every edge the blended outputs of the others on the proxy set."""
        if self.settings.defence == "probe":
            self._guard.test(self.able(ProbesOutputs), self._proxy, self._outputs)
        parcels: list[Parcel] = []
        for edge in self._outputs:
            blend = self._guard.blend(self.able(SharesOutputs), edge, self._outputs)
            if blend:
                parcels += self.send([edge], Kind.OUTPUTS, "proxy", blend)
        self.exchanged = Exchanged(samples=self._proxy, outputs=self._outputs)
        self._outputs = {}
        return parcels

    def _ask_samples(self, _sender: str, message: Message) -> list[Parcel]:
        edges = self._edges_in(message)
        upload = take_fact(message, "upload", int)
        return self.send(edges, Kind.CONTROL, "samples-wanted", upload=upload)

    def _send_rehearsal(self, sender: str, message: Message) -> list[Parcel]:
        params, count = self._own[sender], take_fact(message, "count", int)
        student = self._student_for(sender)
        if self.settings.rehearsal_source == "synthetic":
            statistics = self.paid(self._statistics(params, student))
            return self.send([sender], Kind.FEATURES, "rehearsal", statistics)
        samples = self.task.sample_slice(self._data, 0, count)
        parcels = self._send_samples([sender], "rehearsal", samples)
        if self.settings.anchor_weight > 0 and self.settings.anchor == "server":
            parcels += self.send([sender], Kind.OUTPUTS, "rehearsal", self._stored(sender, samples))
        return parcels

    def _statistics(self, params: Params, student: Arrays) -> tuple[Arrays, Work]:
        """Return statistics for rehearsal; the same for all edges, noise included."""
        mechanism = mechanism_of(self.settings)
        if mechanism is None:
            return self.able(SynthesisesSamples).synthesis(params, student, self._data)
        rng = numpy_generator(self.seed, "noise on statistics")
        able = self.able(NoisesStatistics)
        return able.noisy_synthesis(params, student, self._data, mechanism, rng)

    def _stored(self, edge: str, samples: Arrays) -> Arrays:
        """Return the outputs of the teacher on the first samples; without one, of the student."""
        count = self.task.sample_count(samples)
        names = self.able(SharesOutputs).output_tensors(self.deployment.params)
        teacher = self._teacher_for(edge) if self._teachers else None
        if teacher is not None and names.keys() <= teacher.outputs.keys():
            return {name: teacher.outputs[name][:count] for name in names}
        student = self._student_for(edge)
        return self.paid(self.able(SharesOutputs).outputs(self._own[edge], student, samples))

    def _adopt(self, _sender: str, _message: Message) -> Training[None]:
        for edge, knowledge in self._outputs.items():
            training = self.able(AnswersPairs).adopt(
                self._own[edge],
                self._teacher_for(edge),
                self._sampled[edge],
                knowledge,
                stream_name=f"adopt {edge}",
            )
            learnt = yield from self.learning(training, [edge])
            self._parts[edge] = learnt.weights

    def _collect(self, _sender: str, _message: Message) -> list[Parcel]:
        """Return the server's part of every student to the conductor, which uses no link."""
        parcels: list[Parcel] = []
        for edge, part in self._parts.items():
            parcels += self.send([CONDUCTOR], Kind.MODEL, "collected", part, edge=edge)
        return parcels

    def _store_upload(self, _sender: str, message: Message) -> None:
        samples = take_samples(message, self.task, self.deployment.params, self._data)
        self._data = self.task.samples_together(self._data, samples)

    def _store_answer_samples(self, sender: str, message: Message) -> None:
        self._sampled[sender] = take_samples(message, self.task, self.deployment.params, self._data)

    def _store_answer(self, sender: str, message: Message) -> None:
        specs = self.able(ExchangesPairs).knowledge_tensors(self.deployment.params)
        here = self.task.sample_count(self._sampled.get(sender, {}))
        self._outputs[sender] = take_about(message, specs, here)

    def _store_outputs(self, sender: str, message: Message) -> None:
        specs = self.able(SharesOutputs).output_tensors(self.deployment.params)
        self._outputs[sender] = take_about(message, specs, self.task.sample_count(self._proxy))

    def _store_part(self, sender: str, message: Message) -> None:
        specs = self.task.tensors(self._own[sender], "server")
        self._parts[sender] = message.checked(specs)

    def _send_samples(self, edges: Sequence[str], subject: str, samples: Arrays) -> list[Parcel]:
        """Send samples; the edges of each family get the arrays that their students need."""
        parcels: list[Parcel] = []
        for family in dict.fromkeys(self._group[edge][0] for edge in edges):
            alike = [edge for edge in edges if self._group[edge][0] == family]
            needed = self.task.samples_for(self._own[alike[0]], samples)
            parcels += self.send(alike, Kind.SAMPLES, subject, needed)
        return sorted(parcels, key=lambda parcel: edges.index(parcel.receiver))
