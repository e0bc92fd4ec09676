"""A sweep in which no trial keeps the constraints: said where it ends and where it is looked at."""

import pytest
from command_line import kdsweep
from toy_study import toy_study


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_run_and_status_name_the_bound_that_no_trial_keeps(own_folder, capsys):
    bound = {"metric": "ue_flops", "max": 1.0}
    (own_folder / "toy.yaml").write_text(toy_study(constraints=[bound], budget={"trials": 2}).text)
    code, *texts = kdsweep(capsys, "run", "toy.yaml", "--backend", "inline")
    assert code == 1
    shown = [" ".join(texts), *(kdsweep(capsys, *c, "toy")[1] for c in (["front"], ["status"]))]
    for text in shown:
        assert "2 trials finished, but none is feasible" in " ".join(text.split())
        assert "ue_flops must be at most 1, and trial " in " ".join(text.split())
