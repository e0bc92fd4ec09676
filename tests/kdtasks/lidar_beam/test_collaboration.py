"""What nodes do with LiDAR students: limits of every step, and what it is counted as."""

from dataclasses import replace

import numpy as np
import pytest
from csi_examples import drained
from lidar_trials import (
    ON_DATA,
    TASK,
    WITHOUT_DATA,
    assert_same,
    learnt,
    network_teacher,
    networked,
    tiny,
)

from kdtasks.contract.collaboration import joined
from kdtasks.learning.complexity import count
from kdtasks.lidar_beam.methods.metadata import GROUPS, opened
from kdtasks.lidar_beam.models.family import WINDOW_SHAPE
from kdtasks.lidar_beam.models.gru_teacher import LidarGruTeacher
from kdtasks.lidar_beam.models.student import LidarStudent
from kdtasks.lidar_beam.settings import resolve
from kdtasks.lidar_beam.workload import edge_bytes, generator_size
from kdtasks.sensing.ownership import windows_together

STUDENT = count(LidarStudent(), WINDOW_SHAPE).macs
TEACHER = count(LidarGruTeacher(), WINDOW_SHAPE).macs
TAUGHT = [("ordinary", "logits"), ("feature", "features"), ("relation", "features")]
"""What methods on data take of a teacher."""


@pytest.fixture(scope="module")
def parts(lidar_network_data):
    return TASK.share_out(networked(), lidar_network_data.train, "train")


def sent(params, teacher):
    """Return a teacher as an edge has it: with what is sent beside it and nothing else."""
    beside, work = TASK.teacher_extras(params, teacher)
    assert beside.keys() == TASK.extra_tensors(params).keys()
    for name, spec in TASK.extra_tensors(params).items():
        assert not spec.misfit(beside[name])
    return replace(teacher, metrics={}, outputs=beside), work


def differ(one, other):
    return any(not np.array_equal(array, other[name]) for name, array in one.items())


# --- who has what ---


def test_no_window_has_two_owners_and_each_brings_its_own_scans(lidar_network_data, parts):
    train, nodes = lidar_network_data.train, [parts.server, *parts.edges]
    passages = [set(node["passage"].tolist()) for node in nodes]
    assert sum(map(len, passages)) == len(set.union(*passages)) == 12
    assert sum(len(node["label"]) for node in nodes) == len(train["label"])
    for node in nodes:
        mine = np.isin(train["passage"], node["passage"])
        ours = node["lidar"][node["window"]]
        assert ours.sum() == pytest.approx(train["lidar"][train["window"][mine]].sum(), rel=1e-5)
        assert len(node["lidar"]) == len(np.unique(train["window"][mine]))


@pytest.mark.parametrize("method", WITHOUT_DATA)
def test_an_edge_whose_student_needs_no_data_has_none_but_is_judged(lidar_network_data, method):
    params = networked(method=method)
    assert [TASK.sample_count(edge) for edge in _edges(params, lidar_network_data.train)] == [0, 0]
    assert sum(TASK.sample_count(edge) for edge in _edges(params, lidar_network_data.val, "val"))


def _edges(params, split, name="train"):
    return TASK.share_out(params, split, name).edges


# --- learning ---


@pytest.mark.parametrize("method", ["vanilla", *ON_DATA, "prior", "datafree"])
def test_learning_at_the_server_is_a_lone_trial_on_its_share(
    lidar_network_data, parts, lidar_expert, method
):
    teacher = None if method == "vanilla" else lidar_expert
    topology = "centralized" if method in ("vanilla", *ON_DATA) else "decentralized"
    ours = learnt(networked(topology, method=method), parts.server, teacher)
    lone = TASK.train_student(tiny(method=method), parts.server, lidar_network_data.val, teacher)
    assert_same(ours.weights, drained(lone)[1].weights)
    assert not ours.server_part_moved


def test_an_edge_makes_the_same_student_of_metadata_as_of_the_generator(parts, lidar_expert):
    nothing = TASK.sample_slice(parts.server, 0, 0)
    found = {}
    for travels in ("metadata", "generator"):
        params = networked(method="datafree", travels=travels)
        artifact, prepared = sent(params, lidar_expert)
        # From one seed; at a network's edges inversions have streams of their own.
        found[travels] = (learnt(params, nothing, artifact), prepared)
    (by_metadata, free), (by_generator, inversion) = found.values()
    assert_same(by_metadata.weights, by_generator.weights)
    assert free.flops == free.teacher_samples == 0
    # Who trains the generator has the operations of that, and nobody has them twice.
    assert by_metadata.work.flops == by_generator.work.flops + inversion.flops
    assert by_metadata.work.teacher_samples == 40 * 8 + 2 * 48
    assert by_generator.work.teacher_samples == 2 * 48


def test_nodes_have_random_streams_of_their_own(parts, lidar_expert):
    params = networked(method="prior")
    one, same, other = (
        learnt(params, parts.server, lidar_expert, stream_name=stream_name).weights
        for stream_name in ("edge-0", "edge-0", "edge-1")
    )
    assert_same(one, same)
    assert differ(one, other)


def test_no_node_has_too_few_windows_for_a_batch(parts):
    few = TASK.sample_slice(parts.edges[0], 0, 3)
    assert learnt(networked(), few, stream_name="edge-0").work.flops == 2 * 3 * (2 * 3) * STUDENT


@pytest.mark.parametrize(("method", "taught"), TAUGHT)
def test_a_teacher_without_outputs_runs_once_over_what_is_new(parts, lidar_expert, method, taught):
    params = networked("centralized", method=method)
    known = learnt(params, parts.server, lidar_expert)
    queried = learnt(params, parts.server, replace(lidar_expert, outputs={}))
    assert known.work.teacher_samples == 0
    windows = len(parts.server["label"])
    assert queried.work.flops - known.work.flops == 2 * windows * TEACHER
    np.testing.assert_allclose(
        queried.teacher_outputs[taught], lidar_expert.outputs[taught], atol=1e-4
    )
    more = windows_together(parts.server, parts.edges[0])
    uploaded = learnt(params, more, lidar_expert)
    complete = uploaded.teacher_outputs[taught]
    assert len(complete) == len(more["label"])
    np.testing.assert_array_equal(complete[:windows], lidar_expert.outputs[taught])
    assert differ(uploaded.weights, known.weights)


@pytest.mark.parametrize(("method", "taught"), TAUGHT)
def test_pairs_are_the_servers_windows_with_its_teachers_outputs(
    parts, lidar_expert, method, taught
):
    params = networked(method=method, scans_travel=True)
    assert TASK.sends_pairs(params)
    knowledge, _ = TASK.pair_knowledge(params, lidar_expert, parts.server)
    assert knowledge.keys() == TASK.knowledge_tensors(params).keys() == {taught}
    assert not TASK.knowledge_tensors(params)[taught].misfit(knowledge[taught])
    by_pairs = drained(TASK.learn_pairs(params, parts.server, knowledge, stream_name=""))[1]
    at_server = learnt(networked("centralized", method=method), parts.server, lidar_expert)
    assert_same(by_pairs.weights, at_server.weights)
    # The one holds a teacher, the other its outputs.
    teacher = 4 * 96_640
    assert at_server.work.peak_bytes - by_pairs.work.peak_bytes == teacher


def test_metadata_are_those_of_the_servers_share_alone(lidar_network_data, parts, lidar_expert):
    params = networked(method="datafree")
    mine = np.isin(lidar_network_data.train["frame_passage"], parts.server["passage"])
    scans = np.where(mine[:, None], lidar_network_data.train["lidar"], 7.0).astype(np.float32)
    foreign = replace(lidar_network_data, train={**lidar_network_data.train, "lidar": scans})
    again = network_teacher(foreign, params)
    assert_same(again.weights, lidar_expert.weights)
    assert_same(again.outputs, lidar_expert.outputs)
    occupied = opened(again.outputs, GROUPS).groups["inputs"]["scan.hit"]
    assert 0.0 < float(occupied) < 0.5
    assert TASK.teacher_fingerprint(params) != TASK.teacher_fingerprint(tiny(method="datafree"))


# --- what it takes ---


def test_memory_at_an_edge_is_what_its_training_will_report(parts, lidar_expert):
    nothing = TASK.sample_slice(parts.server, 0, 0)
    for changes in (
        {"method": "prior"},
        {"method": "datafree"},
        {"method": "datafree", "travels": "generator"},
        {"method": "ordinary"},
        {"method": "vanilla"},
    ):
        params = networked(**changes)
        teacher = None if changes["method"] == "vanilla" else sent(params, lidar_expert)[0]
        data = parts.edges[0] if resolve(params).on_data else nothing
        assert learnt(params, data, teacher).work.peak_bytes == edge_bytes(resolve(params))
    assert edge_bytes(resolve(networked("centralized"))) == 0


def test_a_generator_counts_with_its_layers(lidar_expert):
    params = networked(method="datafree", travels="generator", generator="dense")
    _, work = sent(params, lidar_expert)
    size = generator_size(resolve(params))
    assert size.macs == 500 * 128 + 128 * 8 * 216
    assert work.flops == 2 * 40 * 8 * (3 * size.macs + 2 * TEACHER)
    assert work.teacher_samples == 40 * 8


def test_a_deployment_is_judged_by_the_mean_of_its_edges(lidar_network_data, parts, lidar_expert):
    params = networked(method="prior")
    students = [
        learnt(params, parts.server, lidar_expert, stream_name=f"edge-{k}").weights
        for k in range(2)
    ]
    found = TASK.evaluate(
        params,
        joined({f"edge-{k}": weights for k, weights in enumerate(students)}),
        lidar_network_data.val,
    )
    every = [
        TASK.evaluate(tiny(method="prior"), weights, lidar_network_data.val)["top2"]
        for weights in students
    ]
    assert found["server_top2"] == pytest.approx(np.mean(every))
    assert {f"val_{name}" for name in found} <= TASK.metrics.keys()
