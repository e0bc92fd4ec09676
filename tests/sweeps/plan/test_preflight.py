from pathlib import Path
from typing import Any

import pytest
from toy_study import FINITE, toy_study
from toy_task import ToyTask

from kdtasks.contract.errors import ConfigError, UserError
from search_spaces.errors import StudyError
from sweeps.ledger.paths import check_new, create
from sweeps.plan.needs import find_needs
from sweeps.plan.preflight import check_study

ERROR, FLOPS = toy_study().objectives


def objective(**changes: Any) -> dict[str, Any]:
    return {
        "metric": "val_nmse_db",
        "direction": "minimize",
        "unit": "dB",
        "reference": 0.0,
        "label": "NMSE",
        **changes,
    }


def table(metric: str) -> dict[str, Any]:
    rows = [{"id": "row", "role": "trial", "match": {"method": "kd"}}]
    columns = [{"metric": metric, "label": "NMSE"}]
    return {"id": "II", "title": "text", "source": "", "columns": columns, "rows": rows}


CLAIM = {
    "tables": [{**table("ue_flops"), "rows": [{"id": name, "role": "trial"} for name in "ab"]}],
    "claims": [{"id": "better", "text": "text", "metric": "val_nsme", "order": ["a", "b"]}],
}


WRONG_WAY = {
    **CLAIM,
    "claims": [{**CLAIM["claims"][0], "metric": "ue_flops", "direction": "maximize"}],
}


VANILLA = {"parameters": {"method": "vanilla"}, "space": {"width": FINITE["width"]}}
DRAWN = {"seeds": {"confirm": [1, 2]}, "confirm": {"teachers": 2}}


RIGHT_WAY = {**CLAIM, "claims": [{**CLAIM["claims"][0], "metric": "ue_flops"}]}


def test_a_sound_study_passes() -> None:
    plan = check_study(toy_study(report={"tables": [table("test_nmse_db")]}))
    assert isinstance(plan.task, ToyTask)
    assert {need.teacher is None for need in plan.needs} == {True, False}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "no-such-task"}, r"toy\.yaml:\d+: task: no task 'no-such-task'"),
        ({"objectives": [objective(metric="accuracy")]}, "reports no metric 'accuracy'"),
        (
            {"objectives": [objective(direction="maximize")]},
            r"objectives\.0\.direction: is 'maximize', .*write direction: minimize",
        ),
        ({"objectives": [objective(unit="%")]}, r"objectives\.0\.unit: is '%'"),
        ({"constraints": [{"metric": "latency_ms", "max": 1}]}, "reports no metric 'latency_ms'"),
        ({"parameters": {"epoch": 2}}, "unknown parameter 'epoch'"),
        (
            {"report": {"tables": [table("test_nsme_db")]}},
            r"tables\.0\.columns\.0\.metric: .*no metric 'val_nsme_db'",
        ),
        ({"search": {"sampler": "tpe", "points": [{"flaw": "odd"}]}}, r"points\.0.*flaw"),
        (
            {"space": {}, "search": {"sampler": "points", "points": [{"flaw": "odd"}]}},
            r"points\.0.*flaw",
        ),
        (
            {"space": {"flaw": {"type": "choice", "values": ["odd", "off"]}}},
            r"space\.flaw.*flaw must be",
        ),
        ({"parameters": {"flaw": "odd"}}, "flaw must be one of"),
        (
            {"constraints": [{"metric": "ue_flop", "min": 1}]},
            "no metric 'ue_flop'; did you mean 'ue_flops'",
        ),
        ({"report": CLAIM}, "report.claims.0.metric: .*no metric 'val_nsme'"),
        (
            {"report": WRONG_WAY},
            r"claims\.0\.direction: .*write direction: minimize",
        ),
        ({"report": RIGHT_WAY}, r"effort: is missing.*claims.*\{gflop: N\}"),
        ({"effort": "plateau"}, "effort: .*EffortSettings"),
        ({**DRAWN, **VANILLA}, "confirm.teachers: is 2, but no trial has a teacher; set it to 1"),
        ({**DRAWN, "task": "toy_variants:Seedless"}, "no parameter teacher_seed; set it to 1"),
        ({"space": {"wdith": {"type": "int", "low": 1, "high": 2}}}, "unknown parameter 'wdith'"),
    ],
)
def test_a_study_that_cannot_run_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words) as caught:
        check_study(toy_study(**changes))
    assert "\n" not in str(caught.value)


def bounded(**bounds: float) -> dict[str, Any]:
    return {"space": FINITE, "constraints": [{"metric": "ue_flops", **bounds}]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # widths 1 to 6 cost 1000 to 6000
        (bounded(max=999.0), "ue_flops is 1000 at best, in all 12 .* above max = 999; change"),
        (bounded(min=6001.0), "ue_flops is 6000 at best, .* below min = 6001"),
        (bounded(min=2001.0, max=2999.0), "is (2000|3000) at best"),
        (
            {**bounded(max=0.5), "search": {"sampler": "tpe", "points": [{"width": 3}]}},
            "in all 14 configurations",
        ),
        (
            {
                "constraints": [{"metric": "payload_bits", "max": 100}],
                "search": {"sampler": "points", "points": [{"compression": [4, 32]}]},
                "space": {},
            },
            "payload_bits is 128 at best, in all 2",
        ),
    ],
)
def test_a_bound_that_every_configuration_breaks_is_refused(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(StudyError, match=rf"constraints\.0\.(max|min): .*{words}"):
        check_study(toy_study(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        bounded(max=1000.0),
        bounded(min=6000.0),
        # kept by a point that sets what is not searched
        {**bounded(max=0.0), "search": {"points": [{"width": 3, "flaw": "zero-flops"}]}},
        # not known before training, or in a space without end
        {**bounded(), "constraints": [{"metric": "val_nmse_db", "max": -1e9}]},
        {"constraints": [{"metric": "ue_flops", "max": 999.0}]},
    ],
)
def test_a_bound_that_something_may_keep_passes(changes: dict[str, Any]) -> None:
    check_study(toy_study(**changes))


FLOPS_ONLY = {
    "metric": "ue_flops",
    "direction": "minimize",
    "unit": "FLOPs",
    "reference": 1e4,
}


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        (
            [objective(), objective(metric="train_s", unit="s")],
            "train_s is known only at the end of a training",
        ),
        ([FLOPS_ONLY], "every objective is known before training"),
    ],
)
def test_stopping_is_refused_where_it_could_not_compare(
    objectives: list[dict[str, Any]], words: str
) -> None:
    fields = {"task": "toy_variants:TimedTask", "objectives": objectives}
    check_study(toy_study(**fields))
    with pytest.raises(StudyError, match=f"stopping: {words}"):
        check_study(toy_study(**fields, stopping={"kind": "asha"}))


def test_what_decides_on_the_teacher_must_be_finite() -> None:
    space = {"compression": {"type": "float", "low": 4.0, "high": 16.0}}
    with pytest.raises(StudyError, match="compression"):
        check_study(toy_study(space=space))


def test_a_task_that_hides_what_decides_on_its_teacher_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ToyTask, "resource_parameters", frozenset({"method"}))
    space = {
        "method": {"type": "choice", "values": ["vanilla", "kd"]},
        "compression": {"type": "choice", "values": [4, 16]},
    }
    with pytest.raises(ConfigError, match="extend its resource_parameters"):
        check_study(toy_study(space=space))


def test_every_teacher_is_found_and_only_once() -> None:
    space = {
        "method": {"type": "choice", "values": ["vanilla", "kd"]},
        "compression": {"type": "choice", "values": [4, 16], "when": {"method": ["kd"]}},
        "width": {"type": "int", "low": 1, "high": 8},
    }
    search = {"sampler": "tpe", "points": [{"method": "kd", "compression": 16, "teacher_seed": 5}]}
    task = ToyTask()
    needs = find_needs(toy_study(space=space, search=search), task)
    teachers = [need.teacher for need in needs if need.teacher is not None]
    wanted = [(4, 0), (16, 0), (16, 5)]
    assert teachers == [
        task.teacher_fingerprint({"method": "kd", "compression": c, "teacher_seed": s})
        for c, s in wanted
    ]


def test_baselines_are_required_where_no_teacher_distinguishes_trials() -> None:
    points = [{"method": "vanilla", "compression": [4, 16], "width": [2, 4]}]
    study = toy_study(space={}, search={"sampler": "points", "points": points})
    assert [need.params["compression"] for need in find_needs(study, ToyTask())] == [4, 16]


@pytest.mark.parametrize(
    ("trials", "compressions"), [(1, [4]), (2, [4]), (3, [4, 16]), (9, [4, 16])]
)
def test_points_beyond_the_budget_need_nothing(trials: int, compressions: list[int]) -> None:
    points = [{"method": "vanilla", "compression": [4, 16], "width": [2, 4]}]
    budget = {"trials": trials, "time": None}
    study = toy_study(space={}, search={"sampler": "points", "points": points}, budget=budget)
    assert [need.params["compression"] for need in check_study(study).needs] == compressions


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    folder = check_new(tmp_path / "home", "one")
    create(folder, "text")
    assert folder.study.read_text() == "text"
    with pytest.raises(ConfigError, match=r"one exists already; choose another --name"):
        check_new(tmp_path / "home", "one")
    with pytest.raises(ConfigError, match="exists already"):
        create(folder, "text")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", ".hidden", "cache", "artifacts"])
def test_a_name_must_be_a_folder_of_its_own(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a sweep"):
        check_new(tmp_path, name)


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another --home"):
        check_new(tmp_path / "file" / "home", "one")


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.ledger.paths.MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(UserError, match="MiB free"):
        check_new(tmp_path, "one")
