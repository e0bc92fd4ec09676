"""What a reader of a front has to know of how it was chosen, in sentences."""

from analysis import format as text
from analysis.frames import SweepFrames
from analysis.fronts import front_trials, knee_echoes
from search_spaces.objectives import Objective


def front_notes(frames: SweepFrames) -> list[str]:
    """Return what counts as equal on the front, and which costs its knee leaves out."""
    notes = []
    tolerant = [goal for goal in frames.study.objectives if goal.tolerance]
    if tolerant:
        equal = " and ".join(f"{tolerance_text(goal)} in {goal.label}" for goal in tolerant)
        notes.append(
            f"Differences of up to {equal} count as equal: a trial is off the front if another is "
            "better by more in one objective and nowhere worse by more. The hypervolume knows no "
            "tolerance."
        )
    echoes = knee_echoes(frames) if len(front_trials(frames)) > 1 else []
    notes += [
        f"The knee leaves out {echo.ignored.label}, which rises and falls with {echo.kept.label} "
        f"(Pearson’s correlation {echo.correlation:.2f} over "
        f"{text.plural(echo.points, 'trial')}): it would count twice."
        for echo in echoes
    ]
    return notes


def tolerance_text(goal: Objective) -> str:
    """Return a tolerance with its unit, or in percent where it is a share."""
    if goal.scale == "log":
        return text.with_unit(f"{100.0 * goal.tolerance:g}", "%")
    return text.with_unit(f"{goal.tolerance:g}", goal.unit)
