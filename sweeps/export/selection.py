"""Named members of a front: its knee and its ends."""

import numpy as np

from analysis.frames import SweepFrames
from analysis.fronts import front_trials, knee_trial, split_label
from analysis.ranking import column
from kdtasks.contract.errors import ConfigError
from sweeps.common.curves import thinned

WORDS = KNEE, SMALLEST, MOST_ACCURATE = "knee", "smallest", "most-accurate"
"""The names, which are aliases of a model's versions in MLflow."""


def knee_of(frames: SweepFrames) -> int:
    """Return the trial at the knee of the front.

    Raises:
        ConfigError: If there is no front.
    """
    number = knee_trial(frames)
    if number is None:
        raise ConfigError(f"sweep {frames.name} has no front yet; name a --trial")
    return number


def by_word(frames: SweepFrames) -> dict[str, int]:
    """Return the named members of the front, by name.

    The smallest is the best in the first objective that does not depend on data, the most accurate
    the best in the first that does; without such an objective the member is missing.

    Raises:
        ConfigError: If there is no front.
    """
    found, front = {KNEE: knee_of(frames)}, front_trials(frames)
    for word, of_data in ((SMALLEST, False), (MOST_ACCURATE, True)):
        goals = [o for o in frames.study.objectives if bool(split_label(o)) is of_data]
        if goals:
            values = column(front, goals[0].metric)
            best = np.argmin(values if goals[0].direction == "minimize" else -values)
            found[word] = int(front.iloc[int(best)]["number"])
    return found


def along_front(frames: SweepFrames, limit: int) -> list[int]:
    """Return up to ``limit`` members of the front: named ones first, then evenly spaced ones.

    Raises:
        ConfigError: If there is no front.
    """
    numbers = [int(number) for number in front_trials(frames)["number"]]
    named = list(dict.fromkeys(by_word(frames).values()))
    left = [number for number in numbers if number not in named]
    return [*named[:limit], *thinned(left, max(0, limit - len(named)))]
