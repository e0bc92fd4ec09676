"""The paper's tables beside ours and the verdicts on its claims."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_frames import make_frames

from analysis.claims import judged_claims, objective_of
from analysis.clusters import by_seed
from analysis.errors import ResultsError
from analysis.frames import table
from analysis.paper_view import paper_views
from analysis.stats import Verdict, mean_interval
from analysis.summary import summary
from analysis.tables import described, paper_rows, row_values
from search_spaces.report_spec import Claim, Column, ReportSpec, Row, Table

BASE = make_frames(trials=3, failures=0)
METRIC = "test_nmse_db"


def confirmations(values):
    """One run per (row, seed) from ``{row: {seed: value}}``."""
    return table(
        {
            "key": f"confirmation/{row}/{seed}",
            "number": number,
            "param.row": row,
            "param.seed": seed,
            METRIC: value,
            "val_nmse_db": value,
        }
        for number, (row, found) in enumerate(values.items())
        for seed, value in found.items()
    )


def row(name, role, match, paper=None):
    return Row(id=name, label=f"row {name}", role=role, match=match, paper=paper or {})


def sweep(values, claims=(), *, paper=None):
    """A sweep whose study asks for one row per entry of ``values``."""
    rows = tuple(row(name, "confirmation", {"row": name}, paper) for name in values)
    columns = (Column(metric=METRIC, label="NMSE [dB]"),)
    spec = Table(id="II", title="title", source="somewhere", columns=columns, rows=rows)
    study = replace(BASE.study, report=ReportSpec(tables=(spec,), claims=tuple(claims)))
    return replace(BASE, study=study, confirmations=confirmations(values))


def claim(kind, *rows):
    return Claim(id="c", text="text", metric=METRIC, **{kind: rows})


def verdict(values, kind, *rows):
    return judged_claims(sweep(values, [claim(kind, *rows)]))[0]


GOOD = {1: -9.0, 2: -9.1, 3: -8.9}
CLOSE = {1: -8.9, 2: -9.2, 3: -8.8}
POOR = {1: -6.0, 2: -6.1, 3: -5.9}


@pytest.mark.parametrize(
    ("kind", "rows", "expected"),
    [
        ("order", ("good", "poor"), Verdict.HOLDS),
        ("order", ("poor", "good"), Verdict.DOES_NOT_HOLD),
        ("order", ("good", "close"), Verdict.ON_AVERAGE),
        ("order", ("good", "close", "poor"), Verdict.ON_AVERAGE),
        ("order", ("good", "poor", "close"), Verdict.DOES_NOT_HOLD),
        ("order", ("good", "one"), Verdict.ONE_SEED),
        ("order", ("good", "gone"), Verdict.NOT_MEASURED),
        ("not_worse", ("good", "same"), Verdict.HOLDS),
        ("order", ("good", "same"), Verdict.DOES_NOT_HOLD),
        ("not_worse", ("close", "good"), Verdict.DOES_NOT_HOLD),
        ("not_worse", ("good", "apart"), Verdict.NOT_MEASURED),
        ("interior", ("poor", "good", "one"), Verdict.ONE_SEED),
        ("interior", ("poor", "good", "poor2"), Verdict.HOLDS),
        ("interior", ("good", "close", "poor"), Verdict.DOES_NOT_HOLD),
        ("interior", ("poor", "good", "close"), Verdict.ON_AVERAGE),
        ("apart", ("good", "poor"), Verdict.HOLDS),
        ("apart", ("poor", "good"), Verdict.DOES_NOT_HOLD),
        ("apart", ("good", "close"), Verdict.DOES_NOT_HOLD),
        ("apart", ("good", "close", "poor"), Verdict.DOES_NOT_HOLD),
        ("apart", ("good", "one"), Verdict.ONE_SEED),
        ("apart", ("good", "same"), Verdict.DOES_NOT_HOLD),
        ("apart", ("good", "gone"), Verdict.NOT_MEASURED),
    ],
)
def test_verdicts_on_made_up_rows(kind, rows, expected):
    values = {
        "good": GOOD,
        "close": CLOSE,
        "same": GOOD,
        "poor": POOR,
        "poor2": POOR,
        "one": {1: -5.0},
        "gone": {},
        "apart": {7: -5.0},
    }
    judged = verdict(values, kind, *rows)
    assert judged.verdict is expected, judged.detail
    assert judged.detail


SEEDS = st.lists(st.floats(-50.0, 50.0), min_size=2, max_size=5)


@given(SEEDS, SEEDS)
def test_rows_are_apart_exactly_if_no_number_lies_in_both_intervals(one, other):
    ours, theirs = (mean_interval(values) for values in (one, other))
    rows = {"a": dict(enumerate(one)), "b": dict(enumerate(other))}
    judged = verdict(rows, "apart", "a", "b")
    # Less is better, and the ends of an interval belong to it.
    assert (judged.verdict is Verdict.HOLDS) == (ours.high < theirs.low), judged.detail
    assert verdict(rows, "apart", "b", "a").verdict is not Verdict.HOLDS or ours.low > theirs.high


def test_overlap_is_shown_in_numbers_although_paired_seeds_all_differ():
    # Every seed is better by 1 dB, but seeds differ by more from each other.
    rows = {"a": {1: -9.0, 2: -5.0, 3: -1.0}, "b": {1: -8.0, 2: -4.0, 3: 0.0}}
    assert verdict(rows, "order", "a", "b").verdict is Verdict.HOLDS
    judged = verdict(rows, "apart", "a", "b")
    assert judged.verdict is Verdict.DOES_NOT_HOLD
    assert "intervals overlap by 18.87" in judged.detail


def test_the_summary_names_the_claims_that_hold_and_counts_the_others():
    claims = [
        replace(claim("order", "good", "poor"), id="a", text="good beats poor"),
        replace(claim("order", "poor", "good"), id="b", text="poor beats good"),
        replace(claim("order", "good", "close"), id="c", text="good beats close"),
    ]
    frames = sweep({"good": GOOD, "close": CLOSE, "poor": POOR}, claims)
    [found] = [sentence for sentence in summary(frames) if "claims" in sentence]
    assert "Of 3 claims 1 holds after correction: good beats poor." in found
    assert f"1: {Verdict.DOES_NOT_HOLD}" in found
    assert f"1: {Verdict.ON_AVERAGE}" in found
    assert "poor beats good" not in found

    assert not any("claim" in sentence for sentence in summary(sweep({"good": GOOD})))


def test_a_claim_may_set_its_direction():
    rising = replace(claim("order", "poor", "good"), direction="maximize")
    for one, expected in (
        (rising, Verdict.HOLDS),
        (claim("order", "poor", "good"), Verdict.DOES_NOT_HOLD),
    ):
        judged = judged_claims(sweep({"good": GOOD, "poor": POOR}, [one]))[0]
        assert judged.verdict is expected, judged.detail


def test_a_failed_claim_shows_its_numbers():
    detail = verdict({"good": GOOD, "poor": POOR}, "order", "poor", "good").detail
    assert "3.00 ± 0.00\N{NO-BREAK SPACE}dB worse" in detail
    assert "3 paired seeds" in detail


@given(st.floats(-50.0, 50.0))
def test_verdicts_do_not_depend_on_the_zero_of_the_scale(shift):
    moved = {
        name: {seed: value + shift for seed, value in values.items()}
        for name, values in (("good", GOOD), ("poor", POOR))
    }
    assert verdict(moved, "order", "good", "poor").verdict is Verdict.HOLDS


def test_one_teacher_stands_beside_every_seed():
    frames = sweep({"good": GOOD})
    teacher = row("t", "teacher", {"compression": 16})
    spec = frames.study.report.tables[0]
    spec = replace(spec, rows=(*spec.rows, teacher))
    report = ReportSpec(tables=(spec,), claims=(claim("order", "good", "t"),))
    run = {"key": "teacher/a", "param.compression": 16, "param.teacher_seed": 0, METRIC: -7.0}
    frames = replace(frames, study=replace(frames.study, report=report), teachers=table([run]))
    judged = judged_claims(frames)[0]
    assert judged.verdict is Verdict.HOLDS
    assert "3 paired seeds" in judged.detail


def test_tables_show_ours_the_papers_and_the_difference():
    frames = sweep({"good": GOOD, "gone": {}}, paper={METRIC: -10.0})
    found = paper_rows(frames, frames.study.report.tables[0])
    cell = found[0].cells[0]
    assert cell.ours is not None
    assert (cell.ours.mean, cell.ours.count) == (pytest.approx(-9.0), 3)
    assert cell.difference == pytest.approx(1.0)
    assert (found[1].cells[0].ours, found[1].cells[0].difference) == (None, None)
    assert found[1].note == "not measured"


@pytest.mark.parametrize(
    ("values", "paper", "shown"),
    [
        ((94_778.0,) * 3, 95_000.0, ["95\u202f000", "\N{MINUS SIGN}222"]),
        ((-9.0,) * 3, -10.0, ["\N{MINUS SIGN}10.00", "1.00"]),
        ((94_778.5,) * 3, 95_000.0, ["95\u202f000", "\N{MINUS SIGN}221.50"]),
    ],
)
def test_counts_stand_without_decimals_beside_the_papers(values, paper, shown):
    found = sweep({"good": dict(enumerate(values))}, paper={METRIC: paper})
    grid = paper_views(found)[0].grid
    assert [cell.text for cell in grid.rows[0][2:4]] == shown


def test_a_loose_match_is_refused_and_names_what_differs():
    frames = sweep({"good": GOOD, "poor": POOR})
    loose = row("x", "confirmation", {})
    with pytest.raises(ResultsError, match=r"row 'x'.*differ in row"):
        row_values(frames, loose, METRIC)


def test_a_parameter_that_a_run_must_not_have_is_matched_by_an_empty_text():
    runs = [{"param.model": "camera", METRIC: -1.0}]
    runs += [{"param.model": "camera", "param.second": "radar", METRIC: -2.0}]
    frames = replace(BASE, confirmations=table({"key": "k", "number": 0, **run} for run in runs))
    alone = row("alone", "confirmation", {"model": "camera", "second": ""})
    both = row("both", "confirmation", {"model": "camera", "second": "radar"})
    found = [row_values(frames, one, METRIC) for one in (alone, both)]
    assert found == [by_seed({0: -1.0}), by_seed({0: -2.0})]


def test_a_confirmation_by_weights_costs_what_its_trial_costs():
    trials = [
        {"key": f"trial/{n}", "number": n, "state": "COMPLETE", "param.seed": 5, "params": 10.0 + n}
        for n in (0, 1)
    ]
    runs = [{"key": "confirmation/1/5", "number": 1, "param.seed": 5, METRIC: -2.0}]
    runs += [{"key": "confirmation/1/6", "number": 1, "param.seed": 6, METRIC: -3.0}]
    frames = replace(BASE, trials=table(trials), confirmations=table(runs))
    every = row("every", "confirmation", {})
    assert row_values(frames, every, "params") == by_seed({5: 11.0})
    retrained = replace(frames, confirmations=table({**run, "params": 7.0} for run in runs))
    assert row_values(retrained, every, "params") == by_seed({5: 7.0, 6: 7.0})


def test_a_metric_belongs_to_its_objective_on_either_split():
    assert objective_of(BASE, "test_nmse_db") is BASE.study.objectives[0]
    assert objective_of(BASE, "train_core_seconds") is None


def test_a_table_as_data_has_the_numbers_of_its_cells():
    frames = make_frames(report=True)
    for spec in frames.study.report.tables:
        data = json.loads(json.dumps(described(frames, spec)))
        assert data["columns"] == [column.metric for column in spec.columns]
        for row, found in zip(paper_rows(frames, spec), data["rows"], strict=True):
            assert found["id"] == row.row.id
            for cell, shown in zip(row.cells, found["cells"], strict=True):
                assert shown["paper"] == cell.paper
                assert (shown["ours"] is None) == (cell.ours is None)
                if cell.ours is not None:
                    assert shown["ours"]["mean"] == pytest.approx(cell.ours.mean)
