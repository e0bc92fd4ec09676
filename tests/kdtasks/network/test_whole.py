"""What tasks cost together follows from what each costs alone."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import MetricInfo
from kdtasks.network.whole import Cost, OwnBest, own_bests, together

Step = tuple[str, int]
"""What a step of a deployment occupies (edge, server or the server's link), and its time."""

BYTES_PER_S = 125_000
"""Of a link of 1 Mbit/s."""

steps = st.lists(
    st.tuples(st.sampled_from(["edge", "server", "link"]), st.integers(0, 4)), max_size=6
)


def cost_of(deployment: Sequence[Step]) -> Cost:
    """Return what a deployment costs alone, with a server whose link takes no time."""
    total = dict.fromkeys(("edge", "server", "link"), 0)
    for kind, time in deployment:
        total[kind] += time
    return Cost(
        sent_bytes=float(BYTES_PER_S * total["link"]),
        deployment_s=float(total["edge"] + total["server"]),
        server_s=float(total["server"]),
    )


def simulated_s(deployments: Sequence[Sequence[Step]]) -> int:
    """Return when the last deployment has ended, second by second; the first take precedence."""
    left = [[[kind, time] for kind, time in one if time] for one in deployments]
    now = 0
    while any(left):
        taken = set()
        for one in left:
            if one and (one[0][0] == "edge" or one[0][0] not in taken):
                taken.add(one[0][0])
                one[0][1] -= 1
        left = [one[1:] if one and not one[0][1] else one for one in left]
        now += 1
    return now


@given(st.lists(steps, min_size=1, max_size=4))
def test_no_schedule_with_this_precedence_takes_longer(deployments: list[list[Step]]) -> None:
    found = together([cost_of(one) for one in deployments], link_mbps=1.0)
    assert simulated_s(deployments) <= found["deployment_s"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4))
def test_it_is_exact_where_the_server_begins(each: list[tuple[int, int]]) -> None:
    deployments = [[("server", first), ("edge", then)] for first, then in each]
    found = together([cost_of(one) for one in deployments])
    assert simulated_s(deployments) == found["deployment_s"]


costs = st.builds(Cost, **dict.fromkeys(Cost.__dataclass_fields__, st.integers(0, 1000).map(float)))


@given(st.lists(costs, min_size=1, max_size=4))
def test_what_shares_nothing_costs_what_each_costs_alone(each: list[Cost]) -> None:
    """Tasks without work of the server wait for none; a task alone is as in a study of its own."""
    idle = [
        Cost(sent_bytes=one.sent_bytes, energy_j=one.energy_j, deployment_s=one.deployment_s)
        for one in each
    ]
    found = together(idle)
    assert found["deployment_s"] == max(one.deployment_s for one in each)
    assert found["bytes_over_air"] == sum(one.sent_bytes for one in each)
    assert found["energy_j"] == sum(one.energy_j for one in each)
    alone = together(each[:1])
    assert alone["deployment_s"] == each[0].deployment_s
    assert alone["server_peak_bytes"] == each[0].teacher_bytes + each[0].training_bytes


@given(costs, costs)
def test_teachers_are_held_together_and_students_trained_in_turn(one: Cost, other: Cost) -> None:
    found = together([one, other])
    assert found["server_teacher_bytes"] == one.teacher_bytes + other.teacher_bytes
    more = found["server_peak_bytes"] - found["server_teacher_bytes"]
    assert more == max(one.training_bytes, other.training_bytes)


def info(unit: str, direction: str) -> MetricInfo:
    return MetricInfo(unit=unit, direction=direction, description="")  # type: ignore[arg-type]


numbers = st.floats(0.01, 100.0)


@given(numbers, numbers, numbers)
def test_a_share_is_one_for_the_best_and_falls_with_what_is_worse(
    best: float, value: float, worse: float
) -> None:
    for unit in ("", "dB"):
        for direction, order in (("maximize", min), ("minimize", max)):
            own = OwnBest(metric="m", info=info(unit, direction), value=best)
            assert own.share(best) == 1.0
            assert 0.0 < own.share(order(value, worse)) <= own.share(value) <= 1.0


def test_a_share_in_db_is_that_of_the_powers() -> None:
    nmse = OwnBest(metric="nmse_db", info=info("dB", "minimize"), value=-13.0)
    assert math.isclose(nmse.share(-10.0), 10.0**-0.3)
    assert OwnBest(metric="e", info=info("", "minimize"), value=1.0).share(0.0) == 1.0


class Known:
    def __init__(self, **metrics: MetricInfo) -> None:
        self.metrics = metrics


TASKS = {
    "a": Known(val_nmse_db=info("dB", "minimize"), ue_flops=info("", "minimize")),
    "b": Known(val_top1=info("", "maximize")),
}


def test_own_bests_are_read_as_they_stand() -> None:
    found = own_bests(" b top1  0.5, a nmse_db -3 ", TASKS)  # type: ignore[arg-type]
    assert {n: (one.metric, one.value) for n, one in found.items()} == {
        "a": ("nmse_db", -3.0),
        "b": ("top1", 0.5),
    }
    assert own_bests("", TASKS) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("listed", "named"),
    [
        ("a nmse_db -3", "b"),
        ("a nmse_db -3, a nmse_db -3", "once"),
        ("c top1 1", "a, b"),
        ("a ue_flops 1, b top1 1", "nmse_db"),
        ("a nmse_db -3, b top1 0", "above 0"),
        ("a nmse_db -3, b top1 nan", "number"),
        ("a nmse_db -3, b top1", "number"),
        (",", "number"),
    ],
)
def test_own_bests_that_are_none_are_refused(listed: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        own_bests(listed, TASKS)  # type: ignore[arg-type]
