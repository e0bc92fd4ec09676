"""Paths in studies do not depend on the folder in which a command is called."""

from pathlib import Path

import pytest

from search_spaces.study import load_study
from search_spaces.study_paths import is_path

STUDY = """
name: paths
title: Paths
description: Where files are.
task: csi-feedback
parameters: {{scenario: quadriga, data_path: {fixed}}}
space:
  method: {{type: choice, values: [vanilla]}}
  mask_file: {{type: choice, values: [a.npy, /b.npy]}}
objectives:
  - {{metric: val_nmse_db, direction: minimize, unit: dB, reference: 5.0, label: NMSE}}
search: {{sampler: grid}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    return tmp_path / "sub"


@pytest.mark.parametrize("called_from", [".", "..", "deep", "/"])
@pytest.mark.parametrize("fixed", ["ch.npy", "./ch.npy", "../sub/ch.npy", "deep/../ch.npy"])
def test_relative_paths_start_at_the_study(
    folder: Path, monkeypatch: pytest.MonkeyPatch, called_from: str, fixed: str
) -> None:
    (folder / "s.yaml").write_text(STUDY.format(fixed=fixed))
    monkeypatch.chdir(folder / called_from)
    named = (
        folder / "s.yaml"
        if called_from == "/"
        else Path({".": "s.yaml", "..": "sub/s.yaml", "deep": "../s.yaml"}[called_from])
    )
    study = load_study(named)
    assert study.parameters["data_path"] == str(folder / "ch.npy")
    assert study.space.parameters["mask_file"].options == (  # type: ignore[union-attr]
        str(folder / "a.npy"),
        "/b.npy",
    )
    (folder / "stored.yaml").write_text(study.text)
    monkeypatch.chdir("/")
    assert load_study(folder / "stored.yaml") == study


def test_relative_paths_of_overrides_start_at_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "s.yaml").write_text(STUDY.format(fixed="ch.npy"))
    monkeypatch.chdir(folder / "deep")
    study = load_study("../s.yaml", ["parameters.data_path=ch.npy"])
    assert study.parameters["data_path"] == str(folder / "deep" / "ch.npy")


@pytest.mark.parametrize("way", ["file", "setting"])
def test_home_folder_in_paths_is_resolved(
    folder: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    fixed, settings = (
        ("~/ch.npy", []) if way == "file" else ("x", ["parameters.data_path=~/ch.npy"])
    )
    (folder / "s.yaml").write_text(STUDY.format(fixed=fixed))
    study = load_study(folder / "s.yaml", settings)
    assert study.parameters["data_path"] == str(folder / "home" / "ch.npy")


def test_paths_in_points_are_resolved_and_other_words_stay(folder: Path) -> None:
    (folder / "vanilla").touch()
    search = "{sampler: points, points: [{method: vanilla, mask_file: [a.npy, /b.npy]}]}"
    text = STUDY.format(fixed="ch.npy").replace("{sampler: grid}", search)
    (folder / "s.yaml").write_text(text)
    study = load_study(folder / "s.yaml")
    found = [point["mask_file"] for point in study.search.points]
    assert found == [str(folder / "a.npy"), "/b.npy"]
    assert {point["method"] for point in study.search.points} == {"vanilla"}


def test_study_without_relative_paths_keeps_its_text(folder: Path) -> None:
    text = "# a comment\n" + STUDY.format(fixed="/ch.npy").replace("a.npy", "/a.npy")
    (folder / "s.yaml").write_text(text)
    assert load_study(folder / "s.yaml").text == text


def test_path_parameters_are_known_by_name() -> None:
    assert all(map(is_path, ("data_path", "path", "teacher_file", "log_dir", "folder")))
    assert not any(map(is_path, ("data_key", "paths_used", "profile", "pathloss")))
