"""The page and the lines of a comparison."""

from dataclasses import replace

from synthetic_frames import make_frames

from analysis.compare import compare
from sweeps.cli import compare as cli_compare
from sweeps.cli.compare import write_page


def two_sweeps():
    return [replace(make_frames(gain=gain), name=name) for gain, name in ((1.0, "a"), (0.0, "b"))]


def test_the_page_needs_no_network_and_has_one_library(tmp_path):
    page = tmp_path / "new" / "both.html"
    write_page(two_sweeps(), page)
    text = page.read_text()
    assert "<title>a and b</title>" in text
    assert "<script src=" not in text
    assert text.count("Plotly.newPlot(") >= 2
    assert "Attained on test by more seeds: a and b" in text


def test_lines_name_every_sweep_and_whether_they_are_told_apart(capsys):
    found = compare(two_sweeps())
    cli_compare.show_sides(found)
    cli_compare.show_attainments(found)
    cli_compare.show_levels(found)
    cli_compare.show_settings(found)
    out = capsys.readouterr().out
    (difference,) = found.differences
    assert f"p = {difference.p_value:.3f}" in out
    assert ("not significant" in out) == (difference.p_value >= cli_compare.SIGNIFICANT)
    assert "attained on test, 3 and 3 seeds: a more often over" in out
    assert "best NMSE [dB] with UE encoder FLOPs at most so much:" in out
    assert "their studies are the same" in out
