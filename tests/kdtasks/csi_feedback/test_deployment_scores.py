"""Families, teachers and baselines of a deployment, and how its students are judged."""

import numpy as np
import pytest
from csi_examples import TASK, drained, tiny
from csi_network_examples import STAGE, assert_same, networked, trained_on

from kdtasks.contract.collaboration import joined, parted
from kdtasks.csi_feedback.models.pca import pca_reconstruction


@pytest.mark.parametrize("encoder", [{}, {"encoder": "crnet"}, {"encoder_depth": 3}])
def test_mixed_families_differ_and_are_complete(encoder):
    params = networked("mutual", num_edges=5, edge_families="mixed", **encoder)
    families = [TASK.edge_params(params, edge) for edge in range(5)]
    assert families[0] == params
    assert families[3] == families[0]
    assert families[4] == families[1]
    costs = [TASK.cost({**own, "edge_families": "same"})["ue_params"] for own in families]
    assert len({*costs}) == 3
    assert all(TASK.complete(own) == own for own in families)
    assert TASK.cost(params)["ue_params"] == pytest.approx(sum(costs) / 5)
    same = networked("mutual", num_edges=5, **encoder)
    assert all(TASK.edge_params(same, edge) == same for edge in range(5))


@pytest.mark.parametrize("edge", range(3))
def test_tensors_are_those_of_the_student(shares, edge):
    params = TASK.edge_params(networked("mutual", edge_families="mixed", rounds=1), edge)
    weights = drained(TASK.train_on(params, {}, shares.edges[edge], None, STAGE))[1].weights
    specs = TASK.tensors(params, None)
    assert weights.keys() == specs.keys()
    assert not [name for name, spec in specs.items() if spec.misfit(weights[name])]
    at_edge, at_server = TASK.tensors(params, "edge"), TASK.tensors(params, "server")
    assert {**at_edge, **at_server} == specs
    assert not at_edge.keys() & at_server.keys()


def test_tensors_of_the_teacher_are_those_of_the_teacher(server_teacher):
    specs = TASK.teacher_tensors(networked(method="encoder-kd"))
    assert server_teacher.weights.keys() == specs.keys()
    assert not [n for n, spec in specs.items() if spec.misfit(server_teacher.weights[n])]
    assert not TASK.sends_pairs(networked(method="encoder-kd"))
    assert TASK.sends_pairs(networked("decentralized", method="ip-encoder-kd"))


def test_a_servers_teacher_knows_the_servers_share_alone(network_data, shares, server_teacher):
    params = networked(method="encoder-kd")
    outputs = server_teacher.outputs
    assert len(outputs["pictures"]) == len(shares.server["pictures"])
    changed = {**network_data.train, "pictures": network_data.train["pictures"].copy()}
    mine = (changed["pictures"][:, None] == shares.server["pictures"][None]).all((2, 3, 4)).any(1)
    changed["pictures"][~mine] = 0.9
    again = drained(TASK.train_teacher(params, changed, network_data.val))[1]
    assert_same(again.weights, server_teacher.weights)
    # it is judged on everything, as a lone teacher is
    everything = TASK.evaluate_teacher(params, server_teacher.weights, network_data.val)
    assert everything["nmse_db"] == server_teacher.metrics["val_nmse_db"]
    alone = tiny(method="encoder-kd")
    assert TASK.evaluate_teacher(alone, server_teacher.weights, network_data.val) == everything


def test_pca_of_a_network_is_fitted_on_the_servers_share(network_data, shares):
    ours, *_ = TASK.baselines(networked(), network_data)
    alone, *_ = TASK.baselines(tiny(), network_data)
    assert ours.name != alone.name
    assert ours.params["server_share"] == 0.5
    truth = network_data.val["pictures"]
    (output,) = pca_reconstruction(shares.server["pictures"], 32, truth)
    ratio = np.square(output - truth).sum((1, 2, 3)) / np.square(truth - 0.5).sum((1, 2, 3))
    assert ours.metrics["val_nmse_db"] == pytest.approx(10 * np.log10(ratio.mean()), abs=1e-3)
    other, *_ = TASK.baselines(networked("mutual", rounds=2, num_edges=2), network_data)
    assert other == ours


def test_a_lone_training_has_no_network(network_data):
    with pytest.raises(AssertionError):
        drained(TASK.train_student(networked(), network_data.train, network_data.val, None))


@pytest.fixture(scope="module")
def deployment(student, shares):
    """Students of three edges, as they were received and after a fine-tune."""
    tuned = [
        trained_on(student.weights, edge, stream_name=f"e{n}")
        for n, edge in enumerate(shares.edges)
    ]
    nodes = {f"edge-{number}": one.weights for number, one in enumerate(tuned)}
    return {**nodes, **{f"received-{number}": student.weights for number in range(3)}}


def test_a_deployment_is_judged_by_its_definitions(network_data, deployment):
    params = networked("semi-centralized")
    val = TASK.share_out(params, network_data.val, "val")
    found = TASK.evaluate(params, joined(deployment), network_data.val)

    def linear(node, share):
        return 10 ** (TASK.evaluate(tiny(), deployment[node], share)["nmse_db"] / 10)

    def decibel(values):
        return 10 * np.log10(np.mean(values))

    own = [linear(f"edge-{number}", share) for number, share in enumerate(val.edges)]
    received = [linear(f"received-{number}", share) for number, share in enumerate(val.edges)]
    server = decibel([linear(f"edge-{number}", val.server) for number in range(3)])
    before = decibel([linear(f"received-{number}", val.server) for number in range(3)])
    expected = {
        "nmse_db": decibel(own),
        "worst_edge_nmse_db": decibel(max(own)),
        "received_nmse_db": decibel(received),
        "server_nmse_db": server,
        "forgetting_db": server - before,
        "judged_edges": 3.0,
    }
    assert found == pytest.approx(expected, abs=1e-9)
    assert {f"val_{name}" for name in found} <= TASK.metrics.keys()


def test_nothing_is_forgotten_if_nothing_was_trained(network_data, deployment):
    received = {name: deployment[name] for name in deployment if name.startswith("received")}
    untouched = {name.replace("received", "edge"): weights for name, weights in received.items()}
    params = networked("semi-centralized")
    found = TASK.evaluate(params, joined({**received, **untouched}), network_data.val)
    assert found["forgetting_db"] == 0.0
    assert found["received_nmse_db"] == found["nmse_db"]


def test_students_that_were_not_received_have_forgotten_nothing_known(network_data, deployment):
    edges = {name: deployment[name] for name in deployment if name.startswith("edge")}
    found = TASK.evaluate(networked(), joined(edges), network_data.val)
    assert found.keys() == {"nmse_db", "worst_edge_nmse_db", "server_nmse_db", "judged_edges"}
    assert parted(joined(edges)).keys() == edges.keys()


def test_without_server_samples_the_server_is_not_judged(network_data, deployment):
    unseen = network_data.val["positions"][:, 1] > 1.0
    few = {name: array[unseen] for name, array in network_data.val.items()}
    params = networked(server_coverage=0.5)
    found = TASK.evaluate(params, joined(deployment), few)
    assert "server_nmse_db" not in found
    assert "forgetting_db" not in found


def test_an_edge_without_samples_of_its_own_is_judged_on_the_servers_alone(
    network_data, deployment
):
    params = networked("semi-centralized")
    val = TASK.share_out(params, network_data.val, "val")
    gone = (network_data.val["pictures"][:, None] == val.edges[2]["pictures"][None]).all((2, 3, 4))
    moved = {name: array.copy() for name, array in network_data.val.items()}
    moved["positions"][gone.any(1)] = (1.0, -50.0)  # to the sector of the first edge
    found = TASK.evaluate(params, joined(deployment), moved)
    own = TASK.share_out(params, moved, "val").edges
    assert len(own[2]["pictures"]) == 0
    linear = [
        10 ** (TASK.evaluate(tiny(), deployment[f"edge-{edge}"], own[edge])["nmse_db"] / 10)
        for edge in (0, 1)
    ]
    assert found["nmse_db"] == pytest.approx(10 * np.log10(np.mean(linear)), abs=1e-9)
    before = TASK.evaluate(params, joined(deployment), network_data.val)
    assert found["server_nmse_db"] == before["server_nmse_db"]


def test_several_teachers_are_trained_from_seeds_of_their_own(network_data):
    params = networked("decentralized", method="encoder-kd", num_teachers=2, teacher_epochs=1)
    reports, both = drained(TASK.train_teacher(params, network_data.train, network_data.val))
    assert [(report.epoch, report.epochs) for report in reports] == [(1, 2), (2, 2)]
    first, second = (TASK.teacher_of(params, both, number) for number in range(2))
    assert first.weights.keys() == TASK.teacher_tensors(params).keys()
    assert not np.array_equal(first.outputs["codewords"], second.outputs["codewords"])
    alone = networked("decentralized", method="encoder-kd", teacher_epochs=1)
    found = TASK.evaluate_teacher(params, both.weights, network_data.val)["nmse_db"]
    each = [
        TASK.evaluate_teacher(alone, one.weights, network_data.val)["nmse_db"]
        for one in (first, second)
    ]
    assert found == pytest.approx(np.mean(each))
    assert TASK.teacher_fingerprint(params) != TASK.teacher_fingerprint(alone)


def test_one_teacher_is_kept_as_it_always_was(network_data):
    params = networked("decentralized", method="encoder-kd", teacher_epochs=1)
    _, artifact = drained(TASK.train_teacher(params, network_data.train, network_data.val))
    assert artifact.weights.keys() == TASK.teacher_tensors(params).keys()
    assert TASK.teacher_of(params, artifact, 0) is artifact
