"""Words of a table against its numbers, the table laid out by aspects, and topologies in plots."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_frames import make_frames
from synthetic_topologies import make_topology_frames

from analysis.frames import table
from analysis.paper_view import paper_views
from analysis.stats import Verdict
from analysis.words import agreement_summary, judged_words
from search_spaces.report_spec import Aspect, Column, ReportSpec, Row, Table

BASE = make_frames(trials=3, failures=0)
METRIC = "edge_bytes"
SMALL, NEAR, LARGE = {1: 1e4, 2: 1e4}, {1: 1.5e4, 2: 1.5e4}, {1: 1e6, 2: 1.1e6}
OVERLAPPING = {1: 9e3, 2: 1.2e4}


def sweep(values, words, *, unit="B", factor=2.0, order=("Low", "High")):
    """A sweep with one row per entry of ``values`` that has a word in one aspect."""
    rows = tuple(
        Row(
            id=name,
            role="confirmation",
            match={"row": name},
            words={"load": words[name]},
            facts={"load": "why"},
        )
        for name in values
    )
    spec = Table(
        id="I",
        title="title",
        source="paper",
        columns=(Column(METRIC, "bytes", unit, "load"), Column("gone", "not reported")),
        rows=rows,
        layout="aspects",
        aspects=(Aspect("load", order, (METRIC,), factor),),
    )
    runs = table(
        {"key": f"confirmation/{row}/{seed}", "param.row": row, "param.seed": seed, METRIC: value}
        for row, found in values.items()
        for seed, value in found.items()
    )
    study = replace(BASE.study, report=ReportSpec(tables=(spec,)))
    return replace(BASE, study=study, confirmations=runs)


def statement(first, second, words=("Low", "High"), **options):
    frames = sweep({"a": first, "b": second}, dict(zip("ab", words, strict=True)), **options)
    [judged] = judged_words(frames, frames.study.report.tables[0])
    return judged


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (SMALL, LARGE, Verdict.HOLDS),
        (LARGE, SMALL, Verdict.DOES_NOT_HOLD),
        (SMALL, OVERLAPPING, Verdict.ON_AVERAGE),
        (SMALL, SMALL, Verdict.DOES_NOT_HOLD),
        (SMALL, {1: 2e4}, Verdict.ONE_SEED),
        (SMALL, {}, Verdict.NOT_MEASURED),
        (SMALL, {7: 2e4}, Verdict.NOT_MEASURED),
    ],
)
def test_different_words_need_numbers_in_their_order(first, second, expected):
    judged = statement(first, second)
    assert judged.verdict is expected, judged.detail
    assert judged.paper == "Low for a; High for b"
    # the order of the rows in the table is of no account
    swapped = statement(second, first, words=("High", "Low"))
    assert swapped.verdict is expected
    assert swapped.paper == "Low for b; High for a"


@pytest.mark.parametrize(
    ("first", "second", "expected", "measured"),
    [
        (SMALL, NEAR, Verdict.HOLDS, "1.5 times apart"),
        (SMALL, LARGE, Verdict.DOES_NOT_HOLD, "105 times apart"),
        (SMALL, {1: 1.2e4, 2: 2.8e4}, Verdict.ON_AVERAGE, "1.83 times apart"),
        (
            {1: 0.0, 2: 0.0},
            {1: 0.0, 2: 0.0},
            Verdict.HOLDS,
            "the same (0\N{NO-BREAK SPACE}B and 0\N{NO-BREAK SPACE}B",
        ),
        ({1: 0.0, 2: 0.0}, SMALL, Verdict.DOES_NOT_HOLD, "no ratio"),
        (SMALL, {1: 1e4}, Verdict.ONE_SEED, "the same"),
        (SMALL, {7: 1e4}, Verdict.NOT_MEASURED, "no common seeds"),
    ],
)
def test_equal_words_need_numbers_within_the_factor(first, second, expected, measured):
    for one, other in ((first, second), (second, first)):
        judged = statement(one, other, words=("Low", "Low"))
        assert judged.verdict is expected, judged.detail
        assert measured in judged.detail
        assert judged.paper == "Low for a and b alike"


def test_a_larger_factor_lets_more_be_alike():
    verdicts = [
        statement(SMALL, LARGE, words=("Low", "Low"), factor=factor).verdict
        for factor in (2.0, 100.0, 300.0)
    ]
    assert verdicts == [Verdict.DOES_NOT_HOLD, Verdict.DOES_NOT_HOLD, Verdict.HOLDS]


def test_decibels_are_compared_as_ratios():
    """3 dB are a factor of 1.995."""
    quiet, louder = {1: -9.0, 2: -9.0}, {1: -6.0, 2: -6.0}
    for factor, verdict in ((2.0, Verdict.HOLDS), (1.9, Verdict.DOES_NOT_HOLD)):
        judged = statement(quiet, louder, words=("Low", "Low"), unit="dB", factor=factor)
        assert judged.verdict is verdict
        assert "2 times apart (−9.00 and −6.00" in judged.detail


def test_words_may_run_against_the_metric():
    """High privacy: few samples leave. The list of words begins with that for the least."""
    assert statement(SMALL, LARGE, ("High", "Low"), order=("High", "Low")).verdict is Verdict.HOLDS
    assert statement(SMALL, LARGE, ("High", "Low")).verdict is Verdict.DOES_NOT_HOLD


@given(st.integers(-10, 10), st.floats(1.0, 50.0), st.floats(1.01, 20.0))
def test_verdicts_do_not_depend_on_the_unit(power, apart, factor):
    """A power of two, so that no digit is lost."""
    pair = ({1: 1e4, 2: 1.1e4}, {1: 1e4 * apart, 2: 1.2e4 * apart})
    moved = [{seed: 2.0**power * value for seed, value in row.items()} for row in pair]
    for words in (("Low", "High"), ("Low", "Low")):
        plain, scaled = (
            statement(*rows, words=words, factor=factor).verdict for rows in (pair, moved)
        )
        assert plain is scaled


def test_every_pair_is_judged_and_the_summary_counts_them():
    values = {"a": SMALL, "b": NEAR, "c": LARGE, "d": {}}
    frames = sweep(values, {"a": "Low", "b": "Low", "c": "Low", "d": "High"})
    judged = judged_words(frames, frames.study.report.tables[0])
    assert len(judged) == 6
    assert agreement_summary(judged) == "1 of 6 statements agree, 2 disagree, 3 not measured"
    assert judged[0].agreement == "agrees"
    assert judged[0].paper == "Low for a and b alike"
    assert judged[0].detail.startswith("bytes: 1.5")


def test_the_layout_by_aspects_is_the_transposed_table():
    [view] = paper_views(sweep({"a": SMALL, "b": {}}, {"a": "Low", "b": "High"}))
    assert view.grid is None
    assert view.aspects is not None
    assert view.aspects.headings == ("a", "b")
    (rating, *load), rest = view.aspects.groups
    assert rating.is_aspect
    assert rating.cells == (("Low", "why"), ("High", "why"))
    assert [(line.label, line.cells) for line in load] == [
        ("bytes", (("10.0 kB".replace(" ", "\N{NO-BREAK SPACE}"), ""), ("–", "")))
    ]
    lines = {line.label: line.cells for line in rest}
    assert lines == {
        "not reported": (("–", ""), ("–", "")),
        "seeds": (("2", ""), ("0", "")),
        "note": (("", ""), ("not measured", "")),
    }
    assert view.agreement == "0 of 1 statements agree, 1 not measured"


def test_the_topology_study_measures_all_that_its_tables_ask_for():
    """Every row of the shipped study finds one configuration, with every seed."""
    frames = make_topology_frames()
    for view in paper_views(frames):
        if view.aspects is not None:
            cells = [
                c for g in view.aspects.groups for line in g for pair in line.cells for c in pair
            ]
        else:
            cells = [cell.text for row in view.grid.rows for cell in row]
        assert "–" not in cells, view.heading
        assert "not measured" not in view.agreement
    table_i = frames.study.report.tables[0]
    assert [aspect.name for aspect in table_i.aspects] == [
        "Teacher model",
        "Student model",
        "Data utilization",
        "Communications overhead",
        "Edge computational and memory load",
        "Adaptability to local conditions",
        "Data privacy",
        "Typical use cases",
    ]
