from dataclasses import replace

from synthetic_frames import make_frames

from analysis.origin import origin_lines
from analysis.report import render

FILES = {"source": "DeepSense 6G layout, s9.csv", "notes": ["2 x missing image file: <a>, b"]}
SITE = {"source": "site twin"}


def test_every_source_and_defect_is_listed_once():
    # one data set cut in two ways, and one made of two scenarios
    provenance = {"one": FILES, "other": {**FILES, "notes": []}, "both": {"first": SITE}}
    frames = replace(make_frames(), provenance=provenance)
    assert origin_lines(frames) == [
        "Data: DeepSense 6G layout, s9.csv.",
        "In the data: 2 x missing image file: <a>, b.",
        "Data: site twin.",
    ]
    page = render(frames)
    assert "<li>In the data: 2 x missing image file: &lt;a&gt;, b.</li>" in page


def test_a_sweep_without_provenance_has_no_lines():
    assert origin_lines(replace(make_frames(), provenance={})) == []
