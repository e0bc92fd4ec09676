"""The street twin, written in the layout of DeepSense 6G, trains the students that it trains."""

import numpy as np
import pytest
from beam_trials import TASK, tiny, trained_student, trained_teacher, without_times
from deepsense_examples import SCENARIO9, Scenario, write_power

from kdtasks.beam_tracking.data import data_of
from kdtasks.beam_tracking.settings import resolve
from kdtasks.data.splits import SPLITS
from kdtasks.sensing.deepsense.inspect import inspect
from kdtasks.sensing.deepsense.write import write_scenario
from kdtasks.sensing.street.dataset import load_street


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


@pytest.fixture(scope="module")
def worn(tmp_path_factory):
    """Return a folder in the real layout, with radar cubes, and what is wrong with it by name."""
    scenario = Scenario(tmp_path_factory.mktemp("worn"), (30, 5, 13, 13), radar=True)
    scenario.file("image", 0).unlink()
    scenario.file("radar", 1).unlink()
    cube = scenario.file("radar", 2)
    cube.write_bytes(cube.read_bytes()[:5000])
    for f, lost in ((20, [3, 50]), (25, slice(None))):
        power = scenario.power_FB[f].copy()
        power[lost] = np.nan
        write_power(scenario.file("power", f), power)
    names = {**SCENARIO9, "radar": "unit1_radar"}
    del names["scan"]
    scenario.write(names=names)
    text = {
        "missing image file": scenario.rows[0]["image"],
        "missing radar file": scenario.rows[1]["radar"],
        "damaged radar file": scenario.rows[2]["radar"],
        "NaN powers": scenario.rows[20]["power"],
        "all powers NaN": scenario.rows[25]["power"],
        "short sequence": "sequence 2",
    }
    return scenario.folder, {kind: name.removeprefix("./") for kind, name in text.items()}


@pytest.mark.slow
def test_files_in_the_real_layout_are_trained_on_for_an_epoch(worn, tmp_path):
    folder, text = worn
    own = TASK.own_data(folder, {})
    params = tiny(
        **own.parameters, model="image-radar-student", method="vanilla", epochs=1, window_stride=1
    )
    data = TASK.load_scenario(params, cache_dir=tmp_path, progress=lambda *_: None)
    # 8 past frames and 3 to come, none of them the last, and no past frame before the fourth
    assert data.train["window"].tolist() == [[s + i for i in range(8)] for s in range(3, 19)]
    reports, outcome = trained_student(data, **params)
    assert [report.epoch for report in reports] == [1]
    assert np.isfinite(list(outcome.metrics.values())).all()
    scores = TASK.evaluate(params, outcome.weights, data.test)
    assert 0.0 <= scores["top2"] <= scores["top5"] <= 100.0
    for kind, name in text.items():
        assert data.provenance["defects"][kind] == {"count": 1, "where": [name]}
        assert f"1 x {kind}: {name}" in data.provenance["notes"]


def test_inspection_names_what_training_will_miss(worn):
    folder, text = worn
    found = {kind: [d.where for d in ds] for kind, ds in inspect(folder).defects_by_kind().items()}
    assert {kind: found[kind] for kind in text} == {kind: [name] for kind, name in text.items()}
    assert found.keys() - text.keys() <= {"label column disagrees"}  # of beams that became NaN
    assert inspect(folder).label_column.startswith("unit1_beam_index counts from 1")
