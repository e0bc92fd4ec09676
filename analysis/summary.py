"""Sentences that sum up a sweep, computed; also when distillation does not help."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis import layout
from analysis.claims import JudgedClaim, judged_claims
from analysis.distillation import Pair, bought, compared, gain_of, method_gain
from analysis.format import gap_unit, level, percent, plural
from analysis.frames import SweepFrames
from analysis.fronts import front_trials, untaught
from analysis.pareto import sweep_hypervolume
from analysis.ranking import column, objective_values, records, where
from analysis.reference_names import identifying, labelled
from analysis.repeats import front_chances
from analysis.scores import Row, comparable, in_words, name_of, same_scenario
from analysis.stats import Verdict

SURE = 0.95
"""Chance of being on the front from which a member counts as sure."""


def counts(frames: SweepFrames) -> dict[str, int]:
    """Return how many trials finished, failed and were pruned, under the ledger's names."""
    trials = frames.trials
    states = list(trials.loc[trials["failure"] != layout.FAILURE_INTERRUPTED, "state"])
    return {state: states.count(state) for state in ("COMPLETE", "FAIL", "PRUNED")}


def summary(frames: SweepFrames, claims: Sequence[JudgedClaim] | None = None) -> list[str]:
    """Return the findings as sentences, the most important first; None judges the claims."""
    number = counts(frames)
    if not number["COMPLETE"]:
        failed = f"; {plural(number['FAIL'], 'trial')} failed" if number["FAIL"] else ""
        return [f"No trial has finished yet{failed}. There is nothing to compare."]
    if not len(front_trials(frames)):
        done = plural(number["COMPLETE"], "trial")
        return [f"{done} finished, but none is feasible: {'; '.join(_broken(frames))}."]
    best = records(front_trials(frames))[0]
    found = [
        _overview(frames, number),
        _claims(judged_claims(frames) if claims is None else claims),
        *_references(frames, best),
        *_distillation(frames),
        _volume_share(frames),
        _certainty(frames),
        _teachers(frames),
        *_below_scale(frames),
    ]
    return [sentence for sentence in found if sentence]


def _broken(frames: SweepFrames) -> list[str]:
    """Return what every trial breaks, each with the trial that comes nearest, or why none fits."""
    finished, found = frames.trials[frames.trials["state"] == "COMPLETE"], []
    for bound in frames.study.constraints:
        values = column(finished, bound.metric)
        beyond = [bound.violation(float(value)) for value in values]
        nearest = int(np.argmin(beyond))
        if math.isinf(beyond[nearest]):
            found.append(f"none has a number for {bound.metric}")
        elif beyond[nearest] > 0.0:
            sides = {"at least": bound.min, "at most": bound.max}
            allowed = [f"{side} {level:g}" for side, level in sides.items() if level is not None]
            trial, value = finished.iloc[nearest]["number"], values[nearest]
            found.append(
                f"{bound.metric} must be {' and '.join(allowed)}, and trial {trial} comes nearest "
                f"with {value:g}"
            )
    return found or ["each constraint is kept by some, all by none"]


def _overview(frames: SweepFrames, number: Mapping[str, int]) -> str:
    if len(frames.study.objectives) == 1:
        return f"{plural(number['COMPLETE'], 'trial')} finished."
    size = len(front_trials(frames))
    goals = " and ".join(objective.label for objective in frames.study.objectives)
    are = "is" if size == 1 else "are"
    why = "no other trial is as good in all of them and better in one"
    if any(objective.tolerance for objective in frames.study.objectives):
        why += ", where differences within tolerance are equal"
    done = plural(number["COMPLETE"], "finished trial")
    return f"Of {done}, {size} {are} on the front of {goals}: {why}."


def _claims(judged: Sequence[JudgedClaim]) -> str:
    """Count the verdicts on the study's claims, and name those that hold; empty without claims."""
    if not judged:
        return ""
    found: dict[str, list[str]] = {verdict: [] for verdict in Verdict}
    for one in judged:
        found[one.verdict].append(one.claim.text)
    holding = found.pop(Verdict.HOLDS)
    text = f"Of {plural(len(judged), 'claim')} {len(holding) or 'none'} "
    text += f"{'holds' if len(holding) < 2 else 'hold'} after correction"
    text += f": {'; '.join(holding)}" if holding else ""
    others = [f"{len(claims)}: {verdict}" for verdict, claims in found.items() if claims]
    if others and holding:
        text += ". The others"
    return f"{text}: {'. '.join(others)}." if others else f"{text}."


def _certainty(frames: SweepFrames) -> str:
    """Return a sentence on the chances of the front's members; empty if one was repeated."""
    chances = front_chances(frames)
    members = [int(number) for number in front_trials(frames)["number"]]
    known = {number: chances[number] for number in members if number in chances}
    if len(chances) < 2 or not known:
        return ""
    sure = sum(chance >= SURE for chance in known.values())
    least = min(known, key=lambda number: known[number])
    text = (
        f"With new seeds on test, {sure} of {plural(len(known), 'repeated member')} of the front "
        f"stay on it with a chance of {percent(SURE)} % or more"
    )
    if known[least] < SURE:
        text += f"; trial {least} is the least sure ({percent(known[least])} %)"
    beside = {number: chance for number, chance in chances.items() if number not in members}
    rivals = [number for number, chance in beside.items() if chance > 1.0 - SURE]
    if rivals:
        most = max(rivals, key=lambda number: beside[number])
        text += f", and trial {most}, off the front, has {percent(beside[most])} %"
    return f"{text}."


def _teachers(frames: SweepFrames) -> str:
    """Say whether intervals on the test split contain the draw of the teacher."""
    confirm, repeated = frames.study.confirm, frames.confirmations
    taught = any(row["taught"] for row in records(frames.feasible))
    if not (taught and confirm.retrain and len(frames.study.seeds.confirm) > 1 and len(repeated)):
        return ""
    if confirm.teachers == 1:
        return (
            "The seeds of a repeated student share one teacher: intervals on test leave out what "
            "another one would teach, which confirm.teachers draws."
        )
    return (
        f"The seeds of a repeated student draw {confirm.teachers} teachers, which are the units of "
        "its intervals on test."
    )


def _references(frames: SweepFrames, best: Row) -> list[str]:
    """Compare the best trial with the baselines and teachers of its scenario."""
    objective = frames.study.objectives[0]
    found: dict[str, list[str]] = {}
    for rows, kind in ((frames.baselines, "baseline"), (frames.teachers, "teacher")):
        names, columns = labelled(rows, kind), identifying(rows)
        for name, row in zip(names, records(rows), strict=True):
            if not same_scenario(columns, row, best):
                continue
            ours, theirs = comparable(frames, best, row)
            if ours is None or theirs is None:
                continue
            gain = gain_of(objective, ours.interval.mean - theirs.interval.mean)
            shown = level(theirs.interval.mean, objective.unit)
            words = in_words(gain, objective)
            subject = name
            if kind == "teacher":
                subject = f"the {name.replace(', ', ' ', 1)}"
            found.setdefault(ours.split, []).append(f"{words} {subject} ({shown})")
    return [f"On {split}, {name_of(best)} is {', '.join(all_)}." for split, all_ in found.items()]


def _distillation(frames: SweepFrames) -> list[str]:
    """Return what a teacher adds to students, and at what effort; empty without methods."""
    pair = compared(frames)
    if isinstance(pair, str):
        return [pair] if pair else []
    return [_against(frames, pair), *bought(frames, pair)]


def _against(frames: SweepFrames, pair: Pair) -> str:
    objective, found = frames.study.objectives[0], method_gain(frames, pair)
    costs = ", which costs more" if pair.dearer else " that costs no more"
    text = (
        f"best distilled student, {name_of(pair.taught)}, is "
        f"{in_words(found.gain.mean, objective)} the best student without a teacher"
        f"{costs}, trial {int(pair.plain['number'])}, on {found.ours.split}"
    )
    if found.gain.mean <= 0.0:
        return f"Distillation did not help here: the {text}."
    if found.gain.half_width is None:
        return f"The {text}; that is one seed, without an interval."
    width = f"± {level(found.gain.half_width, gap_unit(objective.unit))}"
    if found.gain.mean <= found.gain.half_width:
        return f"The {text}, but the paired 95 % interval ({width}) includes 0: it may be chance."
    return f"The {text} (paired 95 % interval {width})."


def _volume_share(frames: SweepFrames) -> str:
    trials = frames.feasible
    plain = where(trials, map(untaught, records(trials)))
    if not len(plain) or len(plain) == len(trials):
        return ""
    parts = [
        sweep_hypervolume(objective_values(rows, frames.study), frames.study.objectives)
        for rows in (plain, trials)
    ]
    if parts[1] <= 0.0:
        return ""
    share = parts[0] / parts[1]
    return (
        f"Students without a teacher reach {100.0 * share:.0f} % of the hypervolume of the whole "
        "sweep."
    )


def _below_scale(frames: SweepFrames) -> list[str]:
    """Name objectives with finished trials below the end of their logarithmic scale."""
    found = []
    for objective in frames.study.objectives:
        values = column(frames.feasible, objective.metric)
        if below := int((values < objective.floor).sum()):
            one = below == 1
            found.append(
                f"{objective.label} of {plural(below, 'finished trial')} {'is' if one else 'are'} "
                f"{'0' if not values.min() else 'close to 0'}, below the end of the logarithmic "
                f"scale: hypervolume and figures place {'it' if one else 'them'} at "
                f"{level(objective.floor, objective.unit)}, a millionth of the reference."
            )
    return found
