r"""What metadata of LiDAR scans reveal of the scans that they are made of.

Half of the passages train a teacher and make the metadata, the other half nobody has. Two attackers
have teacher and metadata:

- *inversion*: windows are moved by Adam, all together, until their statistics are those of the
  metadata. How far are they from the nearest window of the training, and how far are recorded
  windows that were not trained on? Beside them what is known without metadata: where the
  optimisation starts, and a window in which nothing returns. Distances are the root mean square
  over rays and scans, in metres.
- *membership*: with t(x) the statistics of window x whose means over windows are metadata, T the
  metadata, and r, s mean and deviation of t over the validation split, members are windows with a
  large :math:`\sum_i (t_i(x) - r_i) (T_i - r_i) / s_i^2` (Homer et al., PLOS Genetics 2008; this
  score is that of Dwork et al., "Robust traceability from trace amounts", FOCS 2015). Area under
  the ROC curve, and a 95 % bootstrap interval over passages.

Example::

    python benchmarks/metadata_leaks.py --passages 60 --steps 400 --seeds 3
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdtasks.contract.params import Value
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import Arrays, TeacherArtifact
from kdtasks.lidar_beam.data import SENSORS
from kdtasks.lidar_beam.methods.batches import RANGE_UNIT_M, scans_of
from kdtasks.lidar_beam.methods.imitation import hand_set
from kdtasks.lidar_beam.methods.metadata import GROUPS, Group, Metadata, Observed, describe, opened
from kdtasks.lidar_beam.models.network import LidarNetwork
from kdtasks.lidar_beam.settings import resolve
from kdtasks.lidar_beam.students import restored
from kdtasks.lidar_beam.task import LidarBeam
from kdtasks.sensing.ownership import taken
from sweeps.nodes.privacy.membership import Sample, judged

RATE = 0.02
"""Of Adam, in units of 10 m."""

MEANS: tuple[Group, ...] = ("final", "moments", "softmax", "inputs")
"""Groups with statistics that are means over windows."""

KNOWN: tuple[tuple[Group, ...], ...] = (("final",), GROUPS)
"""Metadata of the paper, and all."""


def inverted(
    start_NTR: Tensor, teacher: LidarNetwork, metadata: Metadata, steps: int
) -> tuple[Tensor, list[float]]:
    """Return windows moved towards metadata, and the distance after each step."""
    windows = start_NTR.clone().requires_grad_()
    adam, course = torch.optim.Adam([windows], lr=RATE), []
    for _ in range(steps):
        distances = metadata.distances(Observed(windows, teacher(windows)))
        total = torch.stack([*distances.values()]).sum()
        adam.zero_grad()
        total.backward()
        adam.step()
        with torch.no_grad():
            windows.clamp_(min=0.0)
        course.append(float(total.detach()))
    return windows.detach(), course


def nearest_m(window_NTR: Tensor, known_KTR: Tensor) -> NDArray[Any]:
    """Return the distance of each window to the nearest known one [m], shape [N]."""
    one_ND, known_KD = window_NTR.flatten(1), known_KTR.flatten(1)
    least_N = torch.cdist(one_ND, known_KD).min(dim=1).values
    return (RANGE_UNIT_M * least_N / one_ND.shape[1] ** 0.5).numpy()


def traced(
    one_NI: NDArray[Any], released_I: NDArray[Any], reference_MI: NDArray[Any]
) -> NDArray[np.float64]:
    """Return how much statistics of single windows lean to the released means, shape [N]."""
    centre_I, spread_I = reference_MI.mean(0), reference_MI.std(0)
    used_I = spread_I > 1e-9 * max(float(spread_I.max()), 1e-12)
    lean_I = ((released_I - centre_I) / np.where(used_I, spread_I, 1.0) ** 2)[used_I]
    return np.asarray((one_NI - centre_I)[:, used_I] @ lean_I, np.float64)


def single_statistics(teacher: LidarNetwork, window_NTR: Tensor) -> NDArray[Any]:
    """Return the statistics of each window that are means in the metadata, [N, I]."""
    rows = []
    for window_TR in window_NTR:
        with torch.no_grad():
            both = torch.stack([window_TR, window_TR])  # deviations of one are not defined
            found = describe(Observed(both, teacher(both)), MEANS)
        rows.append(_means(found))
    return np.stack(rows)


def _means(groups: Any) -> NDArray[Any]:
    parts = [
        value.flatten().double().numpy()
        for group in MEANS
        for name, value in groups[group].items()
        if name.endswith(".mean")
    ]
    return np.concatenate(parts)


def halves(train: Arrays, seed: int) -> tuple[Arrays, Arrays]:
    """Return a split's windows as two halves of passages."""
    passages = np.random.default_rng(seed).permutation(np.unique(train["passage"]))
    first_W = np.isin(train["passage"], passages[: len(passages) // 2])
    one, other = (taken(train, np.flatnonzero(mask_W), SENSORS) for mask_W in (first_W, ~first_W))
    return one, other


def measured(seed: int, params: dict[str, Value], windows: int, steps: int) -> dict[str, float]:
    """Return medians of distances [m] and areas of one seed."""
    task, full = LidarBeam(), {**params, "teacher_seed": seed}
    with tempfile.TemporaryDirectory() as cache:
        data = task.load_scenario(full, cache_dir=Path(cache), progress=lambda *_: None)
    members, others = halves(data.train, seed)
    teacher = result_of(task.train_teacher(full, members, data.val))
    network = restored(resolve(full), teacher.weights, teacher=True).requires_grad_(False)
    known, strange, reference = (_windows(split) for split in (members, others, data.val))
    start = hand_set(torch.Generator().manual_seed(seed))(windows)
    found = {
        "held out": float(np.median(nearest_m(strange, known))),
        "nothing returns": float(np.median(nearest_m(torch.zeros_like(start[:1]), known))),
        "start": float(np.median(nearest_m(start, known))),
    }
    held_out = np.quantile(nearest_m(strange, known), 0.05)
    for groups in KNOWN:
        moved, course = inverted(start, network, opened(teacher.outputs, groups), steps)
        label = "final" if len(groups) == 1 else "all groups"
        distance = nearest_m(moved, known)
        found[f"inverted, {label}"] = float(np.median(distance))
        found[f"share nearer than 5 % of held out, {label}"] = float((distance < held_out).mean())
        found[f"metadata left of the start, {label}"] = course[-1] / course[0]
    return {
        **found,
        **_membership(network, teacher, (members, others), (known, strange, reference)),
    }


def _membership(
    network: LidarNetwork,
    teacher: TeacherArtifact,
    splits: tuple[Arrays, Arrays],
    windows: tuple[Tensor, Tensor, Tensor],
) -> dict[str, float]:
    known, strange, reference = (single_statistics(network, part) for part in windows)
    released = _means(opened(teacher.outputs, MEANS).groups)
    samples = [
        Sample(scores=traced(one, released, reference), clusters=split["passage"])
        for one, split in zip((known, strange), splits, strict=True)
    ]
    found = judged(samples[0], samples[1], np.random.default_rng(0))
    return {f"membership {name}": value for name, value in found.items()}


def _windows(split: Arrays) -> Tensor:
    scans = scans_of(split)
    return scans.gathered(slice(None))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print medians of distances and areas: the mean of seeds, and the least and greatest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--passages", type=int, default=60, help="of which half are members")
    parser.add_argument("--epochs", type=int, default=10, help="of the teacher")
    parser.add_argument("--windows", type=int, default=256, help="that are moved")
    parser.add_argument("--steps", type=int, default=400, help="of Adam")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    params: dict[str, Value] = {
        "method": "datafree",
        "train_passages": args.passages,
        "teacher_epochs": args.epochs,
    }
    rows = [measured(seed, params, args.windows, args.steps) for seed in range(args.seeds)]
    for name in rows[0]:
        values = [row[name] for row in rows]
        sys.stdout.write(
            f"{name:45} {np.mean(values):8.3f}   [{min(values):.3f}, {max(values):.3f}]\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
