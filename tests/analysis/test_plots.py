"""Geometry of the staircase and the axes, and what importance can tell."""

import html
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_frames import make_frames, study, without_references

from analysis.beside import process_beside
from analysis.errors import ResultsError
from analysis.forest import _TREES, permuted_errors
from analysis.frames import table
from analysis.fronts import knee_trial, of_methods
from analysis.importance import begin_importances, importances
from analysis.plots.front import front_figure
from analysis.plots.parallel import coordinate, parallel_figure, shown_trials
from analysis.plots.progress import (
    hypervolume_figure,
    progress_series,
    volume_cost_figure,
    volume_over_cost,
)
from analysis.plots.stairs import Pair, pairs, staircase
from analysis.plots.theme import TITLE_ROOM, axis, group_colours, title_lines
from analysis.ranking import records
from analysis.reference_names import labelled, short_labels
from search_spaces.objectives import Objective

DIRECTIONS = ("minimize", "maximize")
grid = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=10)


def pair(x, y):
    return Pair(
        *(
            Objective(metric=name, direction=way, unit="", reference=9.0, label=name)
            for name, way in (("x", x), ("y", y))
        )
    )


@given(grid, st.sampled_from(DIRECTIONS), st.sampled_from(DIRECTIONS))
def test_no_point_lies_beyond_the_staircase(points, x_way, y_way):
    """On the line x = const every point is on the worse side of the stairs or on them."""
    rows = table({"x": float(x), "y": float(y)} for x, y in points)
    drawn = pair(x_way, y_way)
    xs, ys = staircase(rows, drawn)
    assert set(points) >= {(int(xs[0]), int(ys[0])), (int(xs[-1]), int(ys[-1]))}
    sign = {"minimize": 1.0, "maximize": -1.0}
    for x, y in points:
        reached = [sign[y_way] * b for a, b in points if sign[x_way] * (a - x) <= 0]
        assert min(reached) <= sign[y_way] * y
        on_line = [sign[y_way] * b for a, b in zip(xs, ys, strict=True) if a == x]
        assert all(value >= min(reached) for value in on_line)


@given(grid, st.sampled_from(DIRECTIONS), st.sampled_from(DIRECTIONS))
def test_stairs_have_right_angles_and_are_monotone(points, x_way, y_way):
    rows = table({"x": float(x), "y": float(y)} for x, y in points)
    xs, ys = (np.array(v) for v in staircase(rows, pair(x_way, y_way)))
    dx, dy = np.diff(xs), np.diff(ys)
    assert ((dx == 0) | (dy == 0)).all()
    assert (dx >= 0).all()
    falling = x_way == y_way
    assert (dy <= 0).all() if falling else (dy >= 0).all()


def test_every_pair_with_a_quality_once():
    def names(objectives):
        return [(p.y.metric, p.x.metric) for p in pairs(objectives)]

    assert names(study(3).objectives) == [
        ("val_nmse_db", "ue_flops"),
        ("val_nmse_db", "payload_bits"),
    ]
    nmse, flops, payload, cosine, params = study(5).objectives
    assert names([flops, nmse, payload, cosine]) == [
        ("ue_flops", "val_nmse_db"),
        ("ue_flops", "val_cosine"),
        ("val_nmse_db", "payload_bits"),
        ("val_nmse_db", "val_cosine"),
        ("payload_bits", "val_cosine"),
    ]
    # without a quality the first objective stands for one
    assert names([flops, payload, params]) == [
        ("ue_flops", "payload_bits"),
        ("ue_flops", "ue_params"),
    ]
    assert names(study(1).objectives) == names([]) == []


@given(st.text(alphabet="ab <&$\n×-", max_size=200))
def test_titles_come_in_lines_that_lose_nothing(title):
    lines = title_lines(title)
    assert "".join("".join(lines).split()) == "".join(title.split())
    assert all(len(line) <= TITLE_ROOM for line in lines)
    assert axis(title)["title"]["text"] == "<br>".join(map(html.escape, lines))


@pytest.mark.parametrize("objectives", [2, 5])
def test_the_unit_of_the_hypervolume_fits_beside_its_axis(objectives):
    frames = make_frames(objectives=objectives)
    text = hypervolume_figure(frames).layout.yaxis.title.text
    assert max(map(len, html.unescape(text).split("<br>"))) <= TITLE_ROOM
    for goal in frames.study.objectives:
        assert (goal.unit or goal.label) in html.unescape(text).replace("<br>", " ")


def test_colours_follow_the_study_not_the_results():
    few, many = make_frames(trials=3), make_frames(trials=60)
    assert group_colours(few) == group_colours(many)
    assert len(set(group_colours(many).values())) == 3


def test_every_feasible_trial_is_drawn_once():
    frames = without_references(make_frames(trials=60))
    figure = front_figure(frames, pairs(frames.study.objectives)[0])
    numbers = [
        text.split("trial ")[1].split("<")[0]
        for trace in figure.data
        if trace.mode == "markers"
        for text in trace.hovertext or ()
    ]
    assert sorted(map(int, numbers)) == sorted(frames.feasible["number"])


def test_axes_place_numbers_categories_and_gaps():
    log = coordinate("rate", [1e-3, 1e-1, None, 1e-2], log=True)
    assert log.heights == (pytest.approx(0.0), pytest.approx(1.0), None, pytest.approx(0.5))
    words = coordinate("method", ["b", "a", None], log=False)
    assert words.heights == (0.75, 0.25, None)
    assert coordinate("constant", [4, 4], log=False).heights == (0.0, 0.0)
    assert coordinate("absent", [None, None], log=False).heights == (None, None)


def test_long_sweeps_draw_the_best_lines_with_the_front_on_top():
    frames = make_frames(trials=360, failures=0)
    rows = shown_trials(frames)
    assert len(rows) == 300
    ranks = [row["rank"] for row in rows]
    assert ranks == sorted(ranks, reverse=True)
    assert {r["number"] for r in records(frames.trials) if r["front"]} <= {
        r["number"] for r in rows
    }
    widths = [trace.line.width for trace in parallel_figure(frames).data]
    assert {1.0, 2.4} == set(widths)


def test_importance_finds_the_parameter_that_decides():
    flops = importances(make_frames(trials=80, gain=0.0))[1]
    assert flops.explained > 0.8
    assert list(flops.shares)[:2] == ["width", "compression"]
    assert sum(flops.shares.values()) == pytest.approx(1.0)


def test_importance_is_seeded_and_blind_to_what_methods_do_not_have():
    frames = make_frames(trials=40)
    first, second = importances(frames), importances(frames)
    assert [found.shares for found in first] == [found.shares for found in second]
    assert all(0.0 <= share <= 1.0 for found in first for share in found.shares.values())
    assert first[1].shares["temperature"] < 0.02


def test_importance_is_the_same_whoever_grows_the_forests(monkeypatch):
    monkeypatch.setattr("analysis.forest._TREES", _TREES)
    frames = make_frames(trials=40)
    with process_beside() as beside:
        found = begin_importances(frames, beside=beside)
        assert found() == importances(frames)


def test_long_sweeps_have_fewer_trees_and_the_same_shares(monkeypatch):
    frames = make_frames(trials=500, failures=0)
    few = importances(frames)
    monkeypatch.setattr("analysis.forest._TREES_OF_LONG", 100)
    for one, other in zip(few, importances(frames), strict=True):
        assert one.explained == pytest.approx(other.explained, abs=0.02)
        assert dict(one.shares) == pytest.approx(dict(other.shares), abs=0.03)


def test_importance_among_trials_of_a_method_is_about_its_parameters():
    frames = make_frames(trials=120, failures=0)
    kept = of_methods(frames, ["autoencoder-kd"])
    assert 0 < len(kept.feasible) < len(frames.feasible)
    assert "method" not in importances(kept)[0].shares
    with pytest.raises(ResultsError, match="no finished trial of method 'magic'; it has some of"):
        of_methods(frames, ["magic"])


def test_undecidable_importance_is_reported():
    assert "too few trials: 9" in importances(make_frames(trials=9, failures=0))[0].note
    frames = make_frames(trials=30)
    noise = frames.trials.assign(
        val_nmse_db=np.random.default_rng(0).normal(size=len(frames.trials)), ue_flops=100.0
    )
    notes = [found.note for found in importances(replace(frames, trials=noise))]
    assert "no better than its mean" in notes[0]
    assert "same in every trial" in notes[1]


def test_teachers_are_named_by_what_differs_between_them():
    runs = [
        {"param.method": method, "param.compression": compression, "param.teacher_seed": seed}
        for compression, method in ((8, "autoencoder-kd"), (16, "encoder-kd"))
        for seed in (0, 1)
    ]
    names = labelled(table(runs), "teacher")
    assert names[0] == "teacher, compression 8, seed 0"
    assert len(set(names)) == 4
    assert labelled(table(runs[:1]), "teacher") == ["teacher"]
    named = [{"param.teacher": name} for name in ("large", "small")]
    assert labelled(table(named), "teacher") == ["teacher, large", "teacher, small"]
    assert labelled(table([]), "teacher") == []


def test_volume_over_cost_is_that_over_trials_on_another_axis():
    frames = make_frames(trials=30, objectives=3)
    found = volume_over_cost(frames)
    done = frames.trials[frames.trials["state"] == "COMPLETE"]
    spent = [cost for cost, _ in found]
    assert spent == pytest.approx(np.cumsum(done["trial_cpu_s"]))
    assert [value for _, value in found] == pytest.approx([v for _, v in progress_series(frames)])


def test_volume_over_cost_follows_the_order_in_which_trials_ended():
    frames = make_frames(trials=12, failures=0)
    ends = frames.trials["ended_ms"].tolist()[::-1]
    turned = replace(frames, trials=frames.trials.assign(ended_ms=ends))
    there, back = volume_over_cost(frames), volume_over_cost(turned)
    assert there[-1] == pytest.approx(back[-1])
    assert back[0][0] == frames.trials["trial_cpu_s"].iloc[-1]
    assert there[0][0] == frames.trials["trial_cpu_s"].iloc[0]


def test_infeasible_trials_cost_and_add_nothing_and_unknown_costs_are_not_guessed():
    frames = make_frames(trials=10, failures=0)
    none = replace(frames, trials=frames.trials.assign(payload_bits=1e6, front=False, rank=None))
    found = volume_over_cost(none)
    assert len(found) == 10
    assert {value for _, value in found} == {0.0}
    gap = frames.trials["trial_cpu_s"].where(frames.trials["number"] != 4)
    unknown = replace(frames, trials=frames.trials.assign(trial_cpu_s=gap))
    assert volume_over_cost(unknown) == []
    assert volume_cost_figure(unknown) is None


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_knee_is_ringed_in_every_figure(objectives):
    frames = make_frames(objectives=objectives)
    trial = frames.trials[frames.trials["number"] == knee_trial(frames)].iloc[0]
    for drawn in pairs(frames.study.objectives):
        (ring,) = (t for t in front_figure(frames, drawn).data if t.name == "knee of the front")
        assert (ring.x[0], ring.y[0]) == (trial[drawn.x.metric], trial[drawn.y.metric])


class Line:
    """Predicts 3 a + b of the features a, b and c."""

    def predict(self, features):
        return features @ np.array([3.0, 1.0, 0.0])


def test_permuted_errors_of_a_line_are_its_slopes():
    """E (w x - w x')^2 = 2 w^2 var(x) for x' permuted; nothing for a feature of no weight."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(2000, 3))
    found = permuted_errors(Line(), features, Line().predict(features))
    assert found == pytest.approx([18.0, 2.0, 0.0], rel=0.1)
    noisy = Line().predict(features) + 2.0
    assert permuted_errors(Line(), features, noisy)[2] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (
            ["PCA 1/16 site, share 0.5", "nearest user site, share 0.5"],
            ["PCA 1/16", "nearest user"],
        ),
        (["PCA 1/16 site"], ["PCA 1/16 site"]),
        (["ZF", "LMMSE"], ["ZF", "LMMSE"]),
        (["PCA site", "site"], ["PCA site", "site"]),
    ],
)
def test_labels_in_figures_leave_out_what_all_have_in_common(names, short):
    rows = table([{"key": name, "name": name} for name in names])
    assert short_labels(rows, "baseline") == short
