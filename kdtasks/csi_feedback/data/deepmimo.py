"""Sites in the scenario folders of DeepMIMO v4: paths of users, from which channels follow.

A folder has a matrix per quantity and link, ``power_t001_tx000_r000.mat`` (or ``.npz``, ``.npy``):
rows are users, columns paths, NaN where there is none; powers in dB, phases and angles in degrees
(azimuth from x to y, zenith from z), delays in seconds, positions in metres. A scenario
``deepmimo:FOLDER`` takes its only link; ``?name=value&...`` sets what `DeepMimoSite` has beside.
DeepMIMO's own package is not needed, and nothing of it is used.

Source: DeepMIMO, "Specs" and "Conventions" of version 4, https://deepmimo.net.

Shape suffixes in this file: N = users, P = paths.
"""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.task import Progress
from kdtasks.csi_feedback.data.channel_files import stored_values, variables
from kdtasks.csi_feedback.data.scenario_names import read_options
from kdtasks.csi_feedback.data.site import Paths
from kdtasks.data.reading import content_of
from kdtasks.data.splits import SPARE, SPLITS, SplitPlan, counts_that_fit
from kdtasks.learning.random import numpy_generator

PREFIX = "deepmimo:"

PATHS = ("power", "phase", "delay", "aod_az", "aod_el")
"""Matrices of a link that paths follow from."""

PLACES = ("rx_pos", "tx_pos")
"""Matrices of a link that say where users and base station are."""

SUFFIXES = (".mat", ".npz", ".npy")

LAYOUT = 1
"""Counted up when the same folder begins to give other data."""

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepMimoSite:
    """A link of a folder, and how it is observed.

    Attributes:
        folder: The scenario's folder.
        link: As in the names of its files, ``t001_tx000_r000``; empty takes the only one.
        bandwidth_mhz: Bandwidth that all subcarriers share [MHz].
        block_m: Side of the squares of the map that the split deals out [m].
        rows: Rows of the base station's array, see `Observation`.
    """

    folder: str
    link: str = ""
    bandwidth_mhz: float = 70.0
    block_m: float = 20.0
    rows: int = 1

    @property
    def found_link(self) -> str:
        """The link that is read.

        Raises:
            DataError: If the folder has no such link, or several and none is named.
        """
        there = links(Path(self.folder))
        if self.link in there or (not self.link and len(there) == 1):
            return self.link or there[0]
        if not there:
            raise DataError(
                f"{self.folder}: no power_t..._tx..._r... ({', '.join(SUFFIXES)}), so no scenario "
                "folder of DeepMIMO v4"
            )
        raise DataError(
            f"{self.folder}: link={self.link!r} is none of {', '.join(there)}; name one: "
            f"--set 'parameters.scenario={PREFIX}{self.folder}?link={there[0]}'"
        )

    @property
    def source(self) -> str:
        """Where channels are from, in words."""
        return f"{Path(self.folder).name}, a scenario of DeepMIMO, ray-traced"

    @property
    def licence(self) -> str:
        """Whose rights the data are under."""
        return f"that of the DeepMIMO scenario {Path(self.folder).name}"

    @property
    def carrier_hz(self) -> None:
        """Not known, and not needed: phases of paths are those at the carrier."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides channels: settings, and the content of files.

        Raises:
            DataError: If files are missing.
        """
        return {
            **asdict(self),
            "layout": LAYOUT,
            "folder": "",
            "link": self.found_link,
            "files": {file.name: content_of(file) for file in self.files},
        }

    @property
    def files(self) -> list[Path]:
        """What is read.

        Raises:
            DataError: If a file is missing.
        """
        return [_file(Path(self.folder), self.found_link, name) for name in (*PATHS, *PLACES)]

    def users(
        self,
        plan: SplitPlan,
        *,
        cache_dir: Path,  # noqa: ARG002 - as for a traced site
        progress: Progress,  # noqa: ARG002
    ) -> tuple[Paths, Float, dict[str, Any]]:
        """Return the paths of users drawn at random among those who have one.

        Args:
            plan: How they will be split.
            cache_dir: Not used, for files are read at once.
            progress: Not used.

        Returns:
            Paths, positions relative to the base station [m], shape [N, 2], and facts.

        Raises:
            DataError: If a file is missing, damaged or of another shape than the others, or too
                few users have a path.
        """
        power_NP = self._matrix("power")
        reached = np.flatnonzero(np.isfinite(power_NP).any(axis=1))
        if len(reached) < plan.total:
            raise DataError(_too_few(self.folder, len(reached), plan.total))
        order = numpy_generator(plan.seed, "users of a folder").permutation(len(reached))
        chosen = reached[order[: plan.to_draw]]
        users = self._matrix("rx_pos")
        if len(users) != len(power_NP):
            raise DataError(
                f"{self.folder}: {len(users)} positions in rx_pos, but {len(power_NP)} users in "
                "power"
            )
        facts = {"users": len(power_NP), "users_without_path": len(power_NP) - len(reached)}
        station = self._matrix("tx_pos").reshape(-1, 3)[0]
        return self._paths(chosen, power_NP), users[chosen, :2] - station[:2], facts

    def _paths(self, chosen: NDArray[np.int64], power_NP: Float) -> Paths:
        there_NP = np.isfinite(power_NP)
        found = [power_NP]
        for name in PATHS[1:]:
            matrix_NP = self._matrix(name)
            if matrix_NP.shape != power_NP.shape:
                raise DataError(
                    f"{self.folder}: {name} of {self.found_link} has shape {matrix_NP.shape}, but "
                    f"power has {power_NP.shape}"
                )
            if lost := int((there_NP & ~np.isfinite(matrix_NP)).sum()):
                raise DataError(
                    f"{self.folder}: {name} of {self.found_link} has no value for {lost} paths "
                    "that have a power; export it again"
                )
            found.append(matrix_NP)
        there_NP = there_NP[chosen]
        power, phase, delay, azimuth, zenith = (
            np.where(there_NP, one[chosen], 0.0) for one in found
        )
        gain_NP = np.where(there_NP, 10.0 ** (power / 20.0), 0.0) * np.exp(1j * np.radians(phase))
        sine_NP = np.sin(np.radians(zenith)) * np.sin(np.radians(azimuth))
        return Paths(
            gain_NP=gain_NP,
            delay_NP=delay,
            angle_NP=np.arcsin(np.clip(sine_NP, -1.0, 1.0)),
            elevation_NP=np.pi / 2.0 - np.radians(zenith),
        )

    def _matrix(self, quantity: str) -> Float:
        file = _file(Path(self.folder), self.found_link, quantity)
        numbers = [one for one in variables(file) if one.is_number and not one.is_complex]
        if len(numbers) != 1:
            there = ", ".join(map(str, variables(file))) or "nothing"
            raise DataError(f"{file}: a matrix of real numbers is wanted; it holds {there}")
        return np.asarray(stored_values(file, numbers[0].name), np.float64)


OPTIONS: dict[str, type] = {one.name: type(one.default) for one in fields(DeepMimoSite)[1:]}
"""Settings that a scenario's name can have, with their types."""


def deepmimo_site(scenario: str) -> DeepMimoSite | None:
    """Return the site that a scenario names, None if it is no folder of DeepMIMO.

    Raises:
        ConfigError: If it is one, but cannot be understood.
    """
    if not scenario.startswith(PREFIX):
        return None
    folder, _, query = scenario.removeprefix(PREFIX).partition("?")
    if not folder:
        raise ConfigError(f"scenario={scenario!r}: name the folder, {PREFIX}FOLDER")
    return DeepMimoSite(folder=folder, **read_options(scenario, query, OPTIONS))


def links(folder: Path) -> list[str]:
    """Return the links of a folder; none if it is no scenario of DeepMIMO v4."""
    if not folder.is_dir():
        return []
    pattern = re.compile(r"power_(t\d+_tx\d+_r\d+)\.(?:mat|npz|npy)")
    named = (pattern.fullmatch(file.name) for file in folder.iterdir())
    return sorted({one[1] for one in named if one})


def reached_users(site: DeepMimoSite) -> tuple[int, int]:
    """Return how many users a link has, and how many of these have a path.

    Raises:
        DataError: If powers are missing or damaged.
    """
    power_NP = site._matrix("power")
    return len(power_NP), int(np.isfinite(power_NP).any(axis=1).sum())


def fitting_counts(folder: Path, wanted: tuple[int, int, int]) -> tuple[str, tuple[int, int, int]]:
    """Return the scenario that a folder is, and samples of the splits that its users suffice for.

    Args:
        folder: The folder.
        wanted: Samples of train, val and test; returned as they are where there are enough users.

    Raises:
        ConfigError: If the path cannot stand in a scenario's name.
        DataError: If it has several links, or too few users.
    """
    path = str(folder.resolve())
    if "?" in path:
        raise ConfigError(f"{path}: rename the folder, '?' begins the options of a scenario")
    _, reached = reached_users(DeepMimoSite(folder=path))
    fitting = counts_that_fit(int(reached / SPARE))
    if fitting is None:
        raise DataError(_too_few(path, reached, sum(wanted)))
    return f"{PREFIX}{path}", wanted if reached >= SPARE * sum(wanted) else fitting


def _too_few(folder: str, reached: int, wanted: int) -> str:
    problem = f"{folder}: {reached} users have a path, but the study wants {wanted}"
    fitting = counts_that_fit(int(reached / SPARE))
    if fitting is None:
        return f"{problem}: too few to train on"
    words = (f"parameters.num_{name}={count}" for name, count in zip(SPLITS, fitting, strict=True))
    return " ".join([f"{problem}:", *(f"--set {word}" for word in words)])


def _file(folder: Path, link: str, quantity: str) -> Path:
    for suffix in SUFFIXES:
        if (file := folder / f"{quantity}_{link}{suffix}").is_file():
            return file
    raise DataError(f"{folder}: no {quantity}_{link} ({', '.join(SUFFIXES)}); export it again")
