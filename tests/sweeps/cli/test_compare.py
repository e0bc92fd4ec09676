"""The page and the lines of a comparison."""

import re
from dataclasses import replace

from synthetic_frames import make_frames

from analysis.compare import compare
from analysis.format import number
from search_spaces.study import parse_study
from sweeps.cli import compare as cli_compare
from sweeps.cli.compare import write_page


def seeded(name, seed, kind, gain):
    """A sweep of one of two studies with a search seed."""
    frames = make_frames(gain=gain)
    text = frames.study.text.replace("seeds: {search: 0", f"seeds: {{search: {seed}")
    text = text.replace("high: 0.01", "high: 0.02") if kind == "b" else text
    return replace(frames, name=name, study=parse_study(text, name))


def two_sweeps():
    return [seeded("a", 0, "a", 1.0), seeded("b", 0, "b", 0.0)]


def test_the_page_needs_no_network_and_has_one_library(tmp_path):
    page = tmp_path / "new" / "both.html"
    write_page(two_sweeps(), page)
    text = page.read_text()
    assert "<title>a and b</title>" in text
    assert "<script src=" not in text
    assert text.count("Plotly.newPlot(") >= 2
    assert "Attained on test by more seeds: a and b" in text


def test_lines_name_every_sweep_and_whether_they_differ(capsys):
    found = compare(two_sweeps())
    cli_compare.show_sides(found)
    cli_compare.show_attainments(found)
    cli_compare.show_levels(found)
    cli_compare.show_settings(found)
    out = capsys.readouterr().out
    (difference,) = found.differences
    assert difference.p_value is None
    assert "no p-value: trials of a sampler depend on each other" in out
    (attained,) = found.attainments
    assert "empirical attainment on test, 3 and 3 seeds: what a attains" in out
    assert f"what b does {number(attained.second_leads)} (" in out
    assert "best NMSE [dB] with UE encoder FLOPs at most so much:" in out
    assert "space.learning_rate.high" in out


def test_repeated_sweeps_have_a_p_value(capsys):
    sweeps = [seeded(f"{name}{n}", n, name, g) for name, g in (("a", 4), ("b", 0)) for n in (0, 1)]
    cli_compare.show_sides(compare(sweeps))
    out = capsys.readouterr().out
    assert re.search(r"^hypervolume of a0, a1 is [0-9.]+ larger than that of b0, b1; p", out, re.M)
    cli_compare.show_sides(compare(sweeps[::-1]))
    out = capsys.readouterr().out
    assert re.search(r"^hypervolume of b1, b0 is [0-9.]+ smaller than that of a1, a0; p", out, re.M)
    assert "p = 0.333 (permutation test over 2 and 2 sweeps): not significant" in out
