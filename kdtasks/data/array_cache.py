"""Arrays that are slow to make, kept on disk and checked whenever they are opened."""

import json
import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.source_code import source_digest
from kdtasks.data.reading import MOST_TEXT_BYTES, check_file, file_sha256, parsed_json

logger = logging.getLogger(__name__)


class ArrayCache:
    """Named arrays of one configuration: ``<stem>.<name>.npy`` each, and ``<stem>.json``, the card.

    Files are written under other names and renamed when all are complete, the card last; so a card
    vouches for its arrays, also when several processes make the same ones at once. The card holds
    the SHA-256 of each file and the digest of the source that made them; whatever does not agree
    with it counts as missing.

    Args:
        folder: Where the files are.
        stem: What distinguishes this configuration from others.
        names: Names of the arrays.
        maker: Module that makes them.
    """

    def __init__(self, folder: Path, stem: str, names: tuple[str, ...], maker: str) -> None:
        self._folder = folder
        self._code = source_digest(maker)
        self._files = {name: f"{stem}.{name}.npy" for name in names}
        self._card_name = f"{stem}.json"

    def read(self) -> dict[str, NDArray[Any]] | None:
        """Return the arrays, memory-mapped and read-only, or None if missing or damaged."""
        try:
            card = self.card()
            digests = card["sha256"]
            if card["code"] != self._code:
                raise ValueError("it was made by other code")
            for name in self._files.values():
                if file_sha256(self._folder / name) != digests[name]:
                    raise ValueError(f"{name} is not what was written")
            return {
                name: np.load(self._folder / file, mmap_mode="r", allow_pickle=False)
                for name, file in self._files.items()
            }
        except (OSError, ValueError, LookupError, TypeError) as error:
            if (self._folder / self._card_name).exists():
                logger.warning("%s in %s: %s; made again", self._card_name, self._folder, error)
            return None

    def card(self) -> dict[str, Any]:
        """Return the card.

        Raises:
            FileNotFoundError: If nothing was written yet.
            ValueError: If it is damaged.
        """
        path = self._folder / self._card_name
        check_file(path, MOST_TEXT_BYTES)
        card: dict[str, Any] = parsed_json(path.read_text("utf-8"))
        return card

    def write(
        self, make: Callable[[Mapping[str, Path]], None], facts: Mapping[str, Any]
    ) -> dict[str, NDArray[Any]]:
        """Fill the cache.

        Args:
            make: Called with a path per array; leaves one ``.npy`` file at each.
            facts: JSON facts for the card.

        Returns:
            What :meth:`read` returns.

        Raises:
            OSError: If what was written cannot be read back.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self._folder) as name:
            scratch = Path(name)
            make({name: scratch / file for name, file in self._files.items()})
            digests = {file: file_sha256(scratch / file) for file in self._files.values()}
            card = json.dumps({**facts, "code": self._code, "sha256": digests}, indent=2)
            (scratch / self._card_name).write_text(card + "\n")
            for file in (*self._files.values(), self._card_name):
                (scratch / file).replace(self._folder / file)
        arrays = self.read()
        if arrays is None:
            raise OSError(f"{self._folder}: {self._card_name} cannot be read back; check the disk")
        return arrays
