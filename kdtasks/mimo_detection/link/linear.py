r"""Linear detection of MIMO streams, batched.

.. math:: \hat x_\mathrm{ZF} = (\hat H^{\mathsf H} \hat H)^{-1} \hat H^{\mathsf H} y, \qquad
          \hat x_\mathrm{LMMSE} = D^{-1} (\hat H^{\mathsf H} \hat H + \nu I)^{-1}
          \hat H^{\mathsf H} y

D, the diagonal of what the filter makes of the channel, removes the bias, which would move symbols
of 16-QAM over their thresholds. nu is the variance of the noise and of the error of the estimate
together, `Received.effective_noise`: 2 sigma^2 with the pilots of
`kdtasks.mimo_detection.link.link`, sigma^2 where the channel is known.

Shape suffixes in this file: B = channel uses, S = streams.
"""

import torch
from torch import Tensor

from kdtasks.mimo_detection.link.link import Received


def zero_forcing(seen: Received) -> Tensor:
    """Return estimates of the symbols without interference, shape [B, S], complex."""
    gram_BSS, matched_BS = _sufficient(seen)
    estimate_BS: Tensor = torch.linalg.solve(gram_BSS, matched_BS)
    return estimate_BS


def lmmse(seen: Received) -> Tensor:
    """Return unbiased linear estimates of least mean squared error, shape [B, S], complex."""
    gram_BSS, matched_BS = _sufficient(seen)
    loaded_BSS = gram_BSS + seen.effective_noise[:, None, None] * torch.eye(gram_BSS.shape[-1])
    filtered_BS: Tensor = torch.linalg.solve(loaded_BSS, matched_BS)
    gain_BS: Tensor = torch.linalg.solve(loaded_BSS, gram_BSS).diagonal(dim1=-2, dim2=-1).real
    return filtered_BS / gain_BS


def _sufficient(seen: Received) -> tuple[Tensor, Tensor]:
    """Return the Gram matrices of the estimates and what matched filters make of y."""
    adjoint_BSR = seen.estimate_BRS.mH
    return adjoint_BSR @ seen.estimate_BRS, (adjoint_BSR @ seen.received_BR[..., None])[..., 0]
