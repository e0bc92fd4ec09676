"""Reader of the public COST2100 data sets, as used by CsiNet, CRNet and their successors.

Layout: ``DATA_Htrainin.mat``, ``DATA_Hvalin.mat``, ``DATA_Htestin.mat`` (indoor, 5.3 GHz; ``out``
instead of ``in``: outdoor, 300 MHz), each with a variable ``HT`` of N x 2048 real numbers: the
32 x 32 angular-delay matrix, truncated in delay, all real parts first, then all imaginary parts,
scaled to [0, 1] so that 0.5 stands for zero.

Source: Wen, Shih, Jin, "Deep Learning for Massive MIMO CSI Feedback", IEEE WCL 2018, section IV.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.csi_feedback.data.channel_files import variables
from kdtasks.data.checks import check_finite, check_power
from kdtasks.data.matlab import find_variable, read_array
from kdtasks.data.reading import file_sha256
from kdtasks.data.stored_arrays import Variable

Environment = Literal["indoor", "outdoor"]

CARRIER_HZ: dict[Environment, float] = {"indoor": 5.3e9, "outdoor": 300e6}
"""Carrier of each public data set [Hz]."""

SHAPE = (2, 32, 32)
"""Real and imaginary part, then the two axes of the angular-delay matrix."""

ZERO = 0.5
"""What a vanishing entry is stored as."""

_NUM_COLUMNS = 2 * 32 * 32
_PUBLIC = re.compile(r"DATA_H(train|val|test)(in|out)\.mat")
_SUFFIX: dict[Environment, str] = {"indoor": "in", "outdoor": "out"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost2100:
    """One public data set in its published split.

    Attributes:
        train: Scaled angular-delay matrices, zero at 0.5, shape [num_samples, 2, 32, 32].
        val: Likewise.
        test: Likewise.
        provenance: JSON facts: source, environment, carrier [Hz]; file name, SHA-256 and number
            of samples per split.
    """

    train: NDArray[np.float32]
    val: NDArray[np.float32]
    test: NDArray[np.float32]
    provenance: dict[str, Any]


def read_cost2100(path: Path, *, key: str = "HT") -> NDArray[np.float32]:
    """Read one file of the public COST2100 layout.

    Args:
        path: A MATLAB file, v5 or v7.3.
        key: Name of its variable.

    Returns:
        Real and imaginary part of the angular-delay matrices, scaled to [0, 1] with zero at 0.5,
        shape [num_samples, 2, 32, 32].

    Raises:
        DataError: If the file is missing, damaged or no MATLAB file; if the variable is missing,
            is not real floating point, is not N x 2048, or holds NaN, infinity, values outside
            [0, 1] or samples without power.
    """
    variable = _variable(path, key)
    values = read_array(path, variable, np.float32)
    where = f"{path}: {key}"
    check_finite(values, where=where, axes=("sample", "column"))
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise DataError(
            f"{where} spans {low:.4g} to {high:.4g}, expected values scaled to [0, 1] with 0.5 "
            "for zero; scale them before saving"
        )
    check_power(values, where=where, zero=ZERO)
    return values.reshape(-1, *SHAPE)


def _variable(path: Path, key: str) -> Variable:
    variable = find_variable(path, key, num_axes=2)
    if variable.shape[1] != _NUM_COLUMNS:
        raise DataError(
            f"{path}: {key} has size {variable.shape[0]} x {variable.shape[1]}, expected "
            f"N x {_NUM_COLUMNS} (one sample per row: 2 parts x 32 x 32)"
        )
    return variable


def split_files(folder: Path, environment: Environment) -> dict[str, Path]:
    """Return where the three files of a data set are, under their public names."""
    return {
        split: folder / f"DATA_H{split}{_SUFFIX[environment]}.mat"
        for split in ("train", "val", "test")
    }


def split_sizes(folder: Path, environment: Environment) -> dict[str, int]:
    """Return the samples of each file of a data set, without reading values.

    Raises:
        DataError: If a file is missing, damaged, or not of this layout.
    """
    paths = split_files(folder, environment)
    _check_present(folder, environment)
    return {split: _variable(path, "HT").shape[0] for split, path in paths.items()}


def alone(path: Path) -> str:
    """Return what a file is if it is one of the three, and what it takes to train on it.

    It is known by its public name, or by its one variable ``HT`` with as many columns.

    Raises:
        DataError: If the file is damaged.
    """
    named = _PUBLIC.fullmatch(path.name)
    if not named:
        if not any(v.name == "HT" and v.shape[1:] == (_NUM_COLUMNS,) for v in variables(path)):
            return ""
        return (
            f"HT of N x {_NUM_COLUMNS} is COST2100: give its three files their public names, "
            f"{', '.join(file.name for file in split_files(Path(), 'indoor').values())} (out "
            "instead of in for outdoor), and name their folder"
        )
    environment: Environment = "indoor" if named[2] == "in" else "outdoor"
    beside = split_files(path.parent, environment).values()
    missing = [file.name for file in beside if not file.is_file()]
    needs = f"put {', '.join(missing)} beside it and name" if missing else "name"
    return (
        f"COST2100, {environment}, {named[1]} split: {needs} the folder, --data "
        f"{shlex.quote(str(path.parent))}"
    )


def read_cost2100_folder(folder: Path, *, environment: Environment) -> Cost2100:
    """Read the training, validation and test file of one public data set.

    Args:
        folder: Where the three files lie, under their public names.
        environment: Which of the two data sets.

    Raises:
        DataError: If a file is missing or wrong (see :func:`read_cost2100`), or if two splits are
            one and the same file.
    """
    paths = split_files(folder, environment)
    _check_present(folder, environment)
    hashes = {split: file_sha256(path) for split, path in paths.items()}
    for split, other in (("train", "val"), ("train", "test"), ("val", "test")):
        if hashes[split] == hashes[other]:
            raise DataError(
                f"{paths[other]}: the same file as {paths[split].name}; "
                "each split needs samples of its own"
            )
    arrays = {split: read_cost2100(path) for split, path in paths.items()}
    return Cost2100(
        train=arrays["train"],
        val=arrays["val"],
        test=arrays["test"],
        provenance={
            "source": "COST2100 (Wen, Shih, Jin, IEEE WCL 2018)",
            "environment": environment,
            "carrier_hz": CARRIER_HZ[environment],
            "files": {
                split: {
                    "name": path.name,
                    "sha256": hashes[split],
                    "num_samples": len(arrays[split]),
                }
                for split, path in paths.items()
            },
        },
    )


def _check_present(folder: Path, environment: Environment) -> None:
    paths = split_files(folder, environment)
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise DataError(
            f"{folder}: no {', '.join(missing)}; the public {environment} data set has "
            f"{', '.join(path.name for path in paths.values())}"
        )
