import json
import math

import numpy as np
import pytest
import torch
from csi_examples import drained
from mimo_trials import METHODS, TASK, TAUGHT, TINY, tiny, trained_teacher
from mimo_trials import trained_student as trained
from torch.utils.flop_counter import FlopCounterMode

from kdtasks.contract.errors import DataError
from kdtasks.contract.task import TeacherArtifact
from kdtasks.data.splits import SPLITS
from kdtasks.learning.random import torch_generator
from kdtasks.learning.tensors import state_arrays
from kdtasks.mimo_detection.data import received_of
from kdtasks.mimo_detection.link.linear import zero_forcing
from kdtasks.mimo_detection.link.symbols import decide
from kdtasks.mimo_detection.methods.learngene import opened, sealed
from kdtasks.mimo_detection.methods.samples import EvaluationSamples
from kdtasks.mimo_detection.models.family import input_shapes
from kdtasks.mimo_detection.settings import resolve
from kdtasks.mimo_detection.students import (
    delivered,
    individual_of,
    new_collective,
    restored_collective,
)
from kdtasks.mimo_detection.workload import training_macs

COLLECTIVE_PARAMS = 8 * 14 + 3 * 200 + 22 * 64 + 64 + 65 + 1
GENE_PARAMS = 8 * 14 + 200
INDIVIDUAL_PARAMS = 8 * 14 + 2 * 200 + 22 * 10 + 10 + 110 + 11 + 1


@pytest.fixture(scope="module")
def outcomes(mimo_data_tiny, collective):
    return {
        method: trained(mimo_data_tiny, taught(method, collective), method=method)
        for method in METHODS
    }


def taught(method, teacher):
    return teacher if method in TAUGHT else None


def same_weights(one, other):
    return one.weights.keys() == other.weights.keys() and all(
        np.array_equal(one.weights[name], other.weights[name]) for name in one.weights
    )


@pytest.mark.parametrize("method", METHODS)
def test_all_metrics_are_declared_and_finite(outcomes, method):
    reports, outcome = outcomes[method]
    assert outcome.metrics.keys() <= TASK.metrics.keys()
    assert all(isinstance(v, float) and math.isfinite(v) for v in outcome.metrics.values())
    assert TASK.cost(tiny(method=method)).items() <= outcome.metrics.items()
    assert [(report.epoch, report.epochs) for report in reports] == [(1, 1)]
    assert reports[-1].metrics["val_ber"] == outcome.metrics["val_ber"]


def test_an_individual_starts_as_zero_forcing(mimo_data_tiny, collective, outcomes):
    # That of a segment at the bottom, too, for its head is its own.
    val = received_of(mimo_data_tiny.val)
    errors = (decide(zero_forcing(val), 1) != val.bits_BNM).float().mean()
    for method in ("vanilla", "learngene", "kd"):
        start = outcomes[method][1].metrics["val_ber_after_0"]
        assert start == pytest.approx(float(errors), abs=2e-3)
    params = tiny(method="finetune")
    whole = TASK.evaluate_teacher(params, collective.weights, mimo_data_tiny.val)
    assert outcomes["finetune"][1].metrics["val_ber_after_0"] == whole["ber"]


def test_what_is_sent_is_counted(outcomes):
    metrics = {method: outcome.metrics for method, (_, outcome) in outcomes.items()}
    assert metrics["vanilla"]["bytes_to_edge"] == metrics["vanilla"]["share_of_individual"] == 0.0
    gene = metrics["learngene"]
    assert gene["sent_params"] == GENE_PARAMS
    assert gene["params"] == INDIVIDUAL_PARAMS
    assert gene["share_of_individual"] == pytest.approx(100 * GENE_PARAMS / INDIVIDUAL_PARAMS)
    assert gene["share_of_collective"] == pytest.approx(100 * GENE_PARAMS / COLLECTIVE_PARAMS)
    # Names, shapes and the place of the segment are sent, too.
    assert 4 * GENE_PARAMS < gene["bytes_to_edge"] < 4 * GENE_PARAMS + 1000
    for method in ("finetune", "kd", "learngene-kd"):
        assert metrics[method]["sent_params"] == COLLECTIVE_PARAMS
        assert metrics[method]["bytes_to_edge"] > 4 * COLLECTIVE_PARAMS
    assert metrics["finetune"]["params"] == COLLECTIVE_PARAMS
    queried = {method: found["teacher_forward_samples"] for method, found in metrics.items()}
    assert queried == dict.fromkeys(METHODS, 0.0) | dict.fromkeys(("kd", "learngene-kd"), 50.0 * 16)


def test_penalties_cost_bytes_and_nothing_but_the_segment_is_sent(collective):
    messages = {
        treatment: opened(
            delivered(resolve(tiny(method="learngene", treatment=treatment)), collective).message
        )
        for treatment in ("trained", "ewc")
    }
    assert sum(a.size for a in messages["trained"].values()) == GENE_PARAMS + 2
    assert sum(a.size for a in messages["ewc"].values()) == 2 * GENE_PARAMS + 2


def test_a_damaged_message_trains_nobody():
    message = sealed({"gene/0/weight": np.ones(3, dtype=np.float32)})
    with pytest.raises(DataError, match="malformed message"):
        opened(message[:-5])


@pytest.mark.parametrize(
    ("start", "length", "place"), [(0, 2, 0), (1, 1, 1), (2, 1, 1), (3, 1, 2), (4, 1, 3), (3, 2, 2)]
)
def test_an_individual_holds_the_segment_where_it_belongs(collective, start, length, place):
    # Units of the collective: input, three blocks, head. Of the individual: input, two, head.
    params = tiny(method="learngene", gene_start=start, gene_length=length)
    settings = resolve(params)
    individual = individual_of(settings, delivered(settings, collective))
    theirs = list(restored_collective(settings, collective.weights).units.values())
    ours = list(individual.network.units.values())
    for number in range(length):
        one, other = (state_arrays(u) for u in (ours[place + number], theirs[start + number]))
        assert all(np.array_equal(one[name], other[name]) for name in one)
        assert one.keys() == other.keys()
    own = [unit for unit in ours if unit not in list(individual.inherited)]
    assert len(own) == len(ours) - length


@pytest.mark.parametrize("adapter", ["linear", "cut"])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_other_widths_are_joined(mimo_data_tiny, collective, adapter, start):
    params = {
        "method": "learngene",
        "gene_start": start,
        "width": 6,
        "adapter": adapter,
        "num_samples": 100,
    }
    _, outcome = trained(mimo_data_tiny, collective, **params)
    again = TASK.evaluate(tiny(**params), outcome.weights, mimo_data_tiny.val)
    assert again["ber"] == outcome.metrics["val_ber"]
    assert outcome.metrics["params"] == TASK.cost(tiny(**params))["params"]


def inherited_weights(outcome):
    return {n: a for n, a in outcome.weights.items() if n.startswith(("layers.0.", "layers.1."))}


def moved(outcome, collective):
    """Return by how much the inherited input and block have moved."""
    return math.sqrt(
        sum(
            float(np.square(array - collective.weights[name]).sum())
            for name, array in inherited_weights(outcome).items()
        )
    )


def test_treatments_move_what_was_inherited_more_or_less(mimo_data_tiny, collective, outcomes):
    distance = {
        treatment: moved(
            trained(mimo_data_tiny, collective, method="learngene", treatment=treatment, **more)[1],
            collective,
        )
        for treatment, more in {
            "frozen": {},
            "slower": {"gene_rate_share": 0.1},
            "ewc": {"ewc_weight": 1e4},
            "trained": {},
        }.items()
    }
    assert distance["frozen"] == 0.0
    assert distance["trained"] == moved(outcomes["learngene"][1], collective)
    assert 0.0 < distance["slower"] < 0.3 * distance["trained"]
    assert 0.0 < distance["ewc"] < 0.9 * distance["trained"]


@pytest.mark.parametrize("family", ["conv", "unrolled"])
@pytest.mark.parametrize(("treatment", "start"), [("trained", 0), ("frozen", 0), ("frozen", 1)])
def test_effort_is_three_forward_passes_less_what_is_frozen(family, treatment, start):
    params = {"method": "learngene", "treatment": treatment, "gene_start": start, "width": 8}
    settings = resolve(tiny(family=family, **params))
    individual = individual_of(
        settings, delivered(settings, TeacherArtifact(
            metrics={}, weights=state_arrays(new_collective(settings, settings.collective)),
            outputs={},
        ))
    )  # fmt: skip
    network = individual.network
    if treatment == "frozen":
        individual.inherited.requires_grad_(False)
    inputs = [torch.ones(1, *shape) for shape in input_shapes(network, 2)]
    with FlopCounterMode(display=False) as counter:
        network(*inputs).sum().backward()
    measured = counter.get_total_flops() / 2
    # Inputs need no gradients, which the convention counts.
    assert measured <= training_macs(network, 2) < 1.35 * measured


def test_effort_counts_what_was_run(outcomes):
    for method, (_, outcome) in outcomes.items():
        found = outcome.metrics
        assert found["train_samples"] == 50 * 16
        assert found["train_epochs"] == 1
        assert found["train_gflop"] == pytest.approx(6e-9 * found["macs"] * 800)
        taught = 2e-9 * outcomes["finetune"][1].metrics["macs"] * 800
        queried = taught if method in ("kd", "learngene-kd") else 0.0
        assert found["teacher_forward_gflop"] == pytest.approx(queried)


def test_distillation_of_no_weight_is_none(mimo_data_tiny, collective, outcomes):
    alone = trained(mimo_data_tiny, collective, method="kd", alpha=0.0)[1]
    assert same_weights(alone, outcomes["vanilla"][1])
    assert not same_weights(outcomes["kd"][1], outcomes["vanilla"][1])


def test_few_local_samples_are_all_that_is_learnt_from(mimo_data_tiny):
    params = {"num_samples": 64, "batch_size": 64}
    before = trained(mimo_data_tiny, **params)[1]
    assert not same_weights(before, trained(mimo_data_tiny, num_samples=128, batch_size=64)[1])
    # Samples that were not chosen may hold anything.
    marked = {name: array.copy() for name, array in mimo_data_tiny.train.items()}
    chosen = torch.randperm(4096, generator=torch_generator(0, "local samples"))[:64].numpy()
    marked["received"][np.setdiff1d(np.arange(4096), chosen)] = np.nan
    again = TASK.train_student(tiny(**params), marked, mimo_data_tiny.val, None)
    assert same_weights(drained(again)[1], before)


def test_rules_choose_by_what_units_did(mimo_data_tiny, collective):
    settled = np.ones((2, 5), dtype=np.float32)
    settled[:, 2:4] = 0.1
    outputs = {**collective.outputs, "weight_change": settled, "gradient_share": settled[:, ::-1]}
    teacher = TeacherArtifact(metrics={}, weights=collective.weights, outputs=outputs)
    starts = {
        rule: trained(mimo_data_tiny, teacher, method="learngene", gene_rule=rule)[1].metrics[
            "inherited_start"
        ]
        for rule in ("weight-change", "gradient-share")
    }
    assert starts == {"weight-change": 2.0, "gradient-share": 1.0}


def test_the_collective_states_what_it_learnt_and_forgot(collective):
    metrics = collective.metrics
    for task in (1, 2):
        assert 0.0 < metrics[f"val_task{task}_ber"] < 0.3
        assert metrics[f"val_task{task}_lmmse_ber"] > 0.0
    assert metrics["val_task2_forgetting"] == 0.0
    assert metrics["val_forgetting"] == metrics["val_task1_forgetting"]
    for name in ("weight_change", "gradient_share"):
        statistics = collective.outputs[name]
        assert statistics.shape == (2, 5)
        assert statistics.min() > 0.0
        assert metrics[f"{name}_head_task2"] == pytest.approx(float(statistics[1, 4]))
    assert collective.outputs["gradient_share"].max() <= 1.0
    importance = [a for n, a in collective.outputs.items() if n.startswith("importance/")]
    assert sum(a.size for a in importance) == COLLECTIVE_PARAMS - 1
    assert min(float(a.min()) for a in importance) >= 0.0


def test_targets_share_a_collective_and_replay_makes_another(mimo_data_tiny, collective):
    other = tiny(method="finetune", target="2x3 qpsk rician-3", data_seed=4)
    assert TASK.teacher_fingerprint(other) == TASK.teacher_fingerprint(tiny(method="kd"))
    nobody = {"train": {}, "val": {}}
    again = list(TASK.train_teacher(tiny(method="kd"), **nobody))
    assert [report.epoch for report in again] == [1, 2]
    replayed = trained_teacher(mimo_data_tiny, replay_share=0.5)
    assert not np.array_equal(
        replayed.weights["head.last.weight"], collective.weights["head.last.weight"]
    )


def test_a_collective_is_scored_on_a_target_it_has_not_seen(mimo_data_tiny, collective):
    found = TASK.evaluate_teacher(tiny(method="finetune"), collective.weights, mimo_data_tiny.test)
    settings = resolve(tiny(method="finetune"))
    network = restored_collective(settings, collective.weights)
    test = mimo_data_tiny.test
    at_15 = received_of(test)[torch.from_numpy(np.flatnonzero(test["snr_db"] == 15.0))]
    assert (
        found["ber_15db"] == EvaluationSamples(at_15, settings.input_features).errors(network).ratio
    )
    assert found["ber"] == found["ber_10db"] > found["ber_20db"]
    assert found["ber_low"] < found["ber"] < found["ber_high"]


def test_splits_are_as_they_should_be(mimo_data_tiny):
    sizes = {name: len(getattr(mimo_data_tiny, name)["bits"]) for name in SPLITS}
    assert sizes == {"train": 4096, "val": 300, "test": 5 * 200}
    estimates = [getattr(mimo_data_tiny, name)["estimate"].reshape(-1, 8) for name in SPLITS]
    rows = np.concatenate(estimates)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert mimo_data_tiny.provenance["fingerprint"] == TASK.scenario_fingerprint(tiny())


def test_references_are_those_of_the_link(mimo_data_tiny):
    found = {b.params["detector"]: b for b in TASK.baselines(tiny(), mimo_data_tiny)}
    assert list(found) == ["ZF", "LMMSE", "EP", "K-best", "ML"]
    assert found["ZF"].name == "ZF 2x2 qpsk kronecker-0.6 at 10 dB"
    ratios = {name: b.metrics["test_ber"] for name, b in found.items()}
    assert ratios["ML"] < ratios["LMMSE"] < ratios["ZF"]
    assert {"val_ber", "test_ber_5db", "test_ber_25db"} <= found["EP"].metrics.keys()


@pytest.mark.parametrize("start", [0, 1, 4])
def test_unrolled_networks_inherit_layers_too(start):
    changes = {
        "family": "unrolled",
        "skip": "lmmse",
        "state": 8,
        "collective_depth": 3,
        "target": "2x2 16qam tdl-A",
        "stream": "2x2 qpsk rayleigh",
        "val_uses": 50,
        "test_uses": 20,
    }
    data = TASK.load_scenario(tiny(**changes), cache_dir=None, progress=lambda *_: None)
    teacher = trained_teacher(data, **changes)
    params = {"method": "learngene", "gene_start": start, "gene_length": 2, **changes}
    _, outcome = trained(data, teacher, **params)
    assert outcome.metrics["params"] == TASK.cost(tiny(**params))["params"]
    again = TASK.evaluate(tiny(**params), outcome.weights, data.val)
    assert again["ber"] == outcome.metrics["val_ber"]


def test_an_individual_inherits_from_a_collective_that_has_grown(mimo_data_tiny):
    teacher = trained_teacher(mimo_data_tiny, first_width=5)
    assert teacher.weights["layers.0.convolution.weight"].shape[0] == TINY["collective_width"]
    _, outcome = trained(mimo_data_tiny, teacher, method="learngene", first_width=5)
    params = tiny(method="learngene", first_width=5)
    again = TASK.evaluate(params, outcome.weights, mimo_data_tiny.val)
    assert again["ber"] == outcome.metrics["val_ber"]


def test_the_networks_are_described_to_the_unit():
    rows = {row["model"]: row for row in TASK.models()}
    assert rows["learngene: input, block 1"]["params"] == 3552
    share = rows["learngene: input, block 1"]["params"] / rows["individual 10.8 %"]["params"]
    assert round(100 * share, 1) == 10.8
    assert len({frozenset(row) for row in rows.values()}) == 1
    json.dumps(list(rows.values()))
