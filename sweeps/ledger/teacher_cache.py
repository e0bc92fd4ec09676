"""A content-addressed cache of trained teachers and their outputs, verified on every read.

Its key covers everything that it depends on, see `sweeps.ledger.identity.TeacherIdentity`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from glob import escape
from importlib import metadata
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from kdtasks.contract.errors import DataError
from kdtasks.contract.params import Params
from kdtasks.contract.task import Arrays, TeacherArtifact
from kdtasks.data.reading import file_sha256, read_json
from sweeps.common.records import JobRecord
from sweeps.ledger.identity import TeacherIdentity
from sweeps.ledger.paths import atomic_folder, writing
from sweeps.ledger.student_weights import encoded

WEIGHTS, OUTPUTS, CARD = "weights.safetensors", "outputs.safetensors", "card.json"
FORMAT = 3
"""Layout of an entry; others are refused."""


def _write(arrays: Arrays, path: Path) -> str:
    path.write_bytes(encoded(arrays))
    return file_sha256(path)


@dataclass(frozen=True, slots=True)
class TeacherStore:
    """A folder with a folder per teacher, by the key of its identity."""

    path: Path

    def put(self, identity: TeacherIdentity, params: Params, teacher: TeacherArtifact) -> None:
        """Store a teacher; an existing entry is kept, because it is the same teacher.

        Raises:
            UserError: If it cannot be written; nothing of it stays.
        """
        with writing(self.path), atomic_folder(self.path / identity.key) as partial:
            card = {
                "format": FORMAT,
                "identity": asdict(identity),
                "params": dict(params),
                "decided_by": dict(teacher.decided_by),
                "metrics": dict(teacher.metrics),
                "sha256": {
                    WEIGHTS: _write(teacher.weights, partial / WEIGHTS),
                    OUTPUTS: _write(teacher.outputs, partial / OUTPUTS),
                },
                "versions": {name: metadata.version(name) for name in ("numpy", "torch")},
            }
            (partial / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")

    def kept(self, identity: TeacherIdentity) -> TeacherArtifact:
        """Return a teacher that has been stored, as `get`."""
        teacher = self.get(identity)
        assert teacher is not None, "it has been stored"
        return teacher

    def get(self, identity: TeacherIdentity) -> TeacherArtifact | None:
        """Return a teacher, or None if it is not in the cache.

        Raises:
            DataError: If its files are damaged.
        """
        folder = self.path / identity.key
        if not folder.is_dir():
            return None
        card = _read_card(folder, identity.key)
        return TeacherArtifact(
            metrics=card["metrics"],
            weights=_load(folder / WEIGHTS, card),
            outputs=_load(folder / OUTPUTS, card),
            decided_by=card["decided_by"],
        )

    def hashes(self, key: str) -> dict[str, str]:
        """Return the hashes of a cached teacher's files, from its card.

        Raises:
            DataError: If the card is damaged.
        """
        return dict(_read_card(self.path / key, key)["sha256"])

    def damage(self, key: str, sha256: Mapping[str, str]) -> str:
        """Return the damage of a teacher, by hashes from a ledger or its card; empty if none.

        A teacher that is not in the cache counts as undamaged.
        """
        folder = self.path / key
        if not (key and folder.is_dir()):
            return ""
        try:
            check_entry(folder, key)
            if sha256 and self.hashes(key) != dict(sha256):
                raise _damaged(folder / CARD, "its hashes are not those in the sweep's ledger")
        except DataError as error:
            return str(error)
        return ""

    def damages(self, jobs: Iterable[JobRecord]) -> Iterator[str]:
        """Yield a line per cached teacher that differs from the one that a sweep used."""
        for job in jobs:
            if damage := self.damage(job.identity, job.sha256):
                yield f"{job.key}: {damage}"

    def check(self, jobs: Iterable[JobRecord]) -> None:
        """Check the cached teachers that a sweep used.

        Raises:
            DataError: If one is damaged, or differs from the one that it used.
        """
        for damage in self.damages(jobs):
            raise DataError(damage)

    def as_kept(self, identity: TeacherIdentity) -> TeacherIdentity:
        """Return the identity under which a teacher is cached; our files may have moved since."""
        if (self.path / identity.key).is_dir():
            return identity
        others = self.known(identity.fingerprint)
        return next((one for one in others if not identity.differs(one)), identity)

    def known(self, fingerprint: str) -> list[TeacherIdentity]:
        """Return the cached teachers with a task's fingerprint, the latest first.

        Damaged ones are left out; `get` reports them.
        """
        cards = list(self.path.glob(f"{escape(fingerprint)}-*/{CARD}"))
        found = []
        for path in sorted(cards, key=lambda path: path.stat().st_mtime_ns, reverse=True):
            with suppress(DataError):
                found.append(
                    TeacherIdentity(**_read_card(path.parent, path.parent.name)["identity"])
                )
        return found


def check_entry(folder: Path, key: str) -> None:
    """Check that the files of a teacher are undamaged, wherever its folder is.

    Raises:
        DataError: If they are not.
    """
    card = _read_card(folder, key)
    for name in (WEIGHTS, OUTPUTS):
        _check_hash(folder / name, card)


def _check_hash(path: Path, card: dict[str, Any]) -> None:
    try:
        same = file_sha256(path) == card["sha256"][path.name]
    except OSError as error:
        raise _damaged(path, f"it cannot be read ({error})") from error
    if not same:
        raise _damaged(path, "its content is not what was written")


def _read_card(folder: Path, key: str) -> dict[str, Any]:
    path = folder / CARD
    try:
        card = read_json(path)
        known = card["format"] == FORMAT and set(card["sha256"]) == {WEIGHTS, OUTPUTS}
        known = known and isinstance(card["decided_by"], dict)
        known = known and TeacherIdentity(**card["identity"]).key == key
        metrics = {name: float(value) for name, value in card["metrics"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"it cannot be read ({type(error).__name__})") from error
    if not known:
        raise _damaged(path, "it describes another entry or layout")
    return {**card, "metrics": metrics}


def _load(path: Path, card: dict[str, Any]) -> Arrays:
    _check_hash(path, card)
    try:
        arrays: Arrays = load_file(path)
    except (OSError, SafetensorError, MemoryError) as error:
        raise _damaged(path, f"it cannot be read ({error})") from error
    return arrays


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(
        f"cached teacher {path} is damaged: {problem}; "
        f"remove the folder {path.parent} and it is trained again"
    )
