r"""Inputs of a learnt MIMO detector: zero forcing, the least-squares estimate, and their Gram.

The real form of a link with S streams has N = 2 S real streams, see
`mimo_detection.link.symbols`. With H the real form of the estimate, G = H^T H and z = H^T y,
which is G times the output of zero forcing, so that nothing but that, the estimate and sigma^2 is
used. C = (G / sigma^2 + I)^-1 is the error covariance of an LMMSE that takes the estimate for the
channel: what its error adds is for the network to learn. Estimates are scaled by sqrt(2), so
that a real stream has power 1.

**Gauge.** Every stream is multiplied by the sign of its first estimate, wherever it appears; the
network then decides whether that sign stays. Flipping a stream flips the answer, exactly. The
second bit of 16-QAM, outer or inner level, does not depend on the sign, so its logit is left as
it is.

No size depends on numbers of antennas. [DESIGN]: Zhang et al., "Efficient deployment of deep MIMO
detection using Learngene" (2025) state only that zero forcing and the estimate go in.

Shape suffixes in this file: B = channel uses, N = real streams, F = 6 node channels, E = 13 edge
channels, M = bits per real stream.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kdtasks.mimo_detection.link.link import Received
from kdtasks.mimo_detection.link.symbols import OUTER_THRESHOLD, real_channel, to_real

NODE_CHANNELS = 6
EDGE_CHANNELS = 13

Estimate = Literal["zf", "lmmse"]

BLIND_NOISE = 0.1
"""What stands in for sigma^2 everywhere, for a network that is not to know it."""

JITTER = 1e-6
"""On the diagonal of G for zero forcing, as a share of its mean."""

THRESHOLD = math.sqrt(2.0) * OUTER_THRESHOLD
"""Between inner and outer level of 16-QAM, in units of a real stream of power 1."""

INNER = THRESHOLD / 2.0
"""Inner level; the outer one is three times that."""

SKIP_LIMIT = 8.0
ESTIMATE_LIMIT = 3.0
MATCHED_LIMIT = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFeatures:
    """How a detector's inputs are made of what is received.

    Attributes:
        gauge: The estimate whose signs are the gauge.
        skip: The estimate that the logits start from: before any training the decisions are those
            of zero forcing or of LMMSE.
        bits: Bits per real stream that the network has logits for.
        noise_blind: Whether sigma^2 is replaced by a constant, so that a network sees zero forcing
            and the estimate of the channel alone.
    """

    gauge: Estimate = "zf"
    skip: Estimate = "zf"
    bits: int = 1
    noise_blind: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorInputs:
    """What networks take, in the gauge.

    Attributes:
        node_BNF: Per stream: LMMSE, zero forcing, ln(g / sigma^2), -ln c, -ln sigma^2, matched
            filter; g and c are the diagonals of G and C.
        edge_BNNE: Per pair: G and C as correlations, asinh(G / sigma^2), the diagonal, and what
            nodes know, of the row and of the column.
        skip_BNM: Logits to start from: "the sign stays", "the level is the outer one".
        coupling_BNN: G_ij / g_i off the diagonal, which is 0: what stream j adds to the matched
            filter of stream i.
        matched_BN: Matched filter z / g, scaled like the estimates.
        sign_BN: The gauge.
    """

    node_BNF: Tensor
    edge_BNNE: Tensor
    skip_BNM: Tensor
    coupling_BNN: Tensor
    matched_BN: Tensor
    sign_BN: Tensor

    def __getitem__(self, chosen: slice | Tensor) -> "DetectorInputs":
        """Return the inputs of some channel uses."""
        return DetectorInputs(
            node_BNF=self.node_BNF[chosen],
            edge_BNNE=self.edge_BNNE[chosen],
            skip_BNM=self.skip_BNM[chosen],
            coupling_BNN=self.coupling_BNN[chosen],
            matched_BN=self.matched_BN[chosen],
            sign_BN=self.sign_BN[chosen],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Linear:
    """Linear detection of real streams; estimates are scaled to power 1.

    ``power_BN`` and ``error_BN`` are the diagonals of Gram and covariance.
    """

    gram_BNN: Tensor
    covariance_BNN: Tensor
    zf_BN: Tensor
    lmmse_BN: Tensor
    matched_BN: Tensor
    noise_B: Tensor
    power_BN: Tensor
    error_BN: Tensor


def features_of(seen: Received, input_features: InputFeatures) -> DetectorInputs:
    """Return what a network takes of channel uses; nothing of what was sent."""
    with torch.no_grad():
        found = _linear(seen, input_features.noise_blind)
        guide_BN = found.zf_BN if input_features.gauge == "zf" else found.lmmse_BN
        sign_BN = torch.where(guide_BN < 0.0, -1.0, 1.0)
        skips = [_keep(found, input_features.skip, sign_BN)]
        if input_features.bits == 2:
            skips.append(_outer(found, input_features.skip))
        pairs_BNN = sign_BN[:, :, None] * sign_BN[:, None, :]
        diagonal_NN = torch.eye(sign_BN.shape[-1])
        coupling_BNN = found.gram_BNN / found.power_BN[:, :, None] * pairs_BNN
        node_BNF = _nodes(found, sign_BN)
        return DetectorInputs(
            node_BNF=node_BNF,
            edge_BNNE=_edges(found, pairs_BNN, node_BNF),
            skip_BNM=torch.stack(skips, dim=-1),
            coupling_BNN=coupling_BNN * (1.0 - diagonal_NN),
            matched_BN=found.matched_BN * sign_BN,
            sign_BN=sign_BN,
        )


def bit_logits(logits_BNM: Tensor, sign_BN: Tensor) -> Tensor:
    """Leave the gauge: return logits of "the bit is 1", shape [.., B, N, M]."""
    # Bit 0 is 1 for a negative stream, so a sign that stays positive is evidence against it.
    signs_BN1 = -sign_BN[..., None] * logits_BNM[..., :1]
    return torch.cat([signs_BN1, logits_BNM[..., 1:]], dim=-1)


def _linear(seen: Received, noise_blind: bool) -> _Linear:
    channel_BDN = real_channel(seen.estimate_BRS)  # D = 2 R
    noise_B = torch.full_like(seen.noise_B, BLIND_NOISE) if noise_blind else seen.noise_B
    gram_BNN = channel_BDN.mT @ channel_BDN
    z_BN = (channel_BDN.mT @ to_real(seen.received_BR)[..., None])[..., 0]
    power_BN = gram_BNN.diagonal(dim1=-2, dim2=-1)
    eye_NN = torch.eye(gram_BNN.shape[-1])
    loaded_BNN = gram_BNN + JITTER * power_BN.mean(-1)[:, None, None] * eye_NN
    zf_BN = math.sqrt(2.0) * torch.linalg.solve(loaded_BNN, z_BN)
    covariance_BNN = torch.linalg.inv(gram_BNN / noise_B[:, None, None] + eye_NN)
    filtered_BN = (covariance_BNN @ z_BN[..., None])[..., 0] / noise_B[:, None]
    return _Linear(
        gram_BNN=gram_BNN,
        covariance_BNN=covariance_BNN,
        zf_BN=zf_BN.clamp(-ESTIMATE_LIMIT, ESTIMATE_LIMIT),
        lmmse_BN=math.sqrt(2.0) * filtered_BN,
        matched_BN=math.sqrt(2.0) * z_BN / power_BN,
        noise_B=noise_B,
        power_BN=power_BN,
        error_BN=covariance_BNN.diagonal(dim1=-2, dim2=-1),
    )


def _keep(found: _Linear, skip: Estimate, sign_BN: Tensor) -> Tensor:
    """Return logits of "the sign stays" that decide as the estimate does."""
    if skip == "zf":
        return 2.0 * found.zf_BN * sign_BN
    return (found.lmmse_BN / found.error_BN).clamp(-SKIP_LIMIT, SKIP_LIMIT) * sign_BN


def _outer(found: _Linear, skip: Estimate) -> Tensor:
    """Return logits of "the outer level" that decide as the estimate does.

    For LMMSE half the max-log ratio of inner and outer level, as the logit of the sign is half
    that of QPSK: with an unbiased estimate u of error variance v it is INNER (abs u - THRESHOLD) /
    v.
    """
    if skip == "zf":
        return 4.0 * (found.zf_BN.abs() - THRESHOLD)
    left_BN = (1.0 - found.error_BN).clamp_min(1e-6)
    unbiased_BN, variance_BN = found.lmmse_BN / left_BN, found.error_BN / left_BN
    ratio_BN = INNER * (unbiased_BN.abs() - THRESHOLD) / variance_BN
    return ratio_BN.clamp(-SKIP_LIMIT, SKIP_LIMIT)


def _nodes(found: _Linear, sign_BN: Tensor) -> Tensor:
    noise_BN = found.noise_B[:, None].expand_as(sign_BN)
    channels = [
        found.lmmse_BN * sign_BN,
        found.zf_BN * sign_BN,
        torch.log(found.power_BN / noise_BN) / 3.0 - 1.0,
        -torch.log(found.error_BN) / 3.0 - 0.7,
        -torch.log(noise_BN) / 3.0 - 0.7,
        (found.matched_BN * sign_BN).clamp(-MATCHED_LIMIT, MATCHED_LIMIT),
    ]
    return torch.stack(channels, dim=-1)


def _edges(found: _Linear, pairs_BNN: Tensor, node_BNF: Tensor) -> Tensor:
    def correlation(matrix_BNN: Tensor, diagonal_BN: Tensor) -> Tensor:
        root_BN = diagonal_BN.sqrt()
        return pairs_BNN * matrix_BNN / (root_BN[:, :, None] * root_BN[:, None, :])

    lmmse_BN, zf_BN, power_BN, error_BN, noise_BN, _ = node_BNF.unbind(-1)
    channels = [
        correlation(found.gram_BNN, found.power_BN),
        correlation(found.covariance_BNN, found.error_BN),
        torch.asinh(pairs_BNN * found.gram_BNN / found.noise_B[:, None, None]) / 3.0,
        torch.eye(pairs_BNN.shape[-1]).expand_as(pairs_BNN),
    ]
    for known_BN in (lmmse_BN, zf_BN, error_BN, power_BN):
        channels.append(known_BN[:, :, None].expand_as(pairs_BNN))
        channels.append(known_BN[:, None, :].expand_as(pairs_BNN))
    channels.append(noise_BN[:, :, None].expand_as(pairs_BNN))
    return torch.stack(channels, dim=-1)
