"""Names that tell baselines and teachers apart."""

import pandas as pd

from analysis.frames import PARAM
from analysis.ranking import records

_OF_THE_STUDENT = (f"{PARAM}method", f"{PARAM}seed")


def labelled(rows: pd.DataFrame, kind: str) -> list[str]:
    """Return a short name per baseline or teacher, telling apart those of one kind."""
    if kind == "baseline":
        return [str(row["key"] or row["name"]).removeprefix("baseline/") for row in records(rows)]
    # its own name needs no word before it
    words = {
        name: name.removeprefix(PARAM).removeprefix("teacher").replace("_", " ").strip()
        for name in identifying(rows)
    }
    return [
        ", ".join(["teacher", *(f"{word} {row[name]}".strip() for name, word in words.items())])
        for row in records(rows)
    ]


def short_labels(rows: pd.DataFrame, kind: str) -> list[str]:
    """Return the names of `labelled` without the last words that all of several have in common."""
    names = labelled(rows, kind)
    words = [name.split() for name in names]
    while len(names) > 1 and len({row[-1] for row in words}) == 1 and min(map(len, words)) > 1:
        words = [row[:-1] for row in words]
    return [" ".join(row).rstrip(",") for row in words]


def identifying(rows: pd.DataFrame) -> list[str]:
    """Return columns of parameters that together identify the rows, as few as one pass finds.

    A teacher carries the parameters of the first trial that needed it, as far as they may decide
    on a teacher. Redundant ones are left out; how the student learns comes late, and
    last what some teachers do not have.
    """
    names = [str(name) for name in rows.columns if str(name).startswith(PARAM)]
    names.sort(key=lambda name: (bool(rows[name].isna().any()), name in _OF_THE_STUDENT))
    found: list[str] = []
    groups = 1
    for name in names:
        distinct = len(rows[[*found, name]].astype(str).drop_duplicates())
        if distinct > groups:
            found, groups = [*found, name], distinct
    return found
