import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.windows import best_beams, make_windows, split_passages, window_starts

POWERS = arrays(
    np.float32,
    st.tuples(st.integers(0, 8), st.just(5)),
    elements=st.one_of(st.floats(0.0, 10.0, width=32), st.just(np.nan)),
)

SEQUENCES = st.lists(st.integers(0, 3), max_size=60)


@given(POWERS)
def test_the_best_beam_is_the_first_greatest_number_that_is_not_nan(power_FB):
    for powers, found in zip(power_FB, best_beams(power_FB), strict=True):
        known = [(-value, beam) for beam, value in enumerate(powers) if not np.isnan(value)]
        assert found == (min(known)[1] if known else IGNORED)


@given(st.integers(0, 200), st.booleans(), st.integers(1, 5))
def test_starts_obey_the_published_rule(num_frames, strict, stride):
    last = num_frames - 12 if strict else num_frames - 11
    fits = [start for start in range(num_frames) if start <= last]
    assert window_starts(num_frames, strict=strict, stride=stride).tolist() == fits[::stride]


@given(SEQUENCES, st.booleans(), st.integers(1, 3), st.integers(0, 99))
def test_windows_are_those_of_a_loop_over_passages(sequence, strict, stride, seed):
    frame_passage = np.array(sequence, np.int32)
    power = np.random.default_rng(seed).random((len(sequence), 64))
    power[::7] = np.nan
    best = best_beams(power)
    made = make_windows(frame_passage, power, strict=strict, stride=stride)
    w = 0
    for passage in sorted(set(sequence)):
        own = [f for f, p in enumerate(sequence) if p == passage]
        for start in range(0, len(own), stride):
            if start + 11 + strict > len(own):
                continue
            assert made["window"][w].tolist() == own[start : start + 8]
            assert made["label"][w].tolist() == [best[f] for f in own[start + 7 : start + 11]]
            assert made["passage"][w] == passage
            w += 1
    assert len(made["window"]) == len(made["label"]) == len(made["passage"]) == w
    kinds = [made[name].dtype for name in ("window", "label", "passage")]
    assert kinds == [np.int32, np.int64, np.int32]


def test_scenario_9_has_as_many_windows_as_published():
    # 5,964 frames in 136 sequences, each longer than 11: 11 frames of each start no window.
    sizes = np.full(136, 43)
    sizes[:116] += 1
    frame_passage = np.arange(136).repeat(sizes)
    made = make_windows(frame_passage, np.zeros((5964, 64)), strict=True)
    assert len(made["window"]) == 4468


def test_frames_and_powers_must_agree():
    with pytest.raises(DataError, match="3 frames, but 4 power vectors"):
        make_windows(np.zeros(3, int), np.zeros((4, 64)), strict=True)


def test_an_impossible_stride_is_refused():
    with pytest.raises(ConfigError, match="stride=0"):
        window_starts(20, strict=True, stride=0)


SHARES = st.tuples(*[st.integers(1, 100)] * 3).map(lambda s: tuple(x / sum(s) for x in s))


@given(st.lists(st.integers(0, 500), min_size=3), SHARES, st.none() | st.integers(0, 99))
def test_every_passage_is_in_exactly_one_split(passages, shares, seed):
    if len(set(passages)) < 3:
        return
    order = None if seed is None else np.random.default_rng(seed)
    parts = split_passages(passages, shares, order=order)
    assert list(parts) == ["train", "val", "test"]
    assert sorted(np.concatenate(list(parts.values()))) == sorted(set(passages))
    for part, share in zip(parts.values(), shares, strict=True):
        assert len(part) >= 1
        assert len(part) <= max(share * len(set(passages)) + 1.0 + 1e-6, 2.0)
    if seed is None:
        assert parts["train"].max() < parts["val"].min() <= parts["val"].max() < parts["test"].min()


def test_the_published_split_leaves_the_same_test_sequences():
    # floor(0.8 * 136) = 108 sequences are not for testing: sequences 109 to 136 are.
    parts = split_passages(range(1, 137), (0.7, 0.1, 0.2), order=None)
    assert parts["test"].tolist() == list(range(109, 137))
    parts = split_passages(range(1, 137), (0.6, 0.1, 0.3), order=None)
    assert parts["test"].tolist() == list(range(96, 137))


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.0), (0.5, 0.2, 0.2), (1.2, -0.1, -0.1)])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(ConfigError, match="add up to 1"):
        split_passages(range(9), shares, order=None)


def test_two_sequences_are_too_few():
    with pytest.raises(DataError, match="2 sequences"):
        split_passages([4, 4, 5], (0.6, 0.2, 0.2), order=None)
