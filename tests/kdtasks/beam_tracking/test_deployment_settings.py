"""Parameters of beam deployments: what belongs together, what is refused, what a trial is."""

import pytest
from beam_network_examples import MIXED, NETWORK, TOPOLOGIES, networked
from beam_trials import TASK, tiny
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.beam_tracking.settings import FAMILIES, BeamSettings
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import fingerprint

SHARED = {
    "num_edges": st.integers(1, 256),
    "partition": st.sampled_from(["area", "dirichlet"]),
    "partition_skew": st.floats(0.0, 1.0),
    "edge_samples": st.integers(0, 10**4),
    "server_share": st.floats(0.01, 0.99),
    "proxy_samples": st.integers(1, 10**4),
    "edge_epochs": st.integers(1, 50),
    "link_loss": st.floats(0.0, 0.95),
    "learning_rate": st.floats(1e-5, 1.0),
    "epochs": st.integers(1, 300),
    "seed": st.integers(0, 2**63 - 1),
}
METHOD = {"method": st.sampled_from(["vanilla", "response", "feature", "relation"])}
FAMILY = {"edge_families": st.sampled_from(["same", "mixed"])}
ROUNDS = {"rounds": st.integers(1, 9), "anchor_weight": st.floats(0.0, 1.0), **FAMILY}
OF_TOPOLOGY = {
    "centralized": {**METHOD, "uploads": st.integers(0, 9)},
    "decentralized": {**METHOD, **FAMILY},
    "semi-centralized": {**METHOD, **FAMILY, "rehearsal_share": st.floats(0.0, 4.0)},
    "mutual": {**ROUNDS, "exchange_bits": st.integers(0, 16)},
    "self": ROUNDS,
}
PARAMS = st.one_of(
    *(
        st.builds(
            lambda topology, shared, own: {**shared, **own, "topology": topology},
            st.just(topology),
            st.fixed_dictionaries({}, optional=SHARED),
            st.fixed_dictionaries({}, optional=own),
        )
        for topology, own in OF_TOPOLOGY.items()
    )
)
"""Any valid parameters of a deployment."""


@given(PARAMS, st.integers(0, 5))
def test_parameters_of_an_edge_are_complete_and_need_no_other_data(params, edge):
    own = TASK.edge_params(TASK.complete(params), edge)
    assert TASK.complete(own) == own
    assert TASK.scenario_fingerprint(own) == TASK.scenario_fingerprint(params)
    mixed = params.get("edge_families") == "mixed"
    assert own["model"] == (FAMILIES[edge % 3] if mixed else "image-student")
    assert TASK.edge_params(own, edge) == own


IDENTITIES = [
    ({}, "37cfe0d10675938b", None, "f524d09e358806c6"),
    (
        {"method": "response", "alpha": 0.3, "sensors": "image radar"},
        "74bc6f0af56436fb",
        "1947e1dc15e8564a",
        "e25cf94af4bef17a",
    ),
    (
        {"method": "self", "preset": "paper", "generations": 2},
        "227354d4eb505523",
        "e6b0490df64d2b90",
        "915c18b1e9194e73",
    ),
]


@pytest.mark.parametrize(("params", "trial", "teacher", "scenario"), IDENTITIES)
def test_without_a_network_a_trial_is_what_it_was_before_there_were_any(
    params, trial, teacher, scenario
):
    """Trials, teachers and data that were kept by their fingerprints are found again."""
    completed = TASK.complete({**params, "num_edges": 7, "topology": "none", "edge_epochs": 9})
    assert fingerprint(completed) == trial
    assert TASK.teacher_fingerprint(completed) == teacher
    assert TASK.scenario_fingerprint(completed) == scenario
    assert not completed.keys() & NetworkSettings.model_fields.keys()


@pytest.mark.parametrize("preset", BeamSettings.preset_names())
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_presets_say_how_edges_train(preset, topology):
    completed = TASK.complete({"preset": preset, "topology": topology})
    for name in ("edge_epochs", "edge_rate"):
        trains_on = topology in ("semi-centralized", "mutual", "self")
        assert (name in completed) == trains_on
        assert not trains_on or completed[name] == BeamSettings.declared[name].default[preset]


SEMI = {"topology": "semi-centralized", "rehearsal_share": 0.5}


@pytest.mark.parametrize(
    "params",
    [
        {"topology": "centralized", "rehearsal_share": 0.5},
        {"topology": "centralized", "anchor_weight": 0.5},
        {"topology": "decentralized", "uploads": 1},
        {"topology": "semi-centralized", "rounds": 3},
        {"topology": "centralized", "uploads": 1, "exchange_bits": 8},
        {**SEMI, "anchor_weight": 0.5, "exchange_bits": 8},
        {"topology": "centralized", "edge_part_only": False},
        {"topology": "centralized", "server_age": 0.5},
        {"topology": "centralized", "server_coverage": 0.5},
        {"topology": "centralized", "partition_label": "condition"},
        {"topology": "centralized", "num_teachers": 2},
        {"topology": "mutual", "temperature": 2.0},
        {"topology": "mutual", "anchor_weight": 0.5, "alpha": 0.5},
        {"topology": "mutual", **MIXED, "model": "image-student"},
        {"partition_skew": 0.5},
    ],
    ids=str,
)
def test_swept_parameters_without_effect_are_refused(params):
    with pytest.raises(ConfigError, match="has no effect here: it belongs to"):
        TASK.complete(params)


def test_where_logits_are_sent_they_can_be_rounded_and_softened():
    for params in (
        {"topology": "mutual"},
        {**SEMI, "anchor": "server", "method": "response"},
    ):
        own = {"exchange_bits": 8, "anchor_weight": 0.5, "temperature": 3.0, "slot_lean": 1.0}
        completed = TASK.complete({**params, **own})
        assert {name: completed[name] for name in own} == own


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"topology": "mutual", "method": "response"}, "method='response' .* mutual has none"),
        ({"topology": "self", "method": "self"}, "method='self' .* anchor_weight"),
        (
            {"topology": "centralized", "method": "response", "teacher_passages": 500},
            "teacher_passages=500 needs topology none.* set server_share",
        ),
        ({"topology": "centralized", "method": "self", **MIXED}, "method='self' .* edge_families"),
        ({"topology": "centralized", "uploads": 1, **MIXED}, "uploads=1: .* lack sensors"),
        ({"topology": "self", **MIXED, "sensors": "image"}, "sensors='image' lacks radar"),
        (
            {"topology": "self", "second_model": "radar-student"},
            "second_model='radar-student' needs topology none, not self",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(params, message):
    with pytest.raises(ConfigError, match=message):
        TASK.complete(params)


def test_mixed_deployments_have_all_sensors_in_their_data():
    assert TASK.complete({"topology": "self", **MIXED})["sensors"] == "image radar"
    assert TASK.complete({"topology": "self"})["sensors"] == "image"


@pytest.mark.parametrize("topology", ["mutual", "self"])
def test_rounds_have_their_own_epochs_and_rate(topology):
    plain = TASK.complete({"topology": topology})
    assert TASK.complete({"topology": topology, "epochs": 9, "learning_rate": 0.5}) == plain


CHANGES = [
    ("topology", "decentralized", False),
    ("num_edges", 4, False),
    ("edge_families", "mixed", False),
    ("partition", "dirichlet", False),
    ("server_share", 0.4, True),
    ("num_teachers", 2, True),
    ("link_rate_mbps", 1.0, False),
    ("seed", 3, False),
]


@pytest.mark.parametrize(("name", "value", "another"), CHANGES, ids=[row[0] for row in CHANGES])
def test_a_teacher_depends_on_what_the_server_has_seen(name, value, another):
    before = networked(method="response")
    after = networked(**{"method": "response", name: value})
    prints = TASK.teacher_fingerprint(before), TASK.teacher_fingerprint(after)
    assert (prints[0] != prints[1]) is another
    if another:
        assert name in TASK.resource_parameters


def test_a_network_has_another_teacher_than_a_lone_node():
    lone = tiny(method="response", sensors="image radar gps", teacher="image-radar-teacher")
    lone |= {"train_passages": 16, "teacher_epochs": 1, "batch_chunks": 2}
    ours = networked(method="response")
    assert TASK.scenario_fingerprint(lone) == TASK.scenario_fingerprint(ours)
    assert TASK.teacher_fingerprint(lone) != TASK.teacher_fingerprint(ours)
    for topology in ("mutual", "self"):
        assert TASK.teacher_fingerprint(networked(topology)) is None


def test_resources_name_what_decides_on_data_and_teacher_and_no_other_network_parameter():
    network = NetworkSettings.model_fields.keys()
    expected = {"topology", "edge_families", "server_share", "num_teachers"}
    assert TASK.resource_parameters & network == expected
    assert NETWORK.keys() - network <= TASK.resource_parameters | {"epochs"}
