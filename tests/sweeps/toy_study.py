"""A study of the toy task, and a clock that a test moves."""

from dataclasses import dataclass
from typing import Any

import yaml

from search_spaces.study import Study, parse_study


def toy_study(**changes: Any) -> Study:
    """Return the toy study with some of its top-level fields replaced."""
    fields: dict[str, Any] = {
        "name": "toy",
        "title": "toy",
        "description": "nothing to learn",
        "task": "toy_task:ToyTask",
        "parameters": {"epochs": 2},
        "space": {
            "method": {"type": "choice", "values": ["vanilla", "kd"]},
            "x": {"type": "float", "low": 0.0, "high": 1.0},
            "width": {"type": "int", "low": 1, "high": 8},
        },
        "objectives": [
            {
                "metric": "val_nmse_db",
                "direction": "minimize",
                "unit": "dB",
                "reference": 0.0,
                "label": "NMSE",
            },
            {
                "metric": "ue_flops",
                "direction": "minimize",
                "unit": "FLOPs",
                "reference": 1e4,
                "label": "FLOPs",
                "scale": "log",
            },
        ],
        "search": {"sampler": "random"},
        "budget": {"trials": 8},
        "seeds": {"search": 0, "trial": 0, "confirm": [101]},
    }
    return parse_study(yaml.safe_dump({**fields, **changes}, sort_keys=False), "toy.yaml")


FINITE = {
    "method": {"type": "choice", "values": ["vanilla", "kd"]},
    "width": {"type": "int", "low": 1, "high": 6},
}
"""A space of 12 configurations."""


@dataclass
class ManualClock:
    """A clock that stands still until it is told otherwise."""

    now_s: float = 0.0

    def elapsed_s(self) -> float:
        return self.now_s

    def epoch_ms(self) -> int:
        return 1_700_000_000_000 + int(self.now_s * 1000)


def network_study(points: list[dict[str, Any]]) -> Study:
    """Return a study of deployments of the toy network, whose front is repeated once."""
    axes = {"direction": "minimize", "reference": 1e9}
    return toy_study(
        task="toy_network:ToyNetworkTask",
        parameters={},
        space={},
        objectives=[
            {"metric": "val_error", "unit": "", "label": "error", **axes},
            {"metric": "edge_bytes", "unit": "B", "label": "bytes", **axes},
        ],
        search={"sampler": "points", "points": points},
        budget={"trials": len(points)},
        confirm={"select": "front", "limit": 1},
    )
