import ast
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import kdtasks
from kdtasks.csi_feedback.methods.ip_encoder_kd.pairs import quantise, send

ROOT = Path(kdtasks.__file__).parent.parent
HALVES = (
    "kdtasks.csi_feedback.methods.ip_encoder_kd.ue",
    "kdtasks.csi_feedback.methods.ip_encoder_kd.bs",
)


def values(seed, shape=(6, 5)):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@given(st.integers(0, 2**32 - 1), st.integers(1, 16))
def test_an_entry_errs_by_at_most_half_a_step(seed, bits):
    sent = values(seed)
    received = quantise(sent, bits)
    step = float(sent.max() - sent.min()) / (2**bits - 1)
    assert float((received - sent).abs().max()) <= 0.5 * step * (1 + 1e-9)
    assert len(received.unique()) <= 2**bits
    torch.testing.assert_close(received.min(), sent.min())
    torch.testing.assert_close(received.max(), sent.max())


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_what_was_quantised_stays(seed, bits):
    once = quantise(values(seed), bits)
    torch.testing.assert_close(quantise(once, bits), once)


def test_more_bits_err_less():
    errors = [float((quantise(values(0), bits) - values(0)).abs().max()) for bits in range(1, 17)]
    assert errors == sorted(errors, reverse=True)


def test_a_constant_is_sent_exactly():
    assert torch.equal(quantise(torch.full((3, 2), 0.3), 4), torch.full((3, 2), 0.3))


@pytest.mark.parametrize("bits", [-1, 0, 17])
def test_bits_that_no_one_sends_are_refused(bits):
    with pytest.raises(ValueError, match=f"bits={bits}"):
        quantise(values(0), bits)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 16))
def test_bytes_are_counted_by_formula(samples, length, bits):
    pictures, codewords = torch.rand(samples, 2, 3, 4), torch.rand(samples, length)
    pairs = send(pictures, codewords, bits=bits)
    numbers = samples * (24 + length)
    # 4 bytes per float; or packed bits, and the two ends of two ranges as floats
    expected = 4 * numbers if bits == 0 else math.ceil(numbers * bits / 8) + 2 * 2 * 4
    assert pairs.payload_bytes == expected
    assert pairs.pictures_N2AC.shape == pictures.shape
    assert pairs.codewords_NM.shape == codewords.shape
    if bits == 0:
        assert torch.equal(pairs.pictures_N2AC, pictures)


def test_pictures_and_codewords_have_ranges_of_their_own():
    pairs = send(torch.rand(4, 2, 3, 4), 1e6 * torch.rand(4, 5), bits=8)
    assert len(pairs.pictures_N2AC.unique()) > 10


def file_of(module):
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imported_by(module):
    """Return what a module of ours imports, at any depth of its code, by names that are files."""
    for node in ast.walk(ast.parse(file_of(module).read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.startswith("kdtasks") and file_of(name).exists())


def reached_from(module):
    reached, waiting = set(), [module]
    while waiting:
        here = waiting.pop()
        if here not in reached:
            reached.add(here)
            waiting.extend(imported_by(here))
    return reached - {module}


@pytest.mark.parametrize("half", HALVES)
def test_neither_half_can_see_an_architecture(half):
    reached = reached_from(half)
    assert "kdtasks.learning.training" in reached  # the walk does walk
    assert not {name for name in reached if ".models." in name}
    # nor what puts the task together, which knows both
    assert not {name for name in reached if re.fullmatch(r"kdtasks\.csi_feedback\.\w+", name)}
    assert not reached & set(HALVES)


def test_the_walk_finds_what_it_searches_for():
    assert "kdtasks.csi_feedback.models.crnet" in reached_from("kdtasks.csi_feedback.task")
    assert "kdtasks.csi_feedback.models.autoencoder" in reached_from(
        "kdtasks.csi_feedback.methods.ip_encoder_kd.method"
    )
