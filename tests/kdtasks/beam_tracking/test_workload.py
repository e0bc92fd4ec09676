"""What training of beam students is counted as, and what an edge's memory refuses."""

import numpy as np
import pytest
from beam_network_examples import (
    DATA,
    MIXED,
    learnt,
    networked,
    random_guidance,
    silenced,
    trained_on,
)
from beam_trials import TASK

from kdtasks.beam_tracking.models.family import BEAM_MODELS
from kdtasks.beam_tracking.settings import resolve
from kdtasks.beam_tracking.students import restored
from kdtasks.beam_tracking.workload import edge_bytes, peak_bytes, student_size
from kdtasks.contract.errors import ConfigError
from kdtasks.learning.complexity import count, state_bytes
from kdtasks.sensing.ownership import taken


@pytest.mark.parametrize("edge", range(3))
def test_tensors_are_those_of_the_family_and_all_of_them_are_at_the_edge(edge):
    params = TASK.edge_params(networked("self", **MIXED), edge)
    share = TASK.share_out(networked("self", **MIXED), DATA.train, "train").edges[edge]
    weights = trained_on(params, {}, share).weights
    specs = TASK.tensors(params, None)
    assert weights.keys() == specs.keys()
    assert not [name for name, spec in specs.items() if spec.misfit(weights[name])]
    assert TASK.tensors(params, "edge") == specs
    assert TASK.tensors(params, "server") == {}


def test_tensors_of_the_teacher_are_those_of_the_teacher(beam_expert):
    specs = TASK.teacher_tensors(networked(method="response"))
    assert beam_expert.weights.keys() == specs.keys()
    assert not [n for n, spec in specs.items() if spec.misfit(beam_expert.weights[n])]


def test_costs_of_a_mixed_deployment_are_means_over_edges():
    params = networked("mutual", num_edges=5, **MIXED)
    families = [TASK.edge_params(params, edge) for edge in range(5)]
    costs = [TASK.cost(own)["params"] for own in families]
    assert len(set(costs)) == 3
    assert families[3] == families[0]
    assert TASK.cost(params)["params"] == pytest.approx(sum(costs) / 5)


@pytest.mark.parametrize("model", ["image-student", "radar-student", "image-radar-student"])
def test_operations_of_frames_and_windows_are_those_of_whole_windows(model):
    params = networked(model=model)
    settings, network = resolve(params), BEAM_MODELS[model]
    samples = taken(DATA.train, np.arange(5), ["image", "radar"])
    _, work = TASK.outputs(params, learnt(params, samples).weights, samples)
    size = student_size(settings)
    macs = count(network.build(image_size=32), *network.window_shapes(image_size=32)).macs
    assert size.window.macs == macs
    frame_macs = {sensor: each.macs for sensor, each in size.frames.items()}
    frames = {"image": "mask", "radar": "radar"}
    # Every frame once, and one that is all zero.
    by_hand = 5 * (macs - 10 * sum(frame_macs.values())) + sum(
        (len(samples[frames[sensor]]) + 1) * each for sensor, each in frame_macs.items()
    )
    assert work.flops == 2.0 * by_hand
    assert work.flops < 2.0 * 5 * macs


def test_training_is_three_times_the_forward_pass_of_every_epoch(beam_shares):
    edge = beam_shares.edges[0]
    one, two = (learnt(networked(epochs=n, batch_chunks=64), edge).work.flops for n in (1, 2))
    assert two == pytest.approx(2 * one, rel=0.01)  # cuts differ, and with them shared frames
    _, queried = TASK.outputs(networked(), learnt(networked(), edge).weights, edge)
    assert one == pytest.approx(3 * queried.flops, rel=0.01)


@pytest.mark.parametrize("method", ["vanilla", "feature"])
def test_memory_is_as_announced(beam_shares, beam_expert, method):
    params = networked("decentralized", method=method)
    queried = silenced(beam_expert) if method == "feature" else None
    work = learnt(params, beam_shares.edges[0], queried, stream_name="e").work
    assert work.peak_bytes == edge_bytes(resolve(params))
    held = state_bytes(
        restored(resolve(networked(method="feature")), beam_expert.weights, teacher=True)
    )
    assert work.peak_bytes == peak_bytes(resolve(params)) + (held if queried else 0)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_training_on_takes_the_memory_that_was_announced(beam_shares, beam_student, weight):
    params, edge = networked("self", anchor_weight=weight), beam_shares.edges[0]
    work = trained_on(
        params, beam_student, edge, random_guidance(edge), guidance_weight=weight
    ).work
    assert work.peak_bytes == edge_bytes(resolve(params))


def test_what_does_not_fit_is_refused_and_what_just_fits_is_not():
    params = networked("decentralized", method="response", **MIXED)
    edges = [resolve(TASK.edge_params(params, edge)) for edge in range(3)]
    need_mb = max(edge_bytes(edge) for edge in edges) / 1e6
    TASK.complete({**params, "edge_memory_mb": need_mb})
    with pytest.raises(ConfigError, match=r"edge_memory_mb=.* included: lower batch_chunks"):
        TASK.complete({**params, "edge_memory_mb": 0.99 * need_mb})
    TASK.complete({**networked(**MIXED), "edge_memory_mb": 1e-6})  # it only infers
