import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import DataError
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.format import CONDITIONS, DAY, NIGHT, UNKNOWN_CONDITION
from kdtasks.sensing.beams.metrics import (
    TOP_K,
    beam_scores,
    best_beams,
    brier_score,
    dba_challenge,
    dba_top3,
    top2_by_condition,
    top_k,
)

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 15)
SLOTS, BEAMS = 4, 16
NAMES = ("top1", "top2", "top3", "top5", "dba_top3", "dba_challenge")


def drawn(seed, samples=12, ignored=0.2, *, ties=False):
    rng = np.random.default_rng(seed)
    shape = (samples, SLOTS, BEAMS)
    logits = rng.integers(0, 3, shape).astype(float) if ties else rng.normal(size=shape)
    labels = rng.integers(0, BEAMS, (samples, SLOTS))
    labels = np.where(rng.random(labels.shape) < ignored, IGNORED, labels)
    labels[0] = rng.integers(0, BEAMS, SLOTS)  # no slot is without any label
    return torch.from_numpy(logits), torch.from_numpy(labels)


def slow_values(logits, labels):
    """Return every metric of every slot by loops over samples, from the formulas."""
    found = {}
    for slot in range(SLOTS):
        kept = {name: [] for name in NAMES}
        for sample in range(len(labels)):
            label = int(labels[sample, slot])
            if label == IGNORED:
                continue
            scores = logits[sample, slot].tolist()
            order = sorted(range(BEAMS), key=lambda beam: (-scores[beam], beam))
            for k in TOP_K:
                kept[f"top{k}"].append(float(label in order[:k]))
            close = [1 - min(1, min(abs(b - label) for b in order[:k]) / 5) for k in (1, 2, 3)]
            kept["dba_top3"].append(close[2])
            kept["dba_challenge"].append(sum(close) / 3)
        found.update({f"{name}_t{slot}": np.mean(values) for name, values in kept.items()})
    for name in NAMES:
        found[name] = np.mean([found[f"{name}_t{slot}"] for slot in range(SLOTS)])
    return found


@given(SEEDS, st.booleans())
def test_every_metric_written_out(seed, ties):
    logits, labels = drawn(seed, ties=ties)
    assert beam_scores(logits, labels).values() == pytest.approx(slow_values(logits, labels))


@given(SEEDS)
def test_more_tries_never_hurt_and_the_challenge_is_the_stricter(seed):
    values = beam_scores(*drawn(seed)).values()
    for slot in ("", *(f"_t{slot}" for slot in range(SLOTS))):
        tops = [values[f"top{k}{slot}"] for k in TOP_K]
        assert tops == sorted(tops)
        assert values[f"top3{slot}"] <= values[f"dba_top3{slot}"] <= 1.0
        assert values[f"top1{slot}"] <= values[f"dba_challenge{slot}"] + 1e-12
        assert values[f"dba_challenge{slot}"] <= values[f"dba_top3{slot}"] + 1e-12


@given(SEEDS, st.booleans())
def test_only_the_order_of_logits_matters(seed, ties):
    logits, labels = drawn(seed, ties=ties)
    plain = beam_scores(logits, labels)
    assert beam_scores(torch.exp(logits) * 3.0 - 7.0, labels) == plain


@given(st.lists(SIZES, min_size=1, max_size=4), SEEDS)
def test_parts_add_up_to_the_whole(sizes, seed):
    logits, labels = drawn(seed, sum(sizes))
    parts = zip(logits.split(sizes), labels.split(sizes), strict=True)
    first, *others = (beam_scores(*part) for part in parts)
    for other in others:
        first = first + other
    # Closeness comes in thirds of fifths, whose sums depend on their order in the last digit.
    assert first.values() == pytest.approx(beam_scores(logits, labels).values(), rel=1e-12)


@given(SEEDS)
def test_ignored_slots_are_in_no_denominator(seed):
    logits, labels = drawn(seed)
    padded = torch.cat([labels, torch.full_like(labels, IGNORED)])
    twice = beam_scores(torch.cat([logits, logits.flip(0)]), padded)
    assert twice.values() == pytest.approx(beam_scores(logits, labels).values())
    assert all(ratio.count <= len(labels) for ratio in twice.slots["top1"])


def test_slots_weigh_equally_in_a_mean():
    logits = torch.eye(BEAMS).double()[[3, 3, 3, 3]].repeat(SLOTS, 1, 1).transpose(0, 1)
    labels = torch.tensor([[3, 9, 9, 9], *[[3, IGNORED, IGNORED, IGNORED]] * 3])
    values = beam_scores(logits, labels).values()
    assert (values["top1_t0"], values["top1_t1"], values["top1"]) == (1.0, 0.0, 0.25)


@given(SEEDS, st.integers(1, 12))
def test_conditions_are_scored_as_if_they_were_alone(seed, samples):
    logits, labels = drawn(seed, samples, ignored=0.0)
    condition = torch.from_numpy(np.random.default_rng([seed, 1]).integers(-1, 3, samples))
    found = top2_by_condition(logits, labels, condition)
    assert found.keys() == {f"top2_{n}" for n, c in CONDITIONS.items() if (condition == c).any()}
    for name, number in CONDITIONS.items():
        if f"top2_{name}" in found:
            alone = beam_scores(logits[condition == number], labels[condition == number])
            assert found[f"top2_{name}"] == alone.values()["top2"]


def test_a_condition_with_a_slot_that_nobody_knows_has_no_score():
    logits, labels = drawn(5, 6, ignored=0.0)
    condition = torch.tensor([DAY, DAY, NIGHT, NIGHT, UNKNOWN_CONDITION, 7])
    labels[condition == NIGHT, 2] = IGNORED
    assert top2_by_condition(logits, labels, condition).keys() == {"top2_day"}


def test_a_perfect_answer_is_one_and_a_hopeless_one_zero():
    labels = torch.tensor([[0, 1, 2, 3], [4, 5, 0, 1]])
    perfect = 9.0 * torch.nn.functional.one_hot(labels, 64)
    assert set(beam_scores(perfect, labels).values().values()) == {1.0}
    far = torch.zeros(2, SLOTS, 64)
    far[..., 40:] = 1.0
    assert set(beam_scores(far, labels).values().values()) == {0.0}


@pytest.mark.parametrize("away", range(8))
def test_a_fifth_is_lost_with_each_beam_that_one_is_off(away):
    beams = torch.tensor([[[20 + away] * 3]])
    (ratio,) = dba_top3(beams, torch.tensor([[20]]))
    assert ratio.value == pytest.approx(max(0.0, 1.0 - away / 5))
    assert dba_challenge(beams, torch.tensor([[20]]))[0].value == pytest.approx(ratio.value)


def test_beams_do_not_wrap_around():
    (ratio,) = dba_top3(torch.tensor([[[63, 62, 61]]]), torch.tensor([[0]]))
    assert ratio.value == 0.0


def test_the_definitions_differ_where_the_second_answer_is_the_nearest():
    beams, labels = torch.tensor([[[30, 21, 40]]]), torch.tensor([[20]])
    assert dba_top3(beams, labels)[0].value == pytest.approx(0.8)
    assert dba_challenge(beams, labels)[0].value == pytest.approx((0.0 + 0.8 + 0.8) / 3)


def test_of_equal_logits_the_lower_beam_comes_first():
    assert best_beams(torch.zeros(1, 1, 64), 5).tolist() == [[[0, 1, 2, 3, 4]]]


def test_a_slot_without_any_label_has_no_mean():
    logits, labels = drawn(1)
    labels[:, 2] = IGNORED
    with pytest.raises(ValueError, match="mean of no samples"):
        beam_scores(logits, labels).values()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_diverged_gets_no_score(value):
    logits, labels = drawn(2)
    logits[1, 1, 1] = value
    with pytest.raises(DataError, match="diverged"):
        beam_scores(logits, labels)


def test_labels_from_one_less_than_zero_are_refused():
    logits, labels = drawn(3)
    labels[0, 0] = -1
    with pytest.raises(ValueError, match="got -1"):
        beam_scores(logits, labels)


def test_shapes_that_do_not_fit_are_refused():
    beams = best_beams(drawn(4)[0], 3)
    with pytest.raises(ValueError, match="do not fit"):
        top_k(beams, drawn(4)[1][:, :2], k=1)
    with pytest.raises(ValueError, match="k=5 of 3 beams"):
        top_k(beams, drawn(4)[1], k=5)


@given(seed=SEEDS)
def test_the_brier_score_written_out_and_its_bounds(seed):
    logits, labels = drawn(seed, ignored=0.2)
    labels[0, 0] = 0
    total, count = 0.0, 0
    for row, label in zip(logits.flatten(0, 1), labels.flatten(), strict=True):
        if label != IGNORED:
            wanted = np.eye(BEAMS)[int(label)]
            total += float(np.square(row.softmax(-1).numpy() - wanted).sum())
            count += 1
    assert brier_score(logits, labels) == pytest.approx(total / count)
    assert 0.0 <= brier_score(logits, labels) <= 2.0
    assert brier_score(torch.zeros_like(logits), labels) == pytest.approx(1.0 - 1.0 / BEAMS)
    certain = 1e3 * torch.eye(BEAMS)[labels.clamp(min=0)]
    assert brier_score(certain, labels) == pytest.approx(0.0)
    assert brier_score(torch.full_like(logits, torch.inf), labels) == float("inf")


def test_no_label_has_no_brier_score():
    with pytest.raises(ValueError, match="no label"):
        brier_score(torch.zeros(1, SLOTS, BEAMS), torch.full((1, SLOTS), IGNORED))
