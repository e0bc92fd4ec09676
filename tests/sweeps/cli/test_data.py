import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
from deepsense_examples import Scenario, write_table

from sweeps.cli.main import main


def kdsweep(capsys, *arguments):
    try:
        main(arguments)
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    return code, out, err


def test_inspect_lists_what_is_there_and_what_is_wrong(tmp_path, capsys):
    scenario = Scenario(tmp_path, (14, 5, 16, 16, 16))
    for f in range(20, 28):
        scenario.file("power", f).unlink()
    scenario.write()
    code, out, err = kdsweep(capsys, "data", "inspect", str(tmp_path))
    assert (code, err) == (0, "")
    assert "scenario9.csv: 67 frames in 5 sequences" in out
    assert "missing power file: 8" in out
    assert "unit1/mmWave_data/mmWave_power_25.txt: not in" in out
    assert "and 3 more, see --json" in out
    assert "sequence 2: 5 frames, a window needs 12" in out
    last = out.splitlines()[-1]
    assert last.startswith("can be trained on: kdsweep run beam-tracking --data ")
    assert str(tmp_path) in last
    code, shown, _ = kdsweep(capsys, "data", "inspect", str(tmp_path), "--json")
    found = json.loads(shown)
    assert code == 0
    assert len([d for d in found["defects"] if d["kind"] == "missing power file"]) == 8
    assert found["splits"]["train"]["sequences"] == 3


def test_inspect_checks_the_sensors_named(tmp_path, capsys):
    scenario = Scenario(tmp_path, (14, 14, 14))
    for f in range(scenario.num_frames):
        scenario.file("scan", f).unlink()
    scenario.write()
    assert kdsweep(capsys, "data", "inspect", str(tmp_path))[0] == 0, "what the study takes"
    for sensors, expected in (("image, lidar", 1), ("image, gps", 0)):
        code, *_ = kdsweep(capsys, "data", "inspect", str(tmp_path), "--sensors", sensors)
        assert code == expected
    for sensors, words in (("radar", "no files of radar"), ("sonar", "sensors must be some of")):
        code, out, err = kdsweep(capsys, "data", "inspect", str(tmp_path), "--sensors", sensors)
        assert (code, out) == (2, "")
        assert err.startswith("kdsweep: ")
        assert words in err


def test_inspect_skips_sensors_without_files_and_names_a_study_that_runs(tmp_path, capsys):
    scenario = Scenario(tmp_path, (14, 14, 14))
    for f in range(scenario.num_frames):
        scenario.file("image", f).unlink()
    scenario.write()
    code, out, err = kdsweep(capsys, "data", "inspect", str(tmp_path))
    assert (code, err) == (0, "")
    assert "image is skipped: 0 of 42 frames have a usable file" in out
    assert "windows with one sensor alone: image 0, lidar 9, gps 9" in out
    assert out.splitlines()[-1].endswith(f"kdsweep run beam-gps --data {tmp_path}")


def test_inspect_recognises_a_published_split(tmp_path, capsys):
    scenario = Scenario(tmp_path, (16, 16, 16))
    scenario.write()
    _, rows = scenario.windows()
    write_table(tmp_path / "train_seqs.csv", [row for row in rows if row["seq_index"] < 3])
    write_table(tmp_path / "test_seqs.csv", [row for row in rows if row["seq_index"] == 3])
    code, out, err = kdsweep(capsys, "data", "inspect", str(tmp_path))
    assert (code, err) == (0, "")
    words = "published split: train is train_seqs.csv, test is test_seqs.csv, val is cut from train"
    assert words in out
    assert "not part of the published split, not used: scenario9.csv" in out


def test_inspect_lists_the_channels_and_the_command(tmp_path, capsys):
    array = np.random.default_rng(0).normal(size=(300, 56, 2, 1)) * (1 + 1j)
    array[::5] = 0
    path = tmp_path / "wi fi.npy"
    np.save(path, array)
    code, out, err = kdsweep(capsys, "data", "inspect", str(path))
    assert (code, err) == (0, "")
    assert "300 users" in out
    assert "2 antennas, 56 subcarriers" in out
    assert "60 without a path" in out
    command = shlex.split(out.splitlines()[-1])
    assert command[:5] == ["kdsweep", "run", "csi-methods", "--data", str(path)]
    assert "parameters.data_axes=user subcarrier antenna single" in command
    assert "parameters.data_drop=true" in command
    code, shown, _ = kdsweep(capsys, "data", "inspect", str(path), "--json")
    assert json.loads(shown)["command"] == shlex.join(command)
    code, out, err = kdsweep(capsys, "data", "inspect", str(path), "--sensors", "gps")
    assert (code, out) == (2, "")
    assert "--sensors" in err
    np.save(path, array[:, :, 0].real)
    code, out, err = kdsweep(capsys, "data", "inspect", str(path))
    assert (code, err) == (1, "")
    assert "cannot be trained on" in out


@pytest.mark.parametrize("make", ["bytes", "loop", "folder"])
def test_damaged_channels_are_one_line(tmp_path, capsys, make):
    path = tmp_path / "a.npy"
    if make == "bytes":
        path.write_bytes(b"\x93NUMPY\x01\x00garbage")
    elif make == "loop":
        path.symlink_to(path)
    else:
        path.mkdir()
    for command in (
        ("data", "inspect"),
        ("run", "csi-methods", "--home", str(tmp_path), "--data"),
    ):
        code, out, err = kdsweep(capsys, *command, str(path))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert str(path) in err


def test_files_without_data_are_one_line(tmp_path, capsys):
    for path in (tmp_path, tmp_path / "nothing"):
        code, out, err = kdsweep(capsys, "data", "inspect", str(path))
        assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("kind", ["sensors", "channels"])
def test_inspect_loads_neither_torch_nor_ray(tmp_path, kind):
    if kind == "sensors":
        Scenario(tmp_path, (14, 14, 14)).write()
    else:
        np.save(tmp_path / "a.npy", np.ones((90, 8, 4), complex))
    script = (
        "import sys; from sweeps.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print([name for name in ('torch', 'ray', 'mlflow', 'optuna') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "data", "inspect", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
