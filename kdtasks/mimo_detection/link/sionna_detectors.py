"""Sionna's MIMO detectors on the channel uses of a link: the references of learnt ones.

All of them get the least-squares estimate, and the variance of the noise and of the error of the
estimate together (`Received.effective_noise`). ZF, K-best and maximum likelihood decide alike
whatever that variance is (max-log scales with it); LMMSE and EP do not. None knows the law of the
channel, so a network that is trained for it may pass maximum likelihood.

Shape suffixes in this file: B = channel uses, R = receive antennas, S = streams, N = 2 S real
streams, M = bits per real stream.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kdtasks.data.sionna_session import sionna_seeded
from kdtasks.mimo_detection.link.link import MimoLink, Received

KBEST_PATHS = 64
"""Paths that K-best keeps, or as many as there are candidates."""

MAX_CANDIDATES = 4096
"""Maximum likelihood compares every vector of symbols; more than these are not feasible."""

PARTS = 1000
"""Channel uses detected at once, which bounds memory."""


def names_for(link: MimoLink) -> tuple[str, ...]:
    """Return the detectors that can be run on a link."""
    ml = ("ML",) if 4 ** (link.bits_per_axis * link.streams) <= MAX_CANDIDATES else ()
    return ("ZF", "LMMSE", "EP", "K-best", *ml)


def detect(name: str, link: MimoLink, seen: Received) -> Tensor:
    """Return the bits that a detector decides on, shape [B, N, M], uint8.

    Args:
        name: One of `names_for` the link.
        link: What is sent.
        seen: The channel uses.
    """
    with sionna_seeded(0):  # nothing is drawn
        detector = _BUILDERS[name](link)
        parts = [
            _ran(detector, seen[start : start + PARTS]) for start in range(0, len(seen), PARTS)
        ]
    return torch.cat(parts)


def to_axes(bits_BSK: Tensor) -> Tensor:
    """Return bits of complex symbols in the order of TS 38.211 by real streams, [B, N, M]."""
    uses, streams, _ = bits_BSK.shape
    by_axis_BSMA = bits_BSK.reshape(uses, streams, -1, 2)  # real and imaginary part in turn
    return by_axis_BSMA.permute(0, 3, 1, 2).reshape(uses, 2 * streams, -1)


def _ran(detector: Any, seen: Received) -> Tensor:
    receivers = seen.received_BR.shape[-1]
    covariance_BRR = seen.effective_noise[:, None, None] * torch.eye(
        receivers, dtype=torch.complex64
    )
    bits_BSK = detector(seen.received_BR, seen.estimate_BRS, covariance_BRR)
    return to_axes(bits_BSK).to(torch.uint8)


def _linear(equalizer: str) -> Callable[[MimoLink], Any]:
    def build(link: MimoLink) -> Any:
        from sionna.phy.mimo import LinearDetector

        return LinearDetector(equalizer, "bit", "maxlog", **_mapping(link), **_HARD)

    return build


def _ep(link: MimoLink) -> Any:
    from sionna.phy.mimo import EPDetector

    # With the default smoothing of 0.9 ten iterations do not converge on correlated channels.
    return EPDetector("bit", 2 * link.bits_per_axis, l=10, beta=0.5, **_HARD)


def _kbest(link: MimoLink) -> Any:
    from sionna.phy.mimo import KBestDetector

    paths = min(KBEST_PATHS, 4 ** (link.bits_per_axis * link.streams))
    # Its real representation is wrong in Sionna 2.2.0: it scales the levels by a standard deviation
    # with Bessel's correction, and no number of paths makes up for that.
    return KBestDetector("bit", link.streams, paths, use_real_rep=False, **_mapping(link), **_HARD)


def _ml(link: MimoLink) -> Any:
    from sionna.phy.mimo import MaximumLikelihoodDetector

    return MaximumLikelihoodDetector("bit", "maxlog", link.streams, **_mapping(link), **_HARD)


def _mapping(link: MimoLink) -> dict[str, Any]:
    return {"constellation_type": "qam", "num_bits_per_symbol": 2 * link.bits_per_axis}


_HARD: dict[str, Any] = {"hard_out": True, "precision": "single", "device": "cpu"}

_BUILDERS: dict[str, Callable[[MimoLink], Any]] = {
    "ZF": _linear("zf"),
    "LMMSE": _linear("lmmse"),
    "EP": _ep,
    "K-best": _kbest,
    "ML": _ml,
}
