"""Numbers of results in README and docs are those of the files in docs/results."""

import json
import re

import pytest

from benchmarks.result_tables import RESULTS, pages, renewed, shown

FILES = sorted(set(RESULTS.glob("*.json")) - {RESULTS / "models.json"})


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_a_page_shows_its_results(page):
    shows = page.read_text(encoding="utf-8")
    assert renewed(page) == shows, "run: python benchmarks/result_tables.py"
    assert shows.count("<!-- results: ") == shows.count("<!-- end -->")
    assert not re.search(r"^\s*<!--.*-->\S", shows, re.M), "Markdown after it would not be read"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_result_names_command_and_commit(file):
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["sweep"] == file.stem
    assert found["made"]["command"].startswith(f"kdsweep run {found['study']}")
    assert found["made"].keys() >= {"commit", "version", "source", "ended", "cores"}
    assert any(f"results: {file.stem} made" in page.read_text("utf-8") for page in pages())


@pytest.mark.parametrize(
    "what",
    [
        "table-X",
        "front; no such",
        "cell table-E; no such; NMSE",
        "claims; none",
        "gain none",
        "verdict none",
        "tally none-",
    ],
)
def test_a_mark_that_names_nothing_is_refused(what):
    found = json.loads((RESULTS / "csi-effort.json").read_text(encoding="utf-8"))
    with pytest.raises(LookupError, match=r"X|none|no such"):
        shown(found, what, RESULTS.parent / "page.md")


def test_verdicts_are_those_of_the_claims():
    found = json.loads((RESULTS / "csi-effort.json").read_text(encoding="utf-8"))
    page = RESULTS.parent / "page.md"
    for one in found["claims"]:
        gain = shown(found, f"gain {one['id']} dB", page)
        assert shown(found, f"verdict {one['id']} dB", page) == f"{one['verdict']}, {gain}"
    held = sum(one["verdict"] == "holds" for one in found["claims"] if one["id"].startswith("en"))
    assert shown(found, "tally en", page).startswith(f"{held} of ")
