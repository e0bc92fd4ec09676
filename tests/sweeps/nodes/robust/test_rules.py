"""Laws of the rules by which several nodes are blended: what a minority of liars cannot do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.nodes.robust.findings import anomaly_scores, detection_auc
from sweeps.nodes.robust.rules import (
    clipped,
    coordinate_median,
    fewest_for_krum,
    fewest_for_trimmed_mean,
    krum,
    norms,
    trimmed_mean,
)

finite = st.floats(-1e6, 1e6, width=32)
lies = st.floats(-1e30, 1e30)


def vectors(count, size, numbers):
    row = st.lists(numbers, min_size=size, max_size=size)
    return st.lists(row, min_size=count, max_size=count).map(
        lambda rows: np.array(rows, dtype=np.float64).reshape(count, size)
    )


@st.composite
def crowds(draw, fewest):
    """Draw liars, how many there are at most, honest vectors, and an order of all."""
    liars = draw(st.integers(0, 3))
    size = draw(st.integers(1, 4))
    count = draw(st.integers(fewest(liars), fewest(liars) + 3))
    honest = draw(vectors(count - liars, size, finite))
    lying = draw(vectors(liars, size, lies))
    order = draw(st.permutations(range(count)))
    return liars, honest, np.concatenate([honest, lying])[order]


def within(found, honest):
    slack = 1e-6 * (1.0 + np.abs(honest).max())
    low, high = honest.min(0) - slack, honest.max(0) + slack
    return bool(((low <= found) & (found <= high)).all())


@given(crowd=crowds(lambda liars: 2 * liars + 1))
def test_a_minority_of_liars_moves_no_median_out_of_the_honest_range(crowd):
    _, honest, everybody = crowd
    assert within(coordinate_median(everybody), honest)


@given(crowd=crowds(fewest_for_trimmed_mean))
def test_as_many_liars_as_are_trimmed_move_no_mean_out_of_the_honest_range(crowd):
    liars, honest, everybody = crowd
    assert within(trimmed_mean(everybody, liars), honest)


@given(rows=vectors(5, 3, finite))
def test_without_liars_the_trimmed_mean_is_the_mean_and_the_most_trimmed_the_median(rows):
    np.testing.assert_allclose(trimmed_mean(rows, 0), rows.mean(0), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(trimmed_mean(rows, 2), coordinate_median(rows))


@given(crowd=crowds(fewest_for_krum), data=st.data())
def test_krum_takes_an_honest_node_if_liars_are_far_even_if_they_agree(crowd, data):
    liars, honest, _ = crowd
    count, size = honest.shape
    spread = 1.0 + float(np.abs(honest - honest[0]).max()) * np.sqrt(size * count)
    lie = honest[0] + 1e3 * spread
    everybody = np.concatenate([honest, np.tile(lie, (liars, 1))])
    order = data.draw(st.permutations(range(len(everybody))))
    assert order[krum(everybody[order], liars)] < count


def test_krum_takes_the_middle_of_a_line():
    rows = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]])
    assert krum(rows, 1) == 1  # [0, 2] and [1, 3] are equally near: the first
    assert krum(rows[::-1], 1) == 2


@given(rows=vectors(4, 3, st.floats(-1e12, 1e12)), limit=st.just(0.0) | st.floats(1e-6, 1e9))
def test_clipping_bounds_norms_keeps_directions_and_leaves_short_ones_alone(rows, limit):
    cut = clipped(rows, limit)
    assert (norms(cut) <= limit * (1 + 1e-9)).all()
    short = norms(rows) <= limit
    np.testing.assert_array_equal(cut[short], rows[short])
    for before, after in zip(rows, cut, strict=True):
        np.testing.assert_allclose(
            after * np.linalg.norm(before), before * np.linalg.norm(after), rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize(
    "refused",
    [
        lambda: coordinate_median(np.empty((0, 3))),
        lambda: trimmed_mean(np.zeros((4, 1)), 2),
        lambda: trimmed_mean(np.zeros((4, 1)), -1),
        lambda: krum(np.zeros((4, 1)), 1),
        lambda: krum(np.zeros((4, 1)), -1),
        lambda: clipped(np.zeros((4, 1)), -1.0),
    ],
)
def test_a_rule_without_enough_nodes_is_refused(refused):
    with pytest.raises(ValueError, match=r"nodes|nothing|norm"):
        refused()


errors = st.lists(st.floats(0.1, 1.0), min_size=3, max_size=8)


@given(honest=errors, data=st.data())
def test_a_far_worse_minority_is_found_and_equal_nodes_are_not(honest, data):
    count = data.draw(st.integers(0, (len(honest) - 1) // 2))
    by_name = {f"edge-{k}": error for k, error in enumerate(honest)}
    hostile = {
        f"liar-{k}": data.draw(st.sampled_from([1e8, 1e12, np.inf, np.nan])) for k in range(count)
    }
    scores = anomaly_scores({**by_name, **hostile})
    assert detection_auc(scores, set(hostile)) == (1.0 if hostile else None)
    assert all(scores[name] > 3.5 for name in hostile)
    assert sum(scores[name] <= 0.0 for name in scores) * 2 >= len(scores)
    assert set(anomaly_scores(dict.fromkeys(by_name, 0.3)).values()) == {0.0}


@given(errors=errors, factor=st.floats(0.1, 10.0))
def test_scores_do_not_depend_on_the_unit_of_errors(errors, factor):
    names = [f"edge-{k}" for k in range(len(errors))]
    one = anomaly_scores(dict(zip(names, errors, strict=True)))
    other = anomaly_scores({n: e * factor for n, e in zip(names, errors, strict=True)})
    spread = np.median(np.abs(np.log(errors) - np.median(np.log(errors))))
    if spread > 1e-3:
        np.testing.assert_allclose([one[n] for n in names], [other[n] for n in names], atol=1e-6)


@given(scores=st.lists(st.integers(0, 5), min_size=2, max_size=9), data=st.data())
def test_the_area_is_the_share_of_pairs_in_order(scores, data):
    hostile = data.draw(st.sets(st.sampled_from(range(len(scores)))))
    named = {str(node): float(score) for node, score in enumerate(scores)}
    found = detection_auc(named, {str(node) for node in hostile})
    pairs = [
        (scores[one] > scores[other]) + 0.5 * (scores[one] == scores[other])
        for one in hostile
        for other in set(range(len(scores))) - hostile
    ]
    assert found == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)
