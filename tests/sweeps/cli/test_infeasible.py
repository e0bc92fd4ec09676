"""A sweep in which no trial keeps the constraints: said where it ends and where it is looked at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy_study import toy_study

TESTS, ROOT = Path(__file__).resolve().parents[1], Path(__file__).resolve().parents[3]


def kdsweep(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "kdsweep", *words],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{TESTS}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, " ".join(done.stdout.split())


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_run_and_status_name_the_bound_that_no_trial_keeps(tmp_path):
    study, home = tmp_path / "toy.yaml", ("--home", str(tmp_path))
    bound = {"metric": "ue_flops", "max": 1.0}
    study.write_text(toy_study(constraints=[bound], budget={"trials": 2}).text)
    code, shown = kdsweep("run", str(study), "--backend", "inline", *home)
    assert code == 1
    for text in (shown, *(kdsweep(command, "toy", *home)[1] for command in ("front", "status"))):
        assert "2 trials finished, but none is feasible" in text
        assert "ue_flops must be at most 1, and trial " in text
