"""Content decides identity: what has changed is never taken for what it was, whatever it is called.

The task's fingerprints are constants, as in the README.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, scalar_dtypes
from in_process import Engine, Watching
from own_workshop import Workshop

from kdtasks.contract.errors import ConfigError, DataError, UserError
from kdtasks.contract.task import ScenarioData
from search_spaces.study import Study, parse_study
from sweeps.common.events import Event
from sweeps.ledger.identity import check_scenario, content_of
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.plan.preflight import check_study
from sweeps.progress.events import Display
from sweeps.run.resume import find_left, load_same
from sweeps.run.site import InlinePool
from sweeps.workers.jobs import Job


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    (tmp_path / "code").mkdir()
    return Workshop(tmp_path / "code", monkeypatch)


def taught(study: Study, home: Path, name: str) -> tuple[np.ndarray, list[str]]:
    """Return what the teacher of a new sweep says, and what the user was told."""
    display = Watching()
    engine = Engine(study, home, display, name)
    engine.teach()
    (teacher,) = engine.resources.teachers.values()
    return teacher.outputs["answer"], display.notes


CHANGES = {
    "training data": ("own_task_file", "SEED = 0", "SEED = 10", "train inputs, train labels"),
    "validation alone": (
        "own_task_file",
        "make_dataset(20, 1)",
        "make_dataset(20, 3)",
        "val inputs",
    ),
    "labels alone": (
        "own_data_file",
        "rng.integers(5, size=count)",
        "rng.integers(4, size=count)",
        "labels",
    ),
    "type": ("own_data_file", "size=(count, 3))", "size=(count, 3)).astype('f4')", "inputs"),
    "order": (
        "own_data_file",
        "rng.normal(size=(count, 3))",
        "rng.normal(size=(count, 3))[::-1]",
        "train inputs",
    ),
    "width of the teacher": ("own_nets_file", "WIDTH = 4", "WIDTH = 8", "own_nets_file"),
    "code of the student": (
        "own_task_file",
        "error + params",
        "2 * error + params",
        "own_task_file",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_has_changed_gets_a_teacher_of_its_own(
    workshop: Workshop, tmp_path: Path, what: str
) -> None:
    before, notes = taught(workshop.study(), tmp_path / "home", "one")
    assert notes == []
    name, old, new, part = CHANGES[what]
    workshop.change(name, old, new)
    after, notes = taught(workshop.study(), tmp_path / "home", "two")
    (note,) = notes
    assert "retrained" in note
    assert part in note
    alone, notes = taught(workshop.study(), tmp_path / "elsewhere", "two")
    np.testing.assert_array_equal(after, alone)
    workshop.change(name, new, old)
    again, notes = taught(workshop.study(), tmp_path / "home", "three")
    assert notes == []
    np.testing.assert_array_equal(again, before)


def test_what_has_not_changed_is_found_again(workshop: Workshop, tmp_path: Path) -> None:
    home = tmp_path / "home"
    taught(workshop.study(), home, "one")
    (weights,) = (home / "cache" / "teachers").iterdir()
    for file in workshop.folder.glob("*.py"):
        os.utime(file, (1, 1))
    workshop.change("own_task_file", "SEED = 0", "# the seed\nSEED =  0")
    workshop.change("own_nets_file", "    return", '    """Say it."""\n    return')
    copied = tmp_path / "copied"
    shutil.copytree(workshop.folder, copied)
    shutil.rmtree(workshop.folder)
    workshop.folder.symlink_to(copied)
    _, notes = taught(workshop.study(), home, "two")
    assert notes == []
    assert list((home / "cache" / "teachers").iterdir()) == [weights]


SIBLING = """

class Sibling(Own):
    SEED = 10

    def train_teacher(self, params, train, val):
        teacher = yield from super().train_teacher(params, train, val)
        teacher.outputs["answer"] = -teacher.outputs["answer"]
        return teacher
"""


def test_classes_of_one_file_share_neither_teachers_nor_cache(
    workshop: Workshop, tmp_path: Path
) -> None:
    cached = CACHED.replace("SEED", "getattr(self, 'SEED', SEED)")
    workshop.change("own_task_file", "        train = make_dataset(40, SEED)", cached)
    file = workshop.folder / "own_task_file.py"
    file.write_text(file.read_text() + SIBLING)
    study = workshop.study()
    sibling = parse_study(study.text.replace("own_task_file:Own", "own_task_file:Sibling"), "s")
    taught(study, tmp_path / "home", "one")
    second, notes = taught(sibling, tmp_path / "home", "two")
    assert notes == []  # a teacher of another task is not one that is retrained
    alone, _ = taught(sibling, tmp_path / "elsewhere", "two")
    np.testing.assert_array_equal(second, alone)


def extended(engine: Engine, study: Study | None) -> None:
    found = find_left(engine.folder, study, tracking_uri=None, request=None, display=Display())
    study, _, ledger = found
    load_same(engine.folder, study, ledger, check_study(study), Display())


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("trials", [None, 4], ids=["resumed", "extended"])
def test_a_sweep_is_not_extended_with_other_data_or_code(
    workshop: Workshop, tmp_path: Path, what: str, trials: int | None
) -> None:
    engine = Engine(workshop.study(), tmp_path, name="one")
    journal, study = engine.folder.journal.read_bytes(), engine.folder.study.read_bytes()
    name, old, new, _ = CHANGES[what]
    workshop.change(name, old, new)
    with pytest.raises(ConfigError, match=rf"sweep one .*{name}\.py.*--name"):
        extended(engine, None if trials is None else workshop.study(trials))
    assert engine.folder.journal.read_bytes() == journal
    assert engine.folder.study.read_bytes() == study
    workshop.change(name, new, old)
    extended(engine, None if trials is None else workshop.study(trials))


def test_files_that_were_overwritten_are_named(workshop: Workshop, tmp_path: Path) -> None:
    file = tmp_path / "measured.npy"
    np.save(file, np.arange(120.0).reshape(40, 3))
    study = workshop.study(data_path=str(file))
    engine = Engine(study, tmp_path, name="one")
    os.utime(file)
    extended(engine, workshop.study(4, data_path=str(file)))
    values = np.load(file)
    values[7, 1] += 1e-9
    np.save(file, values)
    with pytest.raises(ConfigError, match=r"measured\.npy.*train inputs.*--name") as caught:
        extended(engine, workshop.study(5, data_path=str(file)))
    assert "labels" not in str(caught.value)
    assert engine.ledger.open(engine.folder.journal).study.budget.trials == 4


def test_a_teacher_serves_no_other_data_within_a_sweep(workshop: Workshop) -> None:
    workshop.change(
        "own_task_file", 'fingerprint({"samples": 40})', "fingerprint({'f': params['data_path']})"
    )
    study = workshop.study()
    text = study.text.replace("space:\n", "space:\n  data_path: {type: choice, values: [a, b]}\n")
    with pytest.raises(ConfigError, match=r"teacher_fingerprint.*data_path.*scenario_fingerprint"):
        check_study(parse_study(text, "own.yaml"))
    workshop.change("own_task_file", 'name = "own"', 'name = "own"\n    teacher_splits = ()')
    check_study(parse_study(text, "own.yaml"))


def test_a_parameter_that_a_teacher_reads_is_part_of_its_key(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.change("own_task_file", '"x": 0.5', '"x": 0.5, "width": 4')
    workshop.change(
        "own_task_file", 'answer(train["inputs"])', 'answer(train["inputs"]) * params["width"]'
    )
    taught(workshop.study(width=4), tmp_path, "one")
    with pytest.raises(UserError, match=r"width=4, not with 8.*teacher_fingerprint must contain"):
        taught(workshop.study(width=8), tmp_path, "two")
    text = workshop.study().text.replace(
        "space:\n", "space:\n  width: {type: int, low: 4, high: 5}\n"
    )
    engine = Engine(parse_study(text, "own.yaml"), tmp_path, name="three")
    engine.teach()
    engine.search()
    reasons = {trial.config["width"]: trial.reason for trial in engine.ledger.trials()}
    assert reasons.get(4, "") == ""
    assert "width=4" in reasons.get(5, "width=4")


def test_a_teacher_whose_code_changes_meanwhile_is_not_kept(
    workshop: Workshop, tmp_path: Path
) -> None:
    class Editing(InlinePool):
        def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Event]]:
            for job, event in super().run(jobs):
                if event.done:
                    workshop.change("own_nets_file", "WIDTH = 4", "WIDTH = 8")
                yield job, event

    engine = Engine(workshop.study(), tmp_path, name="one")
    engine.pool = Editing(engine.interrupts)
    with pytest.raises(UserError, match="own_nets_file changed while it was trained"):
        engine.teach()
    assert list(engine.folder.teachers.glob("*")) == []


CACHED = """
        file = cache_dir / "train.npz"
        if not file.is_file():
            np.savez(file, **make_dataset(40, SEED))
        train = dict(np.load(file))
"""


def test_what_a_task_keeps_itself_is_kept_for_its_code_and_files(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.change("own_task_file", "        train = make_dataset(40, SEED)", CACHED)
    file = tmp_path / "x.npy"
    np.save(file, np.zeros((40, 3)))
    found = []
    for turn in range(3):
        engine = Engine(workshop.study(data_path=str(file)), tmp_path, name=f"turn-{turn}")
        (train,) = (scenario.train for scenario in engine.resources.scenarios.values())
        found.append(train["labels"])
        if turn == 1:
            workshop.change("own_task_file", "SEED = 0", "SEED = 10")
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])
    folders = sorted((tmp_path / "cache" / "scenarios").iterdir())
    assert len(folders) == 2
    np.save(file, np.ones((40, 3)))
    Engine(workshop.study(data_path=str(file)), tmp_path, name="other-file")
    assert len(sorted((tmp_path / "cache" / "scenarios").iterdir())) == 3


@given(
    arrays(scalar_dtypes(), st.tuples(st.integers(1, 4), st.integers(1, 3))),
    st.data(),
)
def test_any_bit_of_any_array_counts(array: np.ndarray, data: st.DataObject) -> None:
    def content(train: np.ndarray) -> object:
        same = {"x": np.zeros(3)}
        return content_of(
            ScenarioData(train={"x": train}, val=same, test=same, provenance={"source": "x"})
        )

    bits = bytearray(array.tobytes())
    bits[data.draw(st.integers(0, len(bits) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = np.frombuffer(bytes(bits), array.dtype).reshape(array.shape)
    assert content(array) == content(np.asfortranarray(array))
    assert content(array) != content(changed)
    assert content(array) != content(array.reshape(-1))


def test_python_objects_are_refused() -> None:
    odd = {"names": np.array(["a", None], dtype=object)}
    with pytest.raises(DataError, match=r"train\['names'\].*astype"):
        content_of(ScenarioData(train=odd, val={}, test={}, provenance={"source": "x"}))


def test_a_cached_teacher_that_is_not_the_one_of_the_sweep_is_noticed(
    workshop: Workshop, tmp_path: Path
) -> None:
    engine = Engine(workshop.study(), tmp_path, name="one")
    engine.teach()
    store = TeacherStore(engine.folder.teachers)
    assert list(store.damages(engine.ledger.jobs())) == []
    (folder,) = engine.folder.teachers.iterdir()
    content = bytearray((folder / "outputs.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "outputs.safetensors").write_bytes(content)
    (line,) = store.damages(engine.ledger.jobs())
    assert "outputs.safetensors" in line


def test_a_student_is_not_judged_on_other_data(workshop: Workshop, tmp_path: Path) -> None:
    file = tmp_path / "measured.npy"
    np.save(file, np.zeros((40, 3)))
    engine = Engine(workshop.study(data_path=str(file)), tmp_path, name="one")
    ((name, content),) = engine.identity.data.items()
    params = {"data_path": str(file)}
    check_scenario("one", engine.study, engine.identity, name, content, params)
    check_scenario("one", engine.study, engine.identity, "of another name", content, params)
    other = {**content, "test": {"inputs": "0", "labels": content["test"]["labels"]}}
    for known in (name, "of another name"):
        with pytest.raises(ConfigError, match=r"measured\.npy.*test inputs"):
            check_scenario("one", engine.study, engine.identity, known, other, params)


def test_code_that_makes_other_data_is_named_in_their_place(
    workshop: Workshop, tmp_path: Path
) -> None:
    engine = Engine(workshop.study(), tmp_path, name="one")
    ((name, _),) = engine.identity.data.items()
    workshop.change("own_task_file", "SEED = 0", "SEED = 10")
    made = workshop.task().load_scenario({"data_path": ""}, cache_dir=None, progress=None)
    with pytest.raises(ConfigError, match=r"other code: .*own_task_file\.py.*--name") as refused:
        check_scenario("one", engine.study, engine.identity, name, content_of(made), {})
    assert "data" not in str(refused.value)
