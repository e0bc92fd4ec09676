"""The server's choice: who lacks memory, time, samples or need of it does not train."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.policy import (
    EDGE_TOPOLOGIES,
    Demand,
    Means,
    Rule,
    affords,
    choose,
    takes_s,
)
from kdtasks.contract.registry import load_task

POSITIVE = st.floats(1.0, 1e12)
SHARES = st.floats(0.0, 1.0)
MEANS = st.builds(
    Means,
    memory_bytes=POSITIVE | st.just(math.inf),
    flops=POSITIVE,
    link_bps=POSITIVE,
    samples=st.integers(0, 10_000),
    age=SHARES,
)
DEMAND = st.builds(Demand, peak_bytes=POSITIVE, flop=POSITIVE, sent_bytes=POSITIVE)
DEMANDS = st.fixed_dictionaries({"decentralized": DEMAND, "semi-centralized": DEMAND})
RULE = st.builds(
    Rule,
    deadline_s=POSITIVE | st.just(math.inf),
    samples=st.integers(0, 10_000),
    fresh=SHARES,
    stale=SHARES,
)
AMPLE = Means(flops=math.inf, link_bps=math.inf, samples=10**9, age=1.0)


@given(MEANS, DEMANDS, RULE)
def test_what_is_chosen_is_affordable(means, demands, rule):
    chosen = choose(means, demands, rule)
    assert chosen in EDGE_TOPOLOGIES
    if chosen != "centralized":
        assert affords(means, demands[chosen], rule)
        assert demands[chosen].peak_bytes <= means.memory_bytes
        assert takes_s(means, demands[chosen]) <= rule.deadline_s
        assert means.samples >= rule.samples
        assert means.age > rule.fresh


@given(MEANS, DEMANDS, RULE)
def test_an_edge_without_memory_for_the_teacher_never_has_it(means, demands, rule):
    teacher = demands["decentralized"].peak_bytes
    poor = replace(means, memory_bytes=math.nextafter(teacher, 0.0))
    assert choose(poor, demands, rule) != "decentralized"


@given(MEANS, DEMANDS, RULE)
def test_an_edge_trains_where_it_can_and_has_reason_to(means, demands, rule):
    """The other way round: centralized is never chosen where training is affordable."""
    reason = means.age > rule.fresh and means.samples >= rule.samples
    able = any(affords(means, one, rule) for one in demands.values())
    assert (choose(means, demands, rule) == "centralized") is not (reason and able)


@given(MEANS, DEMANDS, RULE, st.floats(1.0, 1e3))
def test_more_of_anything_never_ends_training(means, demands, rule, factor):
    if choose(means, demands, rule) == "centralized":
        return
    richer = [
        replace(means, memory_bytes=means.memory_bytes * factor),
        replace(means, flops=means.flops * factor),
        replace(means, link_bps=means.link_bps * factor),
        replace(means, samples=math.ceil(means.samples * factor)),
        replace(means, age=min(1.0, means.age * factor)),
    ]
    assert "centralized" not in [choose(one, demands, rule) for one in richer]


@given(DEMANDS, SHARES, SHARES)
def test_with_plenty_of_everything_the_age_decides(demands, fresh, stale):
    for age in (0.0, fresh, stale, 1.0):
        chosen = choose(replace(AMPLE, age=age), demands, Rule(fresh=fresh, stale=stale))
        if age <= fresh:
            assert chosen == "centralized"
        else:
            assert chosen == ("decentralized" if age >= stale else "semi-centralized")


@pytest.mark.parametrize(("topology", "age"), [("decentralized", 1.0), ("semi-centralized", 0.4)])
def test_an_edge_that_affords_only_the_other_one_has_that(topology, age):
    other = {"decentralized": "semi-centralized", "semi-centralized": "decentralized"}[topology]
    demands = {topology: Demand(peak_bytes=9.0), other: Demand(peak_bytes=1.0)}
    means = replace(AMPLE, memory_bytes=5.0, age=age)
    assert choose(means, demands, Rule(fresh=0.1, stale=0.5)) == other


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE)
def test_time_is_that_of_link_and_training(sent, flop, bps, flops):
    means = replace(AMPLE, link_bps=bps, flops=flops)
    halves = [Demand(sent_bytes=sent), Demand(flop=flop)]
    whole = takes_s(means, Demand(sent_bytes=sent, flop=flop))
    assert whole == pytest.approx(sum(takes_s(means, half) for half in halves))
    assert takes_s(means, halves[0]) == pytest.approx(8 * sent / bps)


@pytest.mark.parametrize("name", ["lidar-beam", "beam-tracking"])
def test_a_task_that_cannot_choose_refuses_what_does_not_fit(name):
    params = {"topology": "per-edge", "policy": "thresholds", "edge_memory_mb": 0.001}
    with pytest.raises(ConfigError, match=r"edge_memory_mb=0\.001.*take topology centralized"):
        load_task(name).complete(params)
