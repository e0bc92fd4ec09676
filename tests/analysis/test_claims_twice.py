"""Choice, clusters and Holm's correction against a second implementation, on random tables."""

from dataclasses import replace

import claims_by_hand as hand
import numpy as np
import pytest
from claims_by_hand import Run
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_frames import make_frames
from tried import times

from analysis.claims import judged_claims
from analysis.clusters import Repetition, clustered_interval, clusters, left_out
from analysis.frames import table
from analysis.paper_view import paper_views
from analysis.stats import Verdict, holm
from analysis.tables import paper_rows
from search_spaces.report_spec import Claim, Column, ReportSpec, Row, Table

BASE = make_frames(trials=3, failures=0)
TEST, VAL = "test_nmse_db", "val_nmse_db"


def frames_of(tables, claims):
    """A sweep from ``{table: {row: runs}}`` and claims."""
    specs, confirmations = [], []
    for name, rows in tables.items():
        found = tuple(Row(id=r, role="confirmation", match={"row": r}) for r in rows)
        columns = (Column(metric=TEST),)
        specs.append(Table(id=name, columns=columns, rows=found))
        confirmations += [
            {
                "key": f"confirmation/{row}/{place}",
                "number": len(confirmations),
                "scenario_key": run.scenario,
                "teacher_key": run.teacher or None,
                "param.row": row,
                "param.seed": run.seed,
                "param.data_seed": run.street,
                TEST: run.test,
                VAL: run.val,
            }
            for row, runs in rows.items()
            for place, run in enumerate(runs)
        ]
    study = replace(BASE.study, report=ReportSpec(tables=tuple(specs), claims=tuple(claims)))
    return replace(BASE, study=study, confirmations=table(confirmations))


@st.composite
def reports(draw):
    """Tables of rows that share teachers and streets in all ways, and claims about them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    noise = draw(st.sampled_from([0.1, 1.0]))
    seeds, streets, teachers = (draw(st.integers(1, most)) for most in (5, 3, 3))
    tables: dict[str, dict[str, list[Run]]] = {}
    for name in "AB"[: draw(st.integers(1, 2))]:
        tables[name] = {}
        for row in range(draw(st.integers(2, 4))):
            level, taught, own = rng.normal(), draw(st.booleans()), draw(st.sampled_from(["", "x"]))
            tables[name][f"{name}{row}"] = [
                Run(
                    seed=seed,
                    street=street,
                    teacher=f"t{street}{seed % teachers}{own}" if taught else "",
                    scenario=f"s{street}",
                    val=rng.normal(),
                    test=level + noise * rng.normal(),
                )
                for street in range(streets)
                for seed in range(seeds)
                if rng.random() < 0.9
            ]
    if draw(st.booleans()):  # rows that are equal to the last digit
        first = next(iter(tables.values()))
        first["copy"] = list(first["A0"])
    rows = [row for found in tables.values() for row in found]
    claims = []
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["order", "not_worse", "interior", "apart"]))
        size = {"interior": 3, "not_worse": 2}.get(kind, draw(st.integers(2, 3)))
        chosen = draw(st.permutations(rows))[: min(size, len(rows))]
        if len(chosen) == size or kind in ("order", "apart"):
            direction = draw(st.sampled_from(["minimize", "maximize"]))
            claims.append(
                Claim(id=str(number), text="t", metric=TEST, direction=direction, **{kind: chosen})
            )
    return tables, claims


@settings(max_examples=times(60), deadline=None)
@given(reports())
def test_verdicts_agree_with_the_second_implementation(report):
    tables, claims = report
    rows = {row: runs for found in tables.values() for row, runs in found.items()}
    home = {row: name for name, found in tables.items() for row in found}
    expected = [
        hand.judge(c.kind, [rows[r] for r in c.rows], -1 if c.direction == "minimize" else 1)
        for c in claims
    ]
    found = judged_claims(frames_of(tables, claims))
    for judged, (verdict, p) in zip(found, expected, strict=True):
        assert judged.alone == verdict, judged.detail
        assert judged.p_value == pytest.approx(p, rel=1e-6, abs=1e-9)
    for family in hand.families([{home[row] for row in claim.rows} for claim in claims]):
        p_values = [found[place].p_value for place in family]
        for place, corrected in zip(family, hand.corrected(p_values), strict=True):
            judged = found[place]
            assert judged.family == len(family)
            assert judged.p_corrected == pytest.approx(corrected)
            holds = judged.alone is Verdict.HOLDS and corrected < 0.05
            assert (judged.verdict is Verdict.HOLDS) == holds
            if judged.alone is Verdict.HOLDS and judged.claim.kind != "apart":
                wide = [
                    gain["mean"] - gain["half_width_corrected"]
                    for gain in judged.plain["gains"]
                    if gain["half_width"] > 0.0
                ]
                assert all(low > 0.0 for low in wide) == holds
    frames = frames_of(tables, claims)
    for spec in frames.study.report.tables:
        for row in paper_rows(frames, spec):
            runs = tables[spec.id][row.row.id]
            if not runs:
                assert row.cells[0].ours is None
                continue
            mean, half = hand.summed_up(hand.own(runs, "test"))
            assert row.cells[0].ours.mean == pytest.approx(mean)
            assert row.cells[0].ours.half_width == (None if half is None else pytest.approx(half))


def runs(*cells):
    """Runs from (seed, street, teacher, value) with equal validation and test."""
    return [
        Run(seed=seed, street=street, teacher=teacher, scenario=f"s{street}", val=value, test=value)
        for seed, street, teacher, value in cells
    ]


def test_ten_individuals_of_two_collectives_are_two():
    ten = runs(*((seed, 0, f"t{seed // 5}", -8.0 - seed / 100) for seed in range(10)))
    plain = runs(*((seed, 0, "", -6.0) for seed in range(10)))
    claim = Claim(id="c", text="t", metric=TEST, direction="minimize", order=("ten", "plain"))
    frames = frames_of({"T": {"ten": ten, "plain": plain}}, [claim])
    (judged,) = judged_claims(frames)
    (gain,) = judged.gains
    assert (gain.count, gain.clusters, gain.freedom) == (10, 2, 1)
    assert "10 paired seeds in 2 clusters" in judged.detail
    assert "one scenario: the interval leaves it out" in judged.detail
    assert "10 in 2 clusters" in str(paper_views(frames)[0].grid)


def test_one_teacher_and_one_scenario_are_named_as_left_out():
    one = runs(*((seed, 0, "t", -8.0 - seed) for seed in range(3)))
    other = runs(*((seed, 0, "", -6.0) for seed in range(3)))
    claim = Claim(id="c", text="t", metric=TEST, direction="minimize", order=("one", "other"))
    (judged,) = judged_claims(frames_of({"T": {"one": one, "other": other}}, [claim]))
    assert "one teacher, one scenario: the interval leaves both out" in judged.detail
    assert judged.gains[0].freedom == 2


def test_the_row_is_chosen_on_validation_and_stated_on_test():
    def row(val, test):
        return [
            replace(run, val=val + 0.01 * run.seed, test=test + 0.01 * run.seed**2)
            for run in runs(*((seed, 0, "", 0.0) for seed in range(3)))
        ]

    # on test c would be best, and an interior best; validation chooses b
    rows = {"a": row(-5, -5), "b": row(-7, -6), "c": row(-6, -9), "d": row(-5, -5)}
    claim = Claim(id="c", text="t", metric=TEST, direction="minimize", interior=tuple(rows))
    (judged,) = judged_claims(frames_of({"T": rows}, [claim]))
    assert judged.alone is Verdict.HOLDS
    assert judged.gains[0].mean == pytest.approx(1.0)
    assert f"{VAL} chooses b" in judged.detail


def test_a_claim_may_hold_alone_and_not_among_many():
    rows = {
        "a": runs((0, 0, "", -6.0), (1, 0, "", -6.3), (2, 0, "", -6.1)),
        "b": runs((0, 0, "", -5.5), (1, 0, "", -5.6), (2, 0, "", -5.7)),
    }
    claims = [
        Claim(id=str(n), text="t", metric=TEST, direction="minimize", order=("a", "b"))
        for n in range(4)
    ]
    (alone,) = judged_claims(frames_of({"T": rows}, claims[:1]))
    assert alone.verdict is Verdict.HOLDS
    many = judged_claims(frames_of({"T": rows}, claims))[0]
    assert many.statement == "holds alone, not after correction for 4 claims"
    assert many.detail == alone.detail
    assert many.plain["p_corrected"] == pytest.approx(4 * many.plain["p_value"])


@given(st.lists(st.floats(0.0, 1.0), max_size=12))
def test_holm_corrects_no_less_than_nothing_and_no_more_than_bonferroni(p_values):
    corrected = holm(p_values)
    assert corrected == pytest.approx(hand.corrected(p_values))
    for p, one in zip(p_values, corrected, strict=True):
        assert p <= one <= min(1.0, len(p_values) * p) + 1e-15
    assert min(corrected, default=0.0) == min(1.0, len(p_values) * min(p_values, default=0.0))


@given(st.integers(2, 5), st.integers(2, 4))
def test_values_that_are_equal_within_clusters_count_once(count, size):
    rng = np.random.default_rng(count)
    means = rng.normal(size=count)
    values = {
        Repetition(seed=10 * c + s, shares=frozenset({f"teacher/{c}", "scenario/a"})): mean
        for c, mean in enumerate(means)
        for s in range(size)
    }
    alone = clustered_interval({Repetition(c): mean for c, mean in enumerate(means)})
    found = clustered_interval(values)
    assert (found.mean, found.half_width) == pytest.approx((alone.mean, alone.half_width))
    assert len(clusters(values)) == count
    assert left_out(values) == "one scenario: the interval leaves it out"
