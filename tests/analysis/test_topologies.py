"""Sweeps over topologies: what has which colour and marker, and what the report says of it."""

from dataclasses import replace

import pytest
from synthetic_frames import as_runs, make_frames
from synthetic_topologies import TOPOLOGIES, make_topology_frames

from analysis.frames import frames_of
from analysis.fronts import by_topology, group_of, kind_of, method_of
from analysis.highlights import highlights
from analysis.plots.front import front_figure
from analysis.plots.stairs import pairs
from analysis.plots.theme import group_colours, method_symbols
from analysis.ranking import records
from analysis.report import build_report
from analysis.report_tables import front_table, trials_table
from analysis.summary import summary

FRAMES = make_topology_frames()


def legend(frames):
    figure = front_figure(frames, pairs(frames.study.objectives)[0])
    return {trace.name: trace for trace in figure.data if trace.showlegend is not False}


def test_colours_go_by_topology_and_markers_by_method():
    assert list(group_colours(FRAMES)) == list(TOPOLOGIES)
    assert len(set(group_colours(FRAMES).values())) == len(TOPOLOGIES)
    symbols = method_symbols(FRAMES)
    assert set(symbols) == {"encoder-kd", "vanilla", "ip-encoder-kd"}
    assert len(set(symbols.values())) == 3
    shown = legend(FRAMES)
    assert shown.keys() >= {*TOPOLOGIES, *symbols}
    for name, colour in group_colours(FRAMES).items():
        assert shown[name].marker.color == colour
    for name, symbol in symbols.items():
        assert shown[name].marker.symbol == symbol


def test_every_trial_is_drawn_in_its_colour_with_its_marker():
    figure = front_figure(FRAMES, pairs(FRAMES.study.objectives)[0])
    drawn = {
        int(text.split("trial ")[1].split("<")[0]): (trace.marker.color, symbol)
        for trace in figure.data
        if trace.mode == "markers" and isinstance(trace.marker.symbol, tuple)
        for text, symbol in zip(trace.hovertext, trace.marker.symbol, strict=True)
    }
    colours, symbols = group_colours(FRAMES), method_symbols(FRAMES)
    assert drawn == {
        row["number"]: (colours[row["param.topology"]], symbols[row["param.method"]])
        for row in records(FRAMES.trials)
    }


@pytest.mark.parametrize("topology", [None, "none", "centralized"])
def test_one_topology_for_all_changes_nothing(topology):
    plain = make_frames(trials=9)
    frames = plain
    if topology is not None:
        frames = replace(plain, trials=plain.trials.assign(**{"param.topology": topology}))
    assert not by_topology(frames)
    assert group_of(frames) is method_of
    assert group_colours(frames) == group_colours(plain)
    assert set(method_symbols(frames).values()) == {"circle"}
    assert legend(frames).keys() == legend(plain).keys()
    assert front_table(frames) == front_table(plain)


def test_tables_and_sentences_name_the_topology():
    for found in (front_table(FRAMES), trials_table(FRAMES)):
        titles = [heading.title for heading in found.headings]
        place = titles.index("topology")
        assert titles[place + 1] == "method"
        assert titles.count("topology") == 1
        for row in found.rows:
            assert row[place].group == row[place].text
            assert row[place].text in TOPOLOGIES
            assert row[place + 1].group == ""
    assert kind_of({"param.topology": "none", "param.method": "vanilla"}) == "vanilla"
    assert "(semi-centralized, encoder-kd)" in " ".join(summary(FRAMES))


def test_the_report_shows_the_tables_with_words_and_statements(tmp_path):
    page = build_report(FRAMES, tmp_path).read_text(encoding="utf-8")
    for aspect in FRAMES.study.report.tables[0].aspects:
        assert aspect.name in page
    assert "Words against numbers:" in page
    assert "colour: topology" in page


def test_topologies_survive_recording():
    frames = frames_of(FRAMES.name, as_runs(FRAMES))
    assert group_colours(frames) == group_colours(FRAMES)
    assert front_table(frames) == front_table(FRAMES)


def test_the_best_of_each_topology_is_compared_with_the_cheapest():
    found = next(text for _, text in highlights(FRAMES) if "best of each topology" in text)
    best = {}
    for row in records(FRAMES.trials):
        name = row["param.topology"]
        if row["state"] == "COMPLETE" and (
            name not in best or row["val_nmse_db"] < best[name]["val_nmse_db"]
        ):
            best[name] = row
    assert best.keys() == TOPOLOGIES.keys()
    assert all(f"(trial {int(row['number'])})" in found for row in best.values())
    cheapest = min(best, key=lambda name: best[name]["edge_bytes"])
    assert f"Beside {cheapest}, of the bytes per edge" in found
    gain = best[cheapest]["val_nmse_db"] - best["semi-centralized"]["val_nmse_db"]
    times = best["semi-centralized"]["edge_bytes"] / best[cheapest]["edge_bytes"]
    assert (
        f"semi-centralized is {gain:.2f}\N{NO-BREAK SPACE}dB better for {times:.1f} times" in found
    )
