"""Bad study files as a person meets them: one line, exit code 2, and Ray has not been started."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_study import FINITE, toy_study

from search_spaces.study_yaml import dump_yaml

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parents[1]

CALL = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from sweeps.cli.main import main

found = {}
for name in sys.argv[1:]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(["run", name + ".yaml"])
            code = 0
        except SystemExit as end:
            code = end.code
    ray = sys.modules.get("ray")
    found[name] = {
        "code": code,
        "err": err.getvalue(),
        "imported": ray is not None,
        "started": ray is not None and ray.is_initialized(),
    }
print(json.dumps(found))
"""

OBJECTIVES = yaml.safe_load(toy_study().text)["objectives"]


def objective(**changes: Any) -> dict[str, Any]:
    return {"objectives": [{**OBJECTIVES[0], **changes}, OBJECTIVES[1]]}


# By the file alone: what is changed, and what is said.
BY_FILE: dict[str, tuple[dict[str, Any], str]] = {
    "unknown-key": ({"bugdet": {}}, "did you mean 'budget'?"),
    "no-range": (
        {"space": {"x": {"type": "float", "low": 2.0, "high": 1.0}}},
        "space.x.low: must be below high = 1.0, got 2.0",
    ),
    "circle": (
        {"space": {n: {**FINITE["method"], "when": {m: ["kd"]}} for n, m in ("ab", "ba")}},
        "form a cycle",
    ),
    "not-finite": (objective(reference=float("inf")), "objectives.0.reference"),
    "bad-sampler": ({"search": {"sampler": "annealing"}}, "search.sampler"),
    "deaf-sampler": (
        {"search": {"sampler": "random", "warm_start": ["old"]}},
        "search.warm_start: has no effect with sampler 'random'",
    ),
    "no-budget": ({"budget": {}}, "budget.trials: is missing"),
    "twice": ({"parameters": {"x": 0.5}}, "parameters.x: is both fixed (to 0.5) and searched"),
}
# By the task, the home or the machine.
BY_TASK: dict[str, tuple[dict[str, Any], str]] = {
    "no-task": ({"task": "beam-trackin"}, "no task 'beam-trackin'"),
    "no-metric": (objective(metric="accuracy"), "objectives.0.metric: task toy reports no metric"),
    "wrong-unit": (objective(unit="%"), "objectives.0.unit: is '%'"),
    "wrong-way": (objective(direction="maximize"), "objectives.0.direction: is 'maximize'"),
    "no-bound": (
        {"constraints": [{"metric": "latency_ms", "max": 1}]},
        "constraints.0.metric: task toy",
    ),
    "no-parameter": ({"parameters": {"epoch": 2}}, "unknown parameter 'epoch'"),
    "refused": ({"space": {"flaw": {"type": "choice", "values": ["odd"]}}}, "flaw must be one of"),
    "impossible": (
        {"space": FINITE, "constraints": [{"metric": "ue_flops", "max": 1}]},
        "constraints.0.max: ue_flops is 1000 at best",
    ),
    "no-sweep": (
        {"search": {"sampler": "tpe", "warm_start": ["old"]}},
        "search.warm_start.0: there is no sweep in",
    ),
    "no-room": ({"resources": {"cpus": 4096}}, "resources.cpus is 4096, but this machine has"),
}
KINDS = {**BY_FILE, **BY_TASK}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What every file came to, in one process; those that need the task come last."""
    folder = tmp_path_factory.mktemp("studies")
    for name, (changes, _) in KINDS.items():
        fields = {**yaml.safe_load(toy_study().text), **changes}
        (folder / f"{name}.yaml").write_text(dump_yaml(fields))
    paths = os.pathsep.join([str(ROOT), str(HERE)])
    done = subprocess.run(
        [sys.executable, "-c", CALL, *KINDS],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    left = {path.name for path in folder.rglob("*") if path.is_file()}
    assert left == {f"{name}.yaml" for name in KINDS}  # nothing was made
    return found


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", KINDS)
def test_a_bad_study_is_refused_before_ray_starts(
    name: str, answers: dict[str, dict[str, Any]]
) -> None:
    answer = answers[name]
    assert answer["code"] == 2
    assert answer["err"].startswith("kdsweep: ")
    assert answer["err"].count("\n") == 1  # so it is no traceback
    assert KINDS[name][1] in answer["err"]
    assert not answer["started"]
    if name in BY_FILE:
        assert re.search(rf"{name}\.yaml(:\d+)?: ", answer["err"])
        assert not answer["imported"]
