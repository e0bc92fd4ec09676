"""What `sweep_vs_plain.py` sweeps: CSI feedback by autoencoder KD and by encoder KD.

The search spaces are those of `plain_script.py`.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.bare_loop import bare_run
from benchmarks.plain_script import teacher_file
from kdtasks.contract.params import Value
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import ScenarioData, TeacherArtifact
from kdtasks.csi_feedback.task import CsiFeedback
from search_spaces.study import Study, parse_study
from sweeps.ledger.identity import TeacherIdentity, content_of, task_code, teacher_identity
from sweeps.ledger.teacher_cache import TeacherStore

TASK = CsiFeedback()
COMPRESSIONS = (16, 32)
STOPPING = {"kind": "asha", "min_share": 0.125, "eta": 3, "min_trials": 4}

BOTH: dict[str, Any] = {
    "compression": {"type": "choice", "values": list(COMPRESSIONS)},
    "encoder_depth": {"type": "choice", "values": [0, 1, 2]},
    "encoder_width": {"type": "choice", "values": [4, 8], "when": {"encoder_depth": [2]}},
    "learning_rate": {"type": "float", "low": 2e-3, "high": 1.6e-2, "log": True},
}
SPACES: dict[str, dict[str, Any]] = {
    "autoencoder-kd": {
        **BOTH,
        "alpha": {"type": "float", "low": 0.1, "high": 0.95},
        "temperature": {"type": "float", "low": 1.0, "high": 20.0, "log": True},
    },
    "encoder-kd": {
        **BOTH,
        "finetune_rate": {"type": "float", "low": 5e-4, "high": 4e-3, "log": True},
    },
}
ARCHITECTURES: tuple[dict[str, Value], ...] = tuple(
    {"compression": compression, **encoder}
    for compression in COMPRESSIONS
    for encoder in (
        {"encoder_depth": 0},
        {"encoder_depth": 1},
        {"encoder_depth": 2, "encoder_width": 4},
        {"encoder_depth": 2, "encoder_width": 8},
    )
)
"""All networks of the spaces; what else is searched has no influence on the cost of a step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One method, and how long it is trained on how much.

    Attributes:
        method: The method.
        fixed: Parameters of all trials beside the method.
        stages: Epochs of every stage of a whole training.
        trials: Budget.
        slots: Trials at once.
    """

    method: str
    fixed: Mapping[str, Value]
    stages: tuple[int, ...]
    trials: int
    slots: int

    def study(self, seed: int, *, stopping: bool) -> Study:
        """Return the study, for kdsweep."""
        reference = {"val_nmse_db": ("dB", 0.0, "linear"), "ue_flops": ("FLOPs", 3e6, "log")}
        fields = {
            "name": "sweep-vs-plain",
            "title": f"kdsweep beside a plain script, {self.method}",
            "task": TASK.name,
            "parameters": {**self.fixed, "method": self.method},
            "space": SPACES[self.method],
            "objectives": [
                {
                    "metric": metric,
                    "direction": "minimize",
                    "unit": unit,
                    "reference": corner,
                    "scale": scale,
                }
                for metric, (unit, corner, scale) in reference.items()
            ],
            "budget": {"trials": self.trials},
            "stopping": STOPPING if stopping else None,
            "seeds": {"search": seed, "trial": 0},
            "confirm": {"select": "none"},
        }
        return parse_study(yaml.safe_dump(fields, sort_keys=False), "benchmark")

    def params(self, changes: Mapping[str, Value]) -> dict[str, Value]:
        """Return the parameters of a trial."""
        return {**self.fixed, "method": self.method, "seed": 0, **changes}

    def epochs_done(self, epochs: int | None) -> tuple[int, ...]:
        """Return the epochs of every stage of a trial; None is a trial that was not stopped."""
        left = sum(self.stages) if epochs is None else epochs
        done = []
        for planned in self.stages:
            done.append(min(left, planned))
            left -= done[-1]
        return tuple(done)


def make_case(method: str, sizes: Mapping[str, int], *, trials: int, slots: int) -> Case:
    """Return a case of a given size.

    Args:
        method: The method.
        sizes: ``num_train``, ``num_val``, ``epochs``, ``encoder_epochs``, ``finetune_epochs`` and
            ``teacher_epochs``.
        trials: Budget.
        slots: Trials at once.
    """
    whole = method == "autoencoder-kd"
    names = ("epochs",) if whole else ("encoder_epochs", "finetune_epochs")
    kept = {name: sizes[name] for name in ("num_train", "num_val", "teacher_epochs", *names)}
    return Case(
        method=method,
        fixed={"preset": "quick", **kept, "num_test": 500},
        stages=tuple(sizes[name] for name in names),
        trials=trials,
        slots=slots,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where things are.

    Attributes:
        home: kdsweep's folder.
        teachers: Teachers as files, for the script.
    """

    home: Path
    teachers: Path

    @property
    def scenarios(self) -> Path:
        """Made data, for both."""
        return self.home / "cache" / "scenarios"

    def data_of(self, case: Case) -> ScenarioData:
        """Return the data of a case."""
        self.scenarios.mkdir(parents=True, exist_ok=True)
        return TASK.load_scenario(
            case.params({}), cache_dir=self.scenarios, progress=lambda *_: None
        )

    def teacher_of(self, case: Case, compression: Value) -> TeacherArtifact:
        """Return a teacher that was trained."""
        identity = identity_of(case.params({"compression": compression}), self.data_of(case))
        found = TeacherStore(self.home / "cache" / "teachers").get(identity)
        assert found is not None, "teachers come first"
        return found


def identity_of(params: Mapping[str, Any], data: ScenarioData) -> TeacherIdentity:
    """Return what decides on the teacher of a trial."""
    name = str(TASK.teacher_fingerprint(params))
    return teacher_identity(TASK, name, content_of(data), task_code(TASK.name))


def train_teachers(case: Case, places: Places) -> float:
    """Train the teachers of a case for both sides; return the CPU time that it took [s].

    A teacher that is there already, because cases share them, costs nothing.
    """
    torch.set_num_threads(1)
    begin = time.process_time()
    data, store = places.data_of(case), TeacherStore(places.home / "cache" / "teachers")
    places.teachers.mkdir(parents=True, exist_ok=True)
    for compression in COMPRESSIONS:
        params = case.params({"compression": compression})
        identity = identity_of(params, data)
        teacher = store.get(identity)
        if teacher is None:
            teacher = result_of(TASK.train_teacher(params, data.train, data.val))
            store.put(identity, params, teacher)
        state = {name: torch.tensor(array) for name, array in teacher.weights.items()}
        torch.save(state, teacher_file(places.teachers, compression))
    return time.process_time() - begin


Rates = dict[str, tuple[tuple[float, ...], float]]
"""By network: CPU time of an epoch in every stage and of one validation [s]."""


def network_of(params: Mapping[str, Any]) -> str:
    """Return the name of a trial's network."""
    # numbers come as text from a table, and as 4.0 from a column in which some have none
    compression, depth = int(params["compression"]), int(params["encoder_depth"])
    width = f" width {int(float(params['encoder_width']))}" if depth == 2 else ""
    return f"1/{compression} depth {depth}{width}"


def measure_rates(case: Case, places: Places, turn: int) -> Rates:
    """Measure what epochs of every network cost in a loop that does nothing else.

    Args:
        case: The case.
        places: Data and teachers.
        turn: Network to begin with, so that processes side by side do not do the same.
    """
    torch.set_num_threads(1)
    data = places.data_of(case)
    once = {"epochs": 1, "encoder_epochs": 1, "finetune_epochs": 1}
    single = {name: count for name, count in once.items() if name in case.fixed}
    rates: Rates = {}
    for index in range(len(ARCHITECTURES)):
        network = ARCHITECTURES[(index + turn) % len(ARCHITECTURES)]
        params = case.params({**single, **network})
        run = bare_run(params, data, places.teacher_of(case, network["compression"]))
        rates[network_of(network)] = (run.stages_s, run.validation_s)
    return rates


def mean_rates(all_rates: Iterable[Rates]) -> Rates:
    """Return the mean of several measurements of the same networks."""
    rows = list(all_rates)
    return {
        name: (
            tuple(
                sum(stage) / len(rows)
                for stage in zip(*(row[name][0] for row in rows), strict=True)
            ),
            sum(row[name][1] for row in rows) / len(rows),
        )
        for name in rows[0]
    }
