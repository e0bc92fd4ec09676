"""Exports a trial's student as files that run without kdsweep, and evaluates them."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kdtasks.contract.deployable import Call, Deployable, Part
from kdtasks.contract.error_text import located
from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.contract.params import Params
from kdtasks.contract.task import Arrays, KDTask, Progress
from kdtasks.learning.onnx_export import (
    Latency,
    OnnxNetwork,
    largest_difference,
    write_int8,
    write_onnx,
    write_weights,
)
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.identity import check_scenario, content_of
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.scenario_cache import scenario_cache
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.ledger.trust import find_code
from sweeps.nodes.task_process import open_task
from sweeps.tracking.client import DatasetInput
from sweeps.tracking.data_inputs import data_inputs

TOLERANCE = 1e-3
"""Largest difference between network and export for outputs of the order of 1; another order of
summation in float32 changes less than 1e-5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxFile:
    """One network as an ONNX file; its largest difference to PyTorch's is on random inputs."""

    path: Path
    difference: float
    latency: Latency


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedPart:
    """One network of a student as files.

    Attributes:
        inputs: Shape of one sample of every input, without the batch, by name.
        outputs: The same of every output.
        about: Description of its inputs and outputs.
    """

    name: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    onnx: OnnxFile
    weights: Path
    int8: OnnxFile | None
    params: int
    about: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A student as files.

    Attributes:
        chains: The networks that a sample passes through at each node, see
            `kdtasks.contract.deployable.Deployable`.
        one_runs: Whether a sample passes through only one of them.
        inputs: The data of its trial, for MLflow.
        scores: Metrics of the PyTorch networks on the test split, without prefix.
        onnx_scores: The same of the exported networks.
    """

    trial: TrialRecord
    task: KDTask
    parts: tuple[ExportedPart, ...]
    chains: tuple[tuple[str, ...], ...]
    one_runs: bool
    inputs: tuple[DatasetInput, ...]
    scores: Mapping[str, float]
    onnx_scores: Mapping[str, float]
    int8_scores: Mapping[str, float] | None


class Exporter:
    """Exports students of one sweep, one after another.

    Raises:
        UserError: If the sweep's files are damaged, its code is not trusted, or the task is unknown
            or has no exports.
    """

    def __init__(self, folder: SweepFolder, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress
        ledger = Ledger.open(folder.journal)
        find_code(folder.path, ledger.study)
        TeacherStore(folder.teachers).check(ledger.jobs())
        self._trials = {trial.number: trial for trial in ledger.trials()}
        self._study, self._identity = ledger.study, ledger.identity
        self._name = ledger.study.task
        self._task = open_task(self._name)
        if type(self._task).deployable is KDTask.deployable:
            self._task.deployable({}, {})  # raises the error of every student once
        # of the last student: most students of a sweep share their data
        self._scenario = ""
        self._test: Arrays = {}
        self._inputs: tuple[DatasetInput, ...] = ()

    def export(self, number: int, out: Path, *, int8: bool) -> Exported:
        """Write the student of a trial to ``out`` and compare the files with it on the test split.

        Raises:
            UserError: If there is no such student, the task does not export it, the folder cannot
                be written, or an export does not match its network.
        """
        trial = self._finished(number)
        weights = StudentStore(self._folder.weights).get(number, trial.sha256)
        student = self._deployable(trial.config, weights)
        try:
            out.mkdir(parents=True, exist_ok=True)
            parts = tuple(_write(name, p, out, int8=int8) for name, p in student.parts.items())
        except OSError as error:
            raise UserError(f"{out} cannot be written to: {error.strerror}") from error
        test = self._test_split(trial)
        small = {part.name: part.int8.path for part in parts if part.int8 is not None}
        return Exported(
            trial=trial,
            task=self._task,
            parts=parts,
            chains=student.chains or (tuple(student.parts),),
            one_runs=student.one_runs,
            inputs=self._inputs,
            scores=self._task.evaluate(trial.config, weights, test),
            onnx_scores=_scores(student, {part.name: part.onnx.path for part in parts}, test),
            int8_scores=_scores(student, small, test) if int8 else None,
        )

    def _deployable(self, config: Params, weights: Arrays) -> Deployable:
        """Return a student as its networks; an error of the task names the class of its method."""
        try:
            return self._task.deployable(config, weights)
        except ConfigError:
            raise
        except Exception as error:
            kind = type(self._task)
            owner = next(each for each in kind.__mro__ if "deployable" in vars(each))
            fix = "fix it" if owner is kind else f"{kind.__name__} inherits it and needs its own"
            raise ConfigError(
                f"task {self._task.name}: {owner.__name__}.deployable fails for such a student "
                f"({located(error)}); {fix}"
            ) from error

    def _finished(self, number: int) -> TrialRecord:
        trial, name = self._trials.get(number), self._folder.name
        if trial is None or trial.state is not TrialState.COMPLETE:
            state = "there is none" if trial is None else f"it is {trial.state.name.lower()}"
            raise ConfigError(
                f"--trial {number}: {state} in {name}; kdsweep front {shlex.quote(name)} lists "
                "trials"
            )
        return trial

    def _test_split(self, trial: TrialRecord) -> Arrays:
        scenario = self._task.scenario_fingerprint(trial.config)
        if scenario != self._scenario:
            with scenario_cache(self._task, trial.config, self._folder.scenarios) as cache:
                data = self._task.load_scenario(
                    trial.config, cache_dir=cache, progress=self._progress
                )
            content = content_of(data)
            if self._identity is not None:
                known = (self._folder.name, self._study, self._identity)
                check_scenario(*known, scenario, content, trial.config)
            self._scenario, self._test = scenario, data.test
            self._inputs = tuple(data_inputs(self._name, scenario, data, content))
        return self._test


def check_same(onnx: Path, difference: float) -> None:
    """Refuse an export whose outputs differ from those of its network.

    Raises:
        UserError: If the largest difference is more than `TOLERANCE`, or not a number.
    """
    if not difference <= TOLERANCE:
        raise UserError(
            f"{onnx} differs from the network by {difference:.2g}, more than {TOLERANCE:g}: "
            "do not use it; PyTorch's exporter does not support one of its layers"
        )


def _write(name: str, part: Part, out: Path, *, int8: bool) -> ExportedPart:
    onnx, weights = out / f"{name}.onnx", out / f"{name}.safetensors"
    write_onnx(part, onnx)
    write_weights(part, weights)
    small = out / f"{name}.int8.onnx"
    if int8:
        write_int8(onnx, small)
    measured = _measured(part, onnx)
    check_same(onnx, measured.difference)
    return ExportedPart(
        name=name,
        inputs={key: tuple(sample.shape[1:]) for key, sample in part.inputs.items()},
        outputs=dict([OnnxNetwork(onnx).output]),
        onnx=measured,
        weights=weights,
        int8=_measured(part, small) if int8 else None,
        params=sum(weight.numel() for weight in part.network.parameters()),
        about=part.about,
    )


def _measured(part: Part, path: Path) -> OnnxFile:
    call = OnnxNetwork(path)
    difference = largest_difference(part, call)
    return OnnxFile(path=path, difference=difference, latency=call.latency(part.inputs))


def _scores(student: Deployable, files: Mapping[str, Path], test: Arrays) -> dict[str, float]:
    calls: dict[str, Call] = {name: OnnxNetwork(path) for name, path in files.items()}
    return student.score(calls, test)
