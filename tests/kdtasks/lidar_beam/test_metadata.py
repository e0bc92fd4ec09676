"""Statistics, the metadata made of them, and what a generator is trained for."""

import gc
import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.contract.errors import DataError
from kdtasks.learning.random import initialised
from kdtasks.lidar_beam.methods.inversion import Inversion, Weights, generator_terms, invert
from kdtasks.lidar_beam.methods.metadata import (
    FEWEST_WINDOWS,
    GROUPS,
    Metadata,
    Observed,
    covariance,
    describe,
    hits,
    opened,
    sealed,
    sealed_bytes,
    summarised,
)
from kdtasks.lidar_beam.models.family import LIDAR_TEACHERS, WINDOW_SHAPE
from kdtasks.lidar_beam.models.generator import DenseGenerator
from kdtasks.lidar_beam.models.network import LidarOutputs
from kdtasks.lidar_beam.models.objects import ObjectGenerator, hand_set_objects, render
from kdtasks.lidar_beam.settings import LidarSettings

SEEDS = st.integers(0, 2**32 - 1)
TEACHER = initialised(0, "teacher", LIDAR_TEACHERS["gru"]).eval().requires_grad_(False)
TEACHER.head.weight.mul_(20.0)  # so that it is of different opinions on different windows


def windows(count, seed=0):
    return render(hand_set_objects(count, torch.Generator().manual_seed(seed)))


def observed(scans):
    return Observed(scans, TEACHER(scans))


RECORDED = windows(140)
METADATA = summarised(observed(RECORDED))


def flat(groups):
    return {(g, name): value for g, found in groups.items() for name, value in found.items()}


def test_statistics_by_hand():
    seen = observed(windows(6, seed=5))
    found = flat(describe(seen, GROUPS))
    hidden, code = seen.outputs.hidden.numpy(), seen.outputs.embedding.numpy()
    np.testing.assert_allclose(
        found["final", "hidden.10.variance"], hidden[:, 10].var(0, ddof=1), rtol=1e-3, atol=1e-7
    )
    for step in (0, 3, 7, 8, 9, 10):
        np.testing.assert_allclose(
            found["moments", f"hidden.{step}.mean"], hidden[:, step].mean(0), rtol=1e-3, atol=1e-6
        )
    for step in (0, 3, 7):
        np.testing.assert_allclose(
            found["moments", f"embedding.{step}.variance"],
            code[:, step].var(0, ddof=1),
            rtol=1e-3,
            atol=1e-6,
        )
    powers = np.exp(seen.outputs.logits[:, 7:].numpy())
    answers = (powers / powers.sum(-1, keepdims=True)).mean(0)
    for slot in range(4):
        np.testing.assert_allclose(
            found["softmax", f"answers.{slot}.mean"], answers[slot], rtol=1e-4
        )
    expected = np.cov(hidden[:, 3].T, hidden[:, 7].T)[:128, 128:]
    np.testing.assert_allclose(found["covariance", "hidden.3.7"], expected, rtol=1e-3, atol=1e-7)
    assert {name for group, name in found if group == "covariance"} == {
        *(f"hidden.{pair}" for pair in ("7.7", "10.10", "7.10", "3.7")),
        *(f"embedding.{pair}" for pair in ("0.0", "7.7", "6.7", "0.7")),
    }


def test_statistics_of_scans_by_counting():
    scans = windows(3, seed=6)
    found = describe(observed(scans), ("inputs",))["inputs"]
    hit = scans.numpy() > 0

    def share(pairs):
        return np.mean([bool(one and other) for one, other in pairs])

    every = [(w, t, r) for w in range(3) for t in range(8) for r in range(216)]
    counted = {
        "hit": share((hit[w, t, r], True) for w, t, r in every),
        "neighbours": share((hit[w, t, r], hit[w, t, r + 1]) for w, t, r in every if r < 215),
        "run": share((hit[w, t, r], hit[w, t, r + 8]) for w, t, r in every if r < 208),
        "stays": share((hit[w, t, r], hit[w, t + 1, r]) for w, t, r in every if t < 7),
        "remains": share((hit[w, 0, r], hit[w, 7, r]) for w, t, r in every if t == 0),
        "spread": np.std(hit.mean(-1), ddof=1),
    }
    for name, expected in counted.items():
        assert float(found[f"scan.{name}"]) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(found["rays.hit.mean"], hit.mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(found["rays.range.mean"], scans.numpy().mean((0, 1)), rtol=1e-4)


@given(SEEDS, st.integers(2, 9))
def test_covariance_is_numpys_and_symmetric_of_one_set(seed, count):
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(count, 3)), rng.normal(size=(count, 2))
    ours = covariance(torch.from_numpy(one), torch.from_numpy(other))
    np.testing.assert_allclose(ours, np.cov(one.T, other.T)[:3, 3:], atol=1e-12)
    own = covariance(torch.from_numpy(one), torch.from_numpy(one))
    assert torch.allclose(own, own.T)


def test_a_hit_is_hard_forward_and_soft_backward():
    ranges = torch.tensor([0.0, 1e-6, 0.1, 3.0], requires_grad=True)
    assert torch.equal(hits(ranges), torch.tensor([0.0, 1.0, 1.0, 1.0]))
    hits(ranges).sum().backward()
    soft = torch.sigmoid((ranges.detach() - 0.1) / 0.1)
    torch.testing.assert_close(ranges.grad, soft * (1 - soft) / 0.1)


def test_windows_are_at_no_distance_from_their_own_metadata():
    for distance in METADATA.distances(observed(RECORDED)).values():
        assert float(distance) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "covariance"])
def test_distances_by_a_slow_loop(group):
    seen = observed(windows(5, seed=8))
    ours, each = describe(seen, (group,))[group], []
    for name, known in METADATA.groups[group].items():
        known, drawn = known.tolist(), ours[name].tolist()
        miss = sum((a - b) ** 2 for a, b in zip(drawn, known, strict=True)) / len(known)
        scale = statistics.mean(b * b for b in known)
        if name.endswith(".mean"):
            scale = statistics.variance(known)
        each.append(miss / (1.0 if group == "final" else max(scale, 1e-8)))
    expected = sum(each) if group == "final" else statistics.mean(each)
    assert float(METADATA.distances(seen)[group]) == pytest.approx(expected, rel=1e-3)


def test_distances_are_relative_except_the_published_one():
    # Without any hidden state all covariances are nothing, which is as far as they are large.
    silent = LidarOutputs(*(torch.zeros_like(part) for part in TEACHER(RECORDED)))
    distances = METADATA.distances(Observed(RECORDED, silent))
    assert float(distances["covariance"]) == pytest.approx(1.0)
    published = METADATA.groups["final"]
    expected = sum(float(value.square().mean()) for value in published.values())
    assert float(distances["final"]) == pytest.approx(expected, rel=1e-4)


def test_statistics_do_not_know_the_order_of_windows():
    turned = summarised(observed(RECORDED.flip(0)))
    for name, value in flat(turned.groups).items():
        torch.testing.assert_close(value, flat(METADATA.groups)[name], rtol=1e-3, atol=1e-5)


def reachable(root):
    """Return every tensor and array that can be reached from an object, whatever its type."""
    seen, waiting, found = set(), [root], []
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type) or callable(thing):
            continue
        seen.add(id(thing))
        if isinstance(thing, torch.Tensor | np.ndarray):
            found.append(thing)
        waiting += gc.get_referents(thing)
    return found


def test_no_scan_can_be_reached_from_metadata():
    arrays = reachable(METADATA)
    assert len(arrays) >= len(flat(METADATA.groups))
    scans = RECORDED.flatten(0, 1)
    occupied = scans[(scans > 0).any(-1)]
    for array in arrays:
        assert array.grad_fn is None
        # Behind a view could lie the memory of all windows.
        assert array.untyped_storage().nbytes() == array.numel() * array.element_size()
        assert len(RECORDED) not in array.shape
        if array.shape[-1:] == (216,):
            gap = (array.reshape(-1, 1, 216) - occupied).abs().amax(-1)
            assert gap.min() > 0.1


def test_the_size_of_metadata_does_not_depend_on_the_windows():
    more = sealed(summarised(observed(windows(300, seed=1))))
    assert {name: len(v) for name, v in more.items()} == {
        name: len(v) for name, v in sealed(METADATA).items()
    }


def test_one_window_among_all_moves_metadata_little():
    changed = RECORDED.clone()
    changed[17] = 4.0
    away = summarised(observed(changed)).distances(observed(RECORDED))
    # The square of a share of 1/140, in units in which metadata differ by about one.
    assert float(away["moments"]) < 0.05
    assert float(away["softmax"]) < 0.05


def test_metadata_of_few_windows_are_refused():
    with pytest.raises(DataError, match=f"99 training windows: .* fewer than {FEWEST_WINDOWS}"):
        summarised(observed(RECORDED[: FEWEST_WINDOWS - 1]))


def test_sealed_groups_open_to_the_same_numbers_and_count_their_bytes():
    outputs = sealed(METADATA)
    again = opened(outputs, ("moments", "inputs"))
    assert tuple(again.groups) == ("moments", "inputs")
    for name, value in flat(again.groups).items():
        assert torch.equal(value, flat(METADATA.groups)[name])
    numbers = sum(value.numel() for value in METADATA.groups["covariance"].values())
    size = sealed_bytes(outputs, ("covariance",))
    assert numbers == 4 * 128**2 + 4 * 64**2
    assert 4 * numbers < size < 4 * numbers + 2000
    assert sealed_bytes(outputs, GROUPS) == sum(len(v) for v in outputs.values())
    assert sealed_bytes(outputs, ()) == 0


@pytest.mark.parametrize("place", [0, 31, 40, -1])
def test_metadata_that_were_changed_are_not_used(place):
    outputs = sealed(METADATA)
    outputs["metadata.final"][place] ^= 1
    with pytest.raises(DataError, match="metadata 'final' is not what was sealed"):
        opened(outputs, ("final",))
    assert opened(outputs, ("softmax",)).groups.keys() == {"softmax"}


def test_metadata_that_are_missing_are_named():
    with pytest.raises(DataError, match="no metadata 'inputs'"):
        opened({}, ("inputs",))


@settings(max_examples=times(8))
@given(SEEDS, st.floats(0, 5), st.floats(0, 5), st.floats(0, 5))
def test_the_loss_of_a_generator_is_the_weighted_sum_of_its_terms(seed, w_m, w_a, w_e):
    seen = observed(windows(4, seed=seed))
    terms = generator_terms(seen, METADATA, Weights(metadata=w_m, activation=w_a, entropy=w_e))
    groups = sum(float(terms[f"metadata_{group}"]) for group in GROUPS)
    assert float(terms["metadata"]) == pytest.approx(groups, rel=1e-4)
    expected = w_m * terms["metadata"] + w_a * terms["activation"] + w_e * terms["entropy"]
    assert float(terms["total"]) == pytest.approx(float(expected), rel=1e-4, abs=1e-6)
    assert terms.keys() == {"total", "metadata", "activation", "entropy"} | {
        f"metadata_{group}" for group in GROUPS
    }


def test_without_metadata_the_other_terms_are_left():
    seen = observed(windows(4))
    terms = generator_terms(seen, Metadata({}), Weights(metadata=0.0, activation=2.0, entropy=0.0))
    assert float(terms["total"]) == pytest.approx(2.0 * float(terms["activation"]))
    assert float(terms["metadata"]) == 0.0


def trained_generator(weights, *, seed=3, steps=40):
    generator = initialised(seed, "generator", lambda: DenseGenerator(noise_size=20, width=0.3))
    inversion = Inversion(
        generator=generator,
        teacher=TEACHER,
        metadata=Metadata({group: METADATA.groups[group] for group in ("final", "inputs")}),
        weights=weights,
        steps=steps,
        batch_size=16,
        learning_rate=1e-2,
        noise=torch.Generator().manual_seed(seed),
    )
    return generator, [epoch.terms for epoch in invert(inversion)]


@pytest.mark.parametrize("term", ["metadata", "activation", "entropy"])
def test_every_term_falls_where_it_alone_weighs(term):
    before = {name: part.clone() for name, part in TEACHER.state_dict().items()}
    alone = {name: float(name == term) for name in ("metadata", "activation", "entropy")}
    _, terms = trained_generator(Weights(**alone))
    assert len(terms) == 2
    assert terms[-1][term] < terms[0][term] - 0.02 * abs(terms[0][term])
    assert all(math.isfinite(value) for value in terms[-1].values())
    assert all(torch.equal(before[name], part) for name, part in TEACHER.state_dict().items())


def test_a_generator_repeats_by_its_seed():
    weights = Weights(metadata=1.0, activation=0.0, entropy=0.0)
    (one, message), (same, again), (other, _) = (
        trained_generator(weights, seed=seed, steps=20) for seed in (3, 3, 4)
    )
    drawn = torch.randn(5, one.noise_size, generator=torch.Generator().manual_seed(9))
    assert message == again
    assert torch.equal(one(drawn), same(drawn))
    assert not torch.equal(one(drawn), other(drawn))
    assert one(drawn).shape == (5, *WINDOW_SHAPE)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["quick", "standard"])
def test_objects_get_nearer_to_metadata_and_do_not_leave_the_scanner(preset):
    # Much faster, and they do leave: no gradient leads back from where no ray sees them.
    generator = initialised(1, "generator", ObjectGenerator)
    drawn = torch.randn(400, generator.noise_size, generator=torch.Generator().manual_seed(2))
    metadata = Metadata({group: METADATA.groups[group] for group in GROUPS if group != "final"})
    before = metadata.distances(observed(generator(drawn)))
    inversion = Inversion(
        generator=generator,
        teacher=TEACHER,
        metadata=metadata,
        weights=Weights(metadata=1.0, activation=0.0, entropy=0.0),
        steps=60,
        batch_size=32,
        learning_rate=float(LidarSettings.preset_values(preset)["generator_rate"]),
        noise=torch.Generator().manual_seed(3),
    )
    assert len(list(invert(inversion))) == 3
    after = metadata.distances(observed(generator(drawn)))
    assert all(after[group] < 0.8 * before[group] for group in before)
    centre = generator.objects(drawn).centre
    assert ((centre > -50) & (centre < 266)).float().mean() > 0.9
