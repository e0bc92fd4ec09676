"""Leaks of the shipped tasks: who has which samples, and what students show of them."""

import beam_network_examples as beams
import csi_network_examples as csi
import lidar_trials as lidar
import numpy as np
import pytest
from csi_examples import drained, silent

from kdtasks.contract.collaboration import Stage, joined
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.leakage import MeasuresLeaks
from kdtasks.contract.privacy import PRIVACY_METRICS
from sweeps.nodes.conductor import conduct
from sweeps.nodes.privacy.audit import Auditor, Trial
from sweeps.nodes.topologies.catalog import CapabilityError, collaborative
from sweeps.nodes.transport import InProcessTransport

MODULES = {"beam-tracking": beams, "csi-feedback": csi}
MEASURED = {"privacy_share": 0.3, "shadow_models": 1, "topology": "mutual", "rounds": 2}
EXTRA = {
    "beam-tracking": {"anchor_weight": 0.5, "proxy_samples": 9},
    "csi-feedback": {"anchor_weight": 0.2, "proxy_samples": 30},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    made = csi.TASK.load_scenario(csi.networked(), cache_dir=cache, progress=silent)
    return {"beam-tracking": beams.DATA, "csi-feedback": made}


def names_of(name, samples):
    """Return what no two nodes may have: passages, or pictures."""
    if name == "beam-tracking":
        return {*samples["passage"].tolist()}
    return {row.tobytes() for row in samples["pictures"]}


@pytest.mark.parametrize("name", MODULES)
def test_what_is_withheld_no_node_has_and_nothing_else_is_lost(name, data):
    module, train = MODULES[name], data[name].train
    params = module.networked(**MEASURED, **EXTRA[name])
    assert isinstance(module.TASK, MeasuresLeaks)
    owned = module.TASK.share_out(params, train, "train")
    outside = module.TASK.withheld(params, train)
    nodes = [names_of(name, share) for share in (owned.server, *owned.edges)]
    others = [names_of(name, share) for share in outside.edges]
    assert sum(map(len, nodes + others)) == len(set.union(*nodes, *others))
    assert set.union(*others) == names_of(name, outside.server)
    whole = module.TASK.share_out({**params, "privacy_share": 0.0}, train, "train")
    before = set.union(*(names_of(name, share) for share in (whole.server, *whole.edges)))
    assert before == set.union(*nodes, *others)


@pytest.mark.parametrize("name", MODULES)
def test_a_teacher_of_fewer_samples_is_another(name):
    topology = MODULES[name].TOPOLOGIES["centralized"] | {"method": "response"}
    if name == "csi-feedback":
        topology = {"method": "encoder-kd"}
    plain, kept, more = (
        MODULES[name].TASK.teacher_fingerprint(
            MODULES[name].networked("centralized", **topology, **changes)
        )
        for changes in ({}, {"privacy_share": 0.3}, {"privacy_share": 0.4})
    )
    assert len({plain, kept, more}) == 3


@pytest.mark.parametrize("name", MODULES)
def test_deployments_report_what_they_promise(name, data):
    module = MODULES[name]
    params = module.networked(**MEASURED, **EXTRA[name])
    transport = InProcessTransport(name, (data[name].train, data[name].val), None, params)
    found = drained(conduct(module.TASK, params, transport))[1].metrics
    assert found.keys() <= module.TASK.metrics.keys()
    assert PRIVACY_METRICS.keys() - found.keys() == {"privacy_teacher_auc", "epsilon"}
    assert found["privacy_nonmembers"] > 0.0


def attacked(data, epochs):
    """Return the leaks of students that all were trained on the server's few samples."""
    params = csi.networked("centralized", privacy_share=0.5, num_val=160)
    owned = csi.TASK.share_out(params, data.train, "train")
    stage = Stage(
        epochs=epochs, rate=1e-2, guidance_weight=0.0, server_part=True, stream_name="student"
    )
    student = drained(csi.TASK.train_on(params, {}, owned.server, None, stage))[1].weights
    edges = {f"edge-{edge}": student for edge in range(3)}
    trial = Trial(params=params, train=data.train, val=data.val)
    return Auditor(csi.TASK, trial, joined(edges), None).metrics()


def test_a_student_untrained_reveals_nothing_and_one_that_overfits_much(data):
    nothing = attacked(data["csi-feedback"], 1)
    by_heart = attacked(data["csi-feedback"], 60)
    assert nothing["privacy_auc_low"] < 0.55
    assert nothing["privacy_auc"] == pytest.approx(0.5, abs=0.1)
    assert by_heart["privacy_auc"] > 0.6
    assert by_heart["privacy_auc_low"] > 0.5
    assert by_heart["privacy_tpr_1fpr"] > nothing["privacy_tpr_1fpr"]


def test_logits_of_confidences_written_out():
    rng = np.random.default_rng(0)
    samples = beams.TASK.share_out(beams.networked("mutual"), beams.DATA.train, "train").edges[0]
    labels = samples["label"]
    logits = rng.normal(size=(len(labels), 4, 64)).astype(np.float32)
    found = beams.TASK.fit_scores({}, samples, {"logits": logits})
    for row, label, score in zip(logits.astype(np.float64), labels, found, strict=True):
        p = np.exp(row[range(4), label.clip(min=0)]) / np.exp(row).sum(-1)
        known = label >= 0
        assert score == pytest.approx(np.log(p[known] / (1 - p[known])).mean(), rel=1e-6)


def test_a_task_that_cannot_measure_leaks_is_refused():
    params = lidar.networked("centralized", privacy_share=0.2)
    with pytest.raises(CapabilityError, match="MeasuresLeaks"):
        collaborative(lidar.TASK, params)


@pytest.mark.parametrize("name", MODULES)
def test_noise_reaches_what_edges_learn_from_and_no_task_adds_any_of_its_own(name, data):
    module = MODULES[name]

    def deployed(**changes):
        params = module.networked("mutual", rounds=2, **EXTRA[name], **changes)
        transport = InProcessTransport(name, (data[name].train, data[name].val), None, params)
        return drained(conduct(module.TASK, params, transport))[1]

    plain, silent, loud = (deployed(**noise) for noise in ({}, {"dp_clip": 3.0}, {"dp_sigma": 0.1}))
    assert "epsilon" not in silent.metrics
    assert loud.metrics["epsilon"] > 0.0
    for tensor, array in plain.weights.items():
        np.testing.assert_array_equal(array, silent.weights[tensor])
    assert any((loud.weights[tensor] != a).any() for tensor, a in plain.weights.items())


def test_noisy_moments_of_codewords_make_other_rehearsal(data):
    changes = {"method": "vanilla", "rehearsal_share": 1.0, "rehearsal_source": "synthetic"}

    def deployed(**noise):
        params = csi.networked("semi-centralized", **changes, **noise)
        splits = (data["csi-feedback"].train, data["csi-feedback"].val)
        transport = InProcessTransport("csi-feedback", splits, None, params)
        return drained(conduct(csi.TASK, params, transport))[1]

    plain, loud = deployed(), deployed(dp_sigma=1.0, dp_clip=5.0)
    assert loud.metrics["epsilon"] == pytest.approx(4.377, abs=1e-3)
    assert any((loud.weights[tensor] != a).any() for tensor, a in plain.weights.items())


def test_metadata_have_noise_of_group_final_alone(tmp_path):
    final = {"method": "datafree", "metadata": "final", "dp_clip": 8.0}
    params = lidar.networked(**final)
    made = lidar.TASK.load_scenario(params, cache_dir=tmp_path, progress=silent)
    teacher = lidar.network_teacher(made, params)

    def deployed(**noise):
        full = lidar.networked(**final, **noise)
        transport = InProcessTransport("lidar-beam", (made.train, made.val), teacher, full)
        return drained(conduct(lidar.TASK, full, transport))[1]

    plain, loud, again = deployed(), deployed(dp_epsilon=1.0), deployed(dp_epsilon=1.0)
    assert loud.metrics["epsilon"] == pytest.approx(1.0)
    assert loud.metrics["bytes_down"] == plain.metrics["bytes_down"]
    differ = 0
    for tensor, array in loud.weights.items():
        np.testing.assert_array_equal(array, again.weights[tensor])
        differ += int((array != plain.weights[tensor]).any())
    assert differ > 0
    for wrong in ({**final, "metadata": "final moments"}, {**final, "travels": "generator"}, {}):
        with pytest.raises(ConfigError, match="group final"):
            lidar.networked(**{"method": "prior", **wrong}, dp_sigma=1.0)
