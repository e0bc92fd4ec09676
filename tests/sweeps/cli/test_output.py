"""Wide tables in a terminal: parts, of which none is folded within a word."""

import json
import math
import re
import shlex
from dataclasses import replace
from functools import partial

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from synthetic_frames import make_frames

from analysis.best import find_best
from analysis.format import BESIDE, MISSING, level, number, param
from analysis.front_rows import front_rows, near_rows, reference_rows
from analysis.fronts import front_trials
from analysis.printed.tables import sweep_tables
from sweeps.cli import output as cli_output
from sweeps.cli.best import show_best
from sweeps.cli.main import app
from sweeps.cli.output import (
    LABEL_WIDTH,
    PADDING,
    command_line,
    fitting,
    paper_json,
    show_front,
    show_json,
    show_near,
)

TITLES = st.lists(st.sampled_from([*BESIDE, "top-2 at t0 [%]", "seeds", "x"]), max_size=9)


@given(TITLES, st.integers(30, 200))
def test_every_column_is_in_one_part_and_beside_what_it_belongs_to(titles, width):
    columns = ["Table II", *titles]
    rows = [["a label of a row" for _ in columns], ["" for _ in columns]]
    parts = fitting(columns, rows, width)
    assert all(part[0] == 0 for part in parts)
    assert [i for part in parts for i in part[1:]] == list(range(1, len(columns)))
    for part in parts:
        assert len(part) < 2 or part[1] == 1 or columns[part[1]] not in BESIDE


@given(TITLES)
def test_what_fits_stays_whole_and_a_narrow_terminal_gets_group_by_group(titles):
    columns = ["a", *titles]
    rows = [["1.00 ± 0.50" for _ in columns]]
    enough = LABEL_WIDTH + sum(max(map(len, (*c.split(), rows[0][0]))) + PADDING for c in columns)
    assert len(fitting(columns, rows, enough)) == 1
    heads = [i for i, title in enumerate(titles) if not i or title not in BESIDE]
    assert len(fitting(columns, rows, 1)) == max(1, len(heads))


@pytest.mark.parametrize("objectives", [2, 4, 5])
@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_front_is_cut_nowhere(objectives, width, monkeypatch, capsys):
    frames = make_frames(objectives=objectives, trials=30, near=2)
    monkeypatch.setattr(cli_output, "LOG_WIDTH", width)
    show_front(frames)
    show_near(frames)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    words = shown.split()
    for row in [*front_rows(frames), *near_rows(frames)]:
        for goal in frames.study.objectives:
            assert all(word in words for word in number(row[goal.metric]).split())
        assert row["method"] in words
        for name, value in row["searched"].items():
            assert f"{name}={param(value)}" in words


@pytest.mark.parametrize("most", [2, 99])
def test_teachers_and_baselines_stand_below_a_front(most, monkeypatch, capsys):
    frames = make_frames(trials=30)
    monkeypatch.setattr(cli_output, "MOST_REFERENCES", most)
    show_front(frames)
    lines = capsys.readouterr().out.splitlines()
    below = [one.split() for one in lines if one.split()[0] == MISSING]
    rows = reference_rows(frames, front_trials(frames))
    for words, row in zip(below, rows[:most], strict=True):
        assert " ".join(words).startswith(f"{MISSING} {row['method']} ")
        assert number(row["val_nmse_db"]) in words
        assert level(row["test"]["test_nmse_db"]["mean"]) in words
    assert lines[-1].startswith(f"and {len(rows) - most} more") is (most < len(rows))


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ("FAIL", "No trial has finished"),
        ("PRUNED", "No trial has finished"),
        ("COMPLETE", "payload_bits must be at most 4096, and trial 1 comes nearest with 1e+09"),
    ],
)
def test_a_sweep_without_a_front_names_the_reason(states, words, capsys):
    frames = make_frames(trials=3, failures=0)
    trials = frames.trials.assign(state=states, front=None, rank=None)
    trials["payload_bits"] = [2e9, 1e9, math.nan]
    show_front(replace(frames, trials=trials))
    shown = capsys.readouterr().out
    assert words in shown
    assert "trial  method" not in shown


@pytest.mark.parametrize("name", ["plain", "two words", "-dashed"])
def test_the_command_that_best_prints_can_be_copied(name, tmp_path, capsys):
    frames = make_frames()
    command = partial(command_line, name=name, home=tmp_path)
    show_best(find_best(frames), frames.study, command, as_json=False)
    shown = re.search(r"\((.* export .*)\)", capsys.readouterr().out)
    assert shown is not None
    words = shlex.split(shown[1])
    export = typer.main.get_command(app).commands["export"]
    given = export.make_context("export", words[words.index("export") + 1 :]).params
    assert given["name"] == name
    assert given["trial"] == find_best(frames).chosen.trial
    assert given["home"] == tmp_path


def test_tables_as_json_are_those_that_a_page_is_made_from(capsys):
    frames = make_frames(report=True)
    show_json(paper_json(frames))
    printed = json.loads(capsys.readouterr().out)["printed"]
    tables = [(one["name"], one["rows"]) for one in printed]
    assert tables == [(one.name, [list(row) for row in one.rows]) for one in sweep_tables(frames)]
    assert len(tables) > 1
