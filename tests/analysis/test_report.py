"""The report: what it says, and that it can be written whatever came of the sweep."""

import html
import json
import re
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest
from synthetic_frames import make_frames, without_references

from analysis.export import METADATA_KEY
from analysis.frames import table
from analysis.front_rows import front_rows
from analysis.layout import FRONT_JSON, FRONT_PARQUET, REPORT_FILES
from analysis.plots.theme import group_colours
from analysis.report import build_report, render
from analysis.report_tables import (
    PAGE_ROOM,
    front_table,
    near_table,
    references_table,
    stopped_table,
    trials_table,
)
from analysis.summary import summary

MOST_S, MOST_MIB = 20.0, 12.0
"""Of a report of 2,000 trials: some 4 s and 8 MiB, most of it the library of the figures."""

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Balance(HTMLParser):
    """Checks that every element is closed in order."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.links = []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(frames):
    """The page without the plotly library, after checking that it is well formed."""
    page = render(frames)
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert parser.links == []  # nothing is fetched from anywhere
    return re.sub(r"<script>/\*\*\n\* plotly\.js.*?</script>", "", page, flags=re.DOTALL)


def figures(page):
    found = re.findall(
        r'<script type="application/json".*?data-target="(.*?)">(.*?)</script>', page
    )
    return {name: json.loads(data) for name, data in found}


@pytest.mark.parametrize(("objectives", "fronts"), [(1, 0), (2, 1), (3, 2), (5, 7)])
def test_every_pair_with_a_quality_is_drawn(objectives, fronts):
    page = checked(make_frames(trials=9, objectives=objectives))
    names = figures(page)
    assert sum(name.startswith("front-") for name in names) == fronts
    assert {"hypervolume", "parallel"} <= names.keys()
    assert ("history" in names) == (objectives == 1)


def test_importance_is_drawn_for_every_objective():
    data = figures(checked(make_frames(trials=24)))["importance"]["data"]
    assert [trace["name"] for trace in data] == ["NMSE", "UE encoder FLOPs"]


def test_axes_name_unit_and_split():
    layout = figures(checked(make_frames(trials=9)))["front-0"]["layout"]
    assert layout["yaxis"]["title"]["text"] == "NMSE [dB], validation (open diamonds: test)"
    assert layout["xaxis"]["title"]["text"] == "UE encoder FLOPs [FLOPs]"
    assert layout["xaxis"]["type"] == "log"


@pytest.mark.parametrize("trials", [0, 1, 2, 9])
def test_few_trials(trials, tmp_path):
    frames = make_frames(trials=trials, failures=1)
    files = build_report(frames, tmp_path / "new" / "folder").parent
    assert all((files / name).stat().st_size > 0 for name in REPORT_FILES)
    page = checked(frames)
    assert ("No trial has finished yet" in page) == (trials == 0)
    assert ("too few trials" in page) == (trials > 0)
    assert len(json.loads((files / FRONT_JSON).read_text())["front"]) == len(front_rows(frames))
    assert pq.read_table(files / FRONT_PARQUET).num_rows == len(front_rows(frames))


def test_a_sweep_without_anything_beside_its_trials():
    frames = replace(without_references(make_frames(trials=9)), wall_time_s=None)
    frames = replace(frames, provenance={}, environment={})
    page = checked(frames)
    assert "Baselines and teachers" not in page
    assert "not repeated on test" in page


def test_a_baseline_without_complexity_becomes_a_line():
    frames = make_frames(trials=9)
    run = {"key": "baseline/majority", "val_nmse_db": -1.0}
    layout = figures(checked(replace(frames, baselines=table([run]))))["front-0"]["layout"]
    assert layout["annotations"][0]["text"] == "majority"
    assert layout["shapes"][0]["y0"] == -1.0


def test_infeasible_trials_only():
    frames = make_frames(trials=6)
    none = frames.trials.assign(payload_bits=1e6, front=False, rank=None)
    page = checked(replace(frames, trials=none))
    assert "none is feasible" in page


def test_nothing_from_the_data_becomes_markup():
    evil = "</script><script>alert(1)</script><b>"
    frames = make_frames(trials=9, failures=2, report=True)
    study = replace(frames.study, title=evil, description=evil, parameters={"preset": evil})
    label = replace(study.objectives[0], label=evil)
    study = replace(study, objectives=(label, *study.objectives[1:]), text=evil)
    named = frames.baselines.assign(key=f"baseline/{evil}")
    trials = frames.trials.assign(reason=evil)
    page = checked(
        replace(
            frames,
            name=evil,
            study=study,
            baselines=named,
            trials=trials,
            provenance={evil: evil},
        )
    )
    assert "<script>alert(1)" not in page
    assert html.escape(evil)[:20] in page
    for figure in figures(page).values():
        texts = json.dumps(figure)
        assert "<script>" not in texts


def test_paper_tables_and_claims_are_shown():
    page = checked(make_frames(trials=9, report=True))
    assert "Table II: NMSE of the methods" in page
    assert "holds in one seed, no interval" in page
    assert "not measured" in page


def test_parquet_describes_its_columns(tmp_path):
    frames = make_frames(trials=9)
    found = pq.read_table(build_report(frames, tmp_path).with_name(FRONT_PARQUET))
    facts = json.loads(found.schema.metadata[METADATA_KEY])
    assert (facts["sweep"], facts["study"]) == ("made-up-1", "made-up")
    assert facts["objectives"][0]["test_metric"] == "test_nmse_db"
    assert found.schema.field("val_nmse_db").metadata == {b"unit": b"dB"}
    rows = front_rows(frames)
    assert found["trial"].to_pylist() == [row["trial"] for row in rows]
    means = [row["test"]["test_nmse_db"]["mean"] for row in rows]
    assert found["test_nmse_db.mean"].to_pylist() == pytest.approx(means)


def test_the_summary_states_whether_distillation_helped():
    helped, harmed = (" ".join(summary(make_frames(gain=gain))) for gain in (2.0, -2.0))
    assert "better than the best student without a teacher" in helped
    assert "did not help" not in helped
    assert "Distillation did not help here" in harmed
    assert "not methods" in harmed


def test_the_summary_compares_within_one_scenario():
    frames = make_frames()
    text = " ".join(summary(frames))
    best = front_rows(frames)[0]["searched"]["compression"]
    assert f"PCA 1/{best}" in text
    assert len(re.findall("PCA", text)) == 1
    assert "than the teacher" in text


def test_shares_in_percent_are_points_apart():
    frames = make_frames()
    goal, *others = frames.study.objectives
    percent = replace(frames.study, objectives=(replace(goal, unit="%"), *others))
    text = " ".join(summary(replace(frames, study=percent)))
    assert re.search(r"points (better|worse) than", text)
    assert not re.search(r"% (better|worse) than", text)


def test_the_summary_names_uncertain_members_of_the_front():
    frames = make_frames(trials=60, near=4)
    (surest,) = (sentence for sentence in summary(frames) if "With new seeds" in sentence)
    chances = {row["trial"]: row["front_chance"] for row in front_rows(frames)}
    sure = sum(chance >= 0.95 for chance in chances.values())
    least = min(chances, key=lambda number: chances[number])
    assert f"{sure} of {len(chances)} repeated members" in surest
    assert (f"trial {least} is the least sure" in surest) == (chances[least] < 0.95)
    assert "With new seeds" not in " ".join(summary(without_references(frames)))


def renamed(frames, **methods):
    """Return a sweep whose methods have other names."""
    new = {name: methods.get(name.replace("-", "_"), name) for name in METHODS}
    trials = frames.trials.assign(
        **{name: frames.trials[name].map(new) for name in ("method", "param.method")}
    )
    return replace(frames, trials=trials)


METHODS = ("vanilla", "autoencoder-kd", "encoder-kd")


def test_the_summary_misses_students_without_a_teacher():
    frames = make_frames()
    taught = frames.trials[frames.trials["taught"] == True].reset_index(drop=True)  # noqa: E712
    text = " ".join(summary(replace(frames, trials=taught)))
    assert "No trial without a teacher finished" in text
    alone = frames.trials[frames.trials["taught"] == False].reset_index(drop=True)  # noqa: E712
    assert "distillation was not tried" in " ".join(summary(replace(frames, trials=alone)))


@pytest.mark.parametrize("word", ["plain", "label-only", "none"])
def test_a_baseline_may_have_any_name(word):
    frames = make_frames(gain=2.0)
    other = renamed(frames, vanilla=word)
    assert summary(other)[1:] == [s.replace("vanilla", word) for s in summary(frames)[1:]]
    assert group_colours(other)[word] == group_colours(frames)["vanilla"]
    assert "front of students without a teacher" in render(other)


def test_a_method_called_vanilla_with_a_teacher_is_no_baseline():
    frames = make_frames()
    trials = frames.trials.assign(taught=True)
    text = " ".join(summary(replace(frames, trials=trials)))
    assert "No trial without a teacher finished" in text


@pytest.mark.slow
def test_two_thousand_trials_are_drawn_in_seconds():
    frames = make_frames(trials=2000, failures=20, near=10)
    begun = time.process_time()
    page = render(frames)
    spent, size = time.process_time() - begun, len(page) / 2**20
    sys.stdout.write(f"2,000 trials: {spent:.1f} s of processor time, {size:.1f} MiB\n")
    assert spent < MOST_S
    assert size < MOST_MIB
    drawn = figures(page)
    dominated = [trace for trace in drawn["front-0"]["data"] if "dominated" in trace["name"]]
    on_front = len(front_rows(frames))
    feasible = int(frames.trials["front"].notna().sum())
    assert sum(len(trace["hovertext"]) for trace in dominated) == feasible - on_front


def stopped(frames, *, number=0):
    """The sweep with its dominated trials stopped early, one of them before it had begun."""
    trials = frames.trials.copy()
    off = [i for i in trials.index if trials.loc[i, "rank"] not in (None, 0)]
    for place in off:
        trials.loc[place, "state"] = "PRUNED"
        trials.loc[place, "reason"] = "not among the best at 37.5 % of its training <b>"
        trials.at[place, "rank"] = trials.at[place, "front"] = None
    trials.loc[off[number], "val_nmse_db"] = float("nan")
    return replace(frames, trials=trials), [int(trials.loc[i, "number"]) for i in off]


@pytest.mark.parametrize("all_of_them", [False, True])
def test_trials_that_were_stopped_early_are_listed_with_reason_and_last_numbers(all_of_them):
    frames, numbers = stopped(make_frames(trials=30, objectives=4))
    if all_of_them:
        rows = frames.trials["state"] == "PRUNED"
        frames = replace(frames, trials=frames.trials[rows].reset_index(drop=True))
    found = stopped_table(frames)
    assert [int(row[0].sort) for row in found.rows] == numbers
    titles = [head.title for head in found.headings]
    assert all(row[titles.index("why")].text.startswith("not among") for row in found.rows)
    nmse = [row[titles.index("NMSE")].text for row in found.rows]
    assert nmse[0] == "–"
    assert "–" not in nmse[1:]
    page = checked(frames)
    assert f"Trials that were stopped early ({len(numbers)})" in page
    assert "of its training &lt;b&gt;" in page
    assert stopped_table(make_frames()) is None
    finished = trials_table(frames)
    assert {int(row[0].sort) for row in finished.rows}.isdisjoint(numbers)


def test_every_finished_trial_is_listed_also_one_that_breaks_a_constraint():
    frames = make_frames(trials=20, failures=1)
    trials = frames.trials.copy()
    place = trials.index[trials["state"] == "COMPLETE"][0]
    trials.loc[place, "payload_bits"] = 1e6
    trials.at[place, "rank"] = trials.at[place, "front"] = None
    frames = replace(frames, trials=trials)
    rows = {int(row[0].sort): row[1].text for row in trials_table(frames).rows}
    assert len(rows) == 20
    assert rows[int(trials.loc[place, "number"])] == "–"


@pytest.mark.parametrize("objectives", [1, 2, 4, 5])
def test_no_table_is_wider_than_the_page_and_no_column_is_left_out(objectives):
    frames, _ = stopped(make_frames(trials=40, objectives=objectives, near=2))
    tables = [front_table(frames), near_table(frames), trials_table(frames)]
    for table_ in [*tables, stopped_table(frames), references_table(frames)]:
        if table_ is None:
            continue
        places = [i for part in table_.parts for i in part[1:]]
        assert places == list(range(1, len(table_.headings)))
        for part in table_.parts:
            room = [max(len(row[i].text) for row in table_.rows) for i in part]
            assert len(part) == 2 or sum(min(48, width) for width in room) < PAGE_ROOM
            assert table_.headings[part[1]].title != "seeds"
    page = checked(frames)
    rows = re.findall(r'<tr data-row="(\d+)">', page)
    for table_ in filter(None, tables):
        assert len(rows) >= len(table_.parts) * len(table_.rows)
