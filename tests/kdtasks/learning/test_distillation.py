"""What a student is trained for: labels, and what a method takes from a teacher."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import ConfigError
from kdtasks.learning.distillation import Outputs, blended, distilled, projection, response
from kdtasks.learning.losses import logit_mse, relation_loss


@dataclass(frozen=True)
class Method:
    method: str = "response"
    alpha: float = 0.25
    seed: int = 3
    relation_distance: float = 1.0
    relation_angle: float = 2.0
    relation_partners: int = 2


def drawn(seed, count=6, features=(4, 5)):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(count, 3, generator=generator)
    return Outputs(outputs=outputs, features=torch.randn(count, *features, generator=generator))


TEACHER, STUDENT = drawn(1), drawn(2)
CHOSEN = torch.tensor([4, 0, 2])
TASK = response(logit_mse, torch.zeros(6, 3))


def terms_of(settings, teacher=TEACHER, passages=None):
    goal = distilled(TASK, teacher, settings, logit_mse, (4, 5), passages)
    return goal.terms(STUDENT[CHOSEN], CHOSEN)


@given(st.floats(0.0, 1.0))
def test_a_goal_is_the_weighted_sum_and_its_ends_are_its_terms(alpha):
    terms = blended(TASK, response(logit_mse, TEACHER.outputs), alpha)(STUDENT[CHOSEN], CHOSEN)
    labels = STUDENT[CHOSEN].outputs.square().mean()
    distill = logit_mse(STUDENT[CHOSEN].outputs, TEACHER[CHOSEN].outputs)
    torch.testing.assert_close(terms["total"], (1 - alpha) * labels + alpha * distill)
    assert ("distill" in terms) == (alpha > 0.0)


def test_each_method_compares_its_own_part_sample_by_sample():
    response_terms, feature_terms = terms_of(Method()), terms_of(Method("feature"))
    torch.testing.assert_close(
        response_terms["distill"], logit_mse(STUDENT.outputs[CHOSEN], TEACHER.outputs[CHOSEN])
    )
    torch.testing.assert_close(
        feature_terms["distill"], logit_mse(STUDENT.features[CHOSEN], TEACHER.features[CHOSEN])
    )
    # Two partners each of three samples are all pairs, whatever is drawn.
    pairs = torch.tensor([[a, b] for a in range(3) for b in range(3) if a != b])
    expected = relation_loss(
        STUDENT.features[CHOSEN].flatten(1),
        TEACHER.features[CHOSEN].flatten(1),
        pairs,
        distance_weight=1.0,
        angle_weight=2.0,
    )
    torch.testing.assert_close(terms_of(Method("relation"))["distill"], expected)


def test_relations_are_of_other_passages_and_of_outputs_where_no_part_is_named():
    alone = terms_of(Method("relation"), passages=torch.zeros(6, dtype=torch.long))
    assert float(alone["distill"]) == 0.0
    bare = Outputs(outputs=TEACHER.outputs)
    goal = distilled(TASK, bare, Method("relation"), logit_mse)
    found = goal.terms(Outputs(outputs=STUDENT.outputs[CHOSEN]), CHOSEN)
    assert float(found["distill"]) > 0.0
    with pytest.raises(ConfigError, match="method='feature' needs features"):
        distilled(TASK, bare, Method("feature"), logit_mse, (4, 5))


@pytest.mark.parametrize(
    ("settings", "teacher"),
    [
        (Method(), None),
        (Method(alpha=0.0), TEACHER),
        (Method("relation", alpha=0.7, relation_distance=0.0, relation_angle=0.0), TEACHER),
    ],
)
def test_without_a_teacher_or_weights_labels_are_all(settings, teacher):
    assert terms_of(settings, teacher).keys() == {"total", "task"}


def test_features_of_other_widths_go_through_a_projection_that_is_trained():
    narrow = distilled(TASK, TEACHER, Method("feature"), logit_mse, (4, 2))
    (mapping,) = narrow.modules
    assert mapping(torch.zeros(7, 4, 2)).shape == (7, 4, 5)
    assert distilled(TASK, TEACHER, Method("feature"), logit_mse, (4, 5)).modules == ()
    assert projection((4, 5), (4, 5), 0) is None


@given(st.booleans(), st.integers(1, 4))
def test_outputs_come_back_from_arrays_and_from_batches(with_features, cuts):
    whole = STUDENT if with_features else Outputs(outputs=STUDENT.outputs)
    again = Outputs.of(whole.arrays("logits"), "logits")
    parts = [whole[index] for index in torch.arange(6).chunk(cuts)]
    for found in (again, Outputs.joined(parts)):
        assert torch.equal(found.outputs, whole.outputs)
        assert (found.features is None) == (not with_features)
