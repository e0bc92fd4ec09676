"""`kdsweep best`: the chosen model, its runners-up, and what larger budgets would buy."""

from collections.abc import Callable
from dataclasses import asdict

from analysis import format as text
from analysis import layout
from analysis.best import Best, Budget, Offer, limit_text
from analysis.fronts import split_label, test_metric
from search_spaces.objectives import Objective
from search_spaces.study import Study
from sweeps.cli.output import line, objective_headings, show_json, show_wide


def show_best(best: Best, study: Study, command: Callable[[str], str], *, as_json: bool) -> None:
    """Print the result, as text or as JSON; ``command`` completes a command for this sweep."""
    if as_json:
        show_json({**asdict(best), "objective": best.objective.metric})
        return
    goal = best.objective
    limits = " ".join(limit_text(budget) for budget in best.budgets)
    kept = " that keep the study's constraints" if study.constraints else ""
    share = f"{best.allowed} of {text.plural(best.considered, 'trial')}{kept} within {limits}"
    line(share if limits else text.plural(best.considered, "trial"))
    where = f"{goal.label} {split_label(goal)}".rstrip()
    number = best.chosen.trial
    export = command(f"export {{}} --trial {number}")
    line(f"take trial {number}, the best in {where} ({export})")
    line()
    _show_candidates(best, study)
    notes = [_offer_line(offer, goal) for offer in best.offers if offer is not None]
    for budget, unknown in zip(best.budgets, best.unknown, strict=True):
        if unknown:
            notes.append(_unknown_line(budget, unknown, best.considered, command))
    if not best.chosen.test and split_label(goal):
        notes.append(
            "it was not evaluated on the test split; confirm.select selects the trials that are"
        )
    for note in notes:
        line()
        line(note)


def _show_candidates(best: Best, study: Study) -> None:
    goals = study.objectives
    others = dict.fromkeys(budget.metric for budget in best.budgets)
    names = [name for name in others if name not in {goal.metric for goal in goals}]
    rows = []
    for one in (best.chosen, *best.runners_up):
        cells = [str(one.trial), one.kind]
        for goal in goals:
            cells.append(text.number(one.values[goal.metric]))
            if metric := test_metric(goal):
                cells.append(text.tested(one.test.get(metric), goal.unit))
        cells += [text.number(one.values[name]) for name in names]
        rows.append([*cells, text.params(one.searched, " ")])
    show_wide(["trial", "kind", *objective_headings(goals), *names, "parameters"], rows)


def _unknown_line(
    budget: Budget, unknown: int, considered: int, command: Callable[[str], str]
) -> str:
    """Return how many trials have no value of a budget's metric."""
    how = ""
    if budget.metric in (layout.ONNX_LATENCY, layout.ONNX_BYTES):
        how = f"; {command('export {} --trial N')} measures it"
    trials = text.plural(considered, "trial")
    return f"{budget.metric} is unknown of {unknown} of {trials}, which are left out{how}"


def _offer_line(offer: Offer, goal: Objective) -> str:
    """Return the gain from raising one budget; a value on validation is marked as one seed."""
    unit = text.gap_unit(goal.unit)
    gain = text.with_unit(text.number(offer.gain), unit)
    each = text.with_unit(text.number(offer.gain / offer.extra), unit)
    where = f" on {split_label(goal)}, one seed" if split_label(goal) else ""
    return (
        f"{limit_text(offer.budget)} would buy {gain} (trial {offer.candidate.trial}{where}), "
        f"{each} for each unit of {offer.budget.metric}"
    )
