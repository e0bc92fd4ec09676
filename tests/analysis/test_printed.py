"""What a paper takes from a sweep: files that say the same each time, and text that stays text."""

import re
from dataclasses import replace
from itertools import pairwise
from unicodedata import category

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from synthetic_frames import make_frames, without_references

from analysis.errors import ResultsError
from analysis.format import BESIDE, column_parts
from analysis.front_rows import front_rows
from analysis.printed.figures import STYLE, WIDTH_IN, sweep_figures
from analysis.printed.files import write_paper_files
from analysis.printed.latex import ESCAPES, latex
from analysis.printed.latex import escaped as in_latex
from analysis.printed.tables import PrintedTable, markdown, sweep_tables
from analysis.printed.tables import escaped as in_markdown
from analysis.report_tables import Heading

POINT_IN = 1.0 / 72.0
FRAMES = make_frames(trials=12, near=2, report=True)
EVIL = r"50 % of $x_1$ & \x{y} ~ #1 ^2 [a] <b> | *c* `d`"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper") / "new" / "folder"
    return {path.name: path for path in write_paper_files(FRAMES, folder)}


def test_every_figure_is_a_pdf_and_a_png_and_every_table_latex_and_markdown(files):
    figures = ("front", "hypervolume", "hypervolume-cost", "importance")
    tables = ("front", "near", "references", "table-II")
    expected = {f"{name}.{ending}" for name in figures for ending in ("pdf", "png")}
    assert files.keys() == expected | {f"{n}.{end}" for n in tables for end in ("tex", "md")}


def test_pdfs_are_a_column_wide_have_truetype_letters_and_no_dates(files):
    for name, path in files.items():
        if path.suffix != ".pdf":
            continue
        data = path.read_bytes()
        (box,) = set(re.findall(rb"/MediaBox \[ ([^\]]+) \]", data))
        assert float(box.split()[2]) * POINT_IN == pytest.approx(WIDTH_IN, abs=0.01), name
        assert b"/CIDFontType2" in data
        assert b"/Type3" not in data
        assert b"Date" not in data


def test_the_same_sweep_gives_the_same_bytes(files, tmp_path):
    for path in write_paper_files(replace(FRAMES), tmp_path):
        if path.stem != "importance":
            assert path.read_bytes() == files[path.name].read_bytes(), path.name


def test_letters_are_of_eight_points_and_nothing_sticks_out():
    with mpl.rc_context(STYLE):
        for name, figure in sweep_figures(make_frames(trials=9, failures=0, near=2)):
            figure.draw_without_rendering()
            written = [text for text in figure.findobj(Text) if text.get_text()]
            assert all(text.get_fontsize() >= 8.0 for text in written), name
            needed, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
            assert needed.x0 >= 0.0, name
            assert needed.y0 >= 0.0, name
            assert needed.x1 <= width, name
            assert needed.y1 <= height, name
            for axes in figure.axes:
                labels = [text.get_window_extent() for text in axes.get_xticklabels()]
                inside = [
                    box for box in labels if axes.bbox.x0 <= box.x1 and box.x0 <= axes.bbox.x1
                ]
                assert all(one.x1 < other.x0 for one, other in pairwise(inside)), name


@pytest.mark.parametrize(("objectives", "fronts"), [(1, 0), (3, 2)])
def test_every_pair_with_a_quality_has_a_figure(objectives, fronts):
    names = [name for name, _ in sweep_figures(make_frames(trials=5, objectives=objectives))]
    assert sum(name.startswith("front") for name in names) == fronts
    assert "hypervolume" in names


def test_the_legend_names_only_what_is_drawn():
    frames = make_frames(trials=5)
    for shown, names in ((frames, {"baseline", "teacher"}), (without_references(frames), set())):
        figure = dict(sweep_figures(shown))["front"]
        (legend,) = figure.legends
        texts = {text.get_text() for text in legend.get_texts()}
        assert texts & {"baseline", "teacher"} == names
        assert "front (validation)" in texts


def test_a_sweep_with_nothing_to_show_is_refused(tmp_path):
    nothing = without_references(make_frames(trials=0, failures=0))
    with pytest.raises(ResultsError, match="made-up-1 has no finished trial"):
        write_paper_files(nothing, tmp_path)


def table(cell):
    headings = (Heading(cell, cell), Heading("b", numeric=False))
    return PrintedTable("name_1", cell, headings, ((cell, "x"), ("y", cell)))


def cells_of(line, mark):
    """Split a line at marks that are not escaped."""
    return re.split(rf"(?<!\\)(?:\\\\)*{re.escape(mark)}", line)


@given(st.text(alphabet=[*ESCAPES, *"ab1é ()"], max_size=12))
def test_latex_is_undone_to_the_same_text_and_has_no_bare_special_letters(text):
    shown = in_latex(text)
    back = {value: key for key, value in ESCAPES.items()} | {" ": " "}
    pattern = "|".join(map(re.escape, sorted(back, key=len, reverse=True)))
    found = re.sub(pattern, lambda match: back[match.group()], shown)
    assert found == text
    assert not re.search(r"(?<!\\)[%&#_]", shown)


def test_special_letters_change_no_table():
    text = latex(table(EVIL))
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 3
    assert all(len(cells_of(line, "&")) == 2 for line in rows)
    assert text.count(r"\begin{tabular}{r>{\raggedright\arraybackslash}p{112pt}}") == 1
    assert r"\label{tab:name-1}" in text
    assert r"\par" not in text
    assert "$-$1.5" in in_latex("\N{MINUS SIGN}1.5")
    rows = [line for line in markdown(table(EVIL)).splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert all(len(cells_of(line, "|")) == 4 for line in rows)


def test_a_wide_table_stands_in_parts_that_fit_the_page():
    headings = (Heading("scheme", numeric=False), *(Heading(f"m{i}", "here") for i in range(30)))
    wide = PrintedTable("wide", "c", headings, tuple((f"s{k}", *["12.34"] * 30) for k in range(3)))
    tabulars = re.findall(r"begin{tabular}{(l(r+))}", latex(wide))
    assert len(tabulars) > 1
    assert sum(len(numbers) for _, numbers in tabulars) == 30
    assert max(len(numbers) for _, numbers in tabulars) * 28.0 < 500.0
    assert latex(wide).count("s1 &") == len(tabulars)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "paper", "difference"]), st.floats(1.0, 40.0)), min_size=2
    ),
    st.floats(20.0, 200.0),
)
def test_parts_have_every_column_once_in_order_and_fit(columns, width):
    titles, room = zip(*columns, strict=True)
    parts = column_parts(titles, room, width)
    assert all(part[0] == 0 for part in parts)
    assert [i for part in parts for i in part[1:]] == list(range(1, len(titles)))
    for part in parts:
        alone = all(titles[i] in BESIDE for i in part[2:])
        assert sum(room[i] for i in part) <= width or alone
        assert titles[part[1]] not in BESIDE or part is parts[0]


@given(st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=20))
def test_markdown_keeps_its_letters(text):
    assert re.sub(r"\\(.)", r"\1", in_markdown(text)) == text


@given(st.text(max_size=20))
def test_neither_latex_nor_markdown_has_control_characters_or_a_second_line(text):
    for shown in (in_latex(text), in_markdown(text)):
        assert len(shown.splitlines()) <= 1
        assert not any(category(one).startswith("C") for one in shown)


HOSTILE = [
    "../../out",
    "/etc/x",
    "..",
    "a/b",
    "a b",
    "A b",
    "a\\b",
    "a\x00b",
    "a\nb",
    "é" * 300,
    "CON",
]


def test_tables_stay_in_their_folder_whatever_their_ids(tmp_path):
    report = FRAMES.study.report
    first = report.tables[0]
    tables = tuple(
        replace(first, id=one, rows=tuple(replace(row, id=f"{row.id}-{n}") for row in first.rows))
        for n, one in enumerate(HOSTILE)
    )
    study = replace(FRAMES.study, report=replace(report, tables=tables, claims=()))
    folder = tmp_path / "deep" / "paper"
    files = write_paper_files(replace(FRAMES, study=study), folder)
    assert {path.resolve().parent for path in files} == {folder.resolve()}
    own = [path for path in files if path.name.startswith("table-")]
    assert len({path.name.casefold() for path in own}) == 2 * len(HOSTILE)
    assert sorted(files) == sorted(path for path in tmp_path.rglob("*") if path.is_file())


def test_the_front_stands_in_its_table_with_intervals_and_units():
    (front,) = (one for one in sweep_tables(FRAMES) if one.name == "front")
    assert [head.note for head in front.headings if head.title == "NMSE"] == [
        "[dB] validation",
        "[dB] test ± 95 %",
    ]
    rows = front_rows(FRAMES)
    assert [row[0].split()[0] for row in front.rows] == [str(row["trial"]) for row in rows]
    assert all(" ± " in " ".join(row) for row in front.rows)
    assert sum("(knee)" in row[0] for row in front.rows) == 1
    (paper,) = (one for one in sweep_tables(FRAMES) if one.name == "table-II")
    assert paper.caption == "NMSE of the methods."
