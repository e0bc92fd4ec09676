"""Scenarios and teachers that trials need, found and loaded before the search."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.task import KDTask, ScenarioData
from search_spaces.errors import StudyError
from search_spaces.study import Study
from sweeps.common.returned_values import fitting, wrong_identity, wrong_params, wrong_scenario
from sweeps.ledger.scenario_cache import scenario_cache
from sweeps.progress.events import Display
from sweeps.workers.jobs import Handle, Pool


def task_params(study: Study, searched: Params) -> dict[str, Value]:
    """Return the parameters of one configuration for the task, before completion."""
    params: dict[str, Value] = dict(study.parameters)
    if study.budget.epochs is not None:
        params["epochs"] = study.budget.epochs
    if study.effort is not None:
        params |= study.effort.parameters()
    params["seed"] = study.seeds.trial
    return {**params, **searched}


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """The scenario and the teacher that a trial needs, by fingerprint.

    Attributes:
        params: The completed parameters of such a trial.
        deciding: Those that determine scenario and teacher.
    """

    scenario: str
    teacher: str | None
    params: Params
    deciding: Params


def need_of(task: KDTask, config: Params) -> Need:
    """Return the needs of a trial with these completed parameters.

    Raises:
        ContractError: If the task's fingerprints are invalid.
    """
    fitting("complete", config, wrong_params)
    teacher = task.teacher_fingerprint(config)
    return Need(
        scenario=fitting("scenario_fingerprint", task.scenario_fingerprint(config), wrong_identity),
        teacher=teacher and fitting("teacher_fingerprint", teacher, wrong_identity),
        params=config,
        deciding={name: config[name] for name in config if name in task.resource_parameters},
    )


TEACHER_SEED = "teacher_seed"


def with_teacher(task: KDTask, config: Params, draw: int) -> dict[str, Value]:
    """Return completed parameters with another draw of the teacher; draw 0 is their own."""
    if not draw or task.teacher_fingerprint(config) is None:
        return dict(config)
    return task.complete({**config, TEACHER_SEED: int(config[TEACHER_SEED]) + draw})


def drawn_needs(study: Study, task: KDTask, needs: Iterable[Need]) -> tuple[Need, ...]:
    """Return what repetitions of trials with these needs can need beside them."""
    if study.confirm.select == "none":
        return ()
    return tuple(
        need_of(task, with_teacher(task, need.params, draw))
        for need in by_teacher(needs).values()
        for draw in range(1, study.confirm.teachers)
    )


def _candidates(study: Study, task: KDTask) -> Iterator[dict[str, Value]]:
    """Yield searched parameters that cover every need of the study."""
    names = task.resource_parameters.intersection(study.space.names)
    try:
        combinations = study.space.assignments(names)
    except StudyError as error:
        raise study.error(f"space.{error.place}", error.problem) from error
    if study.search.sampler == "points":
        combinations = [{}]
    else:
        yield from combinations
    for point in study.search.points:
        for combination in combinations:
            yield {**combination, **point}


def find_needs(study: Study, task: KDTask, *, reached: bool = False) -> tuple[Need, ...]:
    """Return the different needs of the study, in order.

    They differ in scenario, teacher or a parameter in ``resource_parameters``, on which baselines
    may depend even if scenario and teacher do not.

    With ``reached``, of a study of points only those that the budget of trials reaches.

    Raises:
        StudyError: If such a parameter has too many values to list.
    """
    found: dict[str, Need] = {}
    trials = set()
    most = study.budget.trials if reached else None
    for searched in _candidates(study, task):
        try:
            config = task.complete(task_params(study, searched))
        except ConfigError:
            continue  # no trial can have this combination
        need = need_of(task, config)
        if most is not None:
            trials.add(fingerprint(config))
            if len(trials) > most:
                break
        key = {"scenario": need.scenario, "teacher": need.teacher, "params": need.deciding}
        found.setdefault(fingerprint(key), need)
    return tuple(found.values())


def by_scenario(needs: Iterable[Need]) -> dict[str, Need]:
    """Return the first need of each scenario, by the scenario's fingerprint."""
    found: dict[str, Need] = {}
    for need in needs:
        found.setdefault(need.scenario, need)
    return found


def by_teacher(needs: Iterable[Need]) -> dict[str, Need]:
    """Return the first need of each teacher, by the teacher's fingerprint."""
    found: dict[str, Need] = {}
    for need in needs:
        if need.teacher is not None:
            found.setdefault(need.teacher, need)
    return found


def by_baselines(needs: Iterable[Need], task: KDTask) -> dict[str, Need]:
    """Return the first need of each set of baselines, by scenario and deciding parameters."""
    found: dict[str, Need] = {}
    for need in needs:
        deciding = {n: need.params[n] for n in task.baseline_parameters if n in need.params}
        found.setdefault(fingerprint({"scenario": need.scenario, "params": deciding}), need)
    return found


def data_facts(needs: Iterable[Need], task: KDTask) -> dict[str, dict[str, Value]]:
    """Return in which parameters the data of each set of baselines differ from those of others.

    These are the parameters of which another set's value alone makes other data.
    """
    sets = by_baselines(needs, task)
    return {
        key: {
            name: value
            for name, value in need.deciding.items()
            if any(_makes_other_data(need, other, name, task) for other in sets.values())
        }
        for key, need in sets.items()
    }


def _makes_other_data(need: Need, other: Need, name: str, task: KDTask) -> bool:
    changed = {n: value for n, value in need.params.items() if n != name}
    if name in other.params:  # else it has its default there
        changed[name] = other.params[name]
    if changed == need.params or other.scenario == need.scenario:
        return False
    try:
        return task.scenario_fingerprint(task.complete(changed)) != need.scenario
    except UserError:
        return True  # it goes with other parameters, so it tells the data apart as well as these


@dataclass(kw_only=True, slots=True)
class Resources:
    """Scenarios and teachers that trials share.

    Attributes:
        scenarios: By fingerprint; training and validation split are handles, the test split is
            there itself, which no worker can read before the search ends.
        teachers: Handles of teachers, without their training, by fingerprint.
        decided_by: Parameters that their training looked up, by fingerprint.
    """

    needs: tuple[Need, ...]
    scenarios: dict[str, ScenarioData]
    teachers: dict[str, Handle] = field(default_factory=dict)
    decided_by: dict[str, Params] = field(default_factory=dict)

    def without_teachers(self) -> dict[str, Need]:
        """Return the first need of each teacher that is not there yet, by its fingerprint."""
        needs = by_teacher(self.needs)
        return {key: need for key, need in needs.items() if key not in self.teachers}

    def lack(self, need: Need) -> str:
        """Return what a trial lacks; empty if nothing is missing."""
        if need.scenario not in self.scenarios:
            return f"scenario {need.scenario} was not prepared"
        if need.teacher is not None and need.teacher not in self.teachers:
            return f"teacher {need.teacher} was not prepared"
        return self.misfit(need)

    def misfit(self, need: Need) -> str:
        """Return why the teacher with a trial's fingerprint does not fit it; empty if it does."""
        for name, value in self.decided_by.get(need.teacher or "", {}).items():
            if need.params.get(name) != value:
                return (
                    f"teacher {need.teacher} was trained with {name}={value!r}, not with "
                    f"{need.params.get(name)!r}: train_teacher reads {name}, so "
                    "teacher_fingerprint must contain it and resource_parameters name it"
                )
        return ""


def load_data(
    needs: tuple[Need, ...], task: KDTask, *, cache: Path, display: Display
) -> dict[str, ScenarioData]:
    """Load every scenario, by fingerprint, and show notes about its files.

    Raises:
        DataError: If data are missing or damaged.
        ContractError: If the task returns invalid data.
    """
    loaded = {}
    for key, need in by_scenario(needs).items():
        with scenario_cache(task, need.params, cache) as folder:
            found = task.load_scenario(
                need.params, cache_dir=folder, progress=display.data_progress
            )
        loaded[key] = fitting("load_scenario", found, wrong_scenario)
    # several scenarios may come from the same files
    notes = [note for data in loaded.values() for note in data.provenance.get("notes", ())]
    for note in dict.fromkeys(notes):
        display.note(f"data: {note}")
    return loaded


def share_data(
    needs: tuple[Need, ...], loaded: Mapping[str, ScenarioData], pool: Pool
) -> Resources:
    """Store the training and validation splits for workers; keep the test splits here."""
    scenarios = {
        key: replace(data, train=pool.put(dict(data.train)), val=pool.put(dict(data.val)))
        for key, data in loaded.items()
    }
    return Resources(needs=needs, scenarios=scenarios)
