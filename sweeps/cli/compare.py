"""`kdsweep compare`: sweeps of one problem as tables, JSON or a page with their fronts."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from analysis import format as text
from analysis.compare import Comparison, Difference, compare, repeated_pairs
from analysis.frames import SweepFrames
from analysis.plots.compare import attainment_figure, compare_figure
from analysis.plots.stairs import pairs
from analysis.plots.theme import FONT
from kdtasks.contract.errors import ConfigError
from sweeps.cli.output import line, plain_table, show, show_json, shown_path
from sweeps.cli.sweeps import find_sweep
from sweeps.tracking.read import sweep_frames

MOST_SETTINGS = 20
"""Most differing settings that are listed; ``--json`` lists all."""


SIGNIFICANT = 0.05
ATTAINED = "Attained on test by more seeds"
STYLE = f"body {{ font-family: {FONT}; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }}"


def show_comparison(names: Sequence[str], home: Path, page: Path | None, *, as_json: bool) -> None:
    """Compare sweeps, print the result, and write a page if one is given."""
    if len(set(names)) < max(2, len(names)):
        raise ConfigError(f"compare {' '.join(names)}: name two different sweeps or more")
    folders = [find_sweep(home, name) for name in names]
    sweeps = [sweep_frames(folder) for folder in folders]
    found = compare(sweeps)
    if page is not None:
        write_page(sweeps, page)
    if as_json:
        show_json(found)
        return
    show_sides(found)
    show_attainments(found)
    show_levels(found)
    show_settings(found)
    if page is not None:
        line()
        line(f"page: {shown_path(page)}")


def write_page(sweeps: Sequence[SweepFrames], page: Path) -> None:
    """Write the fronts of all sweeps to one self-contained page."""
    shown = pairs(sweeps[0].study.objectives)
    titled = [(f"{p.y.label} against {p.x.label}", compare_figure(sweeps, p)) for p in shown]
    if len(sweeps[0].study.objectives) == 2:
        titled += [
            (f"{ATTAINED}: {one.name} and {other.name}", attainment_figure(one, other, shown[0]))
            for one, other in repeated_pairs(sweeps)
        ]
    parts = [
        f"<h2>{escape(heading)}</h2>" + figure.to_html(full_html=False, include_plotlyjs=index == 0)
        for index, (heading, figure) in enumerate(titled)
    ]
    title = escape(" and ".join(frames.name for frames in sweeps))
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>{''.join(parts)}</body></html>",
        encoding="utf-8",
    )


def show_sides(found: Comparison) -> None:
    """Print the sweeps and the differences of their hypervolumes."""
    columns = ("sweep", "trials", "front", "hypervolume", "CPU time")
    rows = [
        (
            side.name,
            str(side.trials),
            str(side.front),
            text.number(side.hypervolume),
            text.duration(3600.0 * side.core_hours),
        )
        for side in found.sides
    ]
    show(plain_table(columns, rows))
    corner = ", ".join(f"{goal.label} {text.number(goal.reference)}" for goal in found.objectives)
    line(f"hypervolume on validation, from {corner}")
    for one in found.differences:
        first, second = (", ".join(side) for side in (one.first, one.second))
        size = text.number(abs(one.value))
        less = "smaller" if one.value < 0.0 else "larger"
        line(f"hypervolume of {first} is {size} {less} than that of {second}; {_chance(one)}")


def _chance(one: Difference) -> str:
    if one.p_value is None:
        return (
            "no p-value: trials of a sampler depend on each other; run both studies with several "
            "seeds.search (four each can tell them apart) and name all sweeps"
        )
    note = "" if one.p_value < SIGNIFICANT else ": not significant"
    sizes = f"{len(one.first)} and {len(one.second)}"
    return f"p = {one.p_value:.3f} (permutation test over {sizes} sweeps){note}"


def show_attainments(found: Comparison) -> None:
    """Print where repeated trials of one sweep attain more often than those of another."""
    for one in found.attainments:
        seeds = " and ".join(map(str, one.seeds))
        line(
            f"empirical attainment on test, {seeds} seeds: what {one.first} attains with a larger "
            f"share of its seeds has hypervolume {text.number(one.first_leads)}, what {one.second} "
            f"does {text.number(one.second_leads)} (weighted by how much larger)"
        )


def show_levels(found: Comparison) -> None:
    """Print what each sweep attains within budgets, if there are two objectives."""
    if not found.levels:
        return
    quality, cost = found.objectives
    names = [side.name for side in found.sides]
    bound = "at most" if cost.direction == "minimize" else "at least"
    rows = [
        [text.number(level.budget), *(text.number(level.attained[name]) for name in names)]
        for level in found.levels
    ]
    line()
    line(f"best {quality.label} [{quality.unit}] with {cost.label} {bound} so much:")
    show(plain_table([f"{cost.label} {cost.unit}".strip(), *names], rows))


def show_settings(found: Comparison) -> None:
    """Print where the studies differ."""
    line()
    if not found.settings:
        line("their studies are the same")
        return
    names = [side.name for side in found.sides]
    listed = list(found.settings.items())
    show(plain_table(["setting", *names], [[place, *row] for place, row in listed[:MOST_SETTINGS]]))
    if len(listed) > MOST_SETTINGS:
        line(f"and {len(listed) - MOST_SETTINGS} more; --json has all")
