"""Windows of a beam-tracking split as networks take them: every frame once, however many share it.

Shape suffixes in this file: N = frames, W = windows of a split, B = windows of a batch, K = chunks,
P = positions of a window that hold something, T = predicted slots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kdtasks.contract.task import Arrays
from kdtasks.learning.device import on_host, to_device
from kdtasks.learning.tensors import as_tensor
from kdtasks.sensing.beams.format import NUM_STEPS, Sensor
from kdtasks.sensing.beams.window_tensors import ARRAYS, conditions_of

CHUNK = 4
"""Windows in a row that are trained on together; they share most of their frames."""


Gathered = tuple[dict[Sensor, Tensor], dict[Sensor, Tensor]]
"""Frames and indices by sensor, as `BeamNetwork.gathered` takes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Passes:
    """What was run through a network, forwards: frames by sensor, and windows.

    Attributes:
        frames: Frames of each sensor.
        windows: Windows.
    """

    frames: Mapping[Sensor, int] = field(default_factory=dict)
    windows: int = 0

    @classmethod
    def of(cls, gathered: Gathered) -> "Passes":
        """Return one pass of gathered windows."""
        distinct, index = gathered
        windows = len(next(iter(index.values())))
        return cls(frames={s: len(frames) for s, frames in distinct.items()}, windows=windows)

    def __add__(self, other: "Passes") -> "Passes":
        frames = {**self.frames}
        for sensor, count in other.frames.items():
            frames[sensor] = frames.get(sensor, 0) + count
        return Passes(frames=frames, windows=self.windows + other.windows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """The windows of a split, as they are stored.

    Attributes:
        frames: Motion masks, radar maps, positions, powers, in the type that is stored, [N, ...].
        index: Which of them each window has, [W, P]; on the CPU, as passages and conditions are.
        label_WT: Best beams.
        passage_W: Passage of each window; windows of a passage lie in a row, in order of time.
        condition_W: Condition of the last past frame of each window.
    """

    frames: Mapping[Sensor, Tensor]
    index: Mapping[Sensor, Tensor]
    label_WT: Tensor
    passage_W: Tensor
    condition_W: Tensor

    def __len__(self) -> int:
        return len(self.label_WT)

    def first(self, num_passages: int) -> "Windows":
        """Return the windows of the first passages; all of them if there are no more."""
        _, count_each = torch.unique_consecutive(self.passage_W, return_counts=True)
        return self.between(0, int(count_each[:num_passages].sum()))

    def between(self, start: int, stop: int) -> "Windows":
        """Return windows in a row."""
        return Windows(
            frames=self.frames,
            index={sensor: index_WP[start:stop] for sensor, index_WP in self.index.items()},
            label_WT=self.label_WT[start:stop],
            passage_W=self.passage_W[start:stop],
            condition_W=self.condition_W[start:stop],
        )

    def gathered(self, chosen_B: Tensor | slice) -> Gathered:
        """Return the frames that some windows have, each once, and one that is all zero.

        Positions without a frame of their own, the last of a window, have the zero frame.
        """
        found: Gathered = ({}, {})
        for sensor, stored_N in self.frames.items():
            own_N, place_BP = torch.unique(self.index[sensor][chosen_B], return_inverse=True)
            frames_N = torch.zeros(len(own_N) + 1, *stored_N.shape[1:])
            frames_N[:-1] = stored_N[own_N]
            with on_host():  # how many frames there are is known at once
                index_BT = torch.full((len(place_BP), NUM_STEPS), len(own_N))
            index_BT[:, : place_BP.shape[1]] = place_BP
            found[0][sensor] = frames_N.unsqueeze(1) if sensor == "image" else frames_N
            found[1][sensor] = to_device(index_BT)
        return found


def windows_of(split: Arrays, sensors: Sequence[Sensor]) -> Windows:
    """Return the windows of a split as far as some sensors are concerned, without copying frames.

    Args:
        split: Arrays of a split: ``mask`` [N, S, S] and ``mask_index`` [W, 7] for the camera,
            ``radar`` [F, 2, 128, 64], ``gps`` [F, 2], ``power`` [F, 64] and ``window`` [W, 8] for
            the others, powers without the newest frame, ``label`` [W, 4], ``passage`` [W],
            ``condition`` [F].
        sensors: Sensors of the network.
    """
    with on_host():
        index = {sensor: as_tensor(split[ARRAYS[sensor][1]]).long() for sensor in sensors}
        if "power" in index:  # the label of slot t0 is read from the powers of the newest frame
            index["power"] = index["power"][:, :-1]
        passage_W, condition_W = as_tensor(split["passage"]), conditions_of(split)
    return Windows(
        frames={sensor: as_tensor(split[ARRAYS[sensor][0]]) for sensor in sensors},
        index=index,
        label_WT=as_tensor(split["label"]),
        passage_W=passage_W,
        condition_W=condition_W,
    )


def passes_of_epoch(windows: "Windows", batch_chunks: int) -> Passes:
    """Return what an epoch runs through a network: of one order and cut, as good as any other."""
    draws, passes = torch.Generator().manual_seed(0), Passes()
    chunks = Chunks(len(windows), draws)
    order = torch.randperm(len(chunks), generator=draws)
    for step in range(len(chunks) // batch_chunks):
        chosen_B = chunks.windows(order[step * batch_chunks : (step + 1) * batch_chunks])
        distinct = {s: len(torch.unique(index[chosen_B])) + 1 for s, index in windows.index.items()}
        passes = passes + Passes(frames=distinct, windows=len(chosen_B))
    return passes


class Chunks:
    """Cuts windows into chunks of `CHUNK` in a row, at another place every time.

    Windows lie on a circle, with empty places behind the last so that chunks fill it; with the cut
    at any of `CHUNK` places, all equally likely, no window is drawn more often than another. A
    chunk may reach from one passage into the next.

    Args:
        num_windows: Windows to cut.
        generator: Source of the cuts.
    """

    def __init__(self, num_windows: int, generator: torch.Generator) -> None:
        self._num_windows = num_windows
        self._generator = generator

    def __len__(self) -> int:
        return -(-self._num_windows // CHUNK)

    def windows(self, chunk_K: Tensor) -> Tensor:
        """Return the windows of some chunks, [B], under a cut drawn for this call."""
        with on_host():
            shift = torch.randint(CHUNK, (1,), generator=self._generator)
            place_KC = CHUNK * chunk_K[:, None] + shift + torch.arange(CHUNK)
        place_B = (place_KC % (CHUNK * len(self))).flatten()
        return place_B[place_B < self._num_windows]
