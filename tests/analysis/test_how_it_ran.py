import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from synthetic_frames import make_frames

from analysis import layout
from analysis.failures import EXAMPLES, group_failures, trials_named
from analysis.report import render, run_facts
from analysis.report_tables import reasons_table
from analysis.summary import counts

KINDS = st.sampled_from(["raised", "not_finite", ""])
REASONS = st.sampled_from(["no answer", "no answer\nsecond line", "  ", "loss is nan", ""])
FAILURES = st.dictionaries(st.integers(0, 200), st.tuples(KINDS, REASONS), max_size=40).map(
    lambda found: [(kind, reason, number) for number, (kind, reason) in found.items()]
)


@given(FAILURES, st.randoms())
def test_every_failure_is_counted_once_in_whatever_order_they_came(failures, random):
    groups = group_failures(failures)
    shuffled = list(failures)
    random.shuffle(shuffled)
    assert group_failures(shuffled) == groups
    assert sum(group.count for group in groups) == len(failures)
    assert [group.count for group in groups] == sorted((g.count for g in groups), reverse=True)
    assert len({(group.kind, group.reason) for group in groups}) == len(groups)
    for group in groups:
        assert "\n" not in group.reason
        assert group.reason
        assert len(group.trials) == min(group.count, EXAMPLES)
        assert set(group.trials) <= {number for _, _, number in failures}


def test_the_first_trials_are_named_and_that_there_are_more():
    many = [("raised", "no answer", number) for number in range(20, 0, -1)]
    assert trials_named(group_failures(many)[0]) == "1, 2, 3, 4, 5 ..."
    assert trials_named(group_failures(many[-2:])[0]) == "1, 2"


def test_the_report_shows_how_the_sweep_ran():
    numbers = {
        layout.UTILISATION: 0.934,
        layout.UTILISATION_WHOLE: 0.5,
        layout.TRIALS_CPU_S: 234.5,
        layout.TRIALS_WALL_S: 300.0,
        "trials_interrupted": 2.0,
        "suggestions_repeated": 0.0,
    }
    frames = replace(make_frames(trials=9, failures=3), metrics=numbers)
    assert dict(run_facts(frames)) == {
        "slots busy once warm": "93.4\N{NO-BREAK SPACE}%",
        "slots busy in the whole search": "50.0\N{NO-BREAK SPACE}%",
        "processor time of finished trials": "234.5\N{NO-BREAK SPACE}core s",
        "wall time of all trials, summed": "300\N{NO-BREAK SPACE}s",
        "failed trials": "3 not finite",
        "interrupted trials": "2",
    }
    table = reasons_table(frames.trials)
    assert [cell.text for cell in table.rows[0]][:2] == ["3", "not finite"]
    page = render(frames)
    assert page.index("How it ran") < page.index("Why trials failed")
    assert re.search(r"Everything that failed \(3\)", page)


def test_an_interrupted_trial_has_not_failed():
    frames = make_frames(trials=9, failures=3)
    kind = frames.trials["failure"].where(frames.trials["failure"].isna(), "interrupted")
    frames = replace(frames, trials=frames.trials.assign(failure=kind))
    assert counts(frames)["FAIL"] == 0
    assert reasons_table(frames.trials) is None
    assert dict(run_facts(frames))["failed trials"] == "none"
    assert "Why trials failed" not in render(frames)


def test_sweeps_of_earlier_versions_show_what_they_recorded():
    frames = make_frames(trials=9, failures=1)
    frames = replace(frames, metrics={}, trials=frames.trials.assign(failure=None))
    assert run_facts(frames) == [("failed trials", "1 unknown")]
