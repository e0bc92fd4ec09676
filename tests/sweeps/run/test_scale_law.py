"""Objectives on a logarithmic scale are looked at for every value of every choice."""

import pytest
from toy_study import toy_study
from toy_task import ToyTask

from sweeps.plan.parameter_laws import scale_law

BASE = {"method": {"type": "choice", "values": ["vanilla", "kd"]}}


@pytest.mark.parametrize(
    ("flaw", "broken", "named"),
    [("minus-flops", "ue_flops is -1", ""), ("zero-flops", "", "ue_flops is 0"), ("nan", "", "")],
)
def test_every_value_of_every_choice_is_looked_at(flaw, broken, named):
    space = {**BASE, "flaw": {"type": "choice", "values": ["none", flaw]}}
    found = scale_law(toy_study(space=space), ToyTask())
    assert broken in found.broken
    assert bool(found.broken) is bool(broken)
    assert named in found.law
    assert flaw in found.broken + found.law or flaw == "nan"


def test_a_cost_that_raises_breaks_the_law_and_names_the_trial(monkeypatch):
    def cost(self, params):
        raise ValueError("no such width")

    monkeypatch.setattr(ToyTask, "cost", cost)
    found = scale_law(toy_study(space=BASE), ToyTask())
    assert "method" in found.law
    assert "no such width" in found.broken
    assert "no such width" in found.traceback
