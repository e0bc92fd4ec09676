"""Colours of trials, the same in reports, printed figures and MLflow's charts."""

from collections.abc import Collection, Iterable

from search_spaces.study import Study

PALETTE = ("#0072B2", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7A6A53")
"""Colour-blind safe: Okabe and Ito (2008) without black and yellow, which vanish on dark and light
ground, and two more that stay apart from them in lightness; green is kept for students without a
teacher."""
UNTAUGHT = "#009E73"
"""Colour of students without a teacher."""


def in_study_order(study: Study, parameter: str, found: Iterable[str]) -> list[str]:
    """Return the values of a categorical parameter in the order of the study, then others found."""
    named: list[str] = []
    if parameter in study.space.names:
        named = [str(value) for value in study.space.parameters[parameter].values() or ()]
    named += [str(point[parameter]) for point in study.search.points if parameter in point]
    return list(dict.fromkeys([*named, *found]))


def coloured(names: Iterable[str], untaught: Collection[str]) -> dict[str, str]:
    """Return a colour per name, in their order; the first without a teacher has its own."""
    names = list(names)
    plain = next((name for name in names if name in untaught), None)
    others = [name for name in names if name != plain]
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(others)}
    return {name: colours.get(name, UNTAUGHT) for name in names}
