"""What is wrong with files costs their frames and no more, and is told by name."""

import numpy as np
import pytest
from deepsense_examples import Scenario, all_windows, load, write_power

from kdtasks.contract.errors import DataError
from kdtasks.learning.labels import IGNORED
from kdtasks.sensing.beams.windows import best_beams


class Defects:
    """A scenario with one of each defect, and what it does to windows."""

    def __init__(self, folder):
        self.scenario = Scenario(folder, (14, 16, 5, 16, 16, 14, 16, 14))
        scenario = self.scenario
        self.image_gone, self.image_cut, self.power_gone = 18, 44, 60
        scenario.file("image", self.image_gone).unlink()
        cut = scenario.file("image", self.image_cut)
        cut.write_bytes(cut.read_bytes()[:500])
        scenario.file("power", self.power_gone).unlink()
        self.some_nan, self.all_nan = 20, 5
        power = scenario.power_FB
        power[self.some_nan, [2, int(power[self.some_nan].argmax())]] = np.nan
        power[self.all_nan] = np.nan
        for f in (self.some_nan, self.all_nan):
            write_power(scenario.file("power", f), power[f])
        power[self.power_gone] = np.nan
        self.path = scenario.write()

    def name(self, kind, f):
        return self.scenario.rows[f][kind].removeprefix("./")

    def windows(self):
        """Windows by a slow loop over the rule of the fact sheet."""
        best = best_beams(self.scenario.power_FB)
        found, sequence = [], self.scenario.sequence_F
        for number in np.unique(sequence):
            own = np.flatnonzero(sequence == number)
            start = 0
            while start + 8 + 3 < len(own):
                frames = own[start : start + 11]
                start += 1
                if {self.image_gone, self.image_cut} & set(frames[:8].tolist()):
                    continue
                label = tuple(best[frames[7:]].tolist())
                if set(label) != {IGNORED}:
                    found.append((frames[:8].tolist(), label))
        return found


def test_each_defect_costs_its_frame_only(tmp_path):
    made = Defects(tmp_path)
    data, _ = load(tmp_path)
    labels = [label for _, label in all_windows(data)]
    wanted = [label for _, label in made.windows()]
    assert labels == wanted
    assert any(IGNORED in label for label in labels)
    assert data.provenance["windows_left_out"]["without_sensor"] > 0


def test_each_defect_is_named(tmp_path):
    made = Defects(tmp_path)
    data, _ = load(tmp_path)
    named = {
        "missing image file": [made.name("image", made.image_gone)],
        "damaged image file": [made.name("image", made.image_cut)],
        "missing power file": [made.name("power", made.power_gone)],
        "NaN powers": [made.name("power", made.some_nan)],
        "all powers NaN": [made.name("power", made.all_nan)],
        "short sequence": ["sequence 3"],
    }
    defects = dict(data.provenance["defects"])
    # the label of a vector whose strongest beam became NaN
    defects.pop("label column disagrees", None)
    assert defects == {kind: {"count": 1, "where": where} for kind, where in named.items()}
    for kind, (name,) in named.items():
        assert f"1 x {kind}: {name}" in data.provenance["notes"]


def test_of_many_defects_the_first_are_named_and_all_are_counted(tmp_path):
    scenario = Scenario(tmp_path, (40, 40, 40))
    scenario.write()
    for f in range(108):
        scenario.file("loc", f).unlink()
    with pytest.raises(DataError, match=r"108 x missing gps file: .* and 103 more"):
        load(tmp_path, sensors=("gps",))


def test_defects_are_remembered_with_the_cache(tmp_path):
    Defects(tmp_path)
    first, text = load(tmp_path)
    assert text
    again, text = load(tmp_path)
    assert not text
    assert first.provenance == again.provenance
    assert all_windows(first) == all_windows(again)


def test_a_mended_file_is_read_and_nothing_else_is(tmp_path):
    made = Defects(tmp_path)
    before, _ = load(tmp_path)
    f = made.power_gone
    write_power(made.scenario.file("power", f), np.arange(64.0))
    after, text = load(tmp_path)
    assert text[-1][1] == made.scenario.num_frames  # powers, not pictures
    assert after.provenance["fingerprint"] != before.provenance["fingerprint"]
    assert "missing power file" not in after.provenance["defects"]
    assert sum(label.count(IGNORED) for _, label in all_windows(after)) < sum(
        label.count(IGNORED) for _, label in all_windows(before)
    )
