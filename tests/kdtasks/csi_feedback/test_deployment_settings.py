"""Parameters of deployments: which belong together, which are dropped, what complete() promises."""

import pytest
from csi_examples import METHODS, TASK, tiny
from csi_network_examples import NETWORK, TOPOLOGIES, networked

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.settings import CsiSettings


@pytest.mark.parametrize("method", METHODS)
def test_without_a_network_the_topology_is_the_only_network_parameter(method):
    dropped = {"num_edges": 7, "server_share": 0.3, "edge_epochs": 9, "proxy_samples": 3}
    completed = TASK.complete({"method": method, **dropped})
    assert completed.keys() & NetworkSettings.model_fields.keys() == {"topology"}
    assert completed == TASK.complete({"method": method})
    assert completed["topology"] == "none"


@pytest.mark.parametrize("preset", CsiSettings.preset_names())
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_presets_state_how_edges_train(preset, topology):
    completed = TASK.complete({"preset": preset, "topology": topology})
    for name in ("edge_epochs", "edge_rate"):
        trains_on = topology in ("semi-centralized", "mutual", "self")
        assert (name in completed) == trains_on
        assert not trains_on or completed[name] == CsiSettings.declared[name].default[preset]


@pytest.mark.parametrize(
    "params",
    [
        {"topology": "centralized", "rehearsal_share": 0.5},
        {"topology": "semi-centralized", "rehearsal_source": "global"},
        {"topology": "semi-centralized", "anchor": "server"},
        {"topology": "centralized", "anchor_weight": 0.5},
        {"topology": "decentralized", "uploads": 1},
        {"topology": "centralized", "upload_share": 0.5},
        {"topology": "semi-centralized", "rounds": 3},
        {"topology": "centralized", "exchange_bits": 8},
        {"topology": "decentralized", "exchange_bits": 8, "method": "encoder-kd"},
        {"topology": "decentralized", "pair_bits": 8, "method": "ip-encoder-kd"},
        {"partition_skew": 0.5},
        {"exchange_bits": 8, "method": "ip-encoder-kd"},
        {"topology": "semi-centralized", "temperature": 2.0},
        {"topology": "self", "anchor_weight": 0.0, "soft_scale": "paper"},
        {"topology": "mutual", "anchor_weight": 0.5, "alpha": 0.5},
    ],
)
def test_swept_parameters_without_effect_are_refused(params):
    with pytest.raises(ConfigError, match="has no effect here: it belongs to"):
        TASK.complete(params)


@pytest.mark.parametrize(
    "params",
    [
        {"topology": "semi-centralized", "anchor_weight": 0.5},
        {"topology": "mutual", "anchor_weight": 0.5},
        {"topology": "self", "anchor_weight": 0.5},
        {"topology": "semi-centralized", "anchor_weight": 0.5, "method": "encoder-kd"},
    ],
)
def test_a_distillation_term_at_edges_has_a_temperature(params):
    completed = TASK.complete({**params, "temperature": 2.0, "soft_scale": "paper"})
    assert (completed["temperature"], completed["soft_scale"]) == (2.0, "paper")
    assert "alpha" not in completed


@pytest.mark.parametrize(
    ("params", "message"),
    [
        *(
            (
                {"topology": topology, "method": "sequential"},
                f"method='sequential'.*topology decentralized or none, not {topology}",
            )
            for topology in ("centralized", "semi-centralized", "mutual", "self")
        ),
        (
            {"topology": "mutual", "method": "encoder-kd"},
            "method='encoder-kd' needs a teacher, and topology mutual has none: set method to",
        ),
        (
            {"topology": "centralized", "second_scenario": "site-umi-nlos"},
            "second_scenario='site-umi-nlos' needs topology none, not centralized",
        ),
        (
            {"topology": "decentralized", "method": "sequential", "edge_families": "mixed"},
            "same encoder on both sides: set edge_families",
        ),
        ({"topology": "star"}, "topology='star'.*'centralized'"),
        ({"num_edges": 0}, "num_edges=0"),
        (
            {"topology": "centralized", "server_age": 0.5, "scenario": "tr38901-umi-los"},
            "server_age=0.5.*has no past",
        ),
    ],
)
def test_errors_name_the_parameter_the_value_and_the_way_out(params, message):
    with pytest.raises(ConfigError, match=message):
        TASK.complete(params)


@pytest.mark.parametrize("topology", ["mutual", "self"])
def test_rounds_have_their_own_epochs_and_rate(topology):
    plain = TASK.complete({"topology": topology})
    assert TASK.complete({"topology": topology, "epochs": 9, "learning_rate": 0.5}) == plain
    assert not plain.keys() & {"epochs", "learning_rate"}


CHANGES = [
    ("topology", "decentralized", False),
    ("num_edges", 4, False),
    ("edge_families", "mixed", False),
    ("partition", "dirichlet", False),
    ("partition_skew", 0.5, False),
    ("edge_samples", 20, False),
    ("server_share", 0.4, True),
    ("server_coverage", 0.5, True),
    ("server_age", 0.5, True),
    ("link_rate_mbps", 1.0, False),
    ("uploads", 2, False),
    ("seed", 3, False),
]


@pytest.mark.parametrize(("name", "value", "another"), CHANGES, ids=[row[0] for row in CHANGES])
def test_a_teacher_depends_on_what_the_server_has_seen(name, value, another):
    before = networked(method="encoder-kd")
    after = networked(**{"method": "encoder-kd", name: value})
    prints = TASK.teacher_fingerprint(before), TASK.teacher_fingerprint(after)
    assert (prints[0] != prints[1]) is another
    if another:
        assert name in TASK.resource_parameters


def test_a_network_has_another_teacher_than_a_lone_node():
    alone = TASK.teacher_fingerprint(tiny(method="encoder-kd", **NETWORK))
    assert TASK.teacher_fingerprint(networked(method="encoder-kd")) != alone
    assert "topology" in TASK.resource_parameters
    for topology in ("mutual", "self"):
        assert TASK.teacher_fingerprint(networked(topology)) is None


def test_resources_and_baselines_name_no_other_network_parameter():
    network = NetworkSettings.model_fields.keys()
    server = {"server_share", "server_coverage", "server_age", "privacy_share"}
    assert TASK.resource_parameters & network == {"topology", "num_teachers", *server}
    assert TASK.baseline_parameters & network == server
    assert TASK.baseline_parameters <= TASK.resource_parameters


def test_only_the_age_of_the_servers_data_makes_other_data():
    before = TASK.scenario_fingerprint(networked())
    for name in ("server_share", "server_coverage", "partition_skew", "num_edges"):
        changed = networked(**{name: 4 if name == "num_edges" else 0.5})
        assert TASK.scenario_fingerprint(changed) == before
    assert TASK.scenario_fingerprint(networked(server_age=0.5)) != before
    assert TASK.scenario_fingerprint(tiny(**NETWORK)) == before


def test_what_trains_a_decoder_from_scratch_has_no_part_to_leave_alone():
    for method, kept in (("vanilla", False), ("autoencoder-kd", False), ("encoder-kd", True)):
        params = {"topology": "decentralized", "method": method}
        whole, part = (TASK.complete({**params, "edge_part_only": v}) for v in (False, True))
        assert (whole != part) is kept


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"partition": "area", "num_edges": 3}, r"partition='area' .* take partition dirichlet"),
        ({"partition": "dirichlet", "server_coverage": 0.5}, r"server_coverage=0.5 .* server_age"),
    ],
)
def test_what_lies_in_one_small_area_is_not_divided_by_angle(changes, message):
    here = tiny(topology="centralized", scenario="site-umi-nlos-area-1", **changes)
    with pytest.raises(ConfigError, match=message):
        TASK.complete(here)
    TASK.complete({**here, "partition": "dirichlet", "server_coverage": 1.0})
