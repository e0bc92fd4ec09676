"""No text of a study or sweep steers the terminal or reverses a line, wherever it is printed."""

import contextlib
import io
import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from command_line import make_sweep
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs
from synthetic_frames import make_frames
from tried import times

from analysis.best import find_best
from analysis.errors import ResultsError
from analysis.frames import SweepFrames
from analysis.front_rows import front_notes
from analysis.printed.latex import latex
from analysis.printed.tables import markdown, sweep_tables
from analysis.report import render
from search_spaces.errors import StudyError
from sweeps.cli.best import show_best
from sweeps.cli.guard import print_error
from sweeps.cli.main import main
from sweeps.cli.output import line, show_front, show_near, show_paper
from sweeps.progress.log import SCHEMA

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROLS = "".join(map(chr, (*range(9), 11, *range(13, 32), *range(127, 160))))
EVIL = st.lists(
    st.sampled_from(["\x1b[31m", "\x1b]0;title\x07", "\x1b[2J", "\r", "\x9b31m", *BIDI, *CONTROLS]),
    min_size=1,
    max_size=4,
).map(lambda signs: "a".join(["b", *signs, "c"]))
WORDS = frozenset({"title", "description", "label", "unit", "source", "text", "facts", "words"})
"""Fields of studies that are text for people."""


def steering(shown: str) -> set[str]:
    """Return the characters of a text that do something other than being shown."""
    return {one for one in shown if one not in "\n\t" and unicodedata.category(one).startswith("C")}


def spoilt(value: Any, evil: str, *, words: bool = False) -> Any:
    """Return a part of a study with a text behind all texts for people in it."""
    if isinstance(value, str):
        return value + evil if words else value
    if isinstance(value, tuple):
        return tuple(spoilt(one, evil, words=words) for one in value)
    if isinstance(value, Mapping):
        return {key: spoilt(one, evil, words=words) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.init]
        changed = {
            name: spoilt(getattr(value, name), evil, words=words or name in WORDS) for name in names
        }
        return replace(value, **changed)
    return value


FRAMES = make_frames(trials=12, near=1, report=True)


def spoilt_frames(evil: str) -> SweepFrames:
    study = FRAMES.study
    study = replace(
        study,
        **{
            name: spoilt(getattr(study, name), evil, words=name in WORDS)
            for name in ("title", "description", "objectives", "report")
        },
    )
    trials = FRAMES.trials.copy()
    trials["param.preset"] = f"quick{evil}"
    trials.loc[trials["state"] == "FAIL", "reason"] = f"no number {evil}"
    failures = [{"what": f"trial 1{evil}", "kind": "raised", "reason": evil, "traceback": evil}]
    provenance = {"a": {"source": evil, "notes": [evil]}}
    return replace(FRAMES, study=study, trials=trials, failures=failures, provenance=provenance)


def terminal(frames: SweepFrames) -> None:
    show_front(frames)
    show_near(frames)
    for note in front_notes(frames):
        line(note)
    show_paper(frames)
    show_best(find_best(frames), frames.study, str, as_json=False)


def files(frames: SweepFrames) -> None:
    for table in sweep_tables(frames):
        line(latex(table) + markdown(table))
        assert not steering(latex(table) + markdown(table))


def printed(output: Callable[[], object]) -> str:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        output()
    return shown.getvalue()


@pytest.mark.parametrize(("output", "examples"), [(terminal, 15), (files, 15)])
def test_nothing_of_a_study_steers_what_shows_it(output, examples):
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(EVIL)
    def law(evil: str) -> None:
        assert not steering(printed(lambda: output(spoilt_frames(evil))))

    law()


def test_nothing_of_a_study_steers_the_reports_page():
    html = render(spoilt_frames(f"a{CONTROLS}b{BIDI}c"), list)
    assert not steering(html.replace(get_plotlyjs(), ""))


@given(EVIL)
def test_no_error_steers_the_terminal(evil):
    for error in (StudyError(evil, place=evil, source=evil), ResultsError(evil)):
        shown = printed(lambda error=error: print_error(str(error)))
        assert not steering(shown)
        assert shown.count("\n") == 1
    assert not steering(printed(lambda: line(evil)))


@settings(max_examples=times(10), deadline=None, suppress_health_check=list(HealthCheck))
@given(EVIL)
def test_no_log_or_name_steers_the_terminal(tmp_path_factory, evil):
    home = tmp_path_factory.mktemp("home")
    make_sweep(home, "bad")
    log = [
        {"event": name, "time": "2026-01-01T00:00:00Z", **_facts(name, evil)}
        for name in ("opened", "phase", "note", "trial_failed", "closed")
    ]
    text = "".join(json.dumps(event) + "\n" for event in log)
    Path(home / "bad" / "log.jsonl").write_text(text)
    for words in (["status", "bad"], ["status", "bad", "--json"], ["list"], ["front", evil]):
        shown = printed(lambda words=words: _called(*words, "--home", str(home)))
        assert not steering(shown)


def _facts(name: str, evil: str) -> dict[str, object]:
    odd: dict[str, object] = {"time_s": None, "objectives": [], "before": {}, "name": "search"}
    known = {"trials": 3, "pid": 1, "trial": 1, "outcome": "failed", "kind": "raised"}
    return {field: {**odd, **known}.get(field, evil) for field in SCHEMA[name]}


def _called(*words: str) -> None:
    with contextlib.suppress(SystemExit):
        main(words)
