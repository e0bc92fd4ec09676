"""What multi-objective early stopping saves, on a tabulated black box with a simulated clock.

A table holds the learning curves of random students: error and FLOPs are minimised. A study of so
many trials is replayed without stopping; then, with the same rule that a sweep uses, students are
drawn from the same table until the front has the same hypervolume. No network is trained: the
curves are made up (see `BlackBox`), and are hard on early stopping on purpose, as they cross.

Goal: the hypervolume of training everything, for at most half of the epochs (median over seeds).

Of sweeps that were run it prints which trials were stopped, when and with what numbers, and the
hypervolume after shares of the time that trials took.

Example::

    python benchmarks/early_stopping.py --trials 1000 --seeds 10
    python benchmarks/early_stopping.py --sweep runs/topologies --sweep runs/topologies-whole
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis import layout, pareto
from search_spaces.objectives import Objective
from search_spaces.stopping import Stopping
from sweeps.common.clock import SimulatedClock
from sweeps.common.events import Event
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.front import pareto_state
from sweeps.ledger.ledger import Ledger
from sweeps.search.rungs import Rungs

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.replay import replay

GOAL = 0.5
"""Share of the epochs that may be spent."""

OBJECTIVES = (
    Objective(metric="val_nmse_db", direction="minimize", unit="dB", reference=0.0, label="NMSE"),
    Objective(metric="ue_flops", direction="minimize", unit="FLOPs", reference=1e7, scale="log"),
)
TABLE = 4000
"""Students in the table."""


class BlackBox:
    """Learning curves of students with 1e4 to 1e7 FLOPs, in dB of NMSE.

    The final error falls with the FLOPs and depends on two further settings, each with its best
    value. One of them, the learning rate, also decides how fast a student learns: a high rate is
    ahead early and behind at the end, so curves cross. Noise is added to every student for good and
    to every epoch anew.

    Args:
        seed: Of everything.
        epochs: Of a whole training.
    """

    def __init__(self, seed: int, epochs: int) -> None:
        rng = np.random.default_rng(seed)
        self.epochs = epochs
        self.flops = 10.0 ** rng.uniform(4.0, 7.0, TABLE)
        rate, weight = rng.uniform(-1.0, 1.0, TABLE), rng.uniform(0.0, 1.0, TABLE)
        capacity_db = -3.0 - 4.0 * (np.log10(self.flops) - 4.0)
        final_db: NDArray[np.float64] = (
            capacity_db + 4.0 * (rate - 0.1) ** 2 + 3.0 * (weight - 0.6) ** 2
        )
        final_db += rng.normal(0.0, 0.4, TABLE)
        # share of the training after which the rest of the way has shrunk to 1/e
        pace = 0.12 * 10.0 ** (-0.5 * rate + rng.normal(0.0, 0.1, TABLE))
        share = np.arange(1, epochs + 1) / epochs
        left = np.exp(-share[None, :] / pace[:, None])
        self.curves_db = final_db[:, None] * (1.0 - left)
        self.curves_db += rng.normal(0.0, 0.3, (TABLE, epochs)) * (1.0 - 0.8 * share)
        self.core_s = 1.0 + 4.0 * (self.flops / 1e7) ** 0.5

    def finals(self) -> NDArray[np.float64]:
        """Return the objectives of every student after a whole training, shape [students, 2]."""
        return np.stack([self.curves_db[:, -1], self.flops], axis=1)

    def agreement(self, share: float) -> float:
        """Return Spearman's correlation of errors at a share of the training with the final ones.

        Their trend with FLOPs is removed first.
        """
        column = max(1, round(share * self.epochs)) - 1
        trend = np.log10(self.flops)
        ranks = []
        for values in (self.curves_db[:, column], self.curves_db[:, -1]):
            rest = values - np.polyval(np.polyfit(trend, values, 1), trend)
            ranks.append(np.argsort(np.argsort(rest)))
        return float(np.asarray(np.corrcoef(ranks))[0, 1])

    def learn(self, student: int) -> Iterator[tuple[float, Event]]:
        """Yield what a student reports, with the seconds that each epoch takes."""
        for epoch in range(1, self.epochs + 1):
            metrics = {"val_nmse_db": float(self.curves_db[student, epoch - 1])}
            yield self.core_s[student], Event(epoch=epoch, epochs=self.epochs, metrics=metrics)
        yield 0.0, Event(done=True)


@dataclass(kw_only=True)
class Draws:
    """A random search over the table.

    Attributes:
        box: The table.
        seed: Of the order.
        trials: At most so many.
        stopping: The rule; None trains everything.
        most_epochs: No trial begins after so many epochs.
        progress: Epochs so far and hypervolume, at every finished trial.
        epochs: Epochs trained so far.
    """

    box: BlackBox
    seed: int
    trials: int
    stopping: Stopping | None
    most_epochs: float = np.inf
    progress: list[tuple[int, float]] = field(default_factory=list)
    epochs: int = 0

    def __post_init__(self) -> None:
        self._order = np.random.default_rng(self.seed).permutation(TABLE)
        self._rungs = Rungs(self.stopping, OBJECTIVES) if self.stopping else None
        self._finals = self.box.finals()
        self._front = self._finals[:0]

    def assign(self, trial_id: str) -> int | None:
        """Return the student of a trial."""
        if int(trial_id) >= self.trials or self.epochs >= self.most_epochs:
            return None
        return int(self._order[int(trial_id)])

    def started(self, trial_id: str) -> None:
        """Do nothing."""

    def stops(self, trial_id: str, event: Event) -> bool:
        """Return whether a trial falls behind."""
        self.epochs += 1
        if self._rungs is None:
            return False
        flops = float(self.box.flops[self._order[int(trial_id)]])
        metrics = {**event.metrics, "ue_flops": flops}
        entry = self._rungs.report(int(trial_id), event.epoch, event.epochs, metrics)
        return entry is not None and not self._rungs.continues(int(trial_id), entry.rung)

    def finished(self, trial_id: str, event: Event) -> None:
        """Enter a trial, unless it was stopped."""
        if not event.done:
            return
        self._front = np.vstack([self._front, self._finals[self._order[int(trial_id)]]])
        directions = pareto.directions_of(OBJECTIVES)
        self._front = self._front[pareto.front_mask(self._front, directions)]
        self.progress.append((self.epochs, pareto.sweep_hypervolume(self._front, OBJECTIVES)))

    def volume(self, epochs: float = np.inf) -> float:
        """Return the hypervolume after so many epochs."""
        return max((volume for at, volume in self.progress if at <= epochs), default=0.0)

    def epochs_to(self, volume: float) -> float:
        """Return the epochs after which the front had a hypervolume; infinite if it never had."""
        return min((float(at) for at, found in self.progress if found >= volume), default=np.inf)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One seed; everything is a share of what training every trial of the study to its end gives.

    Attributes:
        same_epochs: Epochs of stopping on the same trials.
        same_volume: Hypervolume of stopping on the same trials.
        half_volume: Hypervolume of stopping after half of the epochs, on as many trials as they
            allow.
        half_plain: Hypervolume of training everything after half of the epochs.
        reached: Epochs after which stopping has the same hypervolume; infinite if it had not with
            all of the epochs.
        agreement: How well the first rung tells the final order (`BlackBox.agreement`).
        seconds: Wall time of the three replays [s], no share.
    """

    same_epochs: float
    same_volume: float
    half_volume: float
    half_plain: float
    reached: float
    agreement: float
    seconds: float


def compare(seed: int, *, trials: int, epochs: int, slots: int, stopping: Stopping) -> Comparison:
    """Replay a study without and with stopping.

    Args:
        seed: Of the table and of the search.
        trials: Of the study.
        epochs: Of a whole training.
        slots: Trials that run at once.
        stopping: The rule.
    """
    begun_s = time.perf_counter()
    box = BlackBox(seed, epochs)

    def run(draws: Draws) -> Draws:
        replay(draws, box.learn, slots=slots, clock=SimulatedClock())
        return draws

    plain = run(Draws(box=box, seed=seed, trials=trials, stopping=None))
    same = run(Draws(box=box, seed=seed, trials=trials, stopping=stopping))
    more = run(Draws(box=box, seed=seed, trials=TABLE, stopping=stopping, most_epochs=plain.epochs))
    goal = plain.volume()
    return Comparison(
        same_epochs=same.epochs / plain.epochs,
        same_volume=same.volume() / goal,
        half_volume=more.volume(plain.epochs / 2) / goal,
        half_plain=plain.volume(plain.epochs / 2) / goal,
        reached=more.epochs_to(goal) / plain.epochs,
        agreement=box.agreement(stopping.min_share),
        seconds=time.perf_counter() - begun_s,
    )


def show_sweep(folder: Path) -> None:
    """Print what was stopped when in a sweep, and hypervolume against the time of its trials.

    Time is that of slots, from the start of a trial to its end, without waiting in between.
    """
    write, ledger = sys.stdout.write, Ledger.open(folder / layout.JOURNAL_FILE)
    study, spent_s, finished = ledger.study, 0.0, list[TrialRecord]()
    ran = [t for t in ledger.trials() if t.started_ms is not None and t.ended_ms is not None]
    curve = []
    for trial in sorted(ran, key=lambda t: t.ended_ms or 0):
        spent_s += ((trial.ended_ms or 0) - (trial.started_ms or 0)) / 1000.0
        if trial.state is TrialState.COMPLETE:
            finished.append(trial)
            curve.append((spent_s, pareto_state(finished, study).hypervolume))
    states = [t.state for t in ran]
    write(
        f"{folder.name}: {len(finished)} finished, {states.count(TrialState.PRUNED)} stopped, "
        f"{states.count(TrialState.FAIL)} failed, {spent_s:.0f} slot seconds\n"
    )
    for trial in ran:
        if trial.state is TrialState.PRUNED and trial.trained:
            done, planned = trial.trained
            seen = {goal.metric: trial.metrics.get(goal.metric) for goal in study.objectives}
            write(f"  trial {trial.number} at {done} of {planned} epochs: ")
            write(f"{json.dumps({**trial.params, **seen})}\n")
    for share in (0.25, 0.5, 0.75, 1.0):
        volume = max((v for at_s, v in curve if at_s <= share * spent_s), default=0.0)
        write(f"  hypervolume {volume:.6g} after {share * spent_s:.0f} slot seconds\n")


def main() -> int:
    """Compare over seeds; return 1 if the goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Stopping()
    parser.add_argument("--trials", type=int, default=1000, help="of the study, at most 4000")
    parser.add_argument("--epochs", type=int, default=24, help="of a whole training")
    parser.add_argument("--slots", type=int, default=8, help="trials at once")
    parser.add_argument("--seeds", type=int, default=10, help="repetitions")
    parser.add_argument("--min-share", type=float, default=default.min_share)
    parser.add_argument("--eta", type=int, default=default.eta)
    parser.add_argument("--min-trials", type=int, default=default.min_trials)
    parser.add_argument("--sweep", type=Path, action="append", help="folder of a sweep to show")
    options = parser.parse_args()
    if options.sweep:
        for folder in options.sweep:
            show_sweep(folder)
        return 0
    stopping = Stopping(min_share=options.min_share, eta=options.eta, min_trials=options.min_trials)
    found = [
        compare(
            seed,
            trials=options.trials,
            epochs=options.epochs,
            slots=options.slots,
            stopping=stopping,
        )
        for seed in range(options.seeds)
    ]
    write = sys.stdout.write
    for seed, one in enumerate(found):
        write(f"seed {seed}: {json.dumps({k: round(v, 4) for k, v in asdict(one).items()})}\n")
    middle = {name: statistics.median(getattr(c, name) for c in found) for name in asdict(found[0])}
    write(
        f"\nmedian of {len(found)} seeds, {options.trials} trials of {options.epochs} epochs, "
        f"{options.slots} slots:\n"
        f"  same trials: {middle['same_volume']:.2%} of the hypervolume for "
        f"{middle['same_epochs']:.1%} of the epochs\n"
        f"  half the epochs: {middle['half_volume']:.2%} with stopping, "
        f"{middle['half_plain']:.2%} without\n"
        f"  the same hypervolume after {middle['reached']:.1%} of the epochs (goal {GOAL:.0%})\n"
        f"  rank correlation of first rung and end, at like FLOPs: {middle['agreement']:.2f}\n"
        f"  {middle['seconds']:.1f} s per seed for three replays\n"
    )
    return 0 if middle["reached"] <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
