"""Tables of `make_table.py`, as search_race.py and the engine's search see them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from analysis import pareto
from kdtasks.contract.params import Params, Value
from search_spaces.study import Study, parse_study

KEY = b"kdsweep"
"""Of the provenance in the Parquet metadata, which is JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A report of a tabulated training.

    Attributes:
        epoch: Epochs done.
        epochs: Epochs planned.
        core_s: CPU time so far [s].
        metrics: The objectives.
    """

    epoch: int
    epochs: int
    core_s: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """Tabulated trainings.

    Attributes:
        rows: Columns as `docs/benchmark.md` describes them.
        study: The study that made them.
    """

    rows: pd.DataFrame
    study: Study

    @classmethod
    def read(cls, file: Path) -> "Table":
        """Return the table in a file.

        Raises:
            SystemExit: If there is none, or not every configuration has been trained.
        """
        if not file.is_file():
            raise SystemExit(f"{file} does not exist: python benchmarks/make_table.py {file.stem}")
        about = json.loads(pq.read_schema(file).metadata[KEY])
        if not about["complete"]:
            raise SystemExit(f"{file} has {about['trainings']} trainings only: make it to its end")
        return cls(pd.read_parquet(file), parse_study(about["study"], str(file)))

    @cached_property
    def orders(self) -> Mapping[str, tuple[Value, ...]]:
        """The values of every number that is searched by its place in them."""
        domains = self.study.space.parameters
        values = {name: domain.values() or () for name, domain in domains.items()}
        return {
            name: tuple(sorted(listed))
            for name, listed in values.items()
            if len(listed) > 1 and not any(isinstance(value, bool | str) for value in listed)
        }

    def _place(self, name: str, value: Value) -> Value:
        return self.orders[name].index(value) if name in self.orders else value

    @cached_property
    def space(self) -> dict[str, Any]:
        """The space of the race, as a study has it."""
        found: dict[str, Any] = {}
        for name, domain in self.study.space.parameters.items():
            if name == "seed":
                continue
            kind = {"type": "choice", "values": list(domain.values() or ())}
            if name in self.orders:
                kind = {"type": "int", "low": 0, "high": len(self.orders[name]) - 1}
            when = {
                parent: [self._place(parent, value) for value in allowed]
                for parent, allowed in domain.when.items()
            }
            found[name] = {**kind, "when": when} if when else kind
        return found

    def values_of(self, searched: Params) -> dict[str, Value]:
        """Return a configuration with the values of the table."""
        orders = self.orders
        return {n: orders[n][int(v)] if n in orders else v for n, v in searched.items()}

    def key(self, config: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return what finds a configuration in `trainings`."""
        return tuple(config.get(name) for name in self.space)

    @cached_property
    def trainings(self) -> Mapping[int, Mapping[tuple[Any, ...], Sequence[Report]]]:
        """The reports of every configuration, by seed and `key`."""
        goals = [goal.metric for goal in self.study.objectives]
        found: dict[int, dict[tuple[Any, ...], Sequence[Report]]] = {}
        for (_, seed), rows in self.rows.groupby(["config", "seed"], sort=True):
            first = rows.iloc[0]
            config = {name: first[f"param.{name}"] for name in self.space}
            plain = {name: None if pd.isna(v) else v for name, v in config.items()}
            columns = zip(
                rows["epoch"], rows["epochs"], rows["core_s"], rows[goals].to_numpy(), strict=True
            )
            found.setdefault(int(seed), {})[self.key(plain)] = [
                Report(
                    epoch=int(epoch),
                    epochs=int(epochs),
                    core_s=float(core_s),
                    metrics=dict(zip(goals, map(float, values), strict=True)),
                )
                for epoch, epochs, core_s, values in columns
            ]
        return found

    @cached_property
    def known(self) -> Mapping[tuple[Any, ...], Mapping[str, float]]:
        """What follows from a configuration without training, by `key`."""
        names = [name for name in self.rows if str(name).startswith("cost.")]
        ends = {key: index for index, key in enumerate(self.trainings[min(self.trainings)])}
        firsts = self.rows.drop_duplicates("config").sort_values("config")[names].to_numpy()
        plain = [str(name).removeprefix("cost.") for name in names]
        return {key: dict(zip(plain, firsts[at], strict=True)) for key, at in ends.items()}

    def finals(self, seed: int) -> dict[tuple[Any, ...], tuple[float, ...]]:
        """Return the objectives at the end of every training with a seed."""
        ends = self.trainings[seed].items()
        return {key: tuple(reports[-1].metrics.values()) for key, reports in ends}

    def best(self, seed: int) -> float:
        """Return the hypervolume of all trainings with a seed."""
        values = np.array(list(self.finals(seed).values()))
        return pareto.sweep_hypervolume(values, self.study.objectives)

    @cached_property
    def mean_core_s(self) -> float:
        """The mean CPU time of a whole training [s]."""
        return float(self.rows.groupby(["config", "seed"])["core_s"].max().mean())


class TableTask:
    """What the engine's search asks of a task, answered by a table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def complete(self, params: Params) -> dict[str, Value]:
        """Return a configuration with the values of the table."""
        return self._table.values_of({n: v for n, v in params.items() if n != "seed"})

    def cost(self, params: Params) -> Mapping[str, float]:
        """Return what is known before training."""
        return self._table.known[self._table.key(params)]

    def teacher_fingerprint(self, params: Params) -> str | None:
        """Return None for a student without a teacher."""
        return None if params.get("method") == "vanilla" else "teacher"
