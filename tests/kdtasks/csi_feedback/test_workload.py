"""What training of CSI students is counted as, and what an edge's memory refuses."""

import pytest
import torch
from csi_examples import METHODS, TASK, drained, tiny
from csi_network_examples import networked

from kdtasks.contract.collaboration import Guidance, Stage
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import TeacherArtifact
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.models.crnet import CRNetDecoder, CRNetEncoder
from kdtasks.csi_feedback.models.light_encoder import LightEncoder, LightShape
from kdtasks.csi_feedback.settings import resolve
from kdtasks.csi_feedback.workload import edge_bytes
from kdtasks.learning.complexity import count, state_bytes, training_bytes

ENCODER, DECODER = LightEncoder(8, 8, 32, LightShape()), CRNetDecoder(8, 8, 32)
TEACHER = CRNetEncoder(8, 8, 32)
ENCODE, DECODE = count(ENCODER, (2, 8, 8)).flops, count(DECODER, (32,)).flops
ASK = count(TEACHER, (2, 8, 8)).flops
BATCH = 40


@pytest.fixture(scope="module")
def edge(network_data):
    """The first edge's samples: more than a batch of them."""
    share = TASK.share_out(networked(), network_data.train, "train").edges[0]
    assert len(share["pictures"]) > BATCH
    return share


def queried(teacher):
    return TeacherArtifact(metrics={}, weights=teacher.weights, outputs={})


def flops_of(count, method, *, server_part):
    """Return the operations of two epochs, and one of fine-tuning, by hand."""
    steps = count // BATCH * BATCH
    both = 3 * (ENCODE + DECODE)
    last = both if server_part else 3 * ENCODE + 2 * DECODE
    return {
        "vanilla": 2 * steps * both,
        "autoencoder-kd": 2 * steps * both + count * (ASK + DECODE),
        "encoder-kd": 2 * steps * 3 * ENCODE + steps * last + count * ASK,
    }[method]


@pytest.mark.parametrize("method", METHODS[:3])
@pytest.mark.parametrize("server_part", [True, False])
def test_operations_by_hand_and_memory_as_announced(edge, server_teacher, method, server_part):
    params = networked("decentralized", method=method, edge_part_only=not server_part)
    teacher = None if method == "vanilla" else queried(server_teacher)
    learnt = drained(TASK.learn(params, edge, teacher, server_part=server_part, stream_name="e"))[1]
    expected = flops_of(len(edge["pictures"]), method, server_part=server_part)
    assert learnt.work.flops == pytest.approx(expected)
    assert learnt.work.peak_bytes == edge_bytes(resolve(params))
    assert learnt.work.core_seconds > 0.0


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("server_part", [True, False])
def test_training_on_takes_the_memory_that_was_announced(edge, weight, server_part):
    params = networked("semi-centralized", anchor_weight=weight, edge_part_only=not server_part)
    stage = Stage(
        epochs=1, rate=1e-3, guidance_weight=weight, server_part=server_part, stream_name="e"
    )
    guidance = Guidance(samples=edge, outputs=edge)
    learnt = drained(TASK.train_on(params, {}, edge, guidance, stage))[1]
    assert learnt.work.peak_bytes == edge_bytes(resolve(params))
    samples = len(edge["pictures"]) // BATCH * BATCH * (2 if 0.0 < weight < 1.0 else 1)
    assert learnt.work.flops == samples * (3 * ENCODE + (3 if server_part else 2) * DECODE)


def test_memory_is_that_of_the_networks_and_the_teacher():
    autoencoder = Autoencoder(ENCODER, DECODER)
    both = training_bytes(autoencoder, (2, 8, 8), BATCH)
    teacher = state_bytes(TEACHER) + state_bytes(DECODER)
    expected = {
        "vanilla": both,
        "autoencoder-kd": both + teacher,
        "ip-encoder-kd": training_bytes(ENCODER, (2, 8, 8), BATCH),
    }
    for method, size in expected.items():
        assert edge_bytes(resolve(networked("decentralized", method=method))) == size
    assert edge_bytes(resolve(networked("centralized"))) == 0
    few = networked("decentralized", edge_samples=10)
    assert edge_bytes(resolve(few)) == training_bytes(autoencoder, (2, 8, 8), 10)


def test_announcing_memory_leaves_global_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    edge_bytes(resolve(networked("decentralized", decoder_width=7)))
    TASK.tensors(networked("decentralized", decoder_width=6), None)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("topology", "extra"),
    [
        ("decentralized", {"method": "encoder-kd"}),
        ("semi-centralized", {"anchor_weight": 0.5}),
        ("mutual", {"edge_families": "mixed"}),
        ("self", {}),
    ],
)
def test_what_does_not_fit_is_refused_and_what_just_fits_is_not(topology, extra):
    params = tiny(topology=topology, **extra)
    edges = [TASK.edge_params(TASK.complete(params), edge) for edge in range(3)]
    need_mb = max(edge_bytes(resolve(edge)) for edge in edges) / 1e6
    TASK.complete({**params, "edge_memory_mb": need_mb})
    with pytest.raises(ConfigError, match=r"edge_memory_mb=.* takes .*lower batch_size=40") as text:
        TASK.complete({**params, "edge_memory_mb": 0.99 * need_mb})
    assert f"{need_mb:.3g} MB with topology {topology}" in str(text.value)
    assert ("teacher included" in str(text.value)) == ("method" in extra)


def test_an_edge_that_only_infers_needs_no_memory_to_train():
    TASK.complete(tiny(topology="centralized", edge_memory_mb=1e-6))


def test_an_edge_with_less_memory_than_the_others_is_the_one_that_counts():
    params = tiny(topology="self", num_edges=3)
    need_mb = edge_bytes(resolve(params)) / 1e6
    TASK.complete({**params, "edge_memory_mb": need_mb})
    mixed = {**params, "edge_memory_mb": need_mb, "edge_resources": "mixed"}
    with pytest.raises(ConfigError, match=r"edge_memory_mb=.*edge 2 has .* MB"):
        TASK.complete(mixed)
    TASK.complete({**mixed, "edge_memory_mb": 4.01 * need_mb})
