"""A training of one network: what is reported, which epoch stays, and stages in a row."""

import pytest
import torch
from csi_examples import drained
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kdtasks.learning.jobs import BestEpoch, Job, numbered, train, train_generations
from kdtasks.learning.training import Schedule


class Counter(nn.Module):
    """A network whose only weight is pulled up, step by step."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))


def job(epochs=4, **changes):
    network = Counter()
    return Job(
        network=network,
        objective=lambda _: {"total": -network.weight},
        num_samples=2,
        schedule=Schedule(epochs=epochs, batch_size=1, learning_rate=0.1),
        order=torch.Generator().manual_seed(0),
        **changes,
    )


@given(st.lists(st.sampled_from([None, float("nan"), -1.0, 0.0, 2.0]), min_size=1, max_size=6))
def test_the_first_of_the_best_epochs_stays_and_without_merits_the_last(merits):
    network = Counter()
    best = BestEpoch(network)
    for number, merit in enumerate(merits):
        network.weight.data.fill_(number)
        best.offer({"epoch": number}, merit)
    best.restore()
    known = [merit for merit in merits if merit is not None and merit == merit]
    expected = merits.index(max(known)) if known else len(merits) - 1
    assert float(network.weight.detach()) == expected
    assert known == [] or best.scores == {"epoch": expected}


def test_scores_are_reported_per_epoch_and_those_of_the_best_one_are_kept():
    def score(network):
        return {"near": -abs(float(network.weight.detach()) - 0.25)}

    reports, trained = drained(train(job(score=score, merit=lambda _, scores: scores["near"])))
    by_epoch = [report.metrics["val_near"] for report in reports]
    assert trained.scores == {"near": max(by_epoch)} == score(trained.network)
    assert trained.samples == 8
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    _, last = drained(train(job(score=score)))
    assert last.scores["near"] == by_epoch[-1]
    assert drained(train(job()))[1].scores == {}


@pytest.mark.parametrize(
    ("stage", "expected", "planned"),
    [
        ({}, [1, 2], 2),
        ({"number": 2, "count": 3}, [5, 6], 6),
        ({"before": 7}, [8, 9], 9),
        ({"before": 1, "planned": 20}, [2, 3], 20),
    ],
)
def test_stages_are_numbered_through(stage, expected, planned):
    reports, _ = drained(numbered(train(job(2)), **stage))
    assert [report.epoch for report in reports] == expected
    assert {report.epochs for report in reports} == {planned}


def test_a_generation_learns_from_the_outputs_of_the_one_before():
    taught = []

    def train_one(number, outputs):
        taught.append((number, outputs))
        return train(job(2))

    reports, last = drained(train_generations(train_one, lambda network: id(network), 3))
    assert [number for number, _ in taught] == [0, 1, 2]
    assert taught[0][1] is None
    assert taught[1][1] is not None
    assert last.samples == 12
    assert [report.epoch for report in reports] == [1, 2, 3, 4, 5, 6]
