import io
from collections.abc import Iterator

import pytest
from rich.console import Console
from toy_study import ManualClock, toy_study

from sweeps.common.records import FailureKind, FrontRow
from sweeps.progress import events
from sweeps.progress.state import Progress
from sweeps.progress.terminal import (
    LINE_EVERY_S,
    LineDisplay,
    LiveDisplay,
    SweepDisplay,
    console_display,
    status,
)

ESCAPE = "\x1b"


def front_row(number: int) -> FrontRow:
    objectives = {"val_nmse_db": -12.5 + number, "ue_flops": 3000.0 - number}
    return FrontRow(number=number, params={"method": "kd", "x": 0.25}, objectives=objectives)


def play(display: SweepDisplay, clock: ManualClock) -> Iterator[None]:
    """Show a sweep of two trials, and stop after each step."""
    display.handle(events.PhaseBegun("data"))
    display.data_progress(5, 10, "samples")
    yield
    display.handle(events.PhaseBegun("teachers"))
    display.handle(events.JobsPlanned("teacher", 1))
    clock.now_s += 10.0
    display.handle(events.JobReported("teacher", "0123abcd", 3, 12))
    yield
    display.handle(events.JobFinished("teacher", "0123abcd", ""))
    display.handle(events.PhaseBegun("search"))
    display.handle(events.SearchStarted(4, None, 1))
    display.handle(events.TrialStarted(0, {"method": "kd"}))
    clock.now_s += 10.0
    display.handle(events.TrialReported(0, 1, 2, {}))
    yield
    display.handle(events.TrialFinished(0, {}))
    display.handle(events.FrontChanged([front_row(number) for number in range(11)], 7.125))
    display.handle(events.TrialFailed(1, FailureKind.RAISED, "its loss is nan\nsecond line"))
    clock.now_s += 10.0
    display.handle(events.TrialStarted(2, {"method": "vanilla"}))
    yield


def test_repetitions_are_counted_apart_from_references():
    progress = Progress(clock=ManualClock())
    progress.handle(events.PhaseBegun("confirm"))
    counts = {"teacher": 1, "baseline": 0, "confirmation": 8}
    for kind, count in counts.items():
        progress.handle(events.JobsPlanned(kind, count))
    for kind, key in [("teacher", "a"), ("confirmation", "b"), ("confirmation", "c")]:
        progress.handle(events.JobFinished(kind, key, ""))
    assert status(progress).startswith("1 of 1 teachers, 2 of 8 repetitions done")
    progress.handle(events.PhaseBegun("teachers"))
    progress.handle(events.JobsPlanned("teacher", 3))
    assert status(progress) == "0 of 3 done"


def test_lines_show_the_whole_sweep_without_control_codes():
    stream, clock = io.StringIO(), ManualClock()
    for _ in play(LineDisplay(stream, clock), clock):
        pass
    shown = stream.getvalue()
    assert ESCAPE not in shown
    assert "\r" not in shown
    assert "teacher 0123abcd epoch 3/12" in shown
    assert "trial 1 failed: its loss is nan second line" in shown
    assert "1 of 4 finished, 1 running, 1 failed, 11 on the front, hypervolume 7.125" in shown
    assert all(line.startswith("[") for line in shown.splitlines())


def test_lines_come_only_every_few_seconds():
    stream, clock = io.StringIO(), ManualClock()
    display = LineDisplay(stream, clock)
    display.handle(events.PhaseBegun("search"))
    display.handle(events.SearchStarted(100, None, 1))
    steps = 200
    for step in range(steps):
        clock.now_s = step * 0.1
        display.handle(events.TrialReported(0, 1, 2, {}))
    assert 3 <= len(stream.getvalue().splitlines()) <= 2 + steps * 0.1 / LINE_EVERY_S


@pytest.mark.parametrize(("slots", "words"), [(1, "one at a time"), (4, "4 at once")])
def test_a_search_whose_processes_start_is_shown_at_once(slots, words):
    stream = io.StringIO()
    display = LineDisplay(stream, ManualClock())
    display.handle(events.PhaseBegun("search"))
    display.handle(events.SearchStarted(100, None, slots))
    assert f"searching: starting 100 trials, {words}" in stream.getvalue()
    display.handle(events.TrialStarted(0, {}))
    assert "starting" not in status(display.progress)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_picture_shows_what_there_is_at_any_width(width):
    clock = ManualClock()
    console = Console(file=io.StringIO(), width=width, color_system=None)
    display = LiveDisplay(toy_study(), "toy-2", console, clock)
    pictures = []
    for _ in play(display, clock):
        with console.capture() as capture:
            console.print(display.render())
        pictures.append(capture.get())
    assert all("toy-2" in picture for picture in pictures)
    assert all(len(line) <= width for picture in pictures for line in picture.splitlines())
    assert "epoch 3/12  teacher 0123abcd" in pictures[1]
    if width >= 80:
        assert "NMSE\N{NO-BREAK SPACE}[dB]" in pictures[3]
        assert "and 3 more on the front" in pictures[3]
        assert "validation" in pictures[3]


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_log_is_no_terminal_in_any_environment(variable, monkeypatch):
    monkeypatch.setenv(variable, "1")
    stream = io.StringIO()
    with console_display(toy_study(), "toy", stream) as display:
        display.handle(events.PhaseBegun("report"))
    assert "writing the report" in stream.getvalue()
    assert ESCAPE not in stream.getvalue()


def test_a_terminal_gets_the_picture_and_is_left_clean(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with console_display(toy_study(), "toy", stream) as display:
        display.handle(events.PhaseBegun("search"))
        display.note("MLflow: no answer")
    shown = stream.getvalue()
    assert "searching" in shown
    assert "MLflow: no answer" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is back
