"""An edge node: its local data, its own student, and what it received."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from kdtasks.contract.collaboration import (
    AnswersPairs,
    ExchangesPairs,
    FineTunes,
    Guidance,
    Learnt,
    SendsTeacher,
    SharesOutputs,
    Stage,
    SynthesisesSamples,
)
from kdtasks.contract.gaussian_mechanism import mechanism_of
from kdtasks.contract.leakage import MeasuresLeaks
from kdtasks.contract.params import Params
from kdtasks.contract.poisoning import FlipsLabels, ProbesTeacher
from kdtasks.contract.task import Arrays, TeacherArtifact
from kdtasks.learning.random import numpy_generator
from sweeps.common.events import Training
from sweeps.nodes.node import (
    Deployment,
    Handler,
    Handlers,
    Handling,
    Node,
    take_about,
    take_fact,
    take_samples,
)
from sweeps.nodes.robust import attacks
from sweeps.nodes.robust.findings import Findings, bounded
from sweeps.nodes.wire.messages import CONDUCTOR, SERVER, Kind, Message, MessageError, Parcel


class EdgeNode(Node):
    """Trains, fine-tunes or only stores its student, and answers the server."""

    owns_raw_data = True

    def __init__(self, index: int, deployment: Deployment, data: Arrays) -> None:
        super().__init__(deployment.settings.edges[index], deployment)
        self._params: Params = self.task.edge_params(deployment.params, index)
        self._data = data
        self._student: Arrays = {}
        self._received: Arrays = {}
        self._moved = False
        self._underway: Mapping[int, Arrays] = {}
        self._teacher: TeacherArtifact | None = None
        # by what they are for: pairs, rehearsal, proxy
        self._samples: dict[str, Arrays] = defaultdict(dict)
        self._outputs: dict[str, Arrays] = {}
        self._hostile = self.name in self.settings.hostile
        if self._hostile and self.settings.attack == "flipped-labels":
            self._data = self.able(FlipsLabels).flipped(self._params, data)

    def handlers(self) -> Handlers:
        orders: dict[str, Handler] = {
            "train": self._train,
            "train-on-pairs": self._train_on_pairs,
            "ask-rehearsal": self._ask_rehearsal,
            "fine-tune": self._fine_tune,
            "mutual-round": self._mutual_round,
            "self-round": self._self_round,
            "hand-in": self._hand_in,
            "collect": self._collect,
            "report-findings": self.report_findings,
        }
        return {
            **{("conductor", Kind.CONTROL, name): handler for name, handler in orders.items()},
            ("server", Kind.CONTROL, "samples-wanted"): self._upload,
            ("server", Kind.MODEL, "student"): self._store_student,
            ("server", Kind.TEACHER, "teacher"): self._store_teacher,
            ("server", Kind.FEATURES, "teacher"): self._store_teacher_extras,
            ("server", Kind.SAMPLES, "pairs"): self._store_samples,
            ("server", Kind.OUTPUTS, "pairs"): self._store_outputs,
            ("server", Kind.SAMPLES, "rehearsal"): self._store_samples,
            ("server", Kind.OUTPUTS, "rehearsal"): self._store_outputs,
            ("server", Kind.FEATURES, "rehearsal"): self._store_statistics,
            ("server", Kind.SAMPLES, "proxy"): self._store_samples,
            ("server", Kind.OUTPUTS, "proxy"): self._store_outputs,
        }

    # --- training -------------------------------------------------------------------------------

    def _train(self, _sender: str, _message: Message) -> Training[None]:
        if self.findings.quarantined:  # labels alone, as long: the teacher is not trusted
            epochs = self.task.planned_epochs(self._params)
            yield from self._train_further(self._data, None, self.name, epochs)
            return
        training = self.task.learn(
            self._params,
            self._data,
            self._teacher,
            server_part=not self.settings.edge_part_only,
            stream_name=self.name,
        )
        self._keep((yield from self.learning(training, [self.name])))

    def _train_on_pairs(self, _sender: str, _message: Message) -> Handling:
        if "pairs" not in self._outputs:
            raise MessageError("no pairs to train on have arrived")
        pairs, knowledge = self._samples["pairs"], self._outputs["pairs"]
        training = self.able(ExchangesPairs).learn_pairs(
            self._params, pairs, knowledge, stream_name=self.name
        )
        learnt = yield from self.learning(training, [self.name])
        self._keep(learnt)
        if not isinstance(self.task, AnswersPairs):
            return []
        outputs = self.paid(self.task.answer_pairs(self._params, learnt.weights, self._data))
        if not outputs:
            return []
        return [
            *self.send([SERVER], Kind.SAMPLES, "answer", self._data),
            *self.send([SERVER], Kind.OUTPUTS, "answer", outputs),
        ]

    def _fine_tune(self, _sender: str, _message: Message) -> Training[None]:
        self._need_received()
        data = self._data
        if rehearsal := self._samples["rehearsal"]:
            data = self.task.samples_together(self._data, rehearsal)
        guidance = None
        if self.settings.anchor_weight > 0:
            guidance = self._stored("rehearsal") or self._imitating(self._received, data)
        yield from self._train_further(data, guidance, f"{self.name} fine-tune")

    def _imitating(self, student: Arrays, data: Arrays) -> Guidance:
        """Return the outputs of an earlier student, which anchor a later one."""
        return Guidance(samples=data, outputs=self._outputs_of(student, data))

    def _outputs_of(self, student: Arrays, data: Arrays) -> Arrays:
        return self.paid(self.able(SharesOutputs).outputs(self._params, student, data))

    def _stored(self, subject: str) -> Guidance | None:
        """Return outputs that were received, with their samples; None if there are none."""
        if subject not in self._outputs:
            return None
        return Guidance(samples=self._samples[subject], outputs=self._outputs[subject])

    def _mutual_round(self, _sender: str, message: Message) -> Handling:
        speak = take_fact(message, "speak", bool)
        stream = f"{self.name} round {take_fact(message, 'round', int)}"
        yield from self._train_further(self._data, self._stored("proxy"), stream)
        if not speak:
            return []
        outputs = self._outputs_of(self._student, self._samples["proxy"])
        if self._hostile:
            outputs = attacks.lying_outputs(self.settings, outputs, self.seed, f"{stream} lie")
        elif mechanism := mechanism_of(self.settings):
            rng = numpy_generator(self.seed, f"{stream} noise")
            outputs = mechanism.noisy_rows(outputs, self.able(MeasuresLeaks).neutral_output, rng)
        return self.send([SERVER], Kind.OUTPUTS, "proxy", outputs)

    def _self_round(self, _sender: str, message: Message) -> Training[None]:
        stream = f"{self.name} round {take_fact(message, 'round', int)}"
        guidance = None
        if self._student and self.settings.anchor_weight > 0:
            guidance = self._imitating(self._student, self._data)
        yield from self._train_further(self._data, guidance, stream)

    def _train_further(
        self, data: Arrays, guidance: Guidance | None, stream_name: str, epochs: int | None = None
    ) -> Training[None]:
        settings = self.settings
        stage = Stage(
            epochs=settings.edge_epochs if epochs is None else epochs,
            rate=settings.edge_rate,
            guidance_weight=settings.anchor_weight if guidance is not None else 0.0,
            # a student that was never at the server can train that part only here
            server_part=not (self._received and settings.edge_part_only),
            stream_name=stream_name,
        )
        training = self.able(FineTunes).train_on(self._params, self._student, data, guidance, stage)
        self._keep((yield from self.learning(training, [self.name])))

    def students(self) -> dict[str, Arrays]:
        return {self.name: self._student}

    def _keep(self, learnt: Learnt) -> None:
        self._student = learnt.weights
        self._moved = self._moved or learnt.server_part_moved
        self._underway = learnt.underway

    # --- sending --------------------------------------------------------------------------------

    def _hand_in(self, _sender: str, _message: Message) -> list[Parcel]:
        return self.unsent(self.students(), Learnt(weights={}))

    def unsent(self, students: Mapping[str, Arrays], learnt: Learnt) -> list[Parcel]:
        """Return the server's part of the student if it was trained here."""
        names = self.task.tensors(self._params, "server")
        if not (names and (self._moved or learnt.server_part_moved)):
            return []
        part = {name: students[self.name][name] for name in names}
        return self.send([SERVER], Kind.MODEL, "server-part", part)

    def _upload(self, _sender: str, message: Message) -> list[Parcel]:
        """Send the next slice of the local samples."""
        total = self.task.sample_count(self._data)
        size = max(1, round(self.settings.upload_share * total))
        start = min(take_fact(message, "upload", int) * size, total)
        samples = self.task.sample_slice(self._data, start, start + size)
        if start == total:
            return []
        return self.send([SERVER], Kind.SAMPLES, "upload", samples)

    def _ask_rehearsal(self, _sender: str, _message: Message) -> list[Parcel]:
        count = self._rehearsal_count()
        return self.send([SERVER], Kind.CONTROL, "rehearsal-wanted", count=count)

    def _collect(self, _sender: str, _message: Message) -> list[Parcel]:
        """Return the edge's part of the student to the conductor, which uses no link."""
        names = self.task.tensors(self._params, "edge")
        if not self._student:
            raise MessageError("no student here: none was trained or received")
        found: dict[str, Arrays] = {"collected": {name: self._student[name] for name in names}}
        if self._received.keys() >= self.task.tensors(self._params, None).keys():
            found["received"] = self._received
        found |= {f"after-{steps}": student for steps, student in self._underway.items()}
        return [
            parcel
            for subject, part in found.items()
            for parcel in self.send([CONDUCTOR], Kind.MODEL, subject, part, edge=self.name)
        ]

    # --- storing --------------------------------------------------------------------------------

    def _store_student(self, _sender: str, message: Message) -> None:
        whole, part = (self.task.tensors(self._params, place) for place in (None, "edge"))
        self._student = message.checked(whole if message.arrays.keys() == whole.keys() else part)
        self._received, self._moved = self._student, False

    def _store_teacher(self, _sender: str, message: Message) -> None:
        weights = message.checked(self.able(SendsTeacher).teacher_tensors(self.deployment.params))
        self._teacher = TeacherArtifact(metrics={}, weights=weights, outputs={})
        if self.settings.defence == "probe":
            self._test_teacher(self._teacher)

    def _test_teacher(self, teacher: TeacherArtifact) -> None:
        """Quarantine a teacher that is no better than a guess on the local samples."""
        able = self.able(ProbesTeacher)
        outputs = self.paid(able.teacher_outputs(self._params, teacher, self._data))
        error = able.output_error(self._params, self._data, outputs)
        self.findings = Findings(scores={self.name: [bounded(error)]})
        if bounded(error) >= 1.0:
            self.findings.quarantined.append(self.name)

    def _store_teacher_extras(self, _sender: str, message: Message) -> None:
        if self._teacher is None:
            raise MessageError("the outputs of a teacher arrived before the teacher")
        extras = message.checked(self.able(SendsTeacher).extra_tensors(self._params))
        self._teacher = replace(self._teacher, outputs=extras)

    def _store_samples(self, _sender: str, message: Message) -> None:
        self._samples[message.subject] = take_samples(message, self.task, self._params, self._data)

    def _store_outputs(self, _sender: str, message: Message) -> None:
        """Store outputs on the samples that were received with the same subject."""
        if message.subject == "pairs":
            specs = self.able(ExchangesPairs).knowledge_tensors(self.deployment.params)
        else:
            specs = self.able(SharesOutputs).output_tensors(self.deployment.params)
        here = self.task.sample_count(self._samples[message.subject])
        self._outputs[message.subject] = take_about(message, specs, here)

    def _store_statistics(self, _sender: str, message: Message) -> None:
        self._need_received()
        statistics = message.checked(self.able(SynthesisesSamples).statistics_tensors(self._params))
        made = self.able(SynthesisesSamples).synthesise(
            self._params,
            self._received,
            statistics,
            self._rehearsal_count(),
            stream_name=f"{self.name} synthesis",
        )
        self._samples["rehearsal"] = self.paid(made)

    def _rehearsal_count(self) -> int:
        local = self.task.sample_count(self._data)
        return max(1, round(self.settings.rehearsal_share * local))

    def _need_received(self) -> None:
        if not self._received:
            raise MessageError("no student was received to train on")
