"""Laws of the switch between two students, on answers that are drawn and not learnt."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.beam_tracking.two_students import SWITCH, Switch, choose, switch_scores
from kdtasks.contract.errors import DataError
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.format import CONDITIONS, NIGHT, UNKNOWN_CONDITION
from kdtasks.sensing.beams.metrics import scores_of

SLOTS, BEAMS = 4, 8
SEEDS = st.integers(0, 2**32 - 1)
STUDENTS = st.integers(0, 1)
SWITCHES = st.builds(Switch, by_condition=st.tuples(STUDENTS, STUDENTS, STUDENTS), single=STUDENTS)


@st.composite
def windows(draw, ignored=0.3):
    """Return answers of two students that are right now and then, labels and conditions."""
    rng = np.random.default_rng(draw(SEEDS))
    count = draw(st.integers(1, 30))
    labels = rng.integers(0, BEAMS, (count, SLOTS))
    skill = rng.uniform(0.0, 4.0, (2, 1 + max(CONDITIONS.values())))
    condition = rng.choice(draw(st.sampled_from([(-1, 0, 1, 2), (0, 1), (2,), (-1,)])), count)
    message = rng.normal(size=(2, count, SLOTS, BEAMS))
    message += skill[:, condition, None, None] * np.eye(BEAMS)[labels]
    labels = np.where(rng.random(labels.shape) < ignored, IGNORED, labels)
    labels[0] = rng.integers(0, BEAMS, SLOTS)  # no slot is without any label
    first, second = torch.from_numpy(message)
    return (first, second), torch.from_numpy(labels), torch.from_numpy(condition)


def top2(logits, labels, condition):
    return scores_of(logits, labels, condition)["top2"]


@given(windows())
def test_where_it_was_chosen_no_single_student_is_better_than_the_node(drawn):
    message, labels, condition = drawn
    found = switch_scores(choose(*drawn), *drawn)
    singles = [top2(logits, labels, condition) for logits in message]
    assert found["top2_single"] == pytest.approx(max(singles))
    assert found["top2"] >= max(singles) - 1e-9


@given(windows())
def test_where_it_was_chosen_no_other_switch_is_better(drawn):
    message, labels, condition = drawn
    chosen = choose(*drawn)
    best = top2(chosen.logits(message, condition), labels, condition)
    for students in product((0, 1), repeat=len(CONDITIONS)):
        other = Switch(by_condition=students, single=chosen.single)
        assert top2(other.logits(message, condition), labels, condition) <= best + 1e-9


@given(windows(), SWITCHES)
def test_in_every_condition_the_node_is_the_student_that_answers(drawn, switch):
    message, labels, condition = drawn
    found = switch_scores(switch, *drawn)
    alone = [scores_of(logits, labels, condition) for logits in message]
    for (name, number), student in zip(CONDITIONS.items(), switch.by_condition, strict=True):
        assert found.get(f"top2_{name}") == alone[student].get(f"top2_{name}")
        assert found[f"second_{name}"] == student
        assert (switch.second_runs(condition)[condition == number] == bool(student)).all()
    unknown = condition == UNKNOWN_CONDITION
    assert (switch.second_runs(condition)[unknown] == bool(switch.single)).all()


@given(windows(ignored=0.0))
def test_with_all_labels_the_student_with_the_higher_score_of_a_condition_answers(drawn):
    message, labels, condition = drawn
    switch = choose(*drawn)
    alone = [scores_of(logits, labels, condition) for logits in message]
    for name, student in zip(CONDITIONS, switch.by_condition, strict=True):
        scores = [score.get(f"top2_{name}", 0.0) for score in alone]
        if abs(scores[1] - scores[0]) > 1e-9:
            assert student == int(scores[1] > scores[0])


@given(windows())
def test_of_twins_the_first_answers(drawn):
    (first, _), labels, condition = drawn
    assert choose((first, first), labels, condition) == Switch(by_condition=(0, 0, 0), single=0)


@given(windows())
def test_a_condition_that_was_not_seen_is_answered_by_the_best_single_student(drawn):
    message, labels, condition = drawn
    condition[condition == NIGHT] = UNKNOWN_CONDITION
    switch = choose(message, labels, condition)
    assert switch.by_condition[NIGHT] == switch.single


@given(SWITCHES)
def test_a_switch_is_stored_as_numbers(switch):
    stored = switch.arrays()
    assert stored[SWITCH].dtype.kind == "i"
    assert Switch.of(stored) == switch


@pytest.mark.parametrize("arrays", [{}, {SWITCH: np.zeros(3)}, {SWITCH: np.full(4, 2)}])
def test_what_is_no_switch_is_refused(arrays):
    with pytest.raises(DataError, match="weights of two students hold 4 numbers"):
        Switch.of(arrays)
