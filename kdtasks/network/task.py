"""A task that holds several others, which one server deploys in one network."""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kdtasks.contract.collaboration import joined
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import (
    Arrays,
    Baseline,
    KDTask,
    Outcome,
    Progress,
    Report,
    ScenarioData,
    TeacherArtifact,
)
from kdtasks.network.parts import SHARED, Part, arrays_of, metric_of, parameter_of
from kdtasks.network.whole import (
    WHOLE_METRICS,
    WORST_SHARE,
    Cost,
    WholeSettings,
    own_bests,
    together,
)

if TYPE_CHECKING:
    from kdtasks.contract.deployable import Deployable

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class NetworkTask(KDTask):
    """Several tasks whose deployments share a server, the memory of its teachers and its link.

    Each has edges, links and data of its own, and is deployed as if it were alone, so that its
    numbers are those of a study of that task. `kdtasks.network.whole` has what they cost together.
    """

    tasks: ClassVar[Mapping[str, tuple[str, KDTask]]]
    """Address and task by its name in the network, in the order of precedence at the server."""

    # --- parameters -------------------------------------------------------------------------------

    def parts(self, params: Params) -> tuple[Part, ...]:
        """Return the tasks of a trial.

        Raises:
            ConfigError: If a task rejects its parameters; names the task.
        """
        return tuple(
            Part(name=name, address=address, task=task, params=self._completed(name, params))
            for name, (address, task) in self.tasks.items()
        )

    def complete(self, params: Params) -> dict[str, Value]:
        """Return the parameters of all tasks, each with its task's name in front.

        What is shared has no name in front; where it is not given, the first task that has it
        decides its default.

        Raises:
            ConfigError: Naming the parameter, the value and what would be accepted.
        """
        self._check_names(params)
        whole = WholeSettings.resolve({n: v for n, v in params.items() if n in _OF_WHOLE})
        own_bests(whole.own_bests, self._named)
        shared: dict[str, Value] = {}
        for part in self.parts(params):
            shared = {**{n: v for n, v in part.params.items() if n in SHARED}, **shared}
        found: dict[str, Value] = {}
        for part in self.parts({**params, **shared}):
            found |= part.params_outside(part.params)
        return {**whole.completed(), **found}

    def _check_names(self, params: Params) -> None:
        for name in params:
            part, slash, own = name.rpartition("/")
            if name in _OF_WHOLE:
                continue
            if not slash and name in SHARED:
                if not any(name in known for known in self._known.values()):
                    raise ConfigError(f"no task of {self.name} has a parameter {name!r}")
            elif part not in self.tasks:
                of = [f"{one}/{own}" for one, known in self._known.items() if own in known]
                there = " or ".join(of) or f"one of a task, such as {next(iter(self.tasks))}/method"
                raise ConfigError(f"{self.name} has no parameter {name!r}: take {there}")
            elif own in SHARED:
                raise ConfigError(f"{name!r} is the same for all tasks of a network: write {own}")

    def _completed(self, part: str, params: Params) -> dict[str, Value]:
        """Return the parameters of one task by its own names, completed by it."""
        known, before = self._known[part], f"{part}/"
        own = {n.removeprefix(before): v for n, v in params.items() if n.startswith(before)}
        own |= {n: v for n, v in params.items() if n in SHARED and n in known}
        try:
            return self.tasks[part][1].complete(own)
        except ConfigError as error:
            raise ConfigError(f"{part}: {error}") from error

    @cached_property
    def _known(self) -> dict[str, frozenset[str]]:
        """The names of each task's parameters, as far as it declares them or they have defaults."""
        return {
            name: frozenset(
                task.settings.model_fields if hasattr(task, "settings") else task.complete({})
            )
            for name, (_, task) in self.tasks.items()
        }

    @cached_property
    def _named(self) -> dict[str, KDTask]:
        return {name: task for name, (_, task) in self.tasks.items()}

    # --- data and teachers ------------------------------------------------------------------------

    def scenario_fingerprint(self, params: Params) -> str:
        parts = self.parts(params)
        return fingerprint({one.name: one.task.scenario_fingerprint(one.params) for one in parts})

    def teacher_fingerprint(self, params: Params) -> str | None:
        teachers = {part.name: part.teacher for part in self.parts(params) if part.teacher}
        # what has no teacher decides which arrays stand beside those that teachers are trained on
        data = self.scenario_fingerprint(params)
        return fingerprint({"teachers": teachers, "data": data}) if teachers else None

    def load_scenario(self, params: Params, *, cache_dir: Path, progress: Progress) -> ScenarioData:
        found = {
            part.name: part.task.load_scenario(part.params, cache_dir=cache_dir, progress=progress)
            for part in self.parts(params)
        }
        notes = [
            f"{name}: {note}"
            for name, data in found.items()
            for note in data.provenance.get("notes", ())
        ]
        return ScenarioData(
            train=joined({name: data.train for name, data in found.items()}),
            val=joined({name: data.val for name, data in found.items()}),
            test=joined({name: data.test for name, data in found.items()}),
            provenance={
                **{name: {**data.provenance, "notes": []} for name, data in found.items()},
                "synthetic": all(data.provenance.get("synthetic") for data in found.values()),
                "notes": notes,
            },
        )

    def rehearse(self, trials: Sequence[Params], data: ScenarioData) -> None:
        for number, (name, (_, task)) in enumerate(self.tasks.items()):
            own = [self.parts(params)[number].params for params in trials]
            task.rehearse(own, _data_of(name, data))

    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        """Train the teachers of all tasks, one after the other; yields a report per teacher."""
        taught = [part for part in self.parts(params) if part.teacher is not None]
        found: dict[str, TeacherArtifact] = {}
        for number, part in enumerate(taught, start=1):
            given = {"train": arrays_of(part.name, train), "val": arrays_of(part.name, val)}
            split = {n: a if n in part.task.teacher_splits else {} for n, a in given.items()}
            found[part.name] = result_of(
                part.task.train_teacher(part.params, split["train"], split["val"])
            )
            yield Report(epoch=number, epochs=len(taught), metrics={})
        return self.teachers_together(params, found)

    def teachers_together(
        self, params: Params, found: Mapping[str, TeacherArtifact]
    ) -> TeacherArtifact:
        """Return the teachers of some tasks as that of the trial."""
        parts = [part for part in self.parts(params) if part.name in found]
        named = [(part, found[part.name]) for part in parts]
        return TeacherArtifact(
            metrics={
                n: v for part, one in named for n, v in part.metrics_outside(one.metrics).items()
            },
            weights=joined({part.name: one.weights for part, one in named}),
            outputs=joined({part.name: one.outputs for part, one in named}),
            decided_by={
                n: v for part, one in named for n, v in part.params_outside(one.decided_by).items()
            },
        )

    # --- students ---------------------------------------------------------------------------------

    def train_student(self, *_: object) -> Generator[Report, None, Outcome]:
        """Refuse, since nodes train the students of each task."""
        raise ConfigError(f"{self.name}: its tasks are deployed one by one, not trained together")

    def together(self, params: Params, found: Mapping[str, Outcome]) -> Outcome:
        """Return what the deployments of all tasks come to."""
        parts = self.parts(params)
        metrics: dict[str, float] = {}
        for part in parts:
            metrics |= part.metrics_outside(found[part.name].metrics)
        whole = WholeSettings.resolve({n: v for n, v in params.items() if n in _OF_WHOLE})
        costs = [_cost(part.params, found[part.name].metrics) for part in parts]
        metrics |= together(costs, whole.server_link_mbps)
        judged = {n.removeprefix("val_"): v for n, v in metrics.items() if n.startswith("val_")}
        shares = {f"val_{name}": value for name, value in self._shares(params, judged).items()}
        weights = joined({name: outcome.weights for name, outcome in found.items()})
        return Outcome(metrics={**metrics, **shares}, weights=weights)

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        def judge(part: Part) -> Mapping[str, float]:
            own = arrays_of(part.name, weights), arrays_of(part.name, split)
            return part.task.evaluate(part.params, *own)

        found = self._of_each(params, judge)
        return {**found, **self._shares(params, found)}

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        def judge(part: Part) -> Mapping[str, float]:
            own = arrays_of(part.name, weights), arrays_of(part.name, split)
            return part.task.evaluate_teacher(part.params, *own) if part.teacher else {}

        return self._of_each(params, judge)

    def cost(self, params: Params) -> dict[str, float]:
        return self._of_each(params, lambda part: part.task.cost(part.params))

    def worst_values(self, params: Params) -> dict[str, float]:
        return self._of_each(params, lambda part: part.task.worst_values(part.params))

    def _of_each(
        self, params: Params, numbers: Callable[[Part], Mapping[str, float]]
    ) -> dict[str, float]:
        parts = self.parts(params)
        return {n: v for part in parts for n, v in part.metrics_outside(numbers(part)).items()}

    def _shares(self, params: Params, judged: Mapping[str, float]) -> dict[str, float]:
        """Return the worst task's share of its own best, if these are known."""
        bests = own_bests(str(params.get("own_bests", "")), self._named)
        if lacking := [n for n, one in bests.items() if f"{n}/{one.metric}" not in judged]:
            name = lacking[0]
            raise ConfigError(
                f"own_bests: {name} reports no {bests[name].metric} with {dict(params)}: choose "
                "another metric"
            )
        shares = [one.share(judged[f"{name}/{one.metric}"]) for name, one in bests.items()]
        return {WORST_SHARE: min(shares)} if shares else {}

    def deployable(self, params: Params, weights: Arrays) -> "Deployable":  # noqa: ARG002
        """Refuse, since each node runs the student of one task.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            f"{self.name}: the students of a network are those of studies of its tasks alone, with "
            "the same parameters: export them from such a sweep"
        )

    # --- references -------------------------------------------------------------------------------

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        found = []
        for part in self.parts(params):
            found += [
                Baseline(
                    name=f"{part.name} {one.name}",
                    params=part.params_outside(one.params),
                    metrics=part.metrics_outside(one.metrics),
                )
                for one in part.task.baselines(part.params, _data_of(part.name, data))
            ]
        return found

    def models(self) -> list[dict[str, Any]]:
        return [row for task in self._named.values() for row in task.models()]


_OF_WHOLE = frozenset(WholeSettings.model_fields)


def _data_of(name: str, data: ScenarioData) -> ScenarioData:
    """Return the data of one task."""
    return ScenarioData(
        train=arrays_of(name, data.train),
        val=arrays_of(name, data.val),
        test=arrays_of(name, data.test),
        provenance=data.provenance[name],
    )


def _cost(params: Params, metrics: Mapping[str, float]) -> Cost:
    """Return what a task's deployment has cost by its metrics; nothing without a network."""
    settings = NetworkSettings.of(params)
    if not settings.networked:
        return Cost()
    return Cost(
        sent_bytes=metrics["bytes_over_air"],
        energy_j=metrics["energy_j"],
        deployment_s=metrics["deployment_s"],
        server_s=metrics["server_train_gflop"] / settings.server_gflops,
        teacher_bytes=metrics["server_teacher_bytes"],
        training_bytes=metrics["server_peak_bytes"],
    )


def network_of(addresses: Mapping[str, KDTask]) -> NetworkTask:
    """Return several tasks as one.

    Args:
        addresses: The tasks by what `kdtasks.contract.registry.load_task` finds them by, in the
            order of precedence at the server.

    Raises:
        ConfigError: If two tasks have the same name, or one has a name that cannot stand in front
            of a parameter.
    """
    tasks: dict[str, tuple[str, KDTask]] = {}
    for address, task in addresses.items():
        if not NAME.fullmatch(task.name):
            raise ConfigError(
                f"task {address}: its name is {task.name!r}; in a network it stands in front of "
                "its parameters: take lower-case words joined by hyphens"
            )
        if task.name in tasks:
            raise ConfigError(f"{task.name} is named twice: the tasks of a network must differ")
        tasks[task.name] = (address, task)
    each = [task for _, task in tasks.values()]
    splits = ("train", "val")
    fields: dict[str, Any] = {
        "name": "+".join(tasks),
        "tasks": tasks,
        "metrics": {
            **{metric_of(task.name, n): info for task in each for n, info in task.metrics.items()},
            **WHOLE_METRICS,
        },
        "resource_parameters": _outside(each, "resource_parameters"),
        "baseline_parameters": _outside(each, "baseline_parameters"),
        "any_device": all(task.any_device for task in each),
        "teacher_splits": tuple(
            n for n in splits if any(n in task.teacher_splits for task in each)
        ),
    }
    made: type[NetworkTask] = type("TasksInOneNetwork", (NetworkTask,), fields)
    return made()


def _outside(tasks: list[KDTask], field: str) -> frozenset[str]:
    """Return the names in a network of all parameters in a field of its tasks."""
    return frozenset(parameter_of(task.name, own) for task in tasks for own in getattr(task, field))


def parts_of(task: KDTask, params: Params) -> tuple[Part, ...]:
    """Return the tasks of a trial: those of a network, or the only one, without a name."""
    if isinstance(task, NetworkTask):
        return task.parts(params)
    return (Part(name="", address="", task=task, params=params),)
