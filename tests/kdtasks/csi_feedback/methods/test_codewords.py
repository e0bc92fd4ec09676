import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kdtasks.csi_feedback.methods.codewords import fit_encoder, normalised_mse
from kdtasks.learning.random import initialised
from kdtasks.learning.training import Schedule

PICTURES = torch.rand(60, 2, 3, 4, generator=torch.Generator().manual_seed(0))
CODEWORDS = torch.randn(60, 5, generator=torch.Generator().manual_seed(1))


class Constant(nn.Module):
    """Answers one codeword to every picture."""

    def __init__(self, codeword):
        super().__init__()
        self.codeword = nn.Parameter(codeword.clone())

    def forward(self, pictures):
        return self.codeword.expand(len(pictures), -1)


def epochs(encoder, codewords, **schedule):
    numbers = {"epochs": 1, "batch_size": 60, "learning_rate": 1e-9, **schedule}
    return list(
        fit_encoder(
            encoder,
            PICTURES,
            lambda index: codewords[index],
            loss=normalised_mse,
            schedule=Schedule(**numbers),
            generator=torch.Generator().manual_seed(0),
        )
    )


@given(st.floats(1e-3, 1e3), st.floats(-5.0, 5.0))
def test_the_loss_of_a_constant_code_is_one_whatever_the_codewords_unit(unit, offset):
    codewords = unit * (CODEWORDS + offset)
    (epoch,) = epochs(Constant(codewords.mean(dim=0)), codewords)
    # the variance is the unbiased one: 59 of 60
    assert epoch.terms["total"] == pytest.approx(59 / 60, rel=1e-3)


def test_the_teachers_own_code_has_no_loss():
    dense = initialised(0, "dense", lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 5)))
    with torch.no_grad():
        codewords = dense(PICTURES)
    (epoch,) = epochs(dense, codewords)
    assert epoch.terms["total"] == pytest.approx(0.0, abs=1e-9)


def test_a_linear_code_is_learnt():
    def dense(seed):
        return initialised(seed, "dense", lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 5)))

    with torch.no_grad():
        codewords = dense(0)(PICTURES)
    done = epochs(dense(1), codewords, epochs=150, batch_size=20, learning_rate=0.03)
    assert done[-1].terms["total"] < 1e-3 * done[0].terms["total"]


def test_codewords_that_never_vary_do_not_divide_by_zero():
    codewords = torch.full((60, 5), 0.7)
    (epoch,) = epochs(Constant(codewords[0]), codewords)
    assert epoch.terms["total"] == 0.0
