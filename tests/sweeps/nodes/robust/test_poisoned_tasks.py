"""Lies and tests of the shipped tasks: networks that are trained, though not in earnest."""

from dataclasses import replace

import beam_network_examples as beams
import csi_network_examples as csi
import numpy as np
import pytest
from csi_examples import drained, silent

from kdtasks.contract.poisoning import FlipsLabels, ProbesTeacher
from kdtasks.learning.labels import IGNORED
from sweeps.nodes.conductor import conduct
from sweeps.nodes.robust.attacks import poisoned_weights
from sweeps.nodes.topologies.catalog import CapabilityError, collaborative
from sweeps.nodes.transport import in_process

MODULES = {"beam-tracking": beams, "csi-feedback": csi}
LIARS = {
    "beam-tracking": {"rounds": 2, "anchor_weight": 0.5, "proxy_samples": 9},
    "csi-feedback": {"rounds": 2, "anchor_weight": 0.2, "proxy_samples": 30},
}
TEACHERS = {"beam-tracking": {"method": "response"}, "csi-feedback": {"method": "encoder-kd"}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    params = csi.networked()
    made = csi.TASK.load_scenario(params, cache_dir=cache, progress=silent)
    return {"beam-tracking": beams.DATA, "csi-feedback": made}


def deployed(name, data, teacher=None, **changes):
    params = MODULES[name].networked(**changes)
    splits = (data[name].train, data[name].val)
    transport = in_process(name, params, splits, teacher)
    return drained(conduct(MODULES[name].TASK, params, transport))[1]


def taught(name, data, params):
    return drained(MODULES[name].TASK.train_teacher(params, data[name].train, data[name].val))[1]


@pytest.mark.parametrize("name", MODULES)
def test_only_honest_edges_are_judged_and_lies_reach_them(name, data):
    crowd = {"topology": "mutual", "num_edges": 4, "poisoned_edges": 1, **LIARS[name]}
    honest = deployed(name, data, **crowd)
    lied_to = deployed(name, data, **crowd, attack="scaled", attack_strength=100.0)
    assert honest.metrics["val_judged_edges"] <= 3
    assert any(
        not np.array_equal(array, lied_to.weights[tensor])
        for tensor, array in honest.weights.items()
        if tensor.startswith("edge-0/")
    )
    assert lied_to.metrics["blend_shift"] > honest.metrics["blend_shift"]
    tested = deployed(name, data, **crowd, attack="inverted", defence="probe")
    known = MODULES[name].TASK.metrics.keys()
    assert tested.metrics.keys() <= known
    assert {"detection_auc", "false_quarantines", "missed_poisonings"} <= tested.metrics.keys()


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("defence", ["none", "probe"])
def test_a_deployment_with_poisoned_teachers_comes_to_an_end(name, defence, data):
    changes = {"topology": "decentralized", "poisoned_edges": 2, "defence": defence}
    changes |= TEACHERS[name]
    teacher = taught(name, data, MODULES[name].networked(**changes))
    found = deployed(name, data, teacher, **changes, attack="random")
    assert found.metrics["val_judged_edges"] <= 3
    assert ("missed_poisonings" in found.metrics) == (defence == "probe")


@pytest.mark.parametrize("name", MODULES)
def test_errors_are_relative_to_a_guess(name, data):
    task = MODULES[name].TASK
    assert isinstance(task, ProbesTeacher)
    params = MODULES[name].networked("decentralized", **TEACHERS[name])
    samples = task.share_out(params, data[name].train, "train").edges[0]
    teacher = taught(name, data, params)
    outputs, work = task.teacher_outputs(params, replace(teacher, outputs={}), samples)
    assert work.flops > 0.0
    assert work.teacher_samples == task.sample_count(samples)
    specs = task.output_tensors(params)
    assert not any(specs[n].misfit(array) for n, array in outputs.items())
    guess = 0.0 if name == "beam-tracking" else 0.5
    nothing = {n: np.full_like(array, guess) for n, array in outputs.items()}
    assert task.output_error(params, samples, nothing) == pytest.approx(1.0, rel=1e-5)
    assert task.output_error(params, samples, outputs) >= 0.0
    settings = task.settings.resolve({**params, "poisoned_edges": 1, "attack": "random"})
    random = replace(
        teacher, weights=poisoned_weights(settings, teacher.weights, 0, "a"), outputs={}
    )
    other, _ = task.teacher_outputs(params, random, samples)
    assert any(not np.array_equal(other[n], outputs[n]) for n in outputs)


def test_flipped_twice_labels_are_as_they_were():
    task, params = beams.TASK, beams.networked("mutual")
    assert isinstance(task, FlipsLabels)
    once = task.flipped(params, beams.DATA.train)
    label = beams.DATA.train["label"]
    assert ((once["label"] == IGNORED) == (label == IGNORED)).all()
    assert (once["label"] != label)[label != IGNORED].all()
    beams.assert_same(task.flipped(params, once), beams.DATA.train)


def test_a_task_without_labels_cannot_flip_them():
    params = csi.networked("mutual", poisoned_edges=1, attack="flipped-labels")
    with pytest.raises(CapabilityError, match="FlipsLabels"):
        collaborative(csi.TASK, params)
