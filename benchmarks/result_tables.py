"""Put results of sweeps into README and docs: ``result_tables.py [HOME/SWEEP...]``.

Each finished sweep becomes ``docs/results/SWEEP.json``: what ``kdsweep tables SWEEP --json``
prints, the command that repeats it, and the newest commit with the source code that it recorded;
``docs/results/SWEEP.png`` is the front of its report.
Then every page is renewed from these files; without sweeps that is all. A page has marks::

    <!-- results: csi-effort table-E --> ... <!-- end -->

and what stands between is written from the file. After the sweep's name comes one of

- ``table-ID``, ``front``, ``near`` or ``references``: that table; ``front; method; MACs``
  keeps the first column and those with these headings;
- ``claims``: the verdict on each claim, or on those named: ``claims; encoder-least``;
- ``cell table-E; encoder KD, 150 GFLOP; NMSE``: one cell, by its row's first cell and heading;
- ``gain encoder-least dB``: the paired difference on which a claim rests, with its interval;
- ``verdict encoder-least dB``: the verdict on a claim, and that difference if it has one;
- ``tally response-``: how many of the claims whose names begin so hold;
- ``made``: command, duration, version, commit, date and file.

``<!-- results: models TASK; model; params --> ... <!-- end -->`` has columns of ``kdsweep models``.
"""

import argparse
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from analysis import format as text
from analysis.layout import FRONT_PNG, REPORT_DIR
from analysis.paper_view import DETAIL
from analysis.printed.tables import PrintedTable, escaped, markdown
from analysis.report_tables import Heading
from analysis.stats import Interval
from kdtasks.contract.registry import TASKS, load_task
from search_spaces.study import Study, load_study
from sweeps.cli.output import paper_json
from sweeps.common.environment import PACKAGES
from sweeps.tracking.read import sweep_frames

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
MARK = re.compile(r"(<!-- results: (\S+) (.+?) -->)(.*?)(<!-- end -->)", re.S)

Result = Mapping[str, Any]


def pages() -> list[Path]:
    """Return every page that may have marks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def renewed(page: Path) -> str:
    """Return a page with the text of every mark written anew.

    Raises:
        SystemExit: If a mark names what is not there.
    """

    def between(mark: re.Match[str]) -> str:
        try:
            found = json.loads((RESULTS / f"{mark[2]}.json").read_text(encoding="utf-8"))
            new = models(found, mark[3]) if mark[2] == "models" else shown(found, mark[3], page)
            return f"{mark[1]}{new}{mark[5]}"
        except (FileNotFoundError, LookupError) as error:
            raise SystemExit(f"{page.relative_to(ROOT)}: {mark[1]}: {error}") from error

    return MARK.sub(between, page.read_text(encoding="utf-8"))


def shown(found: Result, what: str, page: Path) -> str:
    """Return the Markdown of one mark."""
    kind, *picked = (part.strip() for part in what.split("; "))
    verb, _, rest = kind.partition(" ")
    if verb == "made":
        return f"\n{made(found, page)}"  # in the line of the mark, Markdown would be shown as it is
    if verb == "cell":
        return escaped(cell(printed(found, rest), *picked))
    if verb == "gain":
        return gain(found, *rest.split(" ", 1))
    if verb == "verdict":
        return verdict(found, *rest.split(" ", 1))
    if verb == "tally":
        return tally(found, rest)
    if verb == "claims":
        return f"\n\n{claims(found, picked)}\n"
    return f"\n\n{markdown(with_columns(printed(found, kind), picked))}\n"


def made(found: Result, page: Path) -> str:
    """Return how a result was made, with a link to its file."""
    facts, file = found["made"], RESULTS / f"{found['sweep']}.json"
    day = datetime.fromisoformat(facts["ended"])
    commit = f"commit {facts['commit'][:9]}" if facts["commit"] else "code that was not committed"
    link = Path(os.path.relpath(file, page.parent)).as_posix()
    return (
        f"`{facts['command']}`: {text.duration(facts['wall_time_s'])} on {facts['cores']} cores, "
        f"kdsweep {facts['version']}, {commit}, {day.day} {day:%B %Y}; [data]({link})"
    )


def printed(found: Result, name: str) -> PrintedTable:
    """Return a table of a result."""
    tables = {table["name"]: table for table in found["printed"]}
    if name not in tables:
        raise LookupError(f"no table {name!r}; it has {', '.join(tables)}")
    table = tables[name]
    headings = [Heading(**heading) for heading in table["headings"]]
    caption = table["caption"]
    if any(one.note == DETAIL for one in headings) and "paper" not in {h.title for h in headings}:
        headings = [replace(one, note="") if one.note == DETAIL else one for one in headings]
        caption += " Mean ± 95 % over seeds."
    rows = tuple(tuple(row) for row in table["rows"])
    return PrintedTable(name, caption, tuple(headings), rows)


def models(found: Result, what: str) -> str:
    """Return columns of what ``kdsweep models TASK`` prints."""
    task, *picked = (part.strip() for part in what.split("; "))
    rows = tuple(tuple(text.number(row[name]) for name in picked) for row in found[task])
    heads = tuple(Heading(n, numeric=not isinstance(found[task][0][n], str)) for n in picked)
    table = PrintedTable(task, f"Printed by kdsweep models {task}.", heads, rows)
    return f"\n\n{markdown(table)}\n"


def columns(table: PrintedTable, heading: str) -> list[int]:
    """Return the columns with a heading, given by its title or with its second line."""
    found = [
        index
        for index, one in enumerate(table.headings)
        if heading in (one.title, f"{one.title} {one.note}".strip())
    ]
    if not found:
        known = (f"{one.title} {one.note}".strip() for one in table.headings)
        raise LookupError(f"{table.name} has no column {heading!r}; it has {', '.join(known)}")
    return found


def with_columns(table: PrintedTable, picked: Iterable[str]) -> PrintedTable:
    """Return a table with its first column and the picked ones; all if none is picked."""
    kept = [0, *(index for heading in picked for index in columns(table, heading))]
    if len(kept) == 1:
        return table
    rows = tuple(tuple(row[index] for index in kept) for row in table.rows)
    return replace(table, headings=tuple(table.headings[index] for index in kept), rows=rows)


def cell(table: PrintedTable, row: str, heading: str) -> str:
    """Return one cell."""
    (column, *_), rows = columns(table, heading), [one for one in table.rows if one[0] == row]
    if len(rows) != 1:
        known = ", ".join(one[0] for one in table.rows)
        raise LookupError(f"{table.name} has {len(rows)} rows {row!r}; it has {known}")
    return rows[0][column]


def claim(found: Result, name: str) -> Mapping[str, Any]:
    """Return a claim of a result."""
    known = {one["id"]: one for one in found["claims"]}
    if name not in known:
        raise LookupError(f"no claim {name!r}; it has {', '.join(known)}")
    return known[name]


def gain(found: Result, name: str, unit: str = "") -> str:
    """Return the paired difference of a claim, positive in its favour."""
    one = claim(found, name)["gains"][0]
    return text.quantity(Interval(one["mean"], one["half_width"], one["count"]), unit)


def verdict(found: Result, name: str, unit: str = "") -> str:
    """Return the verdict on a claim, with its paired difference if it rests on one."""
    one = claim(found, name)
    words = escaped(one["verdict"])
    return f"{words}, {gain(found, name, unit)}" if len(one["gains"]) == 1 else words


def tally(found: Result, start: str) -> str:
    """Return how many of the claims whose names begin so hold."""
    chosen = [one["verdict"] for one in found["claims"] if one["id"].startswith(start)]
    if not chosen:
        raise LookupError(f"no claim begins with {start!r}")
    return f"{chosen.count('holds')} of {len(chosen)} hold"


def claims(found: Result, names: Iterable[str]) -> str:
    """Return claims as a list: verdict, claim, numbers."""
    chosen = [claim(found, name) for name in names] or found["claims"]
    return "".join(
        f"- **{escaped(one['verdict'])}:** {escaped(one['text'])}. {escaped(one['detail'])}.\n"
        for one in chosen
    )


def result(folder: Path) -> dict[str, Any]:
    """Return what a finished sweep says, with the command and the commit that made it."""
    frames = sweep_frames(folder)
    found = paper_json(frames)
    commit = commit_of(found["made"]["source"])
    found["made"] |= {"commit": commit, "command": command(frames.study, folder.name, commit)}
    return without_folders(found, frames.study)


def without_folders(found: dict[str, Any], study: Study) -> dict[str, Any]:
    """Return a result in which own data have their folder's name, wherever they lay."""
    points = [study.parameters, *study.search.points]
    folders = {str(point["data_path"]) for point in points if point.get("data_path")}
    shown = json.dumps(found, ensure_ascii=False)
    for folder in sorted(folders, key=len, reverse=True):
        shown = shown.replace(folder, Path(folder).name)
    named: dict[str, Any] = json.loads(shown)
    return named


def commit_of(source: str) -> str | None:
    """Return the newest commit before this one whose packages have a digest; None if none has."""
    history = git("log", "--format=%H", "--", *PACKAGES).decode().split()
    return next((commit for commit in history if digest(commit) == source), None)


def digest(commit: str) -> str:
    """Return `sweeps.common.environment.source_digest` of a commit."""
    done = hashlib.sha256()
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit, "--", *PACKAGES))) as archive:
        files = {PurePosixPath(m.name): m for m in archive if m.isfile() and m.name[-3:] == ".py"}
        for package in PACKAGES:
            for path in sorted(one for one in files if one.parts[0] == package):
                content = archive.extractfile(files[path])
                assert content is not None
                done.update(path.as_posix().encode())
                done.update(content.read())
    return done.hexdigest()[:16]


def command(study: Study, name: str, commit: str | None) -> str:
    """Return the command that repeats a sweep: its study at that commit, and what was changed.

    A study that was not shipped then is that of today; if there is none, the command names its
    file, which the page must tell how to get.

    Raises:
        SystemExit: If ``--set`` cannot make the one of the other.
    """
    path = f"search_spaces/studies/{study.name}.yaml"
    shipped = [one for one in (commit or "HEAD", "HEAD") if git("ls-tree", one, path)]
    if not shipped:
        return shlex.join(["kdsweep", "run", f"{study.name}.yaml"])
    wanted = numbers_of(study)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{study.name}.yaml"
        file.write_bytes(git("show", f"{shipped[0]}:{path}"))
        options = list(changes(wanted, numbers_of(load_study(file))))
        if numbers_of(load_study(file, options)) != wanted:
            raise SystemExit(f"{name}: no --set makes its study of {file.name} at {commit}")
    named = ["--name", name] if name != study.name else []
    sets = [word for option in options for word in ("--set", option)]
    return shlex.join(["kdsweep", "run", study.name, *named, *sets])


def numbers_of(study: Study) -> dict[str, Any]:
    """Return the fields of a study on which its numbers depend."""
    left_out = ("title", "description", "report")
    return {name: value for name, value in study.plain().items() if name not in left_out}


def changes(new: Any, old: Any, place: str = "") -> Iterator[str]:
    """Yield ``field=value`` for every field that differs."""
    one_word = place == "effort" and new["regime"] != old["regime"]  # a study may write it so
    if isinstance(new, Mapping) and isinstance(old, Mapping) and not one_word:
        for name, value in new.items():
            yield from changes(value, old.get(name), f"{place}.{name}".removeprefix("."))
    elif new != old:
        yield f"{place}={json.dumps(new)}"


def git(*words: str) -> bytes:
    """Return what git prints in this repository."""
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, check=True).stdout


def keep(name: str, found: Any) -> None:
    """Write a file of results."""
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path.relative_to(ROOT))


def main() -> None:
    """Write results and pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sweep", nargs="*", type=Path, help="folder of a finished sweep")
    parser.add_argument("--models", action="store_true", help="renew what kdsweep models prints")
    options = parser.parse_args()
    for folder in options.sweep:
        keep(folder.name, result(folder.resolve()))
        shutil.copy(folder / REPORT_DIR / FRONT_PNG, RESULTS / f"{folder.name}.png")
    if options.models:
        keep("models", {task: load_task(task).models() for task in TASKS})
    for page in pages():
        if (new := renewed(page)) != page.read_text(encoding="utf-8"):
            page.write_text(new, encoding="utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
