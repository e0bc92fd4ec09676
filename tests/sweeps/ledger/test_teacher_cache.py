import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdtasks.contract import source_code
from kdtasks.contract.errors import DataError
from kdtasks.contract.task import TeacherArtifact
from sweeps.ledger.identity import TeacherIdentity
from sweeps.ledger.teacher_cache import CARD, FORMAT, OUTPUTS, WEIGHTS, TeacherStore

IDENTITY = TeacherIdentity(
    fingerprint="0123456789abcdef",
    data={"train": {"x": "11", "y": "22"}, "val": {"x": "33"}},
    code={"my_task": "aa", "my_task.nets": "bb"},
)
KEY = IDENTITY.key
TEACHER = TeacherArtifact(
    metrics={"val_nmse_db": -20.5},
    # the second is a number without axes, as batch norm counts its batches
    weights={"w": np.arange(6, dtype=np.float32).reshape(2, 3).T, "n": np.array(7)},
    outputs={"codes": np.linspace(0.0, 1.0, 2000, dtype=np.float32)},
)


@pytest.fixture
def store(tmp_path: Path) -> TeacherStore:
    store = TeacherStore(tmp_path / "teachers")
    store.put(IDENTITY, {"compression": 4}, TEACHER)
    return store


def test_what_is_put_comes_back(store: TeacherStore) -> None:
    found = store.get(IDENTITY)
    assert found is not None
    assert found.metrics == TEACHER.metrics
    np.testing.assert_array_equal(found.weights["w"], TEACHER.weights["w"], strict=True)
    np.testing.assert_array_equal(found.weights["n"], TEACHER.weights["n"], strict=True)
    np.testing.assert_array_equal(found.outputs["codes"], TEACHER.outputs["codes"])
    assert [path.name for path in store.path.iterdir()] == [KEY]


@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))))
def test_memory_order_does_not_matter(array: np.ndarray) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = TeacherStore(Path(folder))
        views = {"t": array.T, "f": np.asfortranarray(array), "s": array[:, ::-1]}
        store.put(IDENTITY, {}, TeacherArtifact(metrics={}, weights=views, outputs={}))
        found = store.get(IDENTITY)
        assert found is not None
        for name, view in views.items():
            np.testing.assert_array_equal(found.weights[name], view)


def test_the_first_entry_stays(store: TeacherStore) -> None:
    other = TeacherArtifact(metrics={"val_nmse_db": 0.0}, weights={}, outputs={})
    store.put(IDENTITY, {}, other)
    found = store.get(IDENTITY)
    assert found is not None
    assert found.metrics == TEACHER.metrics


def test_an_unknown_key_is_not_an_error(store: TeacherStore) -> None:
    assert store.get(replace(IDENTITY, fingerprint="f" * 16)) is None


@pytest.mark.parametrize("name", [WEIGHTS, OUTPUTS])
@pytest.mark.parametrize("damage", ["tampered", "truncated", "removed"])
def test_a_damaged_file_is_named_with_the_fix(store: TeacherStore, name: str, damage: str) -> None:
    path = store.path / KEY / name
    content = bytearray(path.read_bytes())
    if damage == "removed":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[:-1])
    else:
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"(?s){name}.*remove the folder") as caught:
        store.get(IDENTITY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}'])
def test_a_damaged_card_is_named(store: TeacherStore, text: str) -> None:
    (store.path / KEY / CARD).write_text(text)
    with pytest.raises(DataError, match=CARD):
        store.get(IDENTITY)


@pytest.mark.parametrize(
    "change",
    [
        {"format": FORMAT - 1},
        {"identity": asdict(replace(IDENTITY, fingerprint="f" * 16))},
        {"identity": {}},
        {"sha256": {}},
        {"metrics": {"a": "b"}},
    ],
)
def test_a_card_of_something_else_is_refused(
    store: TeacherStore, change: dict[str, object]
) -> None:
    path = store.path / KEY / CARD
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=CARD):
        store.get(IDENTITY)


MOVED = {"kdtasks.losses": "11"}, {"kdtasks.learning.losses": "22", "kdtasks.learning": "33"}


def identity_with(ours: dict[str, str], own: str = "aa") -> TeacherIdentity:
    return replace(IDENTITY, code={"my_task": own, **ours})


def test_a_teacher_is_found_after_our_own_files_were_moved(store, monkeypatch) -> None:
    monkeypatch.setattr(source_code, "_states", lambda: MOVED)
    before, after = (identity_with(state) for state in MOVED)
    store.put(before, {}, TEACHER)
    assert store.as_kept(after) == before
    store.put(after, {}, TEACHER)
    assert store.as_kept(after) == after


@pytest.mark.parametrize(
    "other",
    [
        identity_with(MOVED[1], own="other"),
        identity_with({"kdtasks.learning.losses": "not the digest of that state"}),
        identity_with({**MOVED[0], **MOVED[1]}),  # of two states at once
        replace(identity_with(MOVED[1]), data={"train": {"x": "other"}}),
    ],
)
def test_a_move_hides_no_other_change(store, monkeypatch, other: TeacherIdentity) -> None:
    monkeypatch.setattr(source_code, "_states", lambda: MOVED)
    store.put(identity_with(MOVED[0]), {}, TEACHER)
    assert store.as_kept(other) == other
