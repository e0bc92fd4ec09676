"""Losses, encoders and sources of data as users write them, good and bad."""

import numpy as np
import torch
from torch import nn

from kdtasks.csi_feedback.models.light_encoder import LightEncoder, LightShape
from kdtasks.learning.losses import slot_kl, soft_bit_kl
from kdtasks.sensing.beams.format import NUM_SLOTS


def response(student, teacher):
    """What beam tracking's method response does at temperature 2."""
    assert student.shape[1] == NUM_SLOTS
    return slot_kl(student, teacher, temperature=2.0)


def bits(student, teacher):
    """What MIMO detection's soft_loss kl is at temperature 2."""
    return soft_bit_kl(student[None], teacher, temperature=2.0)


def distance(student, teacher):
    return (student - teacher).square().mean()


def per_sample(student, teacher):
    return (student - teacher).square().flatten(1).mean(1)


def plain_number(student, teacher):
    return (student - teacher).square().mean().item()


def detached(student, teacher):
    return (student.detach() - teacher).square().mean()


def of_teacher(student, teacher):
    return (0.0 * student + teacher).mean()


def logarithm(student, teacher):
    return (student - student).log().mean()


def raising(student, teacher):
    raise IndexError("too few dimensions")


not_a_function = 3


def linear(num_antennas, num_subcarriers, codeword_length):
    """The project's encoder of depth 0, made by a function."""
    return LightEncoder(num_antennas, num_subcarriers, codeword_length, LightShape(depth=0))


class TooLong(nn.Module):
    def __init__(self, num_antennas, num_subcarriers, codeword_length):
        super().__init__()
        self.dense = nn.Linear(2 * num_antennas * num_subcarriers, codeword_length + 1)

    def forward(self, pictures):
        return self.dense(pictures.flatten(1))


class Sizeless(nn.Module):
    def forward(self, pictures):
        return pictures


class TwoParts(nn.Module):
    def __init__(self, *sizes):
        super().__init__()

    def forward(self, pictures):
        return pictures, torch.zeros(1)


def rays(*, num_users, num_antennas, num_subcarriers, seed):
    """Channels of three paths per user."""
    rng = np.random.default_rng(seed)
    angle, delay = rng.uniform(-0.5, 0.5, (2, num_users, 3))
    gain = rng.normal(size=(num_users, 3)) + 1j * rng.normal(size=(num_users, 3))
    antennas = np.exp(2j * np.pi * angle[..., None] * np.arange(num_antennas))
    subcarriers = np.exp(-2j * np.pi * (delay[..., None] + 0.5) / 4 * np.arange(num_subcarriers))
    return np.einsum("up,upa,upc->uac", gain, antennas, subcarriers)


def real_rays(**sizes):
    return rays(**sizes).real


def short_rays(**sizes):
    return rays(**sizes)[1:]


def dead_rays(**sizes):
    return 0.0 * rays(**sizes)


def failing_rays(**sizes):
    raise RuntimeError("no licence for the ray tracer")
