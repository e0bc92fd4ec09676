"""References of beam tracking, beside what they are by their description."""

import numpy as np
import pytest
from beam_trials import TASK, tiny

from kdtasks.contract.poisoning import BACKDOOR_METRICS
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.baselines import _gps_line, _nearest
from kdtasks.sensing.beams.format import CONDITIONS
from kdtasks.sensing.beams.windows import best_beams
from kdtasks.sensing.window_task import DEPLOYMENT_METRICS

GPS = {"sensors": "image gps"}


@pytest.fixture(scope="module")
def with_gps(tmp_path_factory):
    cache = tmp_path_factory.mktemp("gps")
    params = tiny(**GPS, train_passages=60)
    return TASK.load_scenario(params, cache_dir=cache, progress=lambda *_: None)


def baselines(data, **changes):
    found = TASK.baselines(tiny(**changes), data)
    return {baseline.name.removesuffix(" street"): baseline.metrics for baseline in found}


def test_every_baseline_is_scored_on_validation_and_test(beam_data_tiny):
    found = baselines(beam_data_tiny)
    ceilings = {"known angle (ceiling)", "steady turn (ceiling)"}
    assert found.keys() == {"majority beam", "last known beam"} | ceilings
    declared = {name.removeprefix("val_") for name in TASK.metrics if name.startswith("val_")}
    conditions = {f"top2_{name}" for name in CONDITIONS}
    declared -= conditions | {f"second_{name}" for name in CONDITIONS} | {"top2_single"}
    deployed = {**DEPLOYMENT_METRICS, **BACKDOOR_METRICS}
    declared -= {name.removeprefix("val_") for name in deployed}
    for metrics in found.values():
        metrics = {n: v for n, v in metrics.items() if n.split("_", 1)[1] not in conditions}
        assert metrics.keys() == {f"{s}_{name}" for s in ("val", "test") for name in declared}


def test_the_majority_beam_is_the_most_frequent_one_of_each_slot(beam_data_tiny):
    metrics = baselines(beam_data_tiny)["majority beam"]
    for slot in range(4):
        seen, counts = np.unique(beam_data_tiny.train["label"][:, slot], return_counts=True)
        best = seen[counts.argmax()]
        expected = 100.0 * (beam_data_tiny.test["label"][:, slot] == best).mean()
        assert metrics[f"test_top1_t{slot}"] == pytest.approx(expected)


def test_the_last_known_beam_answers_with_the_beam_of_the_frame_before(beam_data_tiny):
    metrics = baselines(beam_data_tiny)["last known beam"]
    split = beam_data_tiny.val
    before = best_beams(split["power"])[split["window"][:, 6]]
    for slot in range(4):
        expected = 100.0 * (split["label"][:, slot] == before).mean()
        assert metrics[f"val_top1_t{slot}"] == pytest.approx(expected)


def test_the_line_is_exact_for_what_drives_along_one():
    # Bearings of beams are given; the position at slot t is 7 + t steps on.
    bearing = np.linspace(-0.8, 0.8, 64)
    steps = np.arange(8)
    position = np.stack([-9.0 + 2.0 * steps, np.full(8, 12.0)], axis=1)
    split = {"gps": position, "window": np.arange(8)[None]}
    x = -9.0 + 2.0 * (7 + np.arange(4))
    expected = np.abs(x / np.hypot(x, 12.0) - bearing[:, None]).argmin(axis=0)
    np.testing.assert_array_equal(_gps_line(split, bearing)[0].argmax(axis=1), expected)


def test_the_nearest_windows_vote_and_the_nearest_decides_a_draw():
    def split(places, beams):
        position = np.array(places, np.float32).repeat(8)[:, None] * [1.0, 0.0]
        label = np.array(beams)[:, None] * np.ones(4, int)
        return {"gps": position, "label": label, "window": np.arange(len(position)).reshape(-1, 8)}

    train = split([0.0, 1.0, 2.0, 3.0, 4.0, 50.0], [7, 3, 3, 7, IGNORED, 9])
    for place, expected in ((-1.0, [7, 3]), (2.0, [3, 7]), (60.0, [3, 7, 9])):
        scores = _nearest(split([place], [0]), train)[0, 2]
        ranked = np.argsort(-scores, kind="stable")
        assert set(ranked[: len(expected)].tolist()) == set(expected)
        assert len(expected) == 3 or ranked[: len(expected)].tolist() == expected


def test_positions_beat_guessing(with_gps):
    found = baselines(with_gps, **GPS)
    assert found["nearest neighbours"]["val_top5"] > 3 * found["majority beam"]["val_top5"]
    assert found["GPS line"]["val_top5"] > 3 * found["majority beam"]["val_top5"]
