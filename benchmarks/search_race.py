"""Samplers and stopping rules search the tables of `make_table.py` on a simulated clock.

Every arm gets the same finite space: numbers that a study lists are searched by their place in the
list (they are ordered), everything else is a choice. All arms but one run the engine's own code
without Ray: `Proposals`, `make_sampler`, `EarlyStopping` and a ledger in memory. ``book`` is what
`plain_script.py` does: Optuna's `TPESampler` as `OptunaSearch` makes it, no stopping, and what is
suggested twice is trained twice. What is not simulated: start-up, teachers, the time that a sampler
thinks (printed), and messages of several trials that arrive out of order.

Race seed s replays trainings with seed s mod the number of seeds in the table. Core-seconds are
slots times simulated time; the target is a share of the hypervolume of all trainings of that seed.
A seed that does not reach it within the budget counts as infinite in medians (printed as > budget)
and as the budget in ratios.

Example::

    python benchmarks/search_race.py --table csi --seeds 20 --json race.json
"""

import argparse
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from analysis import pareto  # noqa: E402 - found where the line above says
from benchmarks.curves import Curve, Found  # noqa: E402
from benchmarks.race_table import Report, Table, TableTask  # noqa: E402
from benchmarks.replay import replay  # noqa: E402
from kdtasks.contract.params import Params  # noqa: E402
from search_spaces.search import Search  # noqa: E402
from search_spaces.space import Space  # noqa: E402
from search_spaces.study import parse_study  # noqa: E402
from search_spaces.study_yaml import dump_yaml, load_yaml  # noqa: E402
from search_spaces.to_optuna import suggest  # noqa: E402
from sweeps.common.clock import SimulatedClock  # noqa: E402
from sweeps.common.environment import ONE_THREAD  # noqa: E402
from sweeps.common.events import Event  # noqa: E402
from sweeps.common.records import Stop, TrialState  # noqa: E402
from sweeps.ledger.ledger import Ledger  # noqa: E402
from sweeps.search.asha import EarlyStopping  # noqa: E402
from sweeps.search.proposals import Proposals  # noqa: E402
from sweeps.search.samplers import known_costs, make_sampler  # noqa: E402

TABLES = ROOT / "benchmarks" / "tables"
SHARES = (0.90, 0.95, 0.98, 0.99)
SAMPLERS = ("random", "tpe", "nsga2", "gp", "known-cost")
BOOK, ASHA, WITHIN = "book", "+asha", "+asha-within"
RULES: dict[str, dict[str, Any]] = {
    "": {},
    ASHA: {"stopping": {"kind": "asha"}},
    WITHIN: {"stopping": {"kind": "asha", "within": ["method"]}},
}
"""Fields of a study, by the rule in an arm's name: none, compare all trials, those of a method."""
ARMS = (BOOK, *(name + rule for name in SAMPLERS for rule in RULES))
DEFAULT = Search().sampler
SLOTS = (1, 2, 8)
COMPARED = (
    ("known-cost", "tpe", 0.98),
    ("known-cost" + WITHIN, "tpe" + WITHIN, 0.98),
    ("known-cost" + WITHIN, BOOK, 0.95),
    (DEFAULT, BOOK, 0.95),
)
RESAMPLED = 2000
"""Bootstrap samples of the seeds."""


class Arm(Protocol):
    """A sampler with a stopping rule."""

    def propose(self) -> tuple[int, Params] | None:
        """Return number and configuration of the next trial, with the values of the table."""

    def judge(self, number: int, event: Event) -> Stop | None:
        """Return why a trial must stop after a report."""

    def end(self, number: int, values: Sequence[float], stop: Stop | None) -> None:
        """Take the end of a trial."""


class ByTheBook:
    """Optuna as Ray's `OptunaSearch` drives it by default."""

    def __init__(self, table: Table, seed: int) -> None:
        self._space = Space(table.space)
        self._table, self._open = table, dict[int, optuna.Trial]()
        self._study = optuna.create_study(
            directions=[goal.direction for goal in table.study.objectives],
            sampler=optuna.samplers.TPESampler(seed=seed),
        )

    def propose(self) -> tuple[int, Params]:
        trial = self._study.ask()
        self._open[trial.number] = trial
        return trial.number, self._table.values_of(suggest(trial, self._space))

    def judge(self, number: int, event: Event) -> None:  # noqa: ARG002 - of Arm
        return None

    def end(self, number: int, values: Sequence[float], stop: Stop | None) -> None:  # noqa: ARG002 - of Arm
        self._study.tell(self._open.pop(number), list(values))


class Engine:
    """The engine's search without Ray: proposals, stopping and ledger."""

    def __init__(self, table: Table, seed: int, name: str, clock: SimulatedClock) -> None:
        sampler, plus, rule = name.partition("+")
        raw = load_yaml(table.study.text, "table")
        study = parse_study(
            dump_yaml(
                {
                    **{key: raw[key] for key in ("name", "title", "task", "objectives")},
                    "space": table.space,
                    "search": {"sampler": sampler},
                    "budget": {"trials": 10**6, "time": None},
                    "seeds": {"search": seed, "trial": 0, "confirm": []},
                    "confirm": {"select": "none"},
                    **RULES[plus + rule],
                }
            ),
            "race",
        )
        task: Any = TableTask(table)
        directions = [goal.direction for goal in study.objectives]
        self._ledger = Ledger(optuna.create_study(directions=directions))
        self._ledger.use(partial(make_sampler, study, known_costs(study, task)))
        self._proposals = Proposals(study, task, self._ledger, clock)
        self._early = EarlyStopping(study, task, self._ledger)

    def propose(self) -> tuple[int, Params] | None:
        if (found := self._proposals.next()) is None:
            return None
        self._early.before(found.number, found.config)
        return found.number, found.config

    def judge(self, number: int, event: Event) -> Stop | None:
        return self._early.after(number, event)

    def end(self, number: int, values: Sequence[float], stop: Stop | None) -> None:
        self._early.ended(number, TrialState.PRUNED if stop else TrialState.COMPLETE)
        if stop:
            self._ledger.prune(number, stop)
        else:
            self._ledger.complete(number, values, {}, {})


@dataclass(kw_only=True)
class Runner:
    """Lets an arm search a table; `benchmarks.replay.replay` drives it.

    Attributes:
        table: The table.
        seed: Of the trainings that are replayed.
        arm: What searches.
        slots: Trials at once.
        clock: Simulated time [s].
        budget_s: No trial begins after so many core-seconds.
        found: Finished trials, by core-seconds.
        thinking_s: CPU time of each proposal, measured.
        trained_s: CPU time of all trainings, stopped ones included.
    """

    table: Table
    seed: int
    arm: Arm
    slots: int
    clock: SimulatedClock
    budget_s: float
    found: list[Found] = field(default_factory=list)
    thinking_s: list[float] = field(default_factory=list)
    trained_s: float = 0.0

    def __post_init__(self) -> None:
        finals = self.table.finals(self.seed)
        goals = self.table.study.objectives
        on_front = pareto.front_mask(list(finals.values()), pareto.directions_of(goals))
        self._missing = {key for key, on in zip(finals, on_front, strict=True) if on}
        self._running: dict[str, tuple[int, tuple[Any, ...]]] = {}
        self._stops: dict[str, Stop] = {}

    @property
    def spent_s(self) -> float:
        """Core-seconds so far."""
        return self.slots * self.clock.now_s

    def assign(self, trial_id: str) -> Sequence[Report] | None:
        if self.spent_s >= self.budget_s or not self._missing:
            return None
        begun_s = time.process_time()
        proposal = self.arm.propose()
        self.thinking_s.append(time.process_time() - begun_s)
        if proposal is None:
            return None
        key = self.table.key(proposal[1])
        self._running[trial_id] = proposal[0], key
        return self.table.trainings[self.seed][key]

    def started(self, trial_id: str) -> None:
        """Do nothing."""

    def learn(self, reports: Sequence[Report]) -> Iterator[tuple[float, Event]]:
        """Yield the events of a training with the seconds since the one before."""
        before_s = 0.0
        for one in reports:
            step_s, before_s = one.core_s - before_s, one.core_s
            self.trained_s += step_s
            yield step_s, Event(epoch=one.epoch, epochs=one.epochs, metrics=one.metrics)
        yield 0.0, Event(done=True)

    def stops(self, trial_id: str, event: Event) -> bool:
        stop = self.arm.judge(self._running[trial_id][0], event)
        if stop is not None:
            self._stops[trial_id] = stop
        return stop is not None

    def finished(self, trial_id: str, event: Event) -> None:  # noqa: ARG002 - of Searching
        number, key = self._running.pop(trial_id)
        values = tuple(self.table.trainings[self.seed][key][-1].metrics.values())
        stop = self._stops.pop(trial_id, None)
        self.arm.end(number, values, stop)
        if stop is None:
            self.found.append(Found(at_s=self.spent_s, values=values))
            self._missing.discard(key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One race of one arm.

    Attributes:
        reached: Core-seconds to each of `SHARES`; infinite if that was not within the budget.
        share: Of the best hypervolume, after the budget.
        trials: Number of trials, stopped ones included.
        finished: Of these, trained to their end.
        thinking_s: Median CPU time of a proposal [s].
    """

    reached: tuple[float, ...]
    share: float
    trials: int
    finished: int
    thinking_s: float


@lru_cache(maxsize=4)
def opened(file: Path) -> Table:
    """Return a table, which a process reads once."""
    return Table.read(file)


def make_arm(table: Table, name: str, seed: int, clock: SimulatedClock) -> Arm:
    """Return one of `ARMS`."""
    return ByTheBook(table, seed) if name == BOOK else Engine(table, seed, name, clock)


def race(table: Table, name: str, *, slots: int, seed: int, budget_s: float) -> Result:
    """Let an arm search a table until the budget is spent or the whole front is found."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seeds, clock = sorted(table.trainings), SimulatedClock()
    runner = Runner(
        table=table,
        seed=seeds[seed % len(seeds)],
        arm=make_arm(table, name, seed, clock),
        slots=slots,
        clock=clock,
        budget_s=budget_s,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's samplers are experimental
        found = replay(runner, runner.learn, slots=slots, clock=clock)
    return result_of(runner, found.trials)


def result_of(runner: Runner, trials: int) -> Result:
    """Return what a finished race has come to."""
    within = [one for one in runner.found if one.at_s <= runner.budget_s]
    curve = Curve.of(within, runner.table.study.objectives)
    best = runner.table.best(runner.seed)
    return Result(
        # the whole front has the best hypervolume but for rounding
        reached=tuple(curve.reached_s(share * best * (1.0 - 1e-12)) for share in SHARES),
        share=curve.final / best,
        trials=trials,
        finished=len(runner.found),
        thinking_s=float(np.median(runner.thinking_s)),
    )


def _one(file: Path, job: tuple[str, int, int], budget: float) -> Result:
    table, (name, slots, seed) = opened(file), job
    return race(table, name, slots=slots, seed=seed, budget_s=budget * table.mean_core_s)


Results = dict[tuple[str, int], list[Result]]
"""By arm and slots, in the order of seeds."""


def race_all(file: Path, arms: Sequence[str], options: argparse.Namespace) -> Results:
    """Race arms on a table, seeds side by side."""
    seeds = range(options.first, options.first + options.seeds)
    jobs = [(arm, slots, seed) for arm in arms for slots in options.slots for seed in seeds]
    os.environ.update(ONE_THREAD)
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        work = partial(_one, file, budget=options.budget)
        found = list(pool.map(work, jobs))
    results: Results = {}
    for (arm, slots, _), result in zip(jobs, found, strict=True):
        results.setdefault((arm, slots), []).append(result)
    return results


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and its 95 % bootstrap interval; values may be infinite."""
    sample = np.asarray(values)
    rng = np.random.default_rng(0)
    drawn = np.median(sample[rng.integers(len(sample), size=(RESAMPLED, len(sample)))], axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975), method="inverted_cdf")
    return float(np.median(sample)), float(low), float(high)


def ratio_interval(
    ours: Sequence[float], theirs: Sequence[float], budget_s: float
) -> tuple[float, float, float]:
    """Return how many times fewer core-seconds ours takes: ratio of medians, paired by seed.

    Returns:
        The ratio and its 95 % bootstrap interval.
    """
    both = np.minimum(np.array([theirs, ours]), budget_s)
    rng = np.random.default_rng(0)
    chosen = rng.integers(both.shape[1], size=(RESAMPLED, both.shape[1]))
    above, below = np.median(both[:, chosen], axis=2)
    low, high = np.quantile(above / below, (0.025, 0.975))
    whole = np.median(both, axis=1)
    return float(whole[0] / whole[1]), float(low), float(high)


def at(results: Sequence[Result], share: float) -> list[float]:
    """Return core-seconds to a share, by seed."""
    return [one.reached[SHARES.index(share)] for one in results]


def print_table(name: str, results: Results, budget_s: float) -> None:
    """Print core-seconds of every arm, and how arms compare."""

    def shown(value: float) -> str:
        return f"{value:.0f}" if math.isfinite(value) else f">{budget_s:.0f}"

    print(f"\n{name}: core-seconds to a share of the best hypervolume, median [95 %] (worst seed)")
    heads = [f"{share:.0%}".rjust(26) for share in SHARES]
    print(f"{'arm':18}{'slots':>5}{''.join(heads)}{'final (worst)':>18}{'s/proposal':>11}")
    for (arm, slots), found in results.items():
        cells = []
        for share in SHARES:
            middle, low, high = map(shown, median_interval(at(found, share)))
            worst = shown(max(at(found, share)))
            cells.append(f"{middle} [{low}-{high}] ({worst})".rjust(26))
        final = [one.share for one in found]
        ends = f"{np.median(final):.4f} ({min(final):.4f})".rjust(18)
        thinking = np.median([one.thinking_s for one in found])
        print(f"{arm:18}{slots:>5}{''.join(cells)}{ends}{thinking:>11.3f}")


def compare(name: str, results: Results, budget_s: float) -> None:
    """Print a line per pair of arms in `COMPARED`; the last is the default against the book."""
    for ours, theirs, share in COMPARED:
        parts = []
        for slots in dict.fromkeys(slots for _, slots in results):
            if not {(ours, slots), (theirs, slots)} <= results.keys():
                continue
            ours_s, theirs_s = (at(results[one, slots], share) for one in (ours, theirs))
            ratio, low, high = ratio_interval(ours_s, theirs_s, budget_s)
            parts.append(f"{ratio:.2f} [{low:.2f}-{high:.2f}] times as many with {slots} slots")
        if parts:
            head = f"{name}: {ours} against {theirs}, core-seconds to {share:.0%}"
            print(f"{head}: {theirs} takes {', '.join(parts)}")


def main() -> None:
    """Race arms on tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = sorted(file.stem for file in TABLES.glob("*.parquet"))
    parser.add_argument("--table", action="append", help="a name, or a file; default: all tables")
    parser.add_argument("--seeds", type=int, default=20, help="races of every arm")
    parser.add_argument("--first", type=int, default=0, help="seed of the first race (0)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--slots", nargs="+", type=int, default=SLOTS)
    parser.add_argument("--budget", type=float, default=100.0, help="in whole trainings")
    parser.add_argument("--processes", type=int, default=2, help="races side by side")
    parser.add_argument("--json", type=Path, help="results of every seed")
    options = parser.parse_args()
    kept = []
    for name in options.table or names:
        file = Path(name) if name.endswith(".parquet") else TABLES / f"{name}.parquet"
        table, results = opened(file), race_all(file, options.arms, options)
        budget_s = options.budget * table.mean_core_s
        print_table(file.stem, results, budget_s)
        compare(file.stem, results, budget_s)
        kept += [
            {"table": file.stem, "arm": arm, "slots": slots, "seed": seed, "budget_s": budget_s}
            | asdict(one)
            | {"reached": [value if math.isfinite(value) else None for value in one.reached]}
            for (arm, slots), found in results.items()
            for seed, one in enumerate(found, options.first)
        ]
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
