"""Readers of files and messages take damaged ones or refuse them in one line."""

import random

import pytest

from benchmarks.fuzz import READERS, mutated
from kdtasks.contract.errors import UserError
from search_spaces.errors import StudyError

SLOW = ("study", "journal")


@pytest.mark.parametrize("name", READERS)
def test_damage_is_one_line_or_nothing(tmp_path, name):
    file, make, read = READERS[name]
    valid, dice = make(), random.Random(name)  # noqa: S311 - no secret
    path = tmp_path / file
    path.write_bytes(valid)
    read(path)
    for _ in range(20 if name in SLOW else 200):
        path.write_bytes(mutated(valid, dice))
        try:
            read(path)
        except (UserError, StudyError) as error:
            message = str(error)
            assert "\n" not in message
