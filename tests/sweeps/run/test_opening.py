"""What a sweep that was begun goes on with, and why it does not."""

import json
import stat
from pathlib import Path

import pytest
from in_process import Engine, Watching
from toy_study import FINITE, toy_study

from kdtasks.contract.errors import ConfigError, DataError
from search_spaces.study import Study, parse_study
from sweeps.common.capacity import ResourceRequest
from sweeps.ledger.launch_settings import (
    SweepSettings,
    read_settings,
    settled_uri,
    write_settings,
)
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SETTINGS_FILE, SweepFolder, create
from sweeps.ledger.trust import seal
from sweeps.plan.preflight import check_study
from sweeps.progress.events import Display
from sweeps.run.resume import differences, find_left, load_same, num_spent


def left_of(
    folder: SweepFolder, wanted: Study | None = None, display: Watching | None = None
) -> tuple[Study, Ledger | None]:
    study, _, ledger = find_left(
        folder, wanted, tracking_uri=None, request=None, display=display or Watching()
    )
    load_same(folder, study, ledger, check_study(study), Display())
    return study, ledger


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A finished search of 8 trials."""
    engine = Engine(toy_study(), tmp_path)
    engine.teach()
    engine.search()
    return engine


def test_a_larger_budget_is_taken_over_and_remembered(engine: Engine) -> None:
    larger = toy_study(budget={"trials": 20, "time": "90s"})
    study, _ = left_of(engine.folder, larger)
    assert study == larger
    for again, ledger in (left_of(engine.folder), left_of(engine.folder)):
        assert again == larger
        assert ledger is not None
        assert ledger.study == larger
        assert num_spent(ledger) == 8


def test_what_differs_is_named(engine: Engine) -> None:
    space = {**FINITE, "x": {"type": "float", "low": 0.0, "high": 2.0}}
    wanted = toy_study(space=space, seeds={"search": 5}, budget={"trials": 20})
    with pytest.raises(ConfigError) as error:
        left_of(engine.folder, wanted)
    message = str(error.value)
    assert "space.x.high is 2.0, was 1.0" in message
    assert "choose another --name" in message
    assert "budget.trials" not in message
    assert "\n" not in message


def test_epochs_are_no_budget_for_the_whole_sweep(engine: Engine) -> None:
    wanted = parse_study(
        toy_study(parameters={}, budget={"trials": 20, "epochs": 2}).text, "toy.yaml"
    )
    with pytest.raises(ConfigError, match=r"budget\.epochs is 2, was None"):
        left_of(engine.folder, wanted)


def test_the_same_study_again_is_no_extension(engine: Engine) -> None:
    with pytest.raises(ConfigError, match=r"exists already.*kdsweep resume sweep.*more than 8"):
        left_of(engine.folder, toy_study())


def test_a_sweep_goes_on_with_other_resources(engine: Engine) -> None:
    elsewhere = toy_study(resources={"cpus": 0.5, "slots": 2})
    assert left_of(engine.folder, elsewhere)[0] == elsewhere
    assert Ledger.open(engine.folder.journal).study == elsewhere
    assert left_of(engine.folder)[0].resources.slots == 2


def test_a_smaller_budget_is_refused(engine: Engine) -> None:
    with pytest.raises(ConfigError, match=r"budget\.trials is 3, but the sweep has 8 trials"):
        left_of(engine.folder, toy_study(budget={"trials": 3}))


def test_a_study_file_that_was_edited_is_refused(engine: Engine) -> None:
    path = engine.folder.study
    path.write_text(path.read_text().replace("high: 8", "high: 9"))
    with pytest.raises(ConfigError, match=r"high is 9, was 8"):
        left_of(engine.folder)


@pytest.mark.parametrize("content", ["", "name: [", None])
def test_a_study_file_that_is_damaged_is_written_anew(engine: Engine, content: str | None) -> None:
    if content is None:
        engine.folder.study.unlink()
    else:
        engine.folder.study.write_text(content)
    assert left_of(engine.folder)[0] == toy_study()


def test_a_half_line_is_dropped_with_a_notice(engine: Engine) -> None:
    with engine.folder.journal.open("ab") as file:
        file.write(b'{"op_code": 8, "wor')
    display = Watching()
    _, ledger = left_of(engine.folder, display=display)
    [note] = display.notes
    assert all(word in note for word in ("journal.log", "last line", "19 B"))
    assert ledger is not None
    assert ledger.trials() == engine.ledger.trials()


def test_a_sweep_that_was_killed_before_its_ledger_begins_anew(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "toy")
    create(folder, toy_study().text)
    seal(folder.path, toy_study())
    assert left_of(folder)[1] is None
    (folder.weights / "trial-0.safetensors").touch()
    with pytest.raises(ConfigError, match=r"journal\.log is missing.*restore"):
        left_of(folder)


def test_what_dead_workers_left_half_written_is_removed(engine: Engine) -> None:
    kept = sorted(engine.folder.weights.iterdir())
    (engine.folder.weights / ".trial-9.safetensors.123.part").touch()
    left_of(engine.folder)
    assert sorted(engine.folder.weights.iterdir()) == kept


def test_settings_come_back_and_are_the_owners_alone(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == SweepSettings()
    settings = SweepSettings(
        id="a new one",
        tracking_uri="postgresql://me:secret@host/runs",
        request=ResourceRequest(slots=3, actors=2, address="10.0.0.1:6379"),
        task_path="/somewhere",
    )
    write_settings(tmp_path, settings)
    assert read_settings(tmp_path) == settings
    assert stat.S_IMODE((tmp_path / SETTINGS_FILE).stat().st_mode) == 0o600
    (tmp_path / SETTINGS_FILE).write_text(json.dumps({"seats": 3}))
    with pytest.raises(DataError, match=r"sweep\.json.*damaged.*--tracking-uri"):
        read_settings(tmp_path)


def test_an_address_means_the_same_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settled_uri(None) is None
    assert settled_uri("http://host:5000") == "http://host:5000"
    assert settled_uri("sqlite:///runs.db") == f"sqlite:///{tmp_path / 'runs.db'}"
    absolute = f"sqlite:///{tmp_path / 'runs.db'}?timeout=3"
    assert settled_uri(absolute) == absolute


def test_equal_studies_may_be_written_differently() -> None:
    study = toy_study()
    spelled = parse_study("# a comment\n" + study.text + "\nconfirm: {select: front}\n", "b.yaml")
    assert differences(spelled, study) == []
    assert differences(toy_study(budget={"trials": 9}), study) == []
    elsewhere = toy_study(resources={"cpus": 2, "gpus": 0.5, "slots": 3})
    assert differences(elsewhere, study) == []
    column = {"metric": "test_nmse_db", "label": "NMSE [dB]"}
    row = {"id": "all", "label": "all", "role": "trial", "match": {}}
    table = {"id": "I", "title": "all", "source": "here", "columns": [column], "rows": [row]}
    words = toy_study(title="other", description="of other words", report={"tables": [table]})
    assert words.report != study.report
    assert differences(words, study) == []
    [named] = differences(toy_study(seeds={"search": 3, "trial": 0, "confirm": [101]}), study)
    assert named == "seeds.search is 3, was 0"


def test_points_may_follow_those_that_there_are_where_nothing_else_is_run() -> None:
    points = [{"method": "kd", "x": 0.5, "width": width} for width in (2, 4, 8)]
    table, first, others = (
        toy_study(search={"sampler": "points", "points": chosen}, budget={})
        for chosen in (points, points[:2], [points[0], points[2], points[1]])
    )
    assert differences(table, first) == []
    assert differences(first, table)  # one was run that the study no longer has
    assert differences(others, first)  # the second one is another now
    more, fewer = (
        toy_study(search={"sampler": "random", "points": chosen}) for chosen in (points, points[:2])
    )
    assert differences(more, fewer)  # points come before what the sampler has drawn already


def test_confirmations_and_teachers_are_not_done_again(engine: Engine) -> None:
    assert engine.confirm() == 0
    jobs = engine.ledger.jobs()
    lines = len(engine.folder.journal.read_bytes().splitlines())
    engine.teach()
    assert engine.confirm() == 0
    assert len(engine.folder.journal.read_bytes().splitlines()) == lines
    assert engine.ledger.jobs() == jobs
    assert isinstance(engine.ledger, Ledger)
