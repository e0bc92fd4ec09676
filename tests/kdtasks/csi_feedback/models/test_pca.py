import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.csi_feedback.models.pca import pca_reconstruction


def pictures(seed, count, shape=(2, 3, 4)):
    rng = np.random.default_rng(seed)
    # correlated entries with a mean: otherwise nothing could be saved
    mixing = rng.normal(size=(np.prod(shape), np.prod(shape)))
    samples = rng.normal(size=(count, np.prod(shape))) @ mixing + 3.0
    return samples.reshape(count, *shape).astype(np.float32)


def by_svd(train, length, target):
    """A second implementation."""
    flat = train.reshape(len(train), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, _, directions = np.linalg.svd(flat - mean, full_matrices=False)
    kept = directions[:length]
    sent = (target.reshape(len(target), -1) - mean) @ kept.T
    return (mean + sent @ kept).reshape(target.shape)


@given(st.integers(0, 2**32 - 1), st.integers(1, 24))
def test_it_is_a_singular_value_decomposition(seed, length):
    train, other = pictures(seed, 60), pictures(seed + 1, 9)
    ours = pca_reconstruction(train, length, train, other)
    for target, output in zip((train, other), ours, strict=True):
        assert output.dtype == np.float32
        scale = np.abs(target).max()
        np.testing.assert_allclose(output, by_svd(train, length, target), atol=1e-3 * scale)


def test_a_full_code_loses_nothing():
    train, other = pictures(0, 60), pictures(1, 9)
    (output,) = pca_reconstruction(train, 24, other)
    np.testing.assert_allclose(output, other, atol=1e-3)


def test_longer_codes_lose_less():
    train = pictures(0, 60)
    errors = [
        np.square(pca_reconstruction(train, length, train)[0] - train).sum()
        for length in range(1, 24)
    ]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("length", [20, 24])
def test_fewer_samples_than_code_numbers_fit_what_they_can(length):
    train = pictures(0, 10)
    (output,) = pca_reconstruction(train, length, train)
    np.testing.assert_allclose(output, train, atol=2e-2)
