"""Parameters of beam tracking and LiDAR beam tracking: what decides, what is refused."""

import pytest
from beam_network_examples import MIXED, NETWORK, TOPOLOGIES
from beam_network_examples import networked as beam_network
from beam_trials import TASK as BEAM
from beam_trials import tiny as beam
from deepsense_examples import bare_table
from lidar_trials import DISTILLING, WITHOUT_DATA
from lidar_trials import TASK as LIDAR
from lidar_trials import networked as lidar_network
from lidar_trials import tiny as lidar

from kdtasks.beam_tracking.models.family import BEAM_MODELS
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.effort import EffortSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import fingerprint
from kdtasks.lidar_beam.models.family import GENERATORS, LIDAR_TEACHERS

SEMI = {"topology": "semi-centralized", "rehearsal_share": 0.5}
EDGES = {"topology": "decentralized"}


def named(value):
    """Return what is the same in every process: a task has its address in its text."""
    return getattr(value, "name", str(value))


both = pytest.mark.parametrize("task", [BEAM, LIDAR], ids=named)


def test_names_of_networks_are_those_of_the_families():
    teachers = {name for name, model in BEAM_MODELS.items() if model.role == "teacher"}
    for task, field, names in (
        (BEAM, "model", BEAM_MODELS.keys()),
        (BEAM, "teacher", teachers),
        (LIDAR, "teacher", LIDAR_TEACHERS.keys()),
        (LIDAR, "generator", GENERATORS.keys()),
    ):
        assert set(task.settings.model_fields[field].annotation.__args__) == names


@both
def test_presets_test_on_enough_passages(task):
    assert min(task.settings.declared["test_passages"].default.values()) >= 60


# --- identity ---

IDENTITIES = [
    (BEAM, {}, "37cfe0d10675938b", None, "f524d09e358806c6"),
    (
        BEAM,
        {"method": "response", "alpha": 0.3, "sensors": "image radar"},
        "74bc6f0af56436fb",
        "1947e1dc15e8564a",
        "e25cf94af4bef17a",
    ),
    (
        BEAM,
        {"method": "self", "preset": "paper", "generations": 2},
        "227354d4eb505523",
        "e6b0490df64d2b90",
        "915c18b1e9194e73",
    ),
    (LIDAR, {"method": "ordinary"}, None, "e83c5f14284826f5", "f2489e15c71ebbdd"),
    (
        LIDAR,
        {"method": "datafree", "preset": "paper"},
        None,
        "edeb502a617a40eb",
        "478c52640edecbd8",
    ),
]


@pytest.mark.parametrize(("task", "params", "trial", "teacher", "scenario"), IDENTITIES, ids=named)
def test_trials_teachers_and_data_kept_by_their_fingerprints_are_found_again(
    task, params, trial, teacher, scenario
):
    completed = task.complete(params)
    assert trial in (None, fingerprint(completed))
    assert task.teacher_fingerprint(completed) == teacher
    assert task.scenario_fingerprint(completed) == scenario


@both
def test_without_a_network_a_trial_has_none_of_its_parameters(task):
    networked = {"num_edges": 7, "topology": "none", "link_loss": 0.5, "edge_rate": 0.1}
    completed = task.complete(networked)
    assert completed == task.complete({})
    of_network = NetworkSettings.model_fields.keys() - EffortSettings.model_fields.keys()
    assert not completed.keys() & {*of_network, "scans_travel"}


BEAM_TEACHER = {"teacher": "image-teacher-gru1", "teacher_loss": "focal", "method": "feature"}
OTHER_TEACHERS = {
    "both": {
        "teacher_epochs": 3,
        "teacher_rate": 1e-2,
        "teacher_decay": 0.5,
        "teacher_seed": 1,
        "train_passages": 7,
        "window_stride": 3,
        "data_seed": 1,
    },
    "beam-tracking": {
        "teacher": "image-teacher",
        "teacher_loss": "cross-entropy",
        "teacher_passages": 9,
        "batch_chunks": 2,
        "night_share": 0.5,
        "distractors": 2.0,
        "image_size": 64,
    },
    "lidar-beam": {"teacher": "cnn-gru", "teacher_batch": 8},
}


@pytest.mark.parametrize(
    ("task", "base"),
    [(BEAM, beam(**BEAM_TEACHER)), (LIDAR, lidar(method="datafree"))],
    ids=named,
)
def test_what_makes_another_teacher_has_another_fingerprint(task, base):
    before = task.teacher_fingerprint(base)
    for name, value in {**OTHER_TEACHERS["both"], **OTHER_TEACHERS[task.name]}.items():
        assert name in task.resource_parameters
        assert task.teacher_fingerprint({**base, name: value}) != before, name


def test_of_self_distillation_the_student_decides_on_the_teacher():
    before = BEAM.teacher_fingerprint(beam(method="self"))
    for changes in ({"width": 0.5}, {"model": "image-teacher"}, {"generations": 2}):
        assert BEAM.teacher_fingerprint(beam(method="self", **changes)) != before


def test_methods_with_the_same_teacher_share_it():
    methods = [beam(method=m) for m in ("response", "feature", "relation")]
    ways = {BEAM.teacher_fingerprint(one) for one in (*methods, beam(method="response", width=0.5))}
    assert len(ways) == 1
    assert BEAM.teacher_fingerprint(beam(method="self")) not in ways
    assert len({LIDAR.teacher_fingerprint(lidar(method=method)) for method in DISTILLING}) == 1
    assert BEAM.teacher_fingerprint(beam()) is LIDAR.teacher_fingerprint(lidar()) is None


def test_trials_of_other_sensors_share_data_that_hold_all_of_them():
    held = {"sensors": "radar image"}
    arms = (
        beam(**held),
        beam(**held, model="image-radar-student"),
        beam(**held, model="radar-student", method="response", teacher="image-radar-teacher"),
    )
    assert len({BEAM.scenario_fingerprint(arm) for arm in arms}) == 1
    assert BEAM.scenario_fingerprint(beam()) != BEAM.scenario_fingerprint(arms[0])
    for params, sensors in (
        (beam(method="response", teacher="radar-teacher"), "image radar"),
        ({"topology": "self", **MIXED}, "image radar"),
        ({"topology": "self"}, "image"),
    ):
        assert BEAM.complete(params)["sensors"] == sensors


@pytest.mark.parametrize(
    ("task", "one", "other"),
    [
        (BEAM, {"teacher_passages": 100}, {}),
        (BEAM, {"topology": "mutual", "epochs": 9, "learning_rate": 0.5}, {"topology": "mutual"}),
        (BEAM, {"topology": "self", "epochs": 9, "learning_rate": 0.5}, {"topology": "self"}),
        (
            LIDAR,
            {"method": "datafree", "metadata": "inputs softmax  inputs"},
            {"method": "datafree", "metadata": "softmax inputs"},
        ),
    ],
    ids=named,
)
def test_other_spellings_are_the_same_trial(task, one, other):
    assert fingerprint(task.complete(one)) == fingerprint(task.complete(other))


def test_metadata_that_weigh_nothing_are_not_there():
    params = lidar(method="datafree", metadata_weight=0.0, entropy_weight=1.0)
    assert "metadata" not in LIDAR.complete(params)
    assert LIDAR.settings.resolve(params).groups == ()


@pytest.mark.parametrize(
    ("task", "method"), [(BEAM, "vanilla"), *((LIDAR, method) for method in WITHOUT_DATA)]
)
def test_on_files_of_ones_own_the_twin_has_no_parameters(tmp_path, task, method):
    folder = bare_table(tmp_path, "image")
    params = {"scenario": "deepsense", "data_path": str(folder), "train_passages": 9}
    completed = task.complete({**params, "method": method})
    assert not completed.keys() & task.settings.deciding("made data")


# --- deployments ---


@pytest.mark.parametrize("preset", BEAM.settings.preset_names())
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_presets_set_how_edges_train(preset, topology):
    completed = BEAM.complete({"preset": preset, "topology": topology})
    for name in ("edge_epochs", "edge_rate"):
        trains_on = topology in ("semi-centralized", "mutual", "self")
        assert (name in completed) == trains_on
        assert not trains_on or completed[name] == BEAM.settings.declared[name].default[preset]


def test_where_logits_are_sent_they_can_be_rounded_and_softened():
    for params in ({"topology": "mutual"}, {**SEMI, "anchor": "server", "method": "response"}):
        own = {"exchange_bits": 8, "anchor_weight": 0.5, "temperature": 3.0, "slot_lean": 1.0}
        completed = BEAM.complete({**params, **own})
        assert {name: completed[name] for name in own} == own


@pytest.mark.parametrize(
    ("name", "value", "another"),
    [
        ("topology", "decentralized", False),
        ("num_edges", 4, False),
        ("edge_families", "mixed", False),
        ("partition", "dirichlet", False),
        ("server_share", 0.4, True),
        ("num_teachers", 2, True),
        ("link_rate_mbps", 1.0, False),
        ("seed", 3, False),
    ],
)
def test_a_teacher_depends_on_what_the_server_has_seen(name, value, another):
    before = beam_network(method="response")
    after = beam_network(**{"method": "response", name: value})
    prints = BEAM.teacher_fingerprint(before), BEAM.teacher_fingerprint(after)
    assert (prints[0] != prints[1]) is another
    assert not another or name in BEAM.resource_parameters


def test_a_network_has_another_teacher_than_a_lone_node():
    lone = beam(method="response", sensors="image radar gps", teacher="image-radar-teacher")
    lone |= {"train_passages": 16, "teacher_epochs": 1, "batch_chunks": 2}
    ours = beam_network(method="response")
    assert BEAM.scenario_fingerprint(lone) == BEAM.scenario_fingerprint(ours)
    assert BEAM.teacher_fingerprint(lone) != BEAM.teacher_fingerprint(ours)
    for topology in ("mutual", "self"):
        assert BEAM.teacher_fingerprint(beam_network(topology)) is None


def test_resources_name_what_decides_on_data_and_teacher_and_no_other_network_parameter():
    network = NetworkSettings.model_fields.keys()
    expected = {"topology", "edge_families", "server_share", "num_teachers", "privacy_share"}
    assert BEAM.resource_parameters & network == expected
    assert NETWORK.keys() - network <= BEAM.resource_parameters | {"epochs"}


# --- refusals ---

IDLE = [
    (BEAM, {"topology": "centralized", "rehearsal_share": 0.5}, ""),
    (BEAM, {"topology": "centralized", "anchor_weight": 0.5}, ""),
    (BEAM, {**EDGES, "uploads": 1}, ""),
    (BEAM, {"topology": "semi-centralized", "rounds": 3}, ""),
    (BEAM, {"topology": "centralized", "uploads": 1, "exchange_bits": 8}, ""),
    (BEAM, {**SEMI, "anchor_weight": 0.5, "exchange_bits": 8}, ""),
    (BEAM, {"topology": "centralized", "edge_part_only": False}, ""),
    (BEAM, {"topology": "centralized", "server_age": 0.5}, ""),
    (BEAM, {"topology": "centralized", "server_coverage": 0.5}, ""),
    (BEAM, {"topology": "centralized", "partition_label": "condition"}, ""),
    (BEAM, {"topology": "centralized", "num_teachers": 2}, ""),
    (BEAM, {"topology": "mutual", "temperature": 2.0}, ""),
    (BEAM, {"topology": "mutual", "anchor_weight": 0.5, "alpha": 0.5}, ""),
    (BEAM, {"topology": "mutual", **MIXED, "model": "image-student"}, ""),
    (BEAM, {"partition_skew": 0.5}, ""),
    (BEAM, {"alpha": 0.5}, "alpha=0.5 .* methods with a teacher"),
    (BEAM, {"method": "feature", "temperature": 2.0}, "temperature=2.0 .* response and self"),
    (BEAM, {"method": "relation", "slot_lean": 1.0}, "slot_lean=1.0 .* response and self"),
    (BEAM, {"method": "response", "relation_angle": 1.0}, "relation_angle=1.0 .* method relation"),
    (BEAM, {"method": "response", "generations": 2}, "generations=2 .* method self"),
    (BEAM, {"task_loss": "cross-entropy", "focal_gamma": 2.0}, "focal_gamma=2.0 .* focal"),
    (BEAM, {"model": "image-teacher", "width": 0.5}, "width=0.5 .* students"),
    (LIDAR, {"alpha": 0.5}, "alpha=0.5 .* methods ordinary, feature and relation"),
    (LIDAR, {"method": "datafree", "alpha": 0.5}, "alpha=0.5 .* ordinary, feature and relation"),
    (LIDAR, {"method": "feature", "temperature": 2.0}, "temperature=2.0 .* imitate .* logits"),
    (LIDAR, {"method": "feature", "relation_angle": 1.0}, "relation_angle=1.0 .* method relation"),
    (LIDAR, {"temperature": 2.0}, "temperature=2.0 .* logits, and soft_loss kl"),
    (LIDAR, {"method": "prior", "soft_loss": "mse", "temperature": 2.0}, "temperature=2.0 .* kl"),
    (LIDAR, {"method": "ordinary", "taught_steps": "all"}, "taught_steps='all' .* without data"),
    (LIDAR, {"method": "prior", "generator": "dense"}, "generator='dense' .* datafree and untr"),
    (LIDAR, {"method": "untrained", "metadata": "final"}, "metadata='final' .* metadata_weight"),
    (LIDAR, {"method": "untrained", "entropy_weight": 1.0}, "entropy_weight=1.0 .* datafree"),
    (LIDAR, {"method": "gaussian", "travels": "generator"}, "travels='generator' .* datafree"),
    (LIDAR, {**EDGES, "uploads": 1}, "uploads=1 has no effect here: .* centralized"),
    (LIDAR, {**EDGES, "method": "prior", "edge_samples": 9}, "edge_samples=9 .* methods on data"),
    (LIDAR, {**EDGES, "scans_travel": True}, "scans_travel=True .* ordinary, feature and relation"),
    (LIDAR, {**EDGES, "method": "prior", "scans_travel": True}, "scans_travel=True .* relation"),
    (LIDAR, {**EDGES, "server_age": 0.5}, "server_age=0.5 .* whose site changes"),
    (LIDAR, {**EDGES, "method": "ordinary", "exchange_bits": 8}, "exchange_bits=8 .* samples"),
]


@pytest.mark.parametrize(("task", "params", "words"), IDLE, ids=named)
def test_parameters_without_effect_are_refused_with_what_they_belong_to(task, params, words):
    with pytest.raises(ConfigError, match=words or "has no effect here: it belongs to") as refused:
        task.complete(params)
    assert "has no effect here: it belongs to" in str(refused.value)


WRONG = [
    (BEAM, {"methd": "self"}, "no parameter 'methd'; did you mean 'method'"),
    (BEAM, {"preset": "tiny"}, "preset='tiny' must be one of"),
    (BEAM, {"model": "big"}, "model='big': input should be 'image-student'"),
    (BEAM, {"teacher": "image-student"}, "teacher='image-student'"),
    (BEAM, {"image_size": 65}, "image_size=65"),
    (BEAM, {"alpha": 1.5, "method": "self"}, "alpha=1.5"),
    (BEAM, {"epochs": 2.5}, "epochs=2.5"),
    (BEAM, {"night_share": 0.7, "rain_share": 0.4}, "rain_share=0.4 and night_share=0.7"),
    (BEAM, {"teacher_passages": 5}, "teacher_passages=5 must be 0 or at least train_passages=100"),
    (BEAM, {"sensors": "image sonar"}, "sensors='image sonar' must be some of image, radar, gps"),
    (BEAM, {"sensors": "radar"}, "sensors='radar' lacks image, which model image-student"),
    (BEAM, {"scenario": "deepsense"}, "set data_path"),
    (BEAM, {"data_path": "x"}, "data_path='x' has no effect with scenario 'street'"),
    (BEAM, {"topology": "mutual", "method": "response"}, "method='response' .* mutual has none"),
    (BEAM, {"topology": "self", "method": "self"}, "method='self' .* anchor_weight"),
    (
        BEAM,
        {"topology": "centralized", "method": "response", "teacher_passages": 500},
        "teacher_passages=500 needs topology none.* set server_share",
    ),
    (BEAM, {"topology": "centralized", "method": "self", **MIXED}, "method='self' .* edge_fam"),
    (BEAM, {"topology": "centralized", "uploads": 1, **MIXED}, "uploads=1: .* lack sensors"),
    (BEAM, {"topology": "self", **MIXED, "sensors": "image"}, "sensors='image' lacks radar"),
    (
        BEAM,
        {"topology": "self", "second_model": "radar-student"},
        "second_model='radar-student' needs topology none, not self",
    ),
    (LIDAR, {"method": "relation", "relation_partners": 0}, "relation_partners=0"),
    (
        LIDAR,
        {"method": "datafree", "metadata_weight": 0.0, "entropy_weight": 1.0, "metadata": "x"},
        "metadata='x' must be some of final, moments, softmax, covariance, inputs",
    ),
    (LIDAR, {"method": "datafree", "metadata": " "}, "set metadata_weight to 0"),
    (LIDAR, {"method": "datafree", "metadata_weight": 0.0}, "are all 0: nothing to train"),
    (LIDAR, {"method": "datafree", "generator_noise": 1}, "generator_noise=1 must be 0"),
    (LIDAR, {"method": "datafree", "generator_steps": 30}, "generator_steps=30: .* multiple of 20"),
    (LIDAR, {"method": "prior", "windows": 50}, "windows=50 must be at least batch_size=64"),
    (LIDAR, {"selection": "synthetic"}, "selection='synthetic' needs made-up windows, .* vanilla"),
    (LIDAR, {"methd": "prior"}, "no parameter 'methd'; did you mean 'method'"),
    (LIDAR, {"teacher": "student"}, "teacher='student'"),
    (LIDAR, {"preset": "tiny"}, "preset='tiny' must be one of"),
    (LIDAR, {"scenario": "deepsense"}, "set data_path"),
    (LIDAR, {"scenario": "deepsense", "data_path": "/nowhere"}, "no such file or folder"),
    (LIDAR, {"data_path": "x"}, "data_path='x' has no effect with scenario 'street'"),
    (LIDAR, {"topology": "centralized", "method": "prior"}, "method='prior' makes .* decentral"),
    (LIDAR, {**EDGES, "method": "prior", "selection": "real"}, "selection='real' needs topology"),
    (LIDAR, {**EDGES, "edge_families": "mixed"}, "edge_families='mixed'"),
    (LIDAR, {**EDGES, "num_teachers": 2}, "num_teachers=2"),
    (
        LIDAR,
        lidar(**EDGES, method="datafree", edge_memory_mb=0.5, generator_batch=64),
        r"edge_memory_mb=0.5: .* lower generator_batch=64, or set travels to generator",
    ),
    (LIDAR, lidar(**EDGES, edge_memory_mb=0.01), "lower batch_size=16, or take topology central"),
]


@pytest.mark.parametrize(("task", "params", "words"), WRONG, ids=named)
def test_what_cannot_be_is_refused_in_words(task, params, words):
    with pytest.raises(ConfigError, match=words):
        task.complete(params)


def test_completed_deployments_are_complete():
    for params in (
        lidar_network(method="datafree"),
        lidar_network("centralized", uploads=2),
        beam_network("semi-centralized"),
    ):
        task = LIDAR if "dropout" in params else BEAM
        assert list(task.complete(params).items()) == list(params.items())
