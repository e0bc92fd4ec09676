"""Laws of a task's data, teacher, student and evaluation, checked on one trial."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kdtasks.contract.effort import EFFORT_METRICS, EffortSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.settings import Settings
from kdtasks.contract.task import Arrays, Baseline, ScenarioData, TeacherArtifact, digest, prefixed
from sweeps.common.returned_values import fitting, wrong_baselines
from sweeps.ledger.identity import (
    TeacherIdentity,
    content_of,
    task_code,
    task_modules,
    teacher_identity,
)
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.nodes.task_process import drawing_nothing
from sweeps.plan.evidence import Evidence, needed, tried
from sweeps.plan.laws import (
    Law,
    differing,
    differing_numbers,
    law,
    not_finite,
    of_data,
    of_task,
    of_teacher,
    of_trial,
    with_other,
    wrong_reports,
)

DATA_LAWS: list[Law] = []
"""Laws without which nothing else can be checked."""

TRAINING_LAWS: list[Law] = []
"""In the order of checking."""


@law(DATA_LAWS, of_data)
def splits_have_samples(evidence: Evidence) -> str:
    """Every split has samples, as arrays of numbers."""
    return "" if evidence.data.train else "train has no arrays"


@law(DATA_LAWS, of_trial)
def parts_fit_together(evidence: Evidence) -> str:
    """Data, networks, loss and metrics fit together."""
    try:
        with drawing_nothing():
            evidence.task.rehearse([evidence.config], evidence.data)
    except ConfigError as error:
        needed(DATA_LAWS[-1].sentence, str(error))
    return ""


@law(TRAINING_LAWS, of_data)
def data_repeat(evidence: Evidence) -> str:
    """Equal parameters give equal data."""
    one, again = evidence.data, evidence.load("load_scenario, called again,")
    changed = [
        name
        for name in ("train", "val", "test")
        if digest(getattr(one, name)) != digest(getattr(again, name))
    ]
    return f"{', '.join(changed)} changed; draw from kdtasks.learning.random" if changed else ""


@law(TRAINING_LAWS, of_data)
def data_have_provenance(evidence: Evidence) -> str:
    """Provenance names the source of the data, in JSON."""
    provenance = evidence.data.provenance
    try:
        json.dumps(provenance)
    except (TypeError, ValueError) as error:
        return f"{error}; use plain numbers, strings, lists and dicts"
    return "" if provenance else "it is empty; give at least the source"


@law(TRAINING_LAWS, of_teacher)
def teacher_reports(evidence: Evidence) -> str:
    """A teacher's reports count its epochs."""
    return wrong_reports(evidence.teaching[1])


@law(TRAINING_LAWS, of_teacher)
def teacher_is_finite(evidence: Evidence) -> str:
    """A teacher's metrics are finite numbers."""
    return not_finite(evidence.teaching[0].metrics)


@law(TRAINING_LAWS, of_teacher)
def teacher_repeats(evidence: Evidence) -> str:
    """A teacher depends on teacher_seed, but not on seed."""
    one, two = evidence.teaching[0], evidence.teach(evidence.reseeded())[0]
    return differing({**one.weights, **one.outputs}, {**two.weights, **two.outputs})


@law(TRAINING_LAWS, lambda one: of_teacher(one) if "teacher_seed" in one.config else None)
def teacher_follows_seed(evidence: Evidence) -> str:
    """Another teacher_seed gives another teacher."""
    other = evidence.teach(evidence.reseeded("teacher_seed"))[0]
    same = digest(other.weights) == digest(evidence.teaching[0].weights)
    return "its weights are bit for bit the same" if same else ""


@law(TRAINING_LAWS, lambda one: of_teacher(one) if one.task.teacher_splits else None)
def teacher_is_of_its_data(evidence: Evidence) -> str:
    """A teacher's identity changes with one training sample."""
    data = evidence.data
    other = replace(data, train=_one_sample_changed(data.train))
    return _came_back(evidence, _identity(evidence, data), _identity(evidence, other))


@law(TRAINING_LAWS, of_teacher)
def teacher_is_of_its_code(evidence: Evidence) -> str:
    """A teacher's identity changes with the source of its network."""
    module, code = task_modules(evidence.name)[0], task_code(evidence.name)
    identity = _identity(evidence, evidence.data)
    edited = replace(identity, code={**code, module: "another version"})
    unseen = "" if module in code else f"there is no source of module {module}; put it into a file"
    return unseen or _came_back(evidence, identity, edited)


def _identity(evidence: Evidence, data: ScenarioData) -> TeacherIdentity:
    key = str(evidence.task.teacher_fingerprint(evidence.config))
    return teacher_identity(evidence.task, key, content_of(data), task_code(evidence.name))


def _one_sample_changed(arrays: Arrays) -> Arrays:
    name = next(iter(arrays))
    changed = np.array(arrays[name], order="C")
    bits = changed.reshape(-1).view(np.uint8)
    bits[: changed.itemsize] ^= 1
    return {**arrays, name: changed}


def _came_back(evidence: Evidence, kept: TeacherIdentity, wanted: TeacherIdentity) -> str:
    with TemporaryDirectory(dir=evidence.cache_dir) as folder:
        store = TeacherStore(Path(folder))
        store.put(kept, {}, TeacherArtifact(metrics={}, weights={}, outputs={}))
        found = store.get(wanted)
    return "" if found is None else "the cache returned the old one"


@law(TRAINING_LAWS, of_teacher)
def teacher_is_of_its_parameters(evidence: Evidence) -> str:
    """Teacher_fingerprint changes with every parameter that train_teacher reads."""
    task, config = evidence.task, evidence.config
    same = []
    for name in evidence.teaching[0].decided_by:
        other = with_other(task, config, name)
        if other and task.teacher_fingerprint(other) == task.teacher_fingerprint(config):
            same.append(name)
    return f"it does not contain {', '.join(same)}; add all that are read" if same else ""


@law(TRAINING_LAWS, of_teacher)
def teacher_is_judged_alike(evidence: Evidence) -> str:
    """Evaluate_teacher returns the validation metrics of its training."""
    artifact = evidence.teaching[0]
    judge = partial(
        evidence.task.evaluate_teacher, evidence.config, artifact.weights, evidence.data.val
    )
    found = prefixed("val", evidence.judge("evaluate_teacher", judge))
    both = {name: value for name, value in found.items() if name in artifact.metrics}
    return differing_numbers(artifact.metrics, both, evidence.tolerance)


@law(TRAINING_LAWS, of_trial)
def student_reports(evidence: Evidence) -> str:
    """A student's reports count its epochs."""
    return wrong_reports(evidence.first_study[0][1])


@law(TRAINING_LAWS, of_trial)
def training_writes_nothing(evidence: Evidence) -> str:
    """Training does not modify data and teacher."""
    wrote = "an array that other trials share was modified; work on a copy"
    return wrote if evidence.first_study[1] else ""


@law(TRAINING_LAWS, of_trial)
def student_is_finite(evidence: Evidence) -> str:
    """A student's metrics are finite numbers."""
    return not_finite(evidence.first_study[0][0].metrics)


@law(TRAINING_LAWS, of_trial)
def student_metrics_are_declared(evidence: Evidence) -> str:
    """Metrics describe every number of a student."""
    reported = evidence.first_study[0][0].metrics
    strange = [n for n in reported if n not in evidence.task.metrics and not n.startswith("trial_")]
    return f"{', '.join(strange)} is not in metrics; add it" if strange else ""


@law(TRAINING_LAWS, of_trial)
def student_is_judged(evidence: Evidence) -> str:
    """A student has validation metrics."""
    metrics = evidence.first_study[0][0].metrics
    judged = {metric for metric in metrics if metric.startswith("val_")}
    missing = f"none of {', '.join(metrics)} starts with val_ and is in metrics"
    return "" if judged & evidence.task.metrics.keys() else missing


@law(TRAINING_LAWS, of_trial)
def student_has_weights(evidence: Evidence) -> str:
    """A student has weights."""
    return "" if evidence.student.weights else "there are none"


@law(TRAINING_LAWS, of_trial)
def student_repeats(evidence: Evidence) -> str:
    """A student depends on nothing random, nor on being judged on the way, but on seed."""
    return differing(evidence.student.weights, evidence.second_student.weights)


@law(TRAINING_LAWS, of_trial)
def student_costs_the_same(evidence: Evidence) -> str:
    """Reported costs equal those of cost."""
    cost = evidence.task.cost(evidence.config)
    for outcome in (evidence.student, evidence.second_student):
        reported = {name: outcome.metrics[name] for name in cost if name in outcome.metrics}
        if changed := differing_numbers(cost, reported):
            return changed
    return ""


@law(TRAINING_LAWS, of_trial)
def student_follows_seed(evidence: Evidence) -> str:
    """Another seed gives another student."""
    other = evidence.study(evidence.reseeded())[0]
    same = digest(other.weights) == digest(evidence.student.weights)
    return "its weights are equal bit for bit, so repetitions would be useless" if same else ""


def _lone_effort(evidence: Evidence) -> str | None:
    """Return that a law is about what ends a lone student's training."""
    knows = issubclass(getattr(evidence.task, "settings", Settings), EffortSettings)
    lone = evidence.config.get("topology", "none") == "none" and "effort" not in evidence.config
    return of_trial(evidence) if knows and lone else None


@law(TRAINING_LAWS, _lone_effort)
def effort_ends_the_training(evidence: Evidence) -> str:
    """A training of as much computation is as long, and one to a plateau ends at its cap."""
    took = evidence.student.metrics
    if missing := EFFORT_METRICS.keys() - took.keys():
        return f"{', '.join(sorted(missing))} is not reported"

    def trained(**effort: Value) -> Mapping[str, float] | None:
        try:
            config = evidence.task.complete({**evidence.config, **effort})
        except ConfigError:
            return None  # the task knows no effort for such a student
        return evidence.study(config)[0].metrics

    # a beam tracker's epochs differ by a percent in the frames that windows share; for others the
    # computation is exact, and two percent may be an epoch
    lengths: list[float] = []
    for slack in (1.02, 1.0 + 1e-9):
        again = trained(effort="gflop", effort_gflop=slack * took["train_gflop"])
        if again is None or again["train_epochs"] == took["train_epochs"]:
            break
        lengths.append(again["train_epochs"])
    else:
        return f"{lengths[-1]:g} epochs instead of {took['train_epochs']:g}"
    capped = trained(effort="plateau", plateau_cap=1)
    if capped is None or (capped["train_capped"] == 1.0 and capped["train_epochs"] <= 2.0):
        return ""
    return f"with plateau_cap=1 there were {capped['train_epochs']:g} epochs"


def _baselines(evidence: Evidence, config: Params) -> list[Baseline]:
    judge = partial(evidence.task.baselines, config, evidence.data)
    return tried("baselines", lambda: list(fitting("baselines", judge(), wrong_baselines)))


@law(TRAINING_LAWS, of_data)
def baselines_have_distinct_names(evidence: Evidence) -> str:
    """Baselines have distinct names and finite metrics."""
    found = _baselines(evidence, evidence.config)
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"{', '.join(twice)} appears more than once; number them"
    return next(
        (f"{one.name}: {not_finite(one.metrics)}" for one in found if not_finite(one.metrics)), ""
    )


@law(TRAINING_LAWS, of_data)
def baselines_follow_from_the_data(evidence: Evidence) -> str:
    """Baselines depend only on the data and on parameters in baseline_parameters."""
    task, config = evidence.task, evidence.config
    other = config
    for name in config.keys() - task.baseline_parameters:
        changed = with_other(task, other, name) if name in other else None
        if changed and of_data(evidence) == task.scenario_fingerprint(changed):
            other = changed
    one, two = (_baselines(evidence, params) for params in (config, other))
    if [b.name for b in one] != [b.name for b in two]:
        return "their names change; add the parameters on which they depend"
    pairs = zip(one, two, strict=True)
    found = [(a.name, differing_numbers(a.metrics, b.metrics)) for a, b in pairs]
    return next((f"{name}: {changed}" for name, changed in found if changed), "")


@law(TRAINING_LAWS, of_task)
def models_are_json(evidence: Evidence) -> str:
    """Models describes networks by rows of JSON."""
    rows = tried("models", evidence.task.models)
    try:
        json.dumps(rows)
    except (TypeError, ValueError) as error:
        return f"{error}; use plain numbers and strings"
    good = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    return "" if good else "return a list of dicts, empty if there are none"


@law(TRAINING_LAWS, of_trial)
def evaluate_repeats_training(evidence: Evidence) -> str:
    """Evaluate returns, from stored weights, the validation metrics of training."""
    found = prefixed("val", evidence.judged.val)
    return differing_numbers(evidence.student.metrics, found, evidence.tolerance)


@law(TRAINING_LAWS, of_trial)
def evaluate_is_the_same_on_test(evidence: Evidence) -> str:
    """Evaluate returns the same metrics for every split."""
    val, test = evidence.judged.val, evidence.judged.test
    differ = f"{', '.join(val)} on validation, {', '.join(test)} on test"
    return "" if val.keys() & test.keys() else differ


@law(TRAINING_LAWS, of_trial)
def evaluate_writes_nothing(evidence: Evidence) -> str:
    """Evaluate modifies nothing."""
    judged = evidence.judged
    if judged.wrote:
        return "the weights were modified; work on a copy"
    return differing_numbers(judged.val, judged.again)


@law(TRAINING_LAWS, of_trial)
def deployable_is_the_student(evidence: Evidence) -> str:
    """The networks of deployable have the scores of evaluate."""
    weights = evidence.student.weights
    work = partial(evidence.task.deployable, evidence.config, weights)
    try:
        student = tried("deployable", work, ConfigError)
    except ConfigError:
        return ""  # the task exports no such student
    whole = "" if hasattr(student, "own_score") else "return kdtasks.contract.deployable.Deployable"
    needed("deployable returns the networks that nodes run", whole)
    score = partial(student.own_score, evidence.data.val)
    return differing_numbers(evidence.judged.val, evidence.judge("the score of deployable", score))
