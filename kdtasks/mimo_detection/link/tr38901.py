"""Narrow-band MIMO channels of the delay lines of 3GPP TR 38.901, drawn by Sionna.

Section 7.7.1 (CDL) and 7.7.2 (TDL), at the centre of the band: the taps of one user are added up.
An entry of a CDL channel depends on places and angles of antennas, so that streams are correlated
as clusters determine; entries of a TDL channel are independent.

Shape suffixes in this file: B = channels, R = receive antennas, S = streams.
"""

from typing import Any

import torch
from torch import Tensor

from kdtasks.data.sionna_session import sionna_seeded
from kdtasks.mimo_detection.link.channels import ChannelLaw

CARRIER_HZ = 3.5e9
DELAY_SPREAD_S = 100e-9
"""Nominal delay spread of TR 38.901, Table 7.7.3-1. At one frequency it changes nothing but which
realisations are drawn."""

PARTS = 500
"""Channels drawn at once, which bounds memory: a CDL has 23 clusters of 20 rays."""


def draw_pool(law: ChannelLaw, shape_BRS: tuple[int, int, int], seed: int) -> Tensor:
    """Return channel matrices of a delay line, complex64; the same for the same seed.

    Args:
        law: Of kind ``cdl`` or ``tdl``.
        shape_BRS: Channels, receive antennas and streams.
        seed: Of everything that is drawn.
    """
    total, receivers, streams = shape_BRS
    with sionna_seeded(seed):
        model = _build(law, receivers, streams)
        parts = [_drop(model, min(PARTS, total - start)) for start in range(0, total, PARTS)]
    return torch.cat(parts)


def _build(law: ChannelLaw, receivers: int, streams: int) -> Any:
    from sionna.phy.channel.tr38901 import CDL, TDL, PanelArray

    where = {"device": "cpu", "precision": "single"}
    if law.kind == "tdl":
        return TDL(
            law.profile,
            DELAY_SPREAD_S,
            CARRIER_HZ,
            num_rx_ant=receivers,
            num_tx_ant=streams,
            **where,
        )

    def array(antennas: int) -> Any:
        return PanelArray(
            num_rows_per_panel=1,
            num_cols_per_panel=antennas,
            polarization="single",
            polarization_type="V",
            antenna_pattern="omni",
            carrier_frequency=CARRIER_HZ,
            **where,
        )

    return CDL(
        law.profile,
        DELAY_SPREAD_S,
        CARRIER_HZ,
        ut_array=array(streams),
        bs_array=array(receivers),
        direction="uplink",
        **where,
    )


def _drop(model: Any, count: int) -> Tensor:
    # [batch, receiver, its antennas, transmitter, its antennas, paths, time]
    gains, _delays_s = model(batch_size=count, num_time_steps=1, sampling_frequency=1.0)
    centre: Tensor = gains[:, 0, :, 0, :, :, 0].sum(dim=-1)
    return centre.to(torch.complex64)
