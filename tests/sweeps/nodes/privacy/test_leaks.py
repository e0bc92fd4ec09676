"""Leaks of deployments: which are measured, on which samples, and what is refused before."""

from typing import Any

import pytest
from network_deployments import WATCHED, assert_same_arrays, numbers
from toy_deployments import DATA, TASK, deploy

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.gaussian_mechanism import epsilon_of
from kdtasks.contract.privacy import PRIVACY_METRICS
from sweeps.nodes.topologies.catalog import collaborative
from sweeps.nodes.transport import InProcessTransport

SPENT = {"dp_epsilon": 1.0}
MEASURED = {"privacy_share": 0.2, "topology": "mutual"}


@pytest.mark.parametrize("name", [n for n in WATCHED if n.startswith("leaks")])
def test_leaks_are_measured_and_measuring_changes_no_student(name: str) -> None:
    found, again, other = (deploy(**{**WATCHED[name], "shadow_models": n}) for n in (2, 2, 3))
    assert numbers(found.metrics) == numbers(again.metrics)
    assert_same_arrays(found.weights, other.weights)
    leaks = {n: v for n, v in found.metrics.items() if n.startswith("privacy_")}
    assert leaks.keys() <= PRIVACY_METRICS.keys()
    mutual = WATCHED[name]["topology"] == "mutual"
    missing = PRIVACY_METRICS.keys() - leaks.keys()
    assert missing == {"epsilon", *(["privacy_teacher_auc"] if mutual else [])}
    assert all(0.0 <= v <= 1.0 for n, v in leaks.items() if "members" not in n)
    assert leaks["privacy_auc_low"] <= leaks["privacy_auc"] <= leaks["privacy_auc_high"]
    if WATCHED[name]["topology"] == "decentralized":
        assert leaks["privacy_auc"] == leaks["privacy_teacher_auc"]


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"topology": "self"}, "mutual"),
        ({"topology": "per-edge", "edge_topologies": "centralized " * 4}, "mutual"),
        ({"topology": "decentralized", "method": "vanilla"}, "with a teacher"),
        ({"topology": "decentralized", "method": "pairs"}, "with a teacher"),
        ({"topology": "centralized", "uploads": 1}, "uploads to 0"),
        ({"topology": "semi-centralized", "rehearsal_share": 0.5}, "synthetic"),
        ({"rounds": 1}, "2 or more"),
        ({"edge_families": "mixed"}, "edge_families to same"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(changes: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigError) as raised:
        collaborative(TASK, TASK.complete({**MEASURED, **changes}))
    assert "privacy_share=0.2" in str(raised.value)
    assert remedy in str(raised.value)


def test_a_share_without_a_sample_is_refused_before_training() -> None:
    params = TASK.complete({**MEASURED, "privacy_share": 1e-4})
    with pytest.raises(Exception, match="no training sample of any edge"):
        InProcessTransport("toy_network:ToyNetworkTask", (DATA.train, DATA.val), None, params)


def test_without_noise_everything_is_bit_for_bit_as_it_was() -> None:
    plain = {"topology": "mutual", "rounds": 3, "anchor_weight": 0.5}
    silent, loud, louder = (
        deploy(**plain, **noise) for noise in ({"dp_clip": 9.0}, {"dp_sigma": 0.1}, SPENT)
    )
    assert numbers(silent.metrics) == numbers(deploy(**plain).metrics)
    assert_same_arrays(silent.weights, deploy(**plain).weights)
    assert "epsilon" not in silent.metrics
    assert any((loud.weights[n] != a).any() for n, a in silent.weights.items())
    assert louder.metrics["epsilon"] == pytest.approx(SPENT["dp_epsilon"])
    assert loud.metrics["epsilon"] > louder.metrics["epsilon"]
    assert loud.metrics["bytes_over_air"] == silent.metrics["bytes_over_air"]


def test_noise_on_statistics_is_one_message_to_all_edges() -> None:
    found = deploy(**WATCHED["noisy statistics"])
    assert_same_arrays(found.weights, deploy(**WATCHED["noisy statistics"]).weights)
    assert found.metrics["epsilon"] == pytest.approx(epsilon_of(0.5, 1, NetworkSettings().dp_delta))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"topology": "centralized", "dp_sigma": 1.0}, "dp_sigma=1: students, teachers"),
        ({"topology": "decentralized", "dp_epsilon": 1.0}, "NoisesExtras"),
        ({"topology": "semi-centralized", "rehearsal_share": 1.0, "dp_sigma": 1.0}, "synthetic"),
        ({"topology": "mutual", "dp_sigma": 1.0, "dp_epsilon": 1.0}, "leave one of them at 0"),
        ({"topology": "mutual", "rounds": 1, "dp_sigma": 1.0}, "take 2 or more"),
        ({**WATCHED["noisy statistics"], "num_teachers": 2}, "num_teachers to 1"),
    ],
)
def test_noise_that_would_cover_nothing_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        collaborative(TASK, TASK.complete(changes))
    assert problem in str(raised.value)
