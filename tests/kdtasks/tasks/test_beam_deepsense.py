"""The street twin, written in the layout of DeepSense 6G, trains the students that it trains."""

import numpy as np
import pytest
from beam_trials import TASK, tiny, trained_student, trained_teacher, without_times

from kdtasks.scenarios.deepsense_write import write_scenario
from kdtasks.scenarios.splits import SPLITS
from kdtasks.scenarios.street_data import load_street
from kdtasks.tasks.beam_data import data_of
from kdtasks.tasks.beam_settings import resolve


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("deepsense")
    street = data_of(resolve(tiny()))
    data = load_street(street, cache_dir=place / "cache", progress=lambda *_: None)
    write_scenario(place / "site", {n: getattr(data, n) for n in SPLITS}, picture="png")
    return place


def test_a_folder_of_files_gives_the_same_numbers(folder, beam_data_tiny):
    params = {"scenario": "deepsense", "data_path": str(folder / "site")}
    data = TASK.load_scenario(tiny(**params), cache_dir=folder / "cache", progress=lambda *_: None)
    for name in SPLITS:
        ours, theirs = getattr(data, name), getattr(beam_data_tiny, name)
        for array in ("mask", "mask_index", "label", "window"):
            np.testing.assert_array_equal(ours[array], theirs[array], err_msg=f"{name} {array}")
    teacher = trained_teacher(data, method="response", **params)
    own = trained_teacher(beam_data_tiny, method="response")
    assert without_times(teacher.metrics) == without_times(own.metrics)
    _, outcome = trained_student(data, teacher, method="response", **params)
    _, expected = trained_student(beam_data_tiny, own, method="response")
    assert without_times(outcome.metrics) == without_times(expected.metrics)
    assert TASK.baselines(tiny(**params), data)[0].name == "majority beam deepsense"


def test_the_data_and_not_their_place_identify_a_trial(folder):
    params = tiny(scenario="deepsense", data_path=str(folder / "site"), method="response")
    linked = folder / "elsewhere"
    linked.symlink_to(folder / "site")
    moved = {**params, "data_path": str(linked)}
    assert TASK.scenario_fingerprint(moved) == TASK.scenario_fingerprint(params)
    assert TASK.teacher_fingerprint(moved) == TASK.teacher_fingerprint(params)
    assert TASK.scenario_fingerprint(params) != TASK.scenario_fingerprint(tiny())
