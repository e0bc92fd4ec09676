"""The command line in this process, and sweeps to call it on."""

from pathlib import Path

import pytest
from toy_study import toy_study

from sweeps.cli.main import main
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import check_new, create


def kdsweep(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    shown = capsys.readouterr()
    return int(stop.value.code or 0), shown.out, shown.err


def make_sweep(home: Path, name: str) -> None:
    study = toy_study()
    folder = check_new(home, name)
    create(folder, study.text)
    Ledger.create(folder.journal, study)
