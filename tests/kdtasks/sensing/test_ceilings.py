"""What the twin allows, from bearings that no sensor has."""

from dataclasses import replace

import numpy as np
import pytest
from beam_trials import TASK, tiny
from street_examples import placed

from kdtasks.beam_tracking.data import data_of
from kdtasks.beam_tracking.settings import resolve
from kdtasks.sensing import baselines as beam_ceilings
from kdtasks.sensing.baselines import CEILINGS, known_angle, steady_turn, true_sines, with_ceilings
from kdtasks.sensing.street.radio import RadioConfig, mean_powers, trace_radio

WINDOW = np.arange(8)[None] + np.array([[0], [3]])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Return the street without what makes labels differ from the bearing, and its data."""
    params = tiny(val_passages=8, test_passages=8, model="gps-student", distractors=0.0)
    loaded = TASK.load_scenario(
        params, cache_dir=tmp_path_factory.mktemp("street"), progress=lambda *_: None
    )
    return data_of(resolve(params)), loaded


def test_bearings_are_those_of_the_line_of_sight():
    passages = [placed((x, 13.0)) for x in (-9.0, 0.0, 4.0)]
    traced = [trace_radio(passage, RadioConfig()).sine_FP[:, 0] for passage in passages]
    np.testing.assert_allclose(true_sines(passages), np.concatenate(traced), atol=1e-12)
    assert true_sines(passages)[1] == pytest.approx(0.0)


def test_a_steady_turn_is_known_in_advance():
    sine = np.sin(np.linspace(-0.7, 0.6, 14))
    np.testing.assert_allclose(steady_turn(sine, WINDOW), known_angle(sine, WINDOW), atol=1e-12)


def test_the_angle_now_is_known_to_both_and_later_ones_are_not():
    sine = np.sin(np.linspace(-0.8, 0.8, 14) ** 3)
    known, steady = known_angle(sine, WINDOW), steady_turn(sine, WINDOW)
    np.testing.assert_allclose(steady[:, 0], known[:, 0], atol=1e-12)
    missed = np.abs(steady - known)
    assert (np.diff(missed, axis=1) > 0.0).all()


def test_steady_turns_look_at_no_frame_to_come():
    rng = np.random.default_rng(0)
    sine = rng.uniform(-0.7, 0.7, 14)
    changed = sine.copy()
    changed[11:] = rng.uniform(-0.7, 0.7, 3)
    np.testing.assert_array_equal(steady_turn(sine, WINDOW), steady_turn(changed, WINDOW))
    assert (known_angle(sine, WINDOW) != known_angle(changed, WINDOW)).any()


def test_without_noise_reflections_and_ripple_the_known_angle_is_always_right(plain):
    data, loaded = plain
    clear = RadioConfig(facade_gain=0.0, pole_gain=0.0, ripple_db=0.0, jitter_db=0.0, noise_power=0)
    twin = replace(data.twin, radio=clear)
    made = beam_ceilings.build_passages(data)
    powers = {
        n: np.concatenate([mean_powers(trace_radio(p, clear), clear) for p in made[n]])
        for n in ("val", "test")
    }
    splits = {
        name: {
            **getattr(loaded, name),
            "label": powers[name].argmax(axis=1)[
                getattr(loaded, name)["window"][:, -1:] + np.arange(4)
            ],
        }
        for name in powers
    }
    found = with_ceilings(replace(data, twin=twin), replace(loaded, **splits))[CEILINGS]
    for split in powers:
        assert found["known angle"][split]["top1"] == 100.0
        assert found["steady turn"][split]["top1_t0"] == 100.0


def test_ceilings_of_the_street_are_high_and_fall_with_time_where_they_extrapolate(plain):
    found = plain[1].provenance[CEILINGS]
    assert found.keys() == {"known angle", "steady turn"}
    for split in ("val", "test"):
        known, steady = found["known angle"][split], found["steady turn"][split]
        assert known["top2"] > 80.0
        assert steady["top2_t0"] == known["top2_t0"]
        assert steady["top2"] <= known["top2"]


def test_files_of_ones_own_have_no_ceilings(plain):
    _, loaded = plain
    params = tiny(model="gps-student")
    measured = replace(loaded, provenance={"source": "files"})
    names = {baseline.name for baseline in TASK.baselines(params, measured)}
    assert not any("ceiling" in name for name in names)
    assert any("ceiling" in b.name for b in TASK.baselines(params, loaded))
