"""A table as `benchmarks/make_table.py` writes them, made by a formula."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.make_table import write
from search_spaces.study import parse_study

STUDY = """
name: table-example
title: A table made by a formula
task: csi-feedback
space:
  method: {type: choice, values: [vanilla, taught]}
  depth: {type: choice, values: [0, 1, 2]}
  width: {type: choice, values: [2, 4, 8, 16], when: {depth: [1, 2]}}
  rate: {type: choice, values: [1.0e-3, 3.0e-3, 1.0e-2, 3.0e-2, 1.0e-1]}
  effort: {type: choice, values: [4, 12]}
  seed: {type: choice, values: [0, 1]}
objectives:
  - {metric: error, direction: minimize, reference: 3.0}
  - {metric: flops, direction: minimize, reference: 1.0e+4, scale: log}
search: {sampler: grid}
"""


def reports(config: dict[str, Any]) -> list[tuple[int, float, float, float]]:
    """Return epoch, core-seconds, error and FLOPs of every report; large rates are ahead early."""
    size = 1 + config["depth"] * config.get("width", 0)
    rate = math.log10(config["rate"])
    end = 1.5 / (1.0 + 0.3 * math.log(size)) + 0.3 * (rate + 2.5 - 0.2 * config["depth"]) ** 2
    end -= 0.2 * (config["method"] == "taught") + 0.03 * config["effort"]
    noise = np.random.default_rng([config["seed"], size, config["effort"], int(-10 * rate)])
    end += 0.05 * noise.normal()
    pace = 10.0 ** (-0.3 * (rate + 1.0))
    flops = 10.0 * size**1.5
    return [
        (epoch, epoch * (1.0 + flops / 500.0), end + 2.0 * math.exp(-epoch / pace), flops)
        for epoch in range(1, config["effort"] + 1)
    ]


def write_example(file: Path) -> None:
    study = parse_study(STUDY, "example")
    rows = []
    for config in study.space.enumerate():
        for epoch, core_s, error, flops in reports(dict(config)):
            params = {f"param.{name}": config.get(name) for name in study.space.names}
            rows.append(
                {
                    **params,
                    "seed": config["seed"],
                    "epoch": epoch,
                    "epochs": config["effort"],
                    "core_s": core_s,
                    "error": error,
                    "flops": flops,
                    "cost.flops": flops,
                }
            )
    table = pd.DataFrame(rows).drop(columns="param.seed")
    names = [name for name in table if name.startswith("param.")]
    table.insert(0, "config", table.groupby(names, dropna=False, sort=False).ngroup())
    table = table.sort_values(["config", "seed", "epoch"], ignore_index=True)
    write(table, {"complete": True, "trainings": 360, "study": STUDY}, file)
