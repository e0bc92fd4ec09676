import math
from pathlib import Path

import numpy as np
import pytest
from lidar_trials import TASK, tiny

from kdtasks.lidar_beam.data import data_of
from kdtasks.lidar_beam.models.objects import OBJECTS
from kdtasks.lidar_beam.settings import resolve
from kdtasks.sensing.street.dataset import build_passages


def test_the_prior_knows_the_default_traffic_and_not_that_of_its_control():
    def others(**changes):
        passages = build_passages(data_of(resolve({"train_passages": 300, **changes})))["train"]
        return np.array([passage.low_FVD.shape[1] - 1 for passage in passages])

    usual, busy = others(), others(distractors=2.0, max_distractors=4)
    assert usual.max() + 1 == OBJECTS
    assert usual.mean() == pytest.approx(1 / (1 + math.e), abs=0.06)
    assert busy.max() == 4
    assert (busy + 1 > OBJECTS).mean() > 0.4


def test_another_site_seed_is_another_street_with_the_same_traffic():
    usual, other = (
        TASK.load_scenario(tiny(site_seed=seed), cache_dir=Path(), progress=lambda *_: None)
        for seed in (1, 2)
    )
    np.testing.assert_array_equal(usual.train["lidar"], other.train["lidar"])
    assert not np.array_equal(usual.train["label"], other.train["label"])
