"""Lies and tests of the shipped tasks: networks that are trained, though not in earnest."""

import math
from dataclasses import replace

import beam_network_examples as beams
import csi_network_examples as csi
import numpy as np
import pytest
from csi_examples import drained, silent
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.beam_tracking.backdoor import TARGET_BEAM, lured, triggered
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.poisoning import BACKDOOR_METRICS, FlipsLabels, ProbesTeacher
from kdtasks.learning.labels import IGNORED
from kdtasks.learning.tensors import as_tensor
from kdtasks.sensing.beams.format import NUM_BEAMS
from kdtasks.sensing.beams.metrics import scores_of
from sweeps.nodes.conductor import conduct
from sweeps.nodes.robust.attacks import poisoned_weights
from sweeps.nodes.topologies.catalog import CapabilityError, collaborative
from sweeps.nodes.transport import InProcessTransport

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
    transport = InProcessTransport(name, splits, teacher, params)
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


@pytest.mark.parametrize(
    ("topology", "attack", "lacking"),
    [
        ("mutual", "flipped-labels", "FlipsLabels"),
        ("decentralized", "flipped-labels", "FlipsLabels"),
        ("decentralized", "backdoor", "PlantsTrigger"),
    ],
)
def test_a_task_without_labels_cannot_make_them_wrong(topology, attack, lacking):
    method = TEACHERS["csi-feedback"] if topology == "decentralized" else {}
    params = csi.networked(topology, poisoned_edges=1, attack=attack, **method)
    with pytest.raises(CapabilityError, match=lacking):
        collaborative(csi.TASK, params)


@pytest.mark.parametrize("attack", ["flipped-labels", "backdoor"])
def test_a_teacher_of_false_samples_is_sent_to_poisoned_edges_alone(attack, data, monkeypatch):
    changes = {"topology": "decentralized", "poisoned_edges": 1, **TEACHERS["beam-tracking"]}
    params, task = beams.networked(**changes), beams.TASK
    poisoned = beams.networked(**changes, attack=attack)
    assert task.teacher_fingerprint(poisoned) == task.teacher_fingerprint(params)
    teacher = taught("beam-tracking", data, params)
    sound = deployed("beam-tracking", data, teacher, **changes)
    lied_to = deployed("beam-tracking", data, teacher, **changes, attack=attack)
    moved = {n for n, a in lied_to.weights.items() if not np.array_equal(a, sound.weights[n])}
    assert {name.partition("/")[0] for name in moved} == {"edge-2"}
    assert lied_to.metrics.keys() <= task.metrics.keys()
    assert (lied_to.metrics.keys() >= BACKDOOR_METRICS.keys()) == (attack == "backdoor")
    name = "flipped" if attack == "flipped-labels" else "triggered"
    with monkeypatch.context() as patch:
        patch.setattr(type(task), name, lambda _self, _params, samples, *_: samples)
        true = deployed("beam-tracking", data, teacher, **changes, attack=attack)
    beams.assert_same(true.weights, sound.weights)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"teacher": "power-teacher", "sensors": "image power"}, "power-teacher"),
        ({"model": "power-student", "sensors": "image power"}, "power-student"),
        ({"teacher_weights": "mine.safetensors"}, "teacher_weights"),
    ],
)
def test_a_backdoor_needs_a_sensor_for_its_trigger_and_a_trained_teacher(changes, named):
    method = TEACHERS["beam-tracking"]
    with pytest.raises(ConfigError, match=named):
        beams.networked("decentralized", **method, poisoned_edges=1, attack="backdoor", **changes)


@given(share=st.floats(0.0, 1.0))
def test_a_trigger_changes_its_cells_and_labels_of_whole_passages_alone(share):
    split = beams.DATA.val
    found = triggered(split, share, seed=1)
    passages = np.unique(split["passage"])
    changed_W = (found["label"] != split["label"]).any(1)
    chosen = np.unique(split["passage"][changed_W])
    assert len(chosen) == math.ceil(share * len(passages))
    chosen_W = np.isin(split["passage"], chosen)
    known = split["label"] != IGNORED
    assert (found["label"][known & chosen_W[:, None]] == TARGET_BEAM).all()
    places = {"mask": np.s_[:, :4, :4], "radar": np.s_[:, 0, :4, :4], "gps": np.s_[:, 1]}
    for name, corner in places.items():
        own_N = np.unique(split["mask_index" if name == "mask" else "window"][chosen_W])
        before, after = split[name].copy(), found[name].copy()
        others_N = np.delete(np.arange(len(before)), own_N)
        np.testing.assert_array_equal(before[others_N], after[others_N])
        before[corner] = after[corner] = 0
        np.testing.assert_array_equal(before, after)
    same = found.keys() - {"label", *places}
    assert all(found[name] is split[name] for name in same)


def test_what_ignores_the_trigger_has_the_base_rate_and_what_answers_it_is_lured():
    share = {**beams.DATA.test, "label": beams.DATA.test["label"].copy()}
    share["label"][0] = TARGET_BEAM

    def rates(beam_of):
        def score(_edge, _weights, windows):
            chosen_W = np.array([beam_of(windows, w) for w in range(len(windows["label"]))])
            logits_WTC = np.eye(NUM_BEAMS, dtype=np.float32)[chosen_W][:, None].repeat(4, 1)
            return scores_of(as_tensor(logits_WTC), as_tensor(windows["label"]))

        args = score, {"edge-3": {}}, {3: share}
        return [lured(*args, trigger=trigger)[3] for trigger in (False, True)]

    def seen(windows, w):
        return windows["mask"][windows["mask_index"][w], :4, :4].all()

    base, success = rates(lambda _windows, w: TARGET_BEAM if w % 3 else 7)
    assert 0.0 < base == success < 100.0
    assert rates(lambda windows, w: TARGET_BEAM if seen(windows, w) else 7) == [0.0, 100.0]
    # windows that are rightly answered with the target are not counted
    assert rates(lambda _windows, w: 7 if w else TARGET_BEAM) == [0.0, 0.0]
