"""What files of channels hold, what is wrong with them, and the command that trains on them.

Shape suffixes in this file: N = samples.
"""

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.data import deepmimo
from kdtasks.csi_feedback.data.angular_delay import divisors_near
from kdtasks.csi_feedback.data.channel_axes import DEFAULT, RECEIVE, Axes, Layout, advice, suggested
from kdtasks.csi_feedback.data.channel_files import (
    SUFFIXES,
    Channels,
    blocks,
    channel_files,
    find_channels,
    fits,
    is_channel_file,
    usable,
    variables,
)
from kdtasks.csi_feedback.data.cost2100 import SHAPE, Environment, alone, split_files, split_sizes
from kdtasks.data.splits import SPARE, SPLITS, counts_that_fit
from kdtasks.data.stored_arrays import Variable

STUDY = "csi-methods"
"""The study that the command runs, and values that it sets."""

COUNTS, BATCH = (12_000, 2_000, 2_000), 50
COMPRESSIONS = (16, 32)
ENTRIES, FLOPS, PAYLOAD_BITS = 2 * 16 * 16, 3e6, 2048
"""Entries of a picture, and the worst that its hypervolume counts."""

SCANNED_BYTES = 4 * 2**30
"""About how much of large files is searched for useless users."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelInspection:
    """What was found.

    Attributes:
        path: The file or folder.
        files: Variables by file: name, shape and type.
        skipped: Files of a folder without channels.
        key: Which variable holds them; empty if there is one that fits.
        axes: What its axes most likely count.
        users: Users.
        receive: Receive antennas of each, which are samples of their own.
        antennas: Antennas of the base station.
        subcarriers: Subcarriers.
        searched: Samples that were searched for useless ones.
        silent: Of these, samples that are zero, such as users without a path.
        not_finite: Of these, samples with NaN or infinity.
        remarks: What is worth knowing before training on them.
        command: What to type; empty if nothing can be trained on them.
        problem: Why not; empty if it can.
    """

    path: str
    files: dict[str, list[str]]
    skipped: list[str]
    key: str = ""
    axes: str = ""
    users: int = 0
    receive: int = 0
    antennas: int = 0
    subcarriers: int = 0
    searched: int = 0
    silent: int = 0
    not_finite: int = 0
    remarks: tuple[str, ...] = ()
    command: str = ""
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def holds_channels(path: Path) -> bool:
    """Return whether a path is one of channels, rather than one of tables and sensors."""
    if not path.is_dir():
        return path.suffix.lower() in SUFFIXES or is_channel_file(path)
    if any(_published(path)) or deepmimo.links(path):
        return True
    tables = any(file.suffix.lower() == ".csv" for file in path.iterdir())
    files = channel_files(path)
    if tables:
        return any(variable.is_complex for file in files for variable in variables(file))
    return bool(files)


def inspect_channels(path: Path) -> ChannelInspection:
    """Inspect a file or a folder of channels.

    Raises:
        DataError: If a file is missing, damaged or of an unknown format.
    """
    if links := deepmimo.links(path):
        return _deepmimo(path, links)
    files = channel_files(path)
    if not files:
        raise DataError(f"{path}: no file of channels ({', '.join(SUFFIXES)})")
    held = {file: variables(file) for file in files}
    shown = {file.name: [str(variable) for variable in held[file]] for file in files}
    cost2100 = _cost2100(path)
    if cost2100 is not None:
        return ChannelInspection(path=str(path), files=shown, skipped=[], **cost2100)
    try:
        key, axes = _most_likely(path, held)
        found = find_channels(path, key=key, axes=axes)
    except DataError as error:
        return ChannelInspection(path=str(path), files=shown, skipped=[], problem=str(error))
    return _inspected(path, shown, found, key)


def _deepmimo(path: Path, links: Sequence[str]) -> ChannelInspection:
    """Return what a scenario folder of DeepMIMO holds, of several links the first."""
    several = len(links) > 1
    site = deepmimo.DeepMimoSite(folder=str(path.resolve()), link=links[0])
    try:
        users, reached = deepmimo.reached_users(site)
        shown = {file.name: [str(one) for one in variables(file)] for file in site.files}
    except DataError as error:
        return ChannelInspection(path=str(path), files={}, skipped=[], problem=str(error))
    fitting = counts_that_fit(int(reached / SPARE))
    counts = COUNTS if reached >= SPARE * sum(COUNTS) else fitting
    name = f"parameters.scenario={deepmimo.PREFIX}{site.folder}?link={links[0]}"
    layout = Layout(users=users, receive=1, antennas=16, subcarriers=16)
    words = [*([name] if several else []), *(_fitting(layout, counts) if counts else ())]
    array = "a linear array of 16 antennas and 16 subcarriers over 70 MHz unless told otherwise"
    remarks = [f"paths of DeepMIMO v4, from which channels follow: {array}"]
    if several:
        remarks.append(f"links: {', '.join(links)}; of the first there are these users")
    return ChannelInspection(
        path=str(path),
        files=shown,
        skipped=[],
        users=users,
        receive=1,
        searched=users,
        silent=users - reached,
        remarks=tuple(remarks),
        command=_command(None if several else path, words) if counts else "",
        problem="" if counts else f"{reached} users have a path: too few to train on",
    )


def _published(folder: Path) -> Iterator[Environment]:
    for environment in ("indoor", "outdoor"):
        if any(file.is_file() for file in split_files(folder, environment).values()):
            yield environment


def _cost2100(path: Path) -> dict[str, Any] | None:
    """Return the facts about the public data set; None if it is another one."""
    if path.is_file():
        problem = alone(path)
        return {"problem": problem} if problem else None
    found = list(_published(path))
    if not found:
        return None
    remarks = (f"COST2100, {' and '.join(found)}, in its published split",)
    try:
        sizes = split_sizes(path, found[0])
    except DataError as error:
        return {"remarks": remarks, "problem": str(error)}
    _, antennas, subcarriers = SHAPE
    layout = Layout(
        users=sum(sizes.values()), receive=1, antennas=antennas, subcarriers=subcarriers
    )
    train, val, test = (min(sizes[n], count) for n, count in zip(SPLITS, COUNTS, strict=True))
    settings = list(_fitting(layout, (train, val, test)))
    if len(found) > 1:
        own = {"scenario": f"cost2100-{found[0]}", "data_path": path}
        own |= {"num_antennas": antennas, "num_subcarriers": subcarriers}
        settings = [*(f"parameters.{name}={value}" for name, value in own.items()), *settings]
    command = _command(path if len(found) == 1 else None, settings)
    return {**asdict(layout), "remarks": remarks, "command": command}


def _most_likely(path: Path, held: dict[Path, list[Variable]]) -> tuple[str, str]:
    """Return the variable that holds channels and its axes; the name is empty if none is needed.

    Raises:
        DataError: If no variable can be one.
    """
    numbers = [v for found in held.values() for v in found if v.is_number]
    likely = [v for v in numbers if v.is_complex] or numbers
    # more files than entries along any axis: a file per user
    axes = {
        v: suggested(v.shape, is_complex=v.is_complex, one_user=len(held) > max(v.shape, default=0))
        for v in likely
    }
    likely = [v for v in likely if axes[v]]
    if not likely:
        every = [v for found in held.values() for v in found]
        problem = advice(max(every, key=_size), Axes(DEFAULT), every) if every else "no variables"
        raise DataError(f"{path}: {problem}")
    best = max(likely, key=_size)
    rivals = [[v for v in found if fits(v, Axes(axes[best]))] for found in held.values()]
    return best.name if any(len(found) > 1 for found in rivals) else "", axes[best]


def _size(variable: Variable) -> tuple[bool, int]:
    return variable.is_number, math.prod(variable.shape)


def _inspected(
    path: Path, shown: dict[str, list[str]], found: Channels, key: str
) -> ChannelInspection:
    layout, axes = found.layout, found.arrays[0].axes.text
    searched, silent, broken = _useless(found)
    bad = silent + broken
    left = layout.samples - bad - (2 * (layout.receive - 1) if bad else 0)
    counts = COUNTS if left >= sum(COUNTS) else counts_that_fit(left, layout.receive)
    settings = {"data_key": key, "data_axes": "" if axes == DEFAULT else axes}
    words = [f"parameters.{name}={value}" for name, value in settings.items() if value]
    words += ["parameters.data_drop=true"] if bad else []
    command = _command(path, [*words, *_fitting(layout, counts)]) if counts else ""
    return ChannelInspection(
        path=str(path),
        files=shown,
        skipped=sorted(found.skipped),
        key=key,
        axes=axes,
        users=layout.users,
        receive=layout.receive,
        antennas=layout.antennas,
        subcarriers=layout.subcarriers,
        searched=searched,
        silent=silent,
        not_finite=broken,
        remarks=tuple(_remarks(layout, axes, key)),
        command=command,
        problem="" if counts else f"{layout.samples} samples, {bad} useless: too few to train on",
    )


def _useless(found: Channels) -> tuple[int, int, int]:
    """Return how many samples were searched, are zero, and have NaN or infinity."""
    searched = silent = broken = read = 0
    for array in found.arrays:
        for block in blocks(array):
            bad_N = ~usable(block.channels_NAC)
            zero = int((~block.channels_NAC[bad_N].any(axis=(1, 2))).sum())
            silent, broken = silent + zero, broken + int(np.count_nonzero(bad_N)) - zero
            searched, read = searched + len(block), read + block.channels_NAC.nbytes
            if read > SCANNED_BYTES:
                return searched, silent, broken
    return searched, silent, broken


def _fitting(layout: Layout, counts: tuple[int, int, int]) -> Iterator[str]:
    """Yield the parameters that make the study fit the sizes of channels."""
    if counts != COUNTS:
        for name, count in zip(SPLITS, counts, strict=True):
            yield f"parameters.num_{name}={count}"
    if counts[0] < BATCH:
        yield f"parameters.batch_size={max(2, counts[0] // 4)}"
    entries = 2 * layout.antennas * layout.subcarriers
    near = [
        min(divisors_near(entries, one), key=lambda n: abs(math.log(n / one)))
        for one in COMPRESSIONS
    ]
    if tuple(near) != COMPRESSIONS:
        values = ",".join(map(str, dict.fromkeys(near)))
        yield f"space.compression.values=[{values}]"
        yield f"search.points.0.compression=[{values}]"
    if entries > ENTRIES:
        scale = entries / ENTRIES
        yield f"objectives.1.reference={FLOPS * scale:.3g}"
        yield f"objectives.2.reference={round(PAYLOAD_BITS * scale)}"


def _remarks(layout: Layout, axes: str, key: str) -> Iterator[str]:
    if key:
        yield f"{key} is the largest of several arrays; name another one with parameters.data_key"
    yield (
        f"its axes are taken to be {axes!r}, a guess from their lengths; name them with "
        "parameters.data_axes if they are others"
    )
    if layout.receive > 1:
        yield (
            f"each of the {layout.receive} receive antennas of a user is a sample of its own, all "
            f"of them in one split; write {RECEIVE}=0 in data_axes to take the first alone"
        )
    if 1 in (layout.antennas, layout.subcarriers):
        thin, kind = ("antenna", "delay") if layout.antennas == 1 else ("subcarrier", "angle")
        yield (
            f"one {thin}: a picture is one line, the profile over {kind}, so convolutions see "
            "neighbours in one direction only"
        )


def _command(path: Path | None, settings: Sequence[str]) -> str:
    words = ["kdsweep", "run", STUDY]
    if path is not None:
        words += ["--data", f"./{path}" if str(path).startswith("-") else str(path)]
    for setting in settings:
        words += ["--set", setting]
    return shlex.join(words)
