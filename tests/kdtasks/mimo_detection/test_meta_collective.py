"""Collectives that learn the links of their stream together, or so that they adapt to another."""

import copy

import numpy as np
import pytest
import torch
from csi_examples import drained
from mimo_examples import received
from mimo_trials import TASK, tiny, trained_teacher
from mimo_trials import trained_student as trained

from kdtasks.contract.errors import ConfigError
from kdtasks.learning.jobs import Job
from kdtasks.learning.meta import MetaPlan
from kdtasks.learning.random import initialised, torch_generator
from kdtasks.mimo_detection.link.bit_errors import BitErrors
from kdtasks.mimo_detection.link.link import MimoLink, from_law
from kdtasks.mimo_detection.methods.collective import Lesson, learn_together
from kdtasks.mimo_detection.methods.job import EARLY, STEPS, schedule, train
from kdtasks.mimo_detection.methods.samples import EvaluationSamples, stream
from kdtasks.mimo_detection.models.family import build, conv_plan
from kdtasks.mimo_detection.models.features import InputFeatures

FEATURES = InputFeatures()
LINKS = ("2x2 qpsk rayleigh", "4x4 qpsk rayleigh")
RULES = {
    "joint": {},
    "reptile": {"inner_steps": 2},
    "fomaml": {"inner_steps": 1},
}


def lessons(seen):
    found = []
    for text in LINKS:
        link = MimoLink.parse(text)
        draw = stream(link, from_law(link), (6, 22), FEATURES, torch_generator(0, text))

        def noted(chosen_B, draw=draw, text=text):
            seen.append((text, len(chosen_B)))
            return draw(chosen_B)

        found.append(
            Lesson(
                samples=noted,
                judged=EvaluationSamples(received(text, 50, 12.0), FEATURES),
                schedule=schedule(steps=100, batch_size=8, learning_rate=3e-3, cosine=True),
            )
        )
    return found


@pytest.mark.parametrize(("rule", "inner"), [("reptile", 1), ("reptile", 2), ("fomaml", 1)])
def test_as_many_channel_uses_as_link_after_link_and_one_link_in_each_step(rule, inner):
    plan = MetaPlan(rule=rule, inner_steps=inner, inner_rate=0.01, weight=1.0)
    seen = []
    network = initialised(0, "network", lambda: build(conv_plan(6, 1, (5,))))
    found = drained(
        learn_together(network, lessons(seen), plan, order=torch_generator(0, "order"))
    )[1]
    assert found.samples == sum(size for _, size in seen) == 2 * 100 * 8
    steps = [seen[k : k + plan.batches] for k in range(0, len(seen), plan.batches)]
    assert all(len({text for text, _ in step}) == 1 for step in steps)
    assert {text for text, _ in seen} == {*LINKS}


def test_rules_give_collectives_of_their_own_which_repeat(mimo_data_tiny):
    found = {
        rule: trained_teacher(mimo_data_tiny, stream_rule=rule, **fields)
        for rule, fields in RULES.items()
    }
    again = trained_teacher(mimo_data_tiny, stream_rule="fomaml", inner_steps=1)
    name = next(iter(again.weights))
    np.testing.assert_array_equal(found["fomaml"].weights[name], again.weights[name])
    assert len({found[rule].weights[name].tobytes() for rule in RULES}) == 3
    prints = {
        TASK.teacher_fingerprint(tiny(method="finetune", stream_rule=rule, **fields))
        for rule, fields in {**RULES, "sequential": {}}.items()
    }
    assert len(prints) == 4


def test_no_step_is_the_collective_that_was_sent(mimo_data_tiny):
    fields = {"method": "finetune", "stream_rule": "joint", "early_curve": True}
    teacher = trained_teacher(mimo_data_tiny, stream_rule="joint")
    params = TASK.complete(tiny(**fields))
    _, outcome = trained(mimo_data_tiny, teacher, **fields)
    sent = TASK.evaluate_teacher(params, copy.deepcopy(teacher.weights), mimo_data_tiny.val)
    assert outcome.metrics["val_ber_after_0"] == sent["ber"]
    assert {f"val_ber_after_{step}" for step in EARLY} <= outcome.metrics.keys()


def test_reading_early_changes_nothing_that_is_learnt(mimo_data_tiny):
    _, plain = trained(mimo_data_tiny, None, method="vanilla")
    _, early = trained(mimo_data_tiny, None, method="vanilla", early_curve=True)
    for name, array in plain.weights.items():
        np.testing.assert_array_equal(array, early.weights[name])
    assert "val_ber_after_1" not in plain.metrics


def test_early_readings_are_those_of_the_steps():
    network = torch.nn.Linear(1, 1)
    steps = []

    def objective(_chosen_B):
        steps.append(network.weight.item())
        return {"total": network.weight.sum()}

    class Reader:
        """Finds as many errors as there were steps; the weight moves in each."""

        def errors(self, net):
            assert net.weight.item() not in steps
            return BitErrors(len(steps), 1000)

    job = Job(
        network=network,
        objective=objective,
        num_samples=STEPS,
        schedule=schedule(steps=2 * STEPS, batch_size=1, learning_rate=0.01, cosine=False),
        order=torch_generator(0, "order"),
    )
    _, curve = drained(train(job, Reader(), EARLY))[1]
    assert {step: found.errors for step, found in curve.items()} == {
        step: step for step in (0, *EARLY, STEPS, 2 * STEPS)
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"stream_rule": "joint", "inner_steps": 2}, "inner_steps"),
        ({"stream_rule": "reptile", "inner_steps": 3}, "stream_steps"),
        ({"stream_rule": "joint", "method": "learngene", "gene_rule": "weight-change"}, "gene"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes, named):
    with pytest.raises(ConfigError, match=named):
        TASK.complete(tiny(**{"method": "finetune", **changes}))


def test_trials_without_it_are_what_they_were():
    assert not {"stream_rule", "early_curve", "inner_rate"} & {*TASK.complete(tiny())}
