"""A sweep's student as files: chosen, written, judged, described."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from in_process import Engine
from lidar_trials import TINY
from synthetic_frames import make_frames

from analysis.best import find_best, parse_budget
from analysis.frames import table
from analysis.fronts import front_trials
from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.learning.onnx_export import Latency
from search_spaces.study import parse_study
from sweeps.cli.export import chosen, described
from sweeps.export.export import TOLERANCE, Exported, ExportedPart, Exporter, OnnxFile, check_same
from sweeps.export.model_card import CARD, card, results
from sweeps.export.records import numbers_of
from sweeps.export.selection import (
    KNEE,
    MOST_ACCURATE,
    SMALLEST,
    WORDS,
    along_front,
    by_word,
    knee_of,
)
from sweeps.ledger.launch_settings import SweepSettings, write_settings

STUDY = {
    "name": "scans",
    "title": "Scans",
    "task": "lidar-beam",
    "parameters": {**TINY, "epochs": 1, "method": "vanilla"},
    "space": {"width": {"type": "choice", "values": [0.5]}},
    "objectives": [
        {"metric": "val_top1", "direction": "maximize", "unit": "%", "reference": 0},
        {"metric": "params", "direction": "minimize", "unit": "", "reference": 1e8},
    ],
    "search": {"sampler": "grid"},
    "seeds": {"search": 0, "trial": 0, "confirm": [0]},
    "confirm": {"select": "all", "retrain": False},
    "budget": {"trials": 1, "time": None},
}


def silent(done, total, unit):
    """A progress that shows nothing."""


def test_the_knee_of_a_sweep_is_on_its_front():
    frames = make_frames()
    front = {int(n) for n in frames.trials.loc[frames.trials["front"] == True, "number"]}  # noqa: E712
    assert knee_of(frames) in front
    with pytest.raises(ConfigError, match="no front yet"):
        knee_of(replace(frames, trials=frames.trials.assign(state="FAIL")))


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_members_with_a_word_come_first_and_the_rest_lie_along_the_front(objectives):
    frames = make_frames(objectives)
    front = [int(number) for number in front_trials(frames)["number"]]
    words = by_word(frames)
    assert words.keys() == set(WORDS)
    assert words[KNEE] == knee_of(frames)
    assert words[MOST_ACCURATE] == front[0]
    flops = frames.trials.set_index("number")["ue_flops"]
    assert flops[words[SMALLEST]] == flops[front].min()
    named = set(words.values())
    for limit in range(1, len(front) + 3):
        members = along_front(frames, limit)
        assert len(members) == len(set(members)) == min(limit, len(front))
        assert set(members) <= set(front)
        assert set(members[: len(named)]) <= named


def test_limits_choose_the_trial_as_best_does():
    frames = make_frames()
    flops = frames.trials["ue_flops"].median()
    limit = f"ue_flops={flops}"
    expected = find_best(frames, [parse_budget(limit, "max")]).chosen
    assert chosen(frames, None, [limit]) == expected.trial
    assert expected.values["ue_flops"] <= flops
    assert (chosen(frames, 1, []), chosen(frames, None, [])) == (1, knee_of(frames))
    with pytest.raises(ConfigError, match=r"--trial 1 and --max ue_flops=.*leave one out"):
        chosen(frames, 1, [limit])


def check_described(done, out):
    (part,) = json.loads(json.dumps(described(done, out)))["parts"]
    assert part["onnx"]["file"] == "student.onnx"
    assert part["int8"]["bytes"] < part["onnx"]["bytes"]
    assert part["int8"]["largest_difference"] > part["onnx"]["largest_difference"]
    measured = numbers_of(done)
    assert measured["onnx_int8_latency_ms"] == part["int8"]["latency_ms"] > 0.0
    assert measured["onnx_int8_bytes"] == part["int8"]["bytes"]


@pytest.mark.parametrize(("one_runs", "latency_ms"), [(False, 4.0), (True, 2.0)])
def test_a_node_stores_all_networks_and_waits_for_those_that_run(tmp_path, one_runs, latency_ms):
    parts = []
    for name, median in (("first", 1.0), ("second", 3.0)):
        path = tmp_path / name
        path.write_bytes(bytes(100))
        file = OnnxFile(path=path, difference=0.0, latency=Latency(median, median))
        parts.append(
            ExportedPart(
                name=name,
                inputs={},
                outputs={},
                onnx=file,
                weights=path,
                int8=None,
                params=1,
                about="",
            )
        )
    done = Exported(
        trial=None,
        task=None,
        parts=tuple(parts),
        chains=(("first", "second"),),
        one_runs=one_runs,
        inputs=(),
        scores={},
        onnx_scores={},
        int8_scores=None,
    )
    measured = numbers_of(done)
    assert measured["onnx_latency_ms"] == latency_ms
    assert measured["onnx_bytes"] == 200


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_student_is_exported_with_its_card(tmp_path):
    study = parse_study(json.dumps(STUDY), "scans.yaml")
    engine = Engine(study, tmp_path)
    engine.search()
    assert engine.confirm() == 0
    write_settings(engine.folder.path, SweepSettings(id="0", tracking_uri=None))

    out = tmp_path / "new" / "out"
    exporter = Exporter(engine.folder, silent)
    done = exporter.export(0, out, int8=True)
    (job,) = [job for job in engine.ledger.jobs() if job.kind == "confirmation"]
    assert done.scores["top1"] == pytest.approx(job.metrics["test_top1"])
    assert done.onnx_scores["top5"] == pytest.approx(done.scores["top5"], abs=2.0)
    assert done.int8_scores.keys() == done.scores.keys()
    check_described(done, out)

    confirmed = table([{"number": 0, "test_top1": done.scores["top1"]}])
    facts = {"0": {"source": "a street", "synthetic": True}}
    frames = replace(make_frames(3), study=study, confirmations=confirmed, provenance=facts)
    frames = replace(frames, teachers=table([{"val_top1": 61.25, "test_top1": 58.5}]))
    assert results(done, frames)[0][0] == "top1 [%]"
    written = card(done, frames)
    wanted = "Scans: student of trial 0, student.int8.onnx, | width | 0.5 |, a street"
    for words in (*wanted.split(", "), "| teacher | 61.25 | 58.50 |", "measured data are unknown"):
        assert words in written
    named = {"0": {"source": "files", "synthetic": False, "licence": "CC BY-NC-SA 4.0"}}
    assert "- Licence: CC BY-NC-SA 4.0\n" in card(done, replace(frames, provenance=named))
    assert f"`params`: {done.parts[0].params}" in written.replace("\N{NARROW NO-BREAK SPACE}", "")

    with pytest.raises(ConfigError, match="--trial 7: there is none"):
        exporter.export(7, out, int8=False)
    blocked = tmp_path / "file"
    blocked.write_text(CARD)
    with pytest.raises(UserError, match="cannot be written"):
        exporter.export(0, blocked, int8=False)


@pytest.mark.parametrize("difference", [2 * TOLERANCE, math.inf, math.nan])
def test_an_export_with_other_numbers_is_refused(difference):
    check_same(Path("student.onnx"), TOLERANCE)
    with pytest.raises(UserError, match=r"student\.onnx differs .* do not use it"):
        check_same(Path("student.onnx"), difference)
