"""A task of two networks: how they are trained, judged and run at the nodes of a network."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdtasks.contract.collaboration import (
    Guidance,
    Learnt,
    SendsTeacher,
    Shares,
    SharesOutputs,
    Stage,
    TensorSpec,
    Work,
    leaving,
    parted,
)
from kdtasks.contract.deployable import Call, Deployable, Part
from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.contract.params import Params
from kdtasks.contract.task import (
    Arrays,
    Baseline,
    Outcome,
    Report,
    ScenarioData,
    SplitName,
    TeacherArtifact,
    prefixed,
)
from kdtasks.data.partition import shares_of_rows
from kdtasks.data.weight_files import load_teacher
from kdtasks.distillation.networks import COSTS, TwoNetworks
from kdtasks.distillation.rehearsal import Rehearsal
from kdtasks.distillation.settings import DistillationSettings
from kdtasks.distillation.splits import TARGET, inputs_of, scores_of, targets_of
from kdtasks.distillation.training import (
    Course,
    Lessons,
    Watched,
    node_seed,
    response_loss,
    schedule_of,
)
from kdtasks.learning.complexity import (
    batch1_latency_ms,
    held_bytes,
    kept_bytes,
    state_bytes,
)
from kdtasks.learning.deployed_students import EDGE, ScoreOf, deployed, mean_metrics
from kdtasks.learning.device import to_array
from kdtasks.learning.distillation import Outputs, complete_outputs
from kdtasks.learning.jobs import Trained, train_generations
from kdtasks.learning.losses import blended_terms
from kdtasks.learning.random import torch_generator
from kdtasks.learning.tensors import as_tensor, load_state, state_arrays, state_specs

NODE = "student"
"""Name of the student in an export."""

LEARNS = Generator[Report, None, Learnt]


class DistillationTask(TwoNetworks, SharesOutputs, SendsTeacher):
    """A task of two networks; derive from it, and give it data, a teacher and a student.

    A class sets ``name`` and ``metrics`` (see `kdtasks.distillation.splits.metric`), and writes
    `data`, `teacher` and `student`; ``parameters`` and ``features`` open more. Everything else
    follows: methods and their parameters, teachers that are kept by content, cost, latency, export,
    baselines, and the topologies that need labels, outputs and weights.
    """

    # --- training -----------------------------------------------------------------------------

    def _course(self, train: Arrays, val: Arrays | None, seed: int) -> Course:
        augments = type(self).augment is not DistillationTask.augment
        return Course(
            train=train,
            val=val,
            loss=self.loss,
            metrics=self.scores,
            seed=seed,
            augment=self._augmented if augments else None,
        )

    def _augmented(
        self, inputs: tuple[Tensor, ...], generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        if len(inputs) > 1:
            return tuple(self.augment(inputs, generator))
        return (self.augment(inputs[0], generator),)

    def _lessons(self, params: Params, course: Course, teacher: TeacherArtifact) -> Lessons:
        """Return what a teacher gives a student; it is run again where inputs are augmented."""
        outputs = Outputs.of(teacher.outputs)
        if course.augment is None:
            return Lessons(outputs)
        return Lessons(outputs, self._restored(params, teacher.weights, teacher=True))

    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        """Train the teacher, in a network on the server's samples; or read it from a file."""
        settings = self._settings(params)
        if settings.networked:
            train = self.share_out(params, train, "train").server
        self._note_shapes(params, train)
        watched = self._teacher(params)
        course = self._course(train, val, settings.teacher_seed)
        if settings.teacher_weights:
            score = partial(course.score, watched)
            metrics = yield from load_teacher(watched.network, settings.teacher_weights, score)
        else:
            schedule = schedule_of(settings, teacher=True)
            objective = course.objective(watched, course.goal(settings, watched, None))
            trained = yield from course.run(watched, objective, schedule)
            flops = 6.0 * self._size(params, watched.network).macs * trained.samples
            metrics = {**prefixed("val", trained.scores), **trained.effort(flops)}
        costs = self._costs(watched.network, self._size(params, watched.network))
        return TeacherArtifact(
            metrics={**metrics, **costs},
            weights=state_arrays(watched.network),
            outputs=watched.run(train).arrays(),
        )

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        self._note_shapes(params, train)
        settings = self._settings(params)
        course = self._course(train, val, settings.seed)
        lessons = None if teacher is None else self._lessons(params, course, teacher)
        trained, flops, queried = yield from self._train(params, course, lessons)
        size = self._size(params, trained.network)
        latency_ms = batch1_latency_ms(trained.network, *self._input_shapes(params))
        metrics = {
            **prefixed("val", trained.scores),
            **self._costs(trained.network, size),
            "latency_ms": latency_ms,
            **trained.effort(flops, queried.flops),
            "teacher_forward_samples": float(queried.teacher_samples),
        }
        return Outcome(metrics=metrics, weights=state_arrays(trained.network))

    def _train(
        self, params: Params, course: Course, teacher: Lessons | None, stream_name: str = ""
    ) -> Generator[Report, None, tuple[Trained[nn.Module], float, Work]]:
        """Train a student by the method of a trial: once, or for generations of itself.

        Returns:
            The training, its operations, and what it took to run teachers on augmented batches.
        """
        settings = self._settings(params)
        count = settings.generations if settings.method == "self" else 1
        networks: list[Watched] = []
        given = [] if teacher is None else [teacher]
        macs = 0

        def train_one(
            generation: int, before: Lessons | None
        ) -> Generator[Report, None, Trained[nn.Module]]:
            nonlocal macs
            own = f"{stream_name} {generation}".strip() if generation else stream_name
            network, taught = self._student(params, own), teacher if before is None else before
            networks.append(network)
            goal = course.goal(settings, network, None if taught is None else taught.outputs)
            macs = self._size(params, network.network).macs + goal.macs
            objective = course.objective(network, goal, taught)
            return course.run(
                network, objective, course.schedule(settings, count * macs), goal.modules
            )

        def ask(_: nn.Module) -> Lessons:
            queried = None if course.augment is None else networks[-1]
            given.append(Lessons(networks[-1].run(course.train), queried))
            return given[-1]

        def counted(trained: Trained[nn.Module]) -> tuple[Trained[nn.Module], float, Work]:
            queried = sum((self._queried(params, lessons) for lessons in given), Work())
            return trained, 6.0 * macs * trained.samples, queried

        return (yield from leaving(train_generations(train_one, ask, count), counted))

    def _queried(self, params: Params, lessons: Lessons) -> Work:
        if lessons.network is None:
            return Work()
        macs = self._size(params, lessons.network.network).macs
        return Work(flops=2.0 * macs * lessons.queried, teacher_samples=lessons.queried)

    def rehearse(self, trials: Sequence[Params], data: ScenarioData) -> None:
        own = None if type(self).loss is TwoNetworks.loss else self.loss
        stage = Rehearsal(data=data, loss=own, metrics=self.scores)
        teachers: dict[str, Outputs] = {}
        for params in trials:
            differ = [
                n for n in params if any(one.get(n, params[n]) != params[n] for one in trials)
            ]
            try:
                self._rehearse(params, stage, teachers)
            except UserError as error:
                where = ", ".join(f"{name}={params[name]!r}" for name in differ)
                raise ConfigError(f"{error}{where and f' ({where})'}") from error

    def _rehearse(self, params: Params, stage: Rehearsal, teachers: dict[str, Outputs]) -> None:
        """Run the networks of a trial on a few samples, towards all that they are trained for."""
        settings, key = self._settings(params), self.teacher_fingerprint(params)
        if key is not None and key not in teachers:
            course = self._course(stage.batch(settings.teacher_batch), None, settings.seed)
            tried = stage.run(self.teacher, partial(self._teacher, params), course)
            stage.step(tried, course, settings)
            stage.judge(tried.outputs)
            teachers[key] = tried.network.run(stage.batch())
        course = self._course(stage.batch(settings.batch_size), None, settings.seed)
        for edge in range(len(self._families(params))):
            own = self.edge_params(params, edge)
            tried = stage.run(self.student, partial(self._student, own), course)
            stage.step(tried, course, settings)
            stage.judge(tried.outputs)
            if key is not None:
                taught = teachers[key][torch.arange(len(tried.outputs.outputs))]
                stage.step(tried, course, settings, taught)

    # --- judging ------------------------------------------------------------------------------

    def _judged(self, network: Watched, split: Arrays) -> dict[str, float]:
        return scores_of(self.scores, network.run(split).outputs, targets_of(split))

    def _evaluate_student(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        return self._judged(self._restored(params, weights, teacher=False), split)

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        if self._settings(params).networked:
            return self.mean_over_edges(params, weights, split, self._evaluate_student)
        return self._evaluate_student(params, weights, split)

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        return self._judged(self._restored(params, weights, teacher=True), split)

    def deployable(self, params: Params, weights: Arrays) -> Deployable:
        if not self._settings(params).networked:
            return self._deployable(params, weights)

        def built(edge: int, own: Arrays) -> Deployable:
            return self._deployable(self.edge_params(params, edge), own)

        def judged(score_of: ScoreOf, split: Arrays) -> dict[str, float]:
            nodes, shares = parted(weights), self.judged_shares(params, split).edges
            return mean_metrics(
                [
                    score_of(edge, nodes[f"{EDGE}{edge}"], share)
                    for edge, share in enumerate(shares)
                    if self.sample_count(share)
                ]
            )

        return deployed(weights, built, judged)

    def _deployable(self, params: Params, weights: Arrays) -> Deployable:
        network = self._restored(params, weights, teacher=False).network
        shapes = self._input_shapes(params)
        names = ["x"] if len(shapes) == 1 else [f"x{n}" for n in range(len(shapes))]
        draw = torch.Generator().manual_seed(0)
        inputs = {
            name: torch.randn((2, *shape), generator=draw)
            for name, shape in zip(names, shapes, strict=True)
        }
        about = f"{', '.join(f'{n} {list(s)}' for n, s in zip(names, shapes, strict=True))} in"
        part = Part(network=network, inputs=inputs, output="outputs", about=f"{about}, outputs out")

        def score(parts: Mapping[str, Call], split: Arrays) -> dict[str, float]:
            outputs = parts[NODE](*inputs_of(split))
            return scores_of(self.scores, outputs, targets_of(split))

        return Deployable(parts={NODE: part}, score=score)

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        """Return what answers the same to every sample: the commonest class, or the mean."""
        network = self._student(params)
        first = {name: array[:1] for name, array in data.val.items()}
        like, targets = network.run(first).outputs, targets_of(data.train)
        if targets.is_floating_point():
            name, answer = "mean of the targets", targets.mean(0)
        else:
            name, answer = "majority class", torch.zeros(like.shape[1:])
            answer[..., int(targets.flatten().mode().values)] = 1.0
        if answer.shape != like.shape[1:]:
            return []
        metrics = dict.fromkeys(COSTS, 0.0)
        for split, arrays in (("val", data.val), ("test", data.test)):
            same = answer.expand(len(arrays[TARGET]), *answer.shape)
            found = scores_of(self.scores, same, targets_of(arrays))
            metrics |= {f"{split}_{metric}": value for metric, value in found.items()}
        return [Baseline(name=name, params={}, metrics=metrics)]

    def worst_values(self, params: Params) -> dict[str, float]:
        """Return the worst that a baseline scores, by metric; nothing where data are slow."""
        if self._declared_shapes(params):
            return {}
        found = self.baselines(params, ScenarioData(**self._data(params)[1], provenance={}))
        worst = {"minimize": max, "maximize": min}
        return {
            name: worst[info.direction](one.metrics[name] for one in found if name in one.metrics)
            for name, info in self.metrics.items()
            if any(name in one.metrics for one in found)
        }

    def models(self) -> list[dict[str, Any]]:
        """Describe teacher and student of the default parameters."""
        params = self.complete({})
        networks = {"teacher": self._teacher(params), "student": self._student(params)}
        return [
            {"model": name, **self._costs(one.network, self._size(params, one.network))}
            for name, one in networks.items()
        ]

    # --- in a network -------------------------------------------------------------------------

    def share_out(self, params: Params, split: Arrays, name: SplitName) -> Shares:
        settings = self._settings(params)
        return shares_of_rows(settings, split, self.edge_labels(split), name, seed=0)

    def student_tensors(self, params: Params) -> dict[str, TensorSpec]:
        return state_specs(self._student(params).network)

    def teacher_tensors(self, params: Params) -> dict[str, TensorSpec]:
        return state_specs(self._teacher(params).network)

    def output_tensors(self, params: Params) -> dict[str, TensorSpec]:
        blank = [torch.zeros(1, *shape) for shape in self._input_shapes(params)]
        network = self._student(params).network.eval()
        with torch.no_grad():
            made = network(*blank)
        return {"outputs": TensorSpec(shape=(None, *made.shape[1:]), dtype="float32")}

    def _work(self, params: Params, network: nn.Module, flops: float, spent: float) -> Work:
        shapes, batch = self._input_shapes(params), self._settings(params).batch_size
        return Work(
            flops=flops,
            core_seconds=spent,
            peak_bytes=float(held_bytes(network) + batch * kept_bytes(network, *shapes)),
        )

    def learn(
        self,
        params: Params,
        data: Arrays,
        teacher: TeacherArtifact | None,
        *,
        server_part: bool,
        stream_name: str,
    ) -> LEARNS:
        del server_part
        self._note_shapes(params, data)
        seed = node_seed(self._settings(params).seed, stream_name)
        course, lessons, completing = self._course(data, None, seed), None, Work()
        if teacher is not None:
            teacher, completing = self._complete(params, teacher, data)
            lessons = self._lessons(params, course, teacher)
        outputs = {} if teacher is None else teacher.outputs

        def learnt(counted: tuple[Trained[nn.Module], float, Work]) -> Learnt:
            trained, flops, queried = counted
            return Learnt(
                weights=state_arrays(trained.network),
                work=completing
                + queried
                + self._work(params, trained.network, flops, trained.core_seconds),
                teacher_outputs=outputs,
            )

        return (yield from leaving(self._train(params, course, lessons, stream_name), learnt))

    def _complete(
        self, params: Params, teacher: TeacherArtifact, data: Arrays
    ) -> tuple[TeacherArtifact, Work]:
        """Return a teacher with its outputs on all samples, and the cost of those it lacked."""
        watched = self._restored(params, teacher.weights, teacher=True)
        total, macs = len(data[TARGET]), self._size(params, watched.network).macs

        def ask(known: int) -> tuple[Arrays, Work]:
            found = watched.run(self.sample_slice(data, known, total)).arrays()
            held = float(state_bytes(watched.network))
            return found, Work(flops=2.0 * macs * (total - known), peak_bytes=held)

        return complete_outputs(teacher, "outputs", total, ask)

    def train_on(
        self,
        params: Params,
        weights: Arrays,
        data: Arrays,
        guidance: Guidance | None,
        stage: Stage,
    ) -> LEARNS:
        self._note_shapes(params, data)
        settings = self._settings(params)
        network = self._student(params, stage.stream_name)
        if weights:
            load_state(network.network, weights)
        course = self._course(data, None, node_seed(settings.seed, stage.stream_name))
        objective = course.objective(network, course.goal(settings, network, None))
        if guidance is not None:
            objective = self._guided(settings, network, objective, guidance, stage)
        schedule = replace(
            schedule_of(settings, teacher=False),
            epochs=stage.epochs,
            learning_rate=stage.rate,
            rate_name="edge_rate",
        )

        def learnt(trained: Trained[nn.Module]) -> Learnt:
            flops = 6.0 * self._size(params, trained.network).macs * trained.samples
            work = self._work(params, trained.network, flops, trained.core_seconds)
            return Learnt(weights=state_arrays(trained.network), work=work)

        return (yield from leaving(course.run(network, objective, schedule), learnt))

    def _guided(
        self,
        settings: DistillationSettings,
        network: Watched,
        labelled: Callable[[Tensor], dict[str, Tensor]],
        guidance: Guidance,
        stage: Stage,
    ) -> Callable[[Tensor], dict[str, Tensor]]:
        """Return the objective that also imitates outputs on samples, drawn beside each batch."""
        inputs, soft = inputs_of(guidance.samples), as_tensor(guidance.outputs["outputs"])
        towards = response_loss(settings, targets_of(guidance.samples))
        draws = torch_generator(settings.seed, f"{stage.stream_name} guidance")

        def terms(index_B: Tensor) -> dict[str, Tensor]:
            drawn_B = torch.randint(len(soft), index_B.shape, generator=draws)
            found = network(*(x[drawn_B] for x in inputs)).outputs
            task = labelled(index_B)["total"]
            return blended_terms(task, towards(found, soft[drawn_B]), alpha=stage.guidance_weight)

        return terms

    def outputs(self, params: Params, weights: Arrays, samples: Arrays) -> tuple[Arrays, Work]:
        begin = time.process_time()
        watched = self._restored(params, weights, teacher=False)
        found = to_array(watched.run(samples).outputs)
        macs = self._size(params, watched.network).macs
        work = Work(flops=2.0 * macs * len(found), core_seconds=time.process_time() - begin)
        return {"outputs": np.ascontiguousarray(found)}, work
