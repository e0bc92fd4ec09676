import argparse
from itertools import count

import numpy as np
import pytest
from beam_trials import TASK, tiny, trained_student, trained_teacher

from benchmarks.beam_passages import Arm, Tally, accuracies, student_arms, table, teacher_arms
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.identity import content_of, task_code, teacher_identity
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.teacher_cache import TeacherStore

SLOTS, PASSAGES = 4, 80


def counted(share, seed):
    """The same passages of 1 to 20 windows, answered right with a probability."""
    windows_P1 = np.random.default_rng(0).integers(1, 21, (PASSAGES, 1))
    count_PT = np.repeat(windows_P1, SLOTS, axis=1)
    hits_PT = np.random.default_rng([1, seed]).binomial(count_PT, share)
    return Tally(hits_PT=hits_PT.astype(float), count_PT=count_PT.astype(float))


def arm(name, tallies, *, distils=True, validation=40.0, network=("image-student", 1.0, "image")):
    return Arm(
        name=name,
        network=network,
        distils=distils,
        validation=validation,
        tallies=tuple(tallies),
    )


def rows(*arms):
    options = argparse.Namespace(sweep="a sweep", resamples=500)
    return {row["arm"]: row for row in table(list(arms), options)}


def test_accuracy_is_the_mean_over_slots_of_the_share_of_all_windows():
    one = counted(0.4, 1)
    expected = 100 * (one.hits_PT.sum(axis=0) / one.count_PT.sum(axis=0)).mean()
    assert accuracies(arm("a", [one]), np.ones((1, PASSAGES)))[0, 0] == pytest.approx(expected)


def test_the_same_answers_gain_nothing_and_the_interval_has_no_width_with_one_seed():
    one = counted(0.4, 1)
    found = rows(arm("kd", [one]), arm("plain", [one], distils=False))
    assert found["kd"]["gain"] == pytest.approx([0.0, 0.0, 0.0])
    assert found["plain"]["gain"] is None


def test_a_gain_of_twenty_points_is_found_and_has_the_same_sign_throughout():
    plain, better = [
        [counted(share, seed) for seed in seeds]
        for share, seeds in ((0.4, range(3)), (0.6, range(3, 6)))
    ]
    gain, low, high = rows(arm("kd", better), arm("plain", plain, distils=False))["kd"]["gain"]
    assert 15 < low < gain < high < 25
    assert gain == pytest.approx(20, abs=3)


def test_only_the_same_network_is_compared():
    other = arm("plain", [counted(0.4, 1)], distils=False, network=("radar-student", 1.0, "radar"))
    assert rows(arm("kd", [counted(0.6, 2)]), other)["kd"]["gain"] is None


@pytest.mark.parametrize("poor_first", [True, False])
def test_of_several_without_distillation_the_best_on_validation_is_compared(poor_first):
    plain = [
        arm("poor", [counted(0.5, 1)], distils=False, validation=30.0),
        arm("good", [counted(0.3, 2)], distils=False, validation=35.0),
    ]
    found = rows(arm("kd", [counted(0.4, 3)]), *(plain if poor_first else plain[::-1]))
    gain = found["kd"]["top2"][0] - found["good"]["top2"][0]
    assert found["kd"]["gain"][0] == pytest.approx(gain)


def test_different_test_splits_are_refused():
    one = counted(0.4, 1)
    short = Tally(hits_PT=np.ones((3, SLOTS)), count_PT=np.ones((3, SLOTS)))
    other = Tally(hits_PT=one.hits_PT, count_PT=one.count_PT + 1.0)
    for wrong in (short, other):
        with pytest.raises(SystemExit, match="different test splits"):
            rows(arm("a", [one]), arm("b", [wrong]))


ARMS = {
    "image-student x1 vanilla;": {"method": "vanilla"},
    "image-student x1 self from image-student, 6 passages, 2 epochs;": {"method": "self"},
    "image-student x1 feature from image-teacher-gru1, 6 passages, 2 epochs;": {
        "method": "feature",
        "teacher_passages": 6,
    },
    "image-student x1 feature from image-teacher-gru1, 9 passages, 2 epochs;": {
        "method": "feature"
    },
}
TEACHERS = {
    "teacher image-student, 6 passages, 2 epochs": 2,
    "teacher image-teacher-gru1, 6 passages, 2 epochs": 1,
    "teacher image-teacher-gru1, 9 passages, 2 epochs": 1,
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Two seeds of each arm in a small street; the arms that a sweep like it has kept."""
    folder = tmp_path_factory.mktemp("sweep")
    students, teachers = StudentStore(folder / "weights"), TeacherStore(folder / "teachers")
    students.path.mkdir()
    by_data, number = {}, count()
    for seed in (0, 1):
        for arm_of in ARMS.values():
            chosen = {"epochs": 1, "teacher_passages": 9, "seed": seed, **arm_of}
            chosen |= {"teacher_seed": seed} if chosen["method"] == "self" else {}
            config = TASK.complete(tiny(**chosen))
            cache = {"cache_dir": folder, "progress": lambda *_: None}
            data = TASK.load_scenario(config, **cache)
            key, teacher = TASK.teacher_fingerprint(config), None
            if key is not None:
                content, code = content_of(data), task_code(TASK.name)
                identity = teacher_identity(TASK, key, content, code)
                teacher = teachers.get(identity) or trained_teacher(data, **chosen)
                teachers.put(identity, config, teacher)
            _, outcome = trained_student(data, teacher, **chosen)
            trial = TrialRecord(
                number=next(number),
                state=TrialState.COMPLETE,
                params=arm_of,
                config=config,
                metrics=outcome.metrics,
            )
            students.put(trial.number, outcome.weights)
            by_data.setdefault(TASK.scenario_fingerprint(config), (data, []))[1].append(trial)
    assert len(by_data) == 2, "with equal data and with more, tested on the same passages"
    return [
        (trials, data.test, students, list(student_arms(trials, students, data.test)))
        for data, trials in by_data.values()
    ], [one for data, trials in by_data.values() for one in teacher_arms(trials, teachers, data)]


def test_arms_differ_by_method_and_teacher(swept):
    parts, teachers = swept
    found = {arm.name: len(arm.tallies) for *_, arms in parts for arm in arms}
    named = {name.split(";")[0] + ";": seeds for name, seeds in found.items()}
    assert named == dict.fromkeys(ARMS, 2)
    assert {arm.name: len(arm.tallies) for arm in teachers} == TEACHERS


def test_what_is_counted_is_what_the_task_evaluates(swept):
    parts, _ = swept
    for trials, test, students, arms in parts:
        top2 = [
            TASK.evaluate(trial.config, students.get(trial.number), test)["top2"]
            for trial in trials
        ]
        whole = np.ones((1, len(arms[0].tallies[0].count_PT)))
        found = np.concatenate([accuracies(one, whole)[0] for one in arms])
        np.testing.assert_allclose(sorted(found), sorted(top2))


def test_every_arm_that_distils_is_compared_with_the_student_without(swept):
    parts, teachers = swept
    students = [one for *_, arms in parts for one in arms]
    found = rows(*students, *teachers)
    (plain,) = (row["top2"][0] for name, row in found.items() if " vanilla;" in name)
    for name, row in found.items():
        if name.startswith("teacher") or " vanilla;" in name:
            assert row["gain"] is None
        else:
            assert row["gain"][0] == pytest.approx(row["top2"][0] - plain)
