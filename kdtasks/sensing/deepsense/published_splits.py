"""Which tables of a folder are one data set: published splits, known by the names of their files.

``train_seqs.csv`` and ``test_seqs.csv``, ``scenario5_dev_train.csv`` and ``..._dev_test.csv`` or
``Train/seqs.csv`` and ``Test/seqs.csv`` are one data set each; a table of all frames beside a pair
is not needed. Tables of frames in folders of their own are the scenarios of one data set. A
published test table is never trained on, and never left out in silence.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdtasks.contract.errors import DataError
from kdtasks.data.reading import checked_inside, inside
from kdtasks.data.splits import SPLITS
from kdtasks.sensing.deepsense.table import Source

NO_POWER = "no column of power files (unit1_pwr_60ghz, beam1 ...), so no beam is known"
"""Why tables without labels cannot be used, as the test tables of challenges."""

_END = r"(ing|set|seqs?|sequences?|data|windows?|split|frames?)?"
_WORDS: Mapping[str, str] = {
    "train": rf"(train|trn){_END}",
    "val": rf"(val|valid|validation|eval){_END}",
    "test": rf"(test|tst){_END}",
    "dev": rf"(dev|development){_END}",
}
"""What a word of a name means; ``dev`` is what is developed with, so val beside a train table."""

Group = dict[str, Source]
"""Tables that belong together, by split."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSet:
    """Tables that are one data set.

    Attributes:
        sources: The tables.
        splits: Which split each is; empty if rows or shares have to say.
        notes: What the user should know about the choice.
    """

    sources: tuple[Source, ...]
    splits: Mapping[Path, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tables:
    """Tables that can be used, and why others cannot."""

    usable: list[Source]
    aside: dict[Path, str]


def tables_near(path: Path) -> list[Path]:
    """Return all tables that may be part of the data set that a folder or a table stands for."""
    if path.is_dir():
        return [*_tables_in(path), *_tables_below(path)]
    around = _tables_below(path.parent.parent) if _split_of_folder(path.parent) else []
    return sorted({path, *_tables_in(path.parent), *around})


def split_in_name(name: str) -> str:
    """Return what a name speaks of, train, val, test or dev; empty if of nothing or of several."""
    found = {split for word in _words(name) for split in _WORDS if _means(word, split)}
    if len(found) > 1:
        found.discard("dev")
    # What is called trainval is trained on, wherever val comes from.
    return found.pop() if len(found) == 1 else "train" if found == {"train", "val"} else ""


def choose(path: Path, read: Callable[[Path], Source]) -> DataSet:
    """Return the tables that a folder, or one of its tables, stands for.

    Args:
        path: The folder, or the table.
        read: Reads a table; raises `DataError` if it cannot.

    Raises:
        DataError: If there is no usable table, or it is not clear which of several is meant.
    """
    return _choose_in(path, read) if path.is_dir() else _choose_with(path, read)


def unusable(source: Source) -> str:
    """Return why no windows can come of a table; empty if they can."""
    columns = source.columns
    if not source.rows:
        return "it has no rows"
    if not columns.has("power"):
        return NO_POWER
    if not any(columns.has(kind) for kind in ("image", "radar", "lidar", "gps")):
        return "no column of camera, radar, LiDAR or GPS files"
    if not columns.num_past and not columns.has("sequence"):
        return "no column of sequences (seq_index), so no windows can be cut"
    return ""


def _choose_in(folder: Path, read: Callable[[Path], Source]) -> DataSet:
    found = _read_all(_tables_in(folder), read)
    pairs = _complete(found.usable)
    if not pairs:
        below = _read_all(_tables_below(folder), read)
        pairs = _complete([*found.usable, *below.usable])
        # Tables of other folders count where they are all that there is, or a published split.
        aside = found.aside if found.usable and not pairs else {**found.aside, **below.aside}
        _check_readable(folder, {**found.aside, **below.aside})
        found = _Tables(usable=found.usable or below.usable, aside=aside)
    if len(pairs) == 1:
        return _together(pairs[0], found)
    if pairs:
        listed = "; ".join(_names(pair.values(), folder) for pair in pairs)
        raise DataError(
            f"{folder}: {len(pairs)} published splits ({listed}); give the path of one of the "
            "tables of that which you mean"
        )
    if len(found.usable) == 1:
        (source,) = found.usable
        if source.path.parent == folder and _split_of_folder(folder):
            return _choose_with(source.path, read)
        return _alone(source, found)
    return _scenarios_in(folder, found)


def _scenarios_in(folder: Path, found: _Tables) -> DataSet:
    """Return the scenarios that lie in folders of their own below a folder.

    Raises:
        DataError: If the tables are none, or something else.
    """
    if _scenarios(folder, found.usable):
        names = ", ".join(source.path.parent.name for source in found.usable)
        note = f"{len(found.usable)} scenarios, each with a base station of its own: {names}"
        return DataSet(sources=tuple(found.usable), splits={}, notes=(note,))
    if found.usable:
        raise DataError(
            f"{folder}: {len(found.usable)} tables ({_names(found.usable, folder)}) and no pair of "
            "train and test among them; give the path of one"
        )
    reasons = "; ".join(f"{path.name}: {reason}" for path, reason in found.aside.items())
    if reasons:
        raise DataError(f"{folder}: none of its tables can be used: {reasons}")
    raise DataError(f"{folder}: no .csv table; give the folder that holds a scenario's CSV")


def _scenarios(folder: Path, sources: Sequence[Source]) -> bool:
    """Return whether tables of frames lie in folders of their own below a folder."""
    homes = {source.path.parent for source in sources}
    alone = len(homes) == len(sources) > 1 and folder not in homes
    return alone and not any(source.columns.num_past for source in sources)


def _check_readable(folder: Path, aside: Mapping[Path, str]) -> None:
    """Refuse a published split of which nothing can be used: another would take its place."""
    broken = {path: why for path, why in aside.items() if _split_of(path)}
    if {"train", "test"} <= {_split_of(path) for path in broken}:
        problems = "; ".join(
            f"{path.name}: {why.removeprefix(f'{path}: ')}" for path, why in broken.items()
        )
        raise DataError(
            f"{folder}: its published split cannot be used: {problems}; mend these tables, move "
            "them elsewhere, or give the path of the table to cut a split of your own from"
        )


def _choose_with(path: Path, read: Callable[[Path], Source]) -> DataSet:
    """Return the published split that a table is part of, or the table alone."""
    source = read(path)
    if reason := unusable(source):
        raise DataError(f"{path}: {reason}; columns: {', '.join(source.columns.header)}")
    found = _read_all(tables_near(path), read)
    pairs = _complete(found.usable)
    for pair in pairs:
        if source in pair.values():
            return _together(pair, found)
    others = [_names(pair.values(), path.parent) for pair in pairs if not split_in_name(path.stem)]
    beside = tuple(
        f"{names} beside {path.name}, a published split, are not used: give the folder, or one of "
        "them, to be tested on it"
        for names in others
    )
    return _alone(source, found, beside)


def _together(pair: Group, found: _Tables) -> DataSet:
    ordered = {split: pair[split] for split in SPLITS if split in pair}
    names = {split: source.path.name for split, source in ordered.items()}
    if len(set(names.values())) < len(names):
        names = {
            split: f"{source.path.parent.name}/{source.path.name}"
            for split, source in ordered.items()
        }
    notes = [
        "published split: "
        + ", ".join(f"{split} is {name}" for split, name in names.items())
        + "".join(
            f", {split} is cut from train by sequence" for split in SPLITS if split not in ordered
        )
    ]
    left = [source for source in found.usable if source not in pair.values()]
    if left:
        notes.append(f"not part of the published split, not used: {_names(left)}")
    notes += _without(ordered, found)
    return DataSet(
        sources=tuple(ordered.values()),
        splits={source.path: split for split, source in ordered.items()},
        notes=tuple(notes),
    )


def _alone(source: Source, found: _Tables, notes: Sequence[str] = ()) -> DataSet:
    split = _split_of(source.path)
    kin = [
        other
        for other in found.usable
        if other.path.parent == source.path.parent and other is not source and _split_of(other.path)
    ]
    if split_in_name(source.path.stem) and kin:
        raise DataError(
            f"{source.path}: it is not clear which of {_names(kin)} belong to it (other columns, "
            "or several of a kind); keep one pair of train and test in a folder"
        )
    lines = [*notes, *_without({split: source} if split else {}, found)]
    if split_in_name(source.path.stem):
        lines.append(
            f"{source.path.name} has no partner: train, val and test are all cut from it, by "
            "sequence, so no published test is used"
        )
    return DataSet(sources=(source,), splits={}, notes=tuple(lines))


def _without(chosen: Mapping[str, Source], found: _Tables) -> Iterator[str]:
    """Say which tables of a split cannot be used; one that is damaged must be mended first."""
    for path, reason in found.aside.items():
        split = _split_of(path)
        if not split:
            continue
        if chosen and split not in chosen and reason != NO_POWER:
            raise DataError(
                f"{path}: {reason.removeprefix(f'{path}: ')}; its name makes it {split} of "
                f"{_names(chosen.values())}: mend it, or move it elsewhere"
            )
        yield f"{path.name} is not used: {reason.removeprefix(f'{path}: ')}"


def _complete(sources: Sequence[Source]) -> list[Group]:
    """Return groups that have something to train on and something apart from it."""
    return [group for group in _groups(sources) if "train" in group and len(group) > 1]


def _groups(sources: Sequence[Source]) -> Iterator[Group]:
    places: dict[tuple[Path, int], list[Source]] = defaultdict(list)
    for source in sources:
        if _split_of(source.path):
            places[_place(source.path), source.columns.num_past].append(source)
    for members in places.values():
        group = _group(members)
        if group is not None:
            yield group
            continue
        # A split that occurs twice: train_p60 goes with test_p60.
        kinds: dict[tuple[str, ...], list[Source]] = defaultdict(list)
        for source in members:
            kinds[_rest(source.path.stem)].append(source)
        for kind in kinds.values():
            group = _group(kind)
            if group is None:
                raise DataError(
                    f"{kind[0].path.parent}: several tables for the same split "
                    f"({_names(kind)}); keep one of each"
                )
            yield group


def _group(members: Sequence[Source]) -> Group | None:
    """Return tables by split; None if a split occurs twice."""
    splits = [_split_of(source.path) for source in members]
    dev = "val" if "train" in splits else "train"
    splits = [dev if split == "dev" else split for split in splits]
    if len(set(splits)) < len(splits):
        return None
    return dict(zip(splits, members, strict=True))


def _split_of(path: Path) -> str:
    """Return the split that a table's name speaks of, or else that of its folder."""
    return split_in_name(path.stem) or _split_of_folder(path.parent)


def _split_of_folder(folder: Path) -> str:
    """Return the split that a folder is for, if its name says nothing else."""
    return "" if _rest(folder.name) else split_in_name(folder.name)


def _place(path: Path) -> Path:
    return path.parent if split_in_name(path.stem) else path.parent.parent


def _rest(name: str) -> tuple[str, ...]:
    """Return the words of a name that speak of no split."""
    return tuple(word for word in _words(name) if not any(_means(word, split) for split in _WORDS))


def _words(name: str) -> list[str]:
    humps = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return re.findall(r"[a-z]+|\d+", humps.lower())


def _means(word: str, split: str) -> bool:
    return re.fullmatch(_WORDS[split], word) is not None


def _names(sources: Iterable[Source], folder: Path | None = None) -> str:
    return ", ".join(
        str(source.path.relative_to(folder))
        if folder and source.path.is_relative_to(folder)
        else source.path.name
        for source in sources
    )


def _tables_in(folder: Path) -> list[Path]:
    found = folder.glob("*.[cC][sS][vV]")
    # What begins with a dot is left by other programs, as ._a.csv by macOS.
    return sorted(
        checked_inside(folder, path)
        for path in found
        if not path.name.startswith(".") and path.is_file()
    )


def _tables_below(folder: Path) -> list[Path]:
    inner = [
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".") and inside(folder, path)
    ]
    return [table for path in sorted(inner) for table in _tables_in(path)]


def _read_all(paths: Sequence[Path], read: Callable[[Path], Source]) -> _Tables:
    usable, aside = [], {}
    for path in paths:
        try:
            source = read(path)
        except DataError as error:
            aside[path] = str(error)
            continue
        if reason := unusable(source):
            aside[path] = reason
        else:
            usable.append(source)
    return _Tables(usable=usable, aside=aside)
