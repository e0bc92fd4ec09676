"""Students of every topology have the computation that their trial gives them."""

import numpy as np
import pytest
from csi_examples import TASK, drained, silent
from csi_network_examples import networked
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.csi_feedback.collaboration import _held_out
from kdtasks.csi_feedback.students import plan_of
from kdtasks.csi_feedback.workload import planned_epochs
from sweeps.nodes.conductor import conduct
from sweeps.nodes.transport import InProcessTransport

DEPLOYMENTS = [
    {"topology": "centralized", "method": "vanilla"},
    {"topology": "centralized", "method": "encoder-kd", "uploads": 1},
    {"topology": "decentralized", "method": "vanilla"},
    {"topology": "decentralized", "method": "encoder-kd", "finetune_epochs": 8},
    {"topology": "decentralized", "method": "ip-encoder-kd"},
    {"topology": "semi-centralized", "method": "encoder-kd", "edge_part_only": False},
    {"topology": "semi-centralized", "method": "encoder-kd", "rehearsal_share": 0.5},
]
PLATEAUS = [
    {"topology": "centralized", "method": "autoencoder-kd", "uploads": 1},
    {"topology": "decentralized", "method": "encoder-kd"},
    {"topology": "semi-centralized", "method": "autoencoder-kd", "edge_part_only": False},
]
GFLOP = 1.6
RUNGS = (0.125, 0.375)


def label(changes):
    return "-".join(str(value) for value in changes.values())


def deployed(folder, **changes):
    params = networked(batch_size=20, encoder_depth=2, encoder_width=8, **changes)
    data = TASK.load_scenario(params, cache_dir=folder, progress=silent)
    teacher = None
    if TASK.teacher_fingerprint(params) is not None:
        _, teacher = drained(TASK.train_teacher(params, data.train, data.val))
    transport = InProcessTransport("csi-feedback", (data.train, data.val), teacher, params)
    return params, drained(conduct(TASK, params, transport, RUNGS))


@pytest.mark.parametrize("changes", DEPLOYMENTS, ids=label)
def test_students_have_equal_computation(changes, tmp_path):
    params, (reports, outcome) = deployed(tmp_path, effort="gflop", effort_gflop=GFLOP, **changes)
    # beyond it there are only the runs of a teacher, and of a student that answers pairs
    assert 0.85 * GFLOP < outcome.metrics["train_gflop"] < 1.1 * GFLOP
    resolved = TASK.settings.resolve(params)
    assert planned_epochs(resolved, plan_of(resolved)) > 1
    shares = [report.epoch / report.epochs for report in reports]
    assert shares == sorted(shares)
    judged = [share for share, r in zip(shares, reports, strict=True) if "val_nmse_db" in r.metrics]
    assert len(judged) == len(RUNGS)
    assert all(share >= rung for share, rung in zip(judged, RUNGS, strict=True))


@pytest.mark.parametrize("changes", PLATEAUS, ids=label)
def test_nodes_train_to_a_plateau_of_their_own_samples(changes, tmp_path):
    def trained(**plateau):
        changed = {**changes, "plateau_epochs": 1, **plateau}
        _, (_, outcome) = deployed(tmp_path, effort="plateau", **changed)
        return outcome

    capped = trained(plateau_cap=1)
    found = trained(plateau_gain=100.0, plateau_cap=50)
    assert (capped.metrics["train_capped"], found.metrics["train_capped"]) == (1.0, 0.0)
    # where no gain is enough, a stage ends after four epochs
    assert capped.metrics["train_gflop"] < found.metrics["train_gflop"]
    again = trained(plateau_gain=100.0, plateau_cap=50)
    for name, array in found.weights.items():
        np.testing.assert_array_equal(array, again.weights[name])


@settings(max_examples=times(20))
@given(count=st.integers(8, 300), seed=st.integers(0, 9), node=st.sampled_from(["", "edge-1"]))
def test_what_a_node_holds_out_it_does_not_learn(count, seed, node):
    params = networked(topology="decentralized", method="vanilla", effort="plateau", seed=seed)
    resolved = TASK.settings.resolve(params)
    held_out, used = _held_out(resolved, count, node)
    assert sorted([*held_out, *used]) == list(range(count))
    assert len(held_out) == count // 8


def test_a_node_with_too_few_samples_for_a_plateau_is_refused():
    params = networked(topology="decentralized", method="vanilla", effort="plateau")
    with pytest.raises(UserError, match=r"plateau needs 8 .* not 7: .*edge_samples"):
        _held_out(TASK.settings.resolve(params), 7, "")


def test_an_edge_that_drops_its_teacher_knows_no_plateau():
    with pytest.raises(ConfigError, match=r"defence='probe' .* set effort to epochs or gflop"):
        networked(
            topology="decentralized", method="autoencoder-kd", effort="plateau", defence="probe"
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"topology": "mutual", "effort": "gflop"},
        {"topology": "self", "effort": "gflop"},
        {"topology": "mutual", "effort": "plateau"},
        {"topology": "decentralized", "effort": "plateau", "method": "ip-encoder-kd"},
    ],
    ids=label,
)
def test_an_effort_that_a_topology_does_not_know_is_refused(changes):
    with pytest.raises(ConfigError, match=r"effort='\w+' has no effect here.* mutual and self"):
        networked(**changes)
