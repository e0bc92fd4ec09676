"""Students of every topology have the computation that their trial gives them."""

import pytest
from csi_examples import TASK, drained, silent
from csi_network_examples import networked

from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.students import plan_of
from kdtasks.csi_feedback.workload import planned_epochs
from sweeps.nodes.conductor import conduct
from sweeps.nodes.transport import in_process

DEPLOYMENTS = [
    {"topology": "centralized", "method": "vanilla"},
    {"topology": "centralized", "method": "encoder-kd", "uploads": 1},
    {"topology": "decentralized", "method": "vanilla"},
    {"topology": "decentralized", "method": "encoder-kd", "finetune_epochs": 8},
    {"topology": "decentralized", "method": "ip-encoder-kd"},
    {"topology": "semi-centralized", "method": "encoder-kd", "edge_part_only": False},
    {"topology": "semi-centralized", "method": "encoder-kd", "rehearsal_share": 0.5},
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
    transport = in_process("csi-feedback", params, (data.train, data.val), teacher)
    return params, drained(conduct(TASK, params, transport, RUNGS))


@pytest.mark.parametrize("changes", DEPLOYMENTS, ids=label)
def test_students_have_equal_computation(changes, tmp_path):
    params, (reports, outcome) = deployed(tmp_path, effort="gflop", effort_gflop=GFLOP, **changes)
    # beyond it there are only the runs of a teacher, and of a student that answers pairs
    assert 0.85 * GFLOP < outcome.metrics["train_gflop"] < 1.1 * GFLOP
    settings = TASK.settings.resolve(params)
    assert planned_epochs(settings, plan_of(settings)) > 1
    shares = [report.epoch / report.epochs for report in reports]
    assert shares == sorted(shares)
    judged = [share for share, r in zip(shares, reports, strict=True) if "val_nmse_db" in r.metrics]
    assert len(judged) == len(RUNGS)
    assert all(share >= rung for share, rung in zip(judged, RUNGS, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"topology": "mutual", "effort": "gflop"},
        {"topology": "self", "effort": "gflop"},
        {"topology": "centralized", "effort": "plateau"},
    ],
    ids=label,
)
def test_an_effort_that_a_topology_does_not_know_is_refused(changes):
    with pytest.raises(ConfigError, match=r"effort='\w+' has no effect here.* mutual and self"):
        networked(**changes)
