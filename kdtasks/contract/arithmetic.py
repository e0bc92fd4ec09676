"""The parameters of how numbers are computed, the same for every task."""

from typing import Literal

from kdtasks.contract.settings import Settings, param, unlike_default


class ArithmeticSettings(Settings):
    """How a student's training computes; data and teachers do not depend on it."""

    precision: Literal["float32", "bf16"] = param(
        "float32",
        when=unlike_default("precision"),
        help="of a student's steps; bf16: autocast, weights stay float32",
    )
    tf32: bool = param(
        False,
        when=unlike_default("tf32"),
        help="on a GPU float32 is multiplied in TF32, with 10 bits",
    )
    deterministic: bool = param(
        True,
        when=unlike_default("deterministic"),
        help="on a GPU operations that have no deterministic algorithm are refused",
    )
