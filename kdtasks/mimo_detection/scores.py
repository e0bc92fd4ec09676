"""What is reported of MIMO detectors, and how it is counted."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch

from kdtasks.contract.task import Arrays, MetricInfo, down, prefixed
from kdtasks.learning.metrics import steps_below
from kdtasks.mimo_detection.data import TEST_GRID_DB, received_of
from kdtasks.mimo_detection.link.bit_errors import BitErrors
from kdtasks.mimo_detection.link.link import Received
from kdtasks.mimo_detection.methods.collective import Collective
from kdtasks.mimo_detection.methods.job import CURVE, STEPS
from kdtasks.mimo_detection.settings import MAX_TASKS

Count = Callable[[Received], BitErrors]
"""Returns the bit errors of a detector on channel uses."""


def grid_name(snr_db: float) -> str:
    """Return the name of the BER at an SNR of the test split."""
    return f"ber_{snr_db:g}db"


SCORES: dict[str, MetricInfo] = {
    "val_ber": down("", "uncoded bit error ratio at target_snr_db"),
    "val_ber_low": down("", "lower end of its 95 % Wilson interval, for independent bits"),
    "val_ber_high": down("", "upper end of that interval"),
    **{
        f"val_{grid_name(snr)}": down("", f"bit error ratio at {snr:g} dB, on the test split alone")
        for snr in TEST_GRID_DB
    },
    **{
        f"val_ber_after_{steps}": down("", f"bit error ratio after {steps} steps of training")
        for steps in CURVE
    },
    "val_to_lmmse": down("", "bit error ratio over that of LMMSE, same uses"),
    "val_steps_to_lmmse": down("", f"steps to beat LMMSE, read every {STEPS}; all if it never is"),
    "val_forgetting": down("", "of the collective: growth of the BER of links since learnt, mean"),
    **{
        f"val_task{number}_{name}": down("", f"of the collective, link {number}: {text} at 15 dB")
        for number in range(1, MAX_TASKS + 1)
        for name, text in {
            "ber": "bit error ratio at the end of the stream",
            "forgetting": "its growth since the link was learnt",
            "lmmse_ber": "bit error ratio of LMMSE",
        }.items()
    },
}
"""Every score on the validation split; those of the collective are on links of its own stream."""


def scores(split: Arrays, count: Count) -> dict[str, float]:
    """Return the scores of a detector on a split, without prefix.

    Args:
        split: Channel uses at one SNR, the target's, or at several, the target's among them.
        count: Counts its errors.
    """
    found = {snr_db: count(seen) for snr_db, seen in by_snr(split)}
    target = found[float(split["target_snr_db"][0])]
    low, high = target.wilson()
    grid = {grid_name(snr): found[snr].ratio for snr in TEST_GRID_DB if snr in found}
    at_target = {"ber": target.ratio, "ber_low": low, "ber_high": high}
    return at_target if len(found) == 1 else {**at_target, **grid}


def by_snr(split: Arrays) -> Iterator[tuple[float, Received]]:
    """Yield the channel uses at each SNR [dB] of a split."""
    seen = received_of(split)
    for snr_db in np.unique(split["snr_db"]):
        yield float(snr_db), seen[torch.from_numpy(np.flatnonzero(split["snr_db"] == snr_db))]


def curve_metrics(curve: Mapping[int, BitErrors], lmmse: BitErrors) -> dict[str, float]:
    """Return how an individual adapts.

    Args:
        curve: Its errors by steps of training.
        lmmse: Errors of LMMSE on the same channel uses.
    """
    last = max(curve)
    after = {f"val_ber_after_{n}": curve[n].ratio for n in CURVE if n in curve}
    # Over a detector that makes no errors there is no ratio.
    ratio = {"val_to_lmmse": curve[last].ratio / lmmse.ratio} if lmmse.errors else {}
    # All steps if it never does, so that means over seeds stay on the safe side.
    steps = steps_below({n: one.ratio for n, one in curve.items()}, lmmse.ratio)
    return {**after, **ratio, "val_steps_to_lmmse": float(last if steps is None else steps)}


def link_scores(ratios: Iterable[float], lmmse: Sequence[float]) -> dict[str, float]:
    """Return the BER of a collective on each link of its stream, and that of LMMSE."""
    scored: dict[str, float] = {}
    for number, (ratio, linear) in enumerate(zip(ratios, lmmse, strict=True), start=1):
        scored |= {f"task{number}_ber": float(ratio), f"task{number}_lmmse_ber": linear}
    return scored


def stream_metrics(collective: Collective, lmmse: Sequence[float]) -> dict[str, float]:
    """Return what a collective has learnt and forgotten, and what its units did, per link.

    Args:
        collective: The collective.
        lmmse: BER of LMMSE on each link.
    """
    metrics = prefixed("val", link_scores(collective.ratios_TT[-1], lmmse))
    forgetting = collective.forgetting
    for task in range(len(lmmse)):
        metrics[f"val_task{task + 1}_forgetting"] = float(forgetting[task])
        for unit, unit_name in enumerate(collective.network.units):
            where = f"{unit_name}_task{task + 1}"
            metrics[f"weight_change_{where}"] = float(collective.weight_change_TU[task, unit])
            metrics[f"gradient_share_{where}"] = float(collective.gradient_share_TU[task, unit])
    earlier = forgetting[:-1] if len(forgetting) > 1 else forgetting
    return {**metrics, "val_forgetting": float(earlier.mean())}
